//! Two owners of the ledger, one after the other, while clients rely on what either has told them: the real operators
//! and desks are right, and each known-wrong variant of them is caught.

use std::time::Duration;

use http::Method;
use seatkeeper::cluster::leader::LEASE_NAME;
use seatkeeper::domain::license::name::LicenseName;
use seatkeeper::domain::tick::Moment;
use seatkeeper::machine::seed_thread;
use seatkeeper::seats::limits::TTL;
use seatkeeper::seats::{Ask, Denied, Granted, HeartbeatOutcome, Seat};
use serde_json::json;

use crate::api::{ask, folder, must, ours};
use crate::claims::Claims;
use crate::contact_centre::ask as ask_for;
use crate::replicas::{Held, Replicas, Sent};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
const LEDGER: &str = "/apis/seatkeeper.dev/v1alpha1/namespaces/default/seatledgers";
/// A clock that is as much too fast as clocks may be.
const FAST: f64 = 1.04;
const SECOND: Duration = Duration::from_secs(1);
/// The longest that a take-over takes: the Lease runs out, and the ledger is sealed.
const TAKES_OVER: Duration = Duration::from_secs(25);
/// The longest until a seat of a silent holder can be granted again.
const FREE_AGAIN: Duration = Duration::from_secs(200);

type Answer = Result<Granted, Denied>;

/// Two replicas and their clients.
struct Story {
    replicas: Replicas,
    claims: Claims,
}

impl Story {
    fn begin(seats: u32, fast: [f64; 2]) -> Self {
        Story { replicas: Replicas::start(seats, fast), claims: Claims::new(TTL) }
    }

    fn asks(&self, n: usize, user: &str) -> Sent<Answer> {
        let (desk, ask) = (self.replicas.desk(n), ask_for(user));
        self.replicas.send(n, async move { desk.acquire(&[ask]).await.pop().expect("an answer for each") })
    }

    /// Waits for at most `most` until the client of a request has its answer. Returns the seat.
    fn hears(&mut self, sent: &mut Sent<Answer>, most: Duration) -> Option<Seat> {
        let granted = sent.receive(&mut self.replicas, most)?.ok()?;
        self.claims.granted(&granted.seats[0], sent.at, self.replicas.now);
        Some(granted.seats[0].clone())
    }

    fn takes(&mut self, n: usize, user: &str) -> Option<Seat> {
        let mut sent = self.asks(n, user);
        self.hears(&mut sent, SECOND * 2)
    }

    /// Sends a heartbeat, and returns whether the seat is kept; `None` if that is not answered.
    fn keeps(&mut self, n: usize, seat: &Seat) -> Option<bool> {
        let (desk, of) = (self.replicas.desk(n), seat.clone());
        let mut sent = self.replicas.send(n, async move { desk.heartbeat([&of]).await });
        let heard = sent.receive(&mut self.replicas, SECOND * 5)?;
        self.learns(seat, sent.at, heard)
    }

    fn learns(&mut self, seat: &Seat, sent: Moment, heard: Result<HeartbeatOutcome, Denied>) -> Option<bool> {
        let heard = heard.ok()?;
        match (heard.kept[0], heard.unsure) {
            (true, _) => self.claims.kept(seat, sent, self.replicas.now),
            (false, None) => self.claims.lost(seat, self.replicas.now),
            (false, Some(_)) => return None,
        }
        Some(heard.kept[0])
    }

    fn waits_until_it_owns(&mut self, n: usize) {
        assert!(self.replicas.until(TAKES_OVER, |replicas| replicas.owns(n)), "replica {n} never owned the ledger");
    }

    /// Asks until there is a seat.
    fn gets_a_seat_in_the_end(&mut self, n: usize, user: &str) -> bool {
        let until = self.replicas.now + FREE_AGAIN;
        while self.replicas.now < until {
            if self.takes(n, user).is_some() {
                return true;
            }
            self.replicas.pass(SECOND / 5);
        }
        false
    }

    /// Deletes the Lease, so that the second replica takes it while the first still believes to have it.
    fn the_lease_is_deleted(&mut self) {
        let path = format!("{LEASES}/{LEASE_NAME}");
        self.replicas.people_do(async |shared| must(&shared.api, Method::DELETE, &path, None).await);
    }

    /// Has some write an entry each: somebody takes a seat and gives it back.
    fn people_come_and_go(&mut self, n: usize, times: usize) {
        for _ in 0..times {
            let seat = self.takes(n, "b").expect("it is free");
            let freed = [self.replicas.desk(n).release(&seat)];
            assert_eq!(freed, [Ok(true)]);
            self.claims.released(&[seat], &freed, self.replicas.now);
            self.replicas.pass(SECOND / 2);
        }
    }

    /// The name of the object that holds the seats of the License.
    fn base(&mut self) -> &'static str {
        let list = self.replicas.people_do(async |shared| ask(&shared.api, Method::GET, LEDGER, None).await.1);
        let names =
            list["items"].as_array().into_iter().flatten().filter_map(|object| object["metadata"]["name"].as_str());
        let base = names.into_iter().find(|name| name.starts_with("base-")).expect("it was written");
        base.to_owned().leak()
    }

    /// Another License has the key of the first from now on.
    fn the_key_moves(&mut self) {
        let other = json!({
            "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License", "metadata": {"name": "moved"},
            "spec": {
                "product": "innoacd", "keys": [{"name": "keys", "secretRef": {"name": "keys"}}],
                "trust": {"secretRef": {"name": "issuer-trust"}},
            },
        });
        self.replicas.people_do(async |shared| {
            let first = ours("centre", "licenses", "innoacd");
            must(&shared.api, Method::PATCH, &first, Some(&json!({"spec": {"keys": []}}))).await;
            must(&shared.api, Method::POST, folder(&first), Some(&other)).await;
        });
    }

    fn the_ledger_is_deleted(&mut self) {
        self.replicas.people_do(async |shared| {
            let (_, list) = ask(&shared.api, Method::GET, LEDGER, None).await;
            for object in list["items"].as_array().into_iter().flatten() {
                let name = object["metadata"]["name"].as_str().expect("it has a name");
                must(&shared.api, Method::DELETE, &format!("{LEDGER}/{name}"), None).await;
            }
        });
    }

    fn holds_back(&self, n: usize, requests: &'static [&'static str]) {
        self.replicas.hold(n, Held { requests, replies: &[] });
    }
}

/// Runs a story on its own thread. Returns what was wrong, and whether it came to its end.
fn told(variant: Option<seatkeeper::wrong::Variant>, story: fn() -> (Story, bool)) -> (Option<String>, bool) {
    let tell = move || {
        seed_thread(1);
        #[cfg(feature = "known-wrong")]
        seatkeeper::wrong::be(variant);
        let (story, ends_well) = story();
        (story.claims.violation, ends_well)
    };
    #[cfg(not(feature = "known-wrong"))]
    let _ = variant;
    std::thread::spawn(tell).join().expect("no story panics")
}

macro_rules! stories {
    ($($(#[$doc:meta])* $name:ident: $variant:ident, $story:ident;)*) => {
        $(
            $(#[$doc])*
            #[test]
            fn $name() {
                assert_eq!(told(None, $story), (None, true), "the right code");
                #[cfg(feature = "known-wrong")]
                {
                    let (violation, _) = told(Some(seatkeeper::wrong::Variant::$variant), $story);
                    eprintln!("{}: {}", stringify!($variant), violation.expect("the wrong code is caught"));
                }
            }
        )*

        #[cfg(feature = "known-wrong")]
        #[test]
        fn every_known_wrong_variant_of_seats_has_a_story() {
            use seatkeeper::wrong::Variant;
            assert_eq!(Variant::OF_SEATS, [$(Variant::$variant),*]);
        }
    };
}

stories! {
    i1_a_grant_is_answered_once_the_next_owner_will_find_it: AnsweredBeforeDurable, killed_before_the_write;
    i1_a_new_owner_seals_the_ledger_before_it_grants: NoSeal, a_write_arrives_late;
    i1_an_owner_that_was_stopped_keeps_no_seat: HeartbeatWithoutProof, stopped_and_replaced;
    i1_proof_lasts_from_when_the_renewal_was_sent: ProofFromReply, the_reply_to_a_renewal_is_late;
    i1_a_new_owner_waits_before_it_frees_a_seat: ReclaimWithoutWaiting, killed_while_a_seat_is_held;
    i1_a_new_owner_waits_until_the_proof_of_the_previous_one_has_ended: WaitsForTtlOnly, the_lease_passes_on_early;
    i1_an_owner_with_a_fast_clock_frees_no_seat_early: NoDriftMargin, a_fast_clock;
    i1_a_missing_ledger_is_taken_to_be_deleted: MissingLedgerIsNew, the_ledger_vanishes;
    a_seat_is_lost_once_the_next_owner_will_find_it_free: LostBeforeDurable, killed_before_a_seat_is_freed;
    a_seat_is_lost_only_while_nobody_else_owns_the_ledger: LostWithoutProof, another_owner_has_granted_it;
    i1_a_holder_counts_from_when_it_asked: TtlFromReply, the_answer_is_late;
    i2_a_new_owner_knows_what_changed_while_it_took_over: LookedUpBeforeOwning, the_key_moves_during_a_take_over;
}

fn killed_before_the_write() -> (Story, bool) {
    let mut story = Story::begin(1, [1.0; 2]);
    story.holds_back(0, &["seatledgers"]);
    let mut a = story.asks(0, "a");
    story.hears(&mut a, SECOND * 2);
    story.replicas.kill(0);
    story.waits_until_it_owns(1);
    let ends_well = story.gets_a_seat_in_the_end(1, "b");
    (story, ends_well)
}

fn a_write_arrives_late() -> (Story, bool) {
    let mut story = Story::begin(1, [1.0; 2]);
    story.holds_back(0, &["seatledgers", "leases"]);
    let mut a = story.asks(0, "a");
    story.replicas.pass(SECOND / 10);
    story.the_lease_is_deleted();
    story.waits_until_it_owns(1);
    story.holds_back(0, &["leases"]);
    if let Some(seat) = story.hears(&mut a, SECOND * 3) {
        story.keeps(1, &seat);
    }
    let ends_well = story.gets_a_seat_in_the_end(1, "b");
    (story, ends_well)
}

/// The first owner goes on for a moment, long after its proof has ended, and answers before it notices anything.
fn stopped_and_replaced() -> (Story, bool) {
    let mut story = Story::begin(1, [1.0; 2]);
    let seat = story.takes(0, "a").expect("it is free");
    story.replicas.stop(0);
    story.replicas.pass(SECOND * 50);
    assert!(story.replicas.owns(1));
    let desk = story.replicas.desk(0);
    if let Some(heard) = story.replicas.go_on_with(0, desk.heartbeat([&seat])) {
        story.learns(&seat, story.replicas.now, heard);
    }
    let ends_well = story.gets_a_seat_in_the_end(1, "b");
    (story, ends_well)
}

fn the_reply_to_a_renewal_is_late() -> (Story, bool) {
    let mut story = Story::begin(1, [1.0, FAST]);
    let seat = story.takes(0, "a").expect("it is free");
    story.replicas.hold(0, Held { requests: &[], replies: &["leases"] });
    let before = renewed_at(&story);
    assert!(story.replicas.until(SECOND * 4, |replicas| renewal(replicas) != before), "the Lease is renewed");
    story.the_lease_is_deleted();
    story.replicas.pass(SECOND * 6);
    assert!(story.replicas.owns(1));
    // The reply comes; no further renewal gets through.
    story.holds_back(0, &["leases"]);
    story.replicas.pass(Duration::from_millis(9_500));
    story.keeps(0, &seat);
    let ends_well = story.gets_a_seat_in_the_end(1, "b");
    (story, ends_well)
}

/// The version of the Lease.
fn renewal(replicas: &Replicas) -> String {
    let path = format!("{LEASES}/{LEASE_NAME}");
    let lease = replicas.people_do(async |shared| must(&shared.api, Method::GET, &path, None).await);
    lease["metadata"]["resourceVersion"].to_string()
}

fn renewed_at(story: &Story) -> String {
    renewal(&story.replicas)
}

fn killed_while_a_seat_is_held() -> (Story, bool) {
    let mut story = Story::begin(1, [1.0; 2]);
    story.takes(0, "a").expect("it is free");
    story.replicas.kill(0);
    story.waits_until_it_owns(1);
    let ends_well = story.gets_a_seat_in_the_end(1, "b");
    (story, ends_well)
}

/// The first owner answers for as long as it has proof, while the second one already waits.
fn the_lease_passes_on_early() -> (Story, bool) {
    let mut story = Story::begin(1, [1.0, FAST]);
    let seat = story.takes(0, "a").expect("it is free");
    story.holds_back(0, &["leases"]);
    story.the_lease_is_deleted();
    let mut kept = 0;
    for _ in 0..10 {
        story.replicas.pass(SECOND);
        kept += u32::from(story.keeps(0, &seat) == Some(true));
    }
    assert!(story.replicas.owns(1));
    let ends_well = kept > 5 && kept < 10 && story.gets_a_seat_in_the_end(1, "b");
    (story, ends_well)
}

fn a_fast_clock() -> (Story, bool) {
    let mut story = Story::begin(1, [FAST, 1.0]);
    story.takes(0, "a").expect("it is free");
    let ends_well = story.gets_a_seat_in_the_end(0, "b");
    (story, ends_well)
}

/// The owner would notice it only once it overwrites an entry, so the next owner has to.
fn the_ledger_vanishes() -> (Story, bool) {
    let mut story = Story::begin(1, [1.0; 2]);
    story.takes(0, "a").expect("it is free");
    story.the_ledger_is_deleted();
    story.replicas.kill(0);
    story.waits_until_it_owns(1);
    let ends_well = story.gets_a_seat_in_the_end(1, "b");
    (story, ends_well)
}

fn killed_before_a_seat_is_freed() -> (Story, bool) {
    let mut story = Story::begin(1, [1.0; 2]);
    let seat = story.takes(0, "a").expect("it is free");
    story.replicas.pass(TTL - SECOND);
    story.holds_back(0, &["seatledgers"]);
    story.replicas.pass(SECOND * 6);
    story.keeps(0, &seat);
    story.replicas.kill(0);
    story.waits_until_it_owns(1);
    assert_eq!(story.keeps(1, &seat), Some(true), "the ledger shows it held");
    let ends_well = story.gets_a_seat_in_the_end(1, "b");
    (story, ends_well)
}

/// The holder's heartbeat goes to the previous owner, which does not know the seat.
fn another_owner_has_granted_it() -> (Story, bool) {
    let mut story = Story::begin(1, [1.0; 2]);
    story.holds_back(0, &["leases"]);
    story.the_lease_is_deleted();
    story.waits_until_it_owns(1);
    let seat = story.takes(1, "b").expect("it is free");
    story.keeps(0, &seat);
    let ends_well = story.keeps(1, &seat) == Some(true);
    (story, ends_well)
}

/// The License with a seat in use loses its key between the look at it and the end of the take-over.
fn the_key_moves_during_a_take_over() -> (Story, bool) {
    let mut story = Story::begin(2, [1.0; 2]);
    let seat = story.takes(0, "a").expect("it is free");
    story.people_come_and_go(0, 6);
    // Its base is behind when the owner dies, so the next one writes it before it begins.
    let base: &'static [&'static str] = vec![story.base()].leak();
    story.holds_back(0, base);
    story.people_come_and_go(0, 6);
    story.replicas.kill(0);
    story.holds_back(1, base);
    story.replicas.pass(TAKES_OVER);
    assert!(!story.replicas.owns(1), "it waits for the base");
    story.the_key_moves();
    story.replicas.pass(SECOND * 2);
    story.holds_back(1, &[]);
    story.waits_until_it_owns(1);
    let mut granted = u32::from(story.keeps(1, &seat) == Some(true));
    for user in ["b", "c", "d"] {
        let asked = Ask { license: LicenseName::new("centre", "moved"), ..ask_for(user) };
        let desk = story.replicas.desk(1);
        let mut sent = story.replicas.send(1, async move { desk.acquire(&[asked]).await.pop().expect("an answer") });
        granted += u32::from(sent.receive(&mut story.replicas, SECOND * 2).is_some_and(|answer| answer.is_ok()));
    }
    if granted > 2 {
        story.claims.violation = Some(format!("{granted} of 2 seats are held under two Licenses"));
    }
    (story, granted == 2)
}

fn the_answer_is_late() -> (Story, bool) {
    let mut story = Story::begin(1, [1.0; 2]);
    let mut a = story.asks(0, "a");
    story.replicas.pass(TTL / 2);
    story.hears(&mut a, SECOND);
    let ends_well = story.gets_a_seat_in_the_end(0, "b");
    (story, ends_well)
}
