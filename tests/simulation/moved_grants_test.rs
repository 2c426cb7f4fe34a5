//! Keys move between Licenses while seats are held: Licenses are renamed, split, deleted and restored, and the owner of
//! the ledger dies in between. There are never more seats in use than the keys grant in all (I2, K4).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::SigningKey;
use http::Method;
use seatkeeper::domain::license::jwk::publish;
use seatkeeper::domain::license::key::sign_key;
use seatkeeper::domain::license::name::LicenseName;
use seatkeeper::domain::seats::taker::Taker;
use seatkeeper::domain::tick::Moment;
use seatkeeper::seats::limits::{TTL, with_drift};
use seatkeeper::seats::proof::PROOF_LASTS;
use seatkeeper::seats::{Ask, Denied, Granted, Seat};
use serde_json::{Value, json};

use crate::api::{ask, folder, must, ours, secret};
use crate::claims::Claims;
use crate::contact_centre::{centre, open};
use crate::dice::Dice;
use crate::run::Run;

/// The seats of each grant.
const GRANTS: [u64; 3] = [1, 2, 3];
const LICENSES: [&str; 3] = ["w0", "w1", "w2"];
/// The longest until every seat is free that nobody keeps.
const ALL_FREE: Duration = Duration::from_secs(200);
/// The longest until a desk that runs has seen a change of keys.
const SEEN: Duration = Duration::from_secs(2);

/// Licenses, the keys that they have, and the people who use their seats.
struct Story {
    run: Run,
    dice: Dice,
    claims: Claims,
    sessions: u32,
    held: Vec<Seat>,
    /// The grants whose keys each License has.
    keys: BTreeMap<usize, BTreeSet<usize>>,
    /// The grants on which the seats of each License may draw: those of all keys since it had no seat in use.
    had: [BTreeSet<usize>; LICENSES.len()],
    /// When the keys of each License last changed.
    changed: [Moment; LICENSES.len()],
}

fn name(license: usize) -> LicenseName {
    LicenseName::new("centre", LICENSES[license])
}

fn secret_of(name: &str, type_: &str, entry: &str, text: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": type_, "metadata": {"name": name, "namespace": "centre"},
        "data": {entry: BASE64_STANDARD.encode(text)},
    })
}

impl Story {
    fn begin(seed: u64) -> Self {
        let run = open(&centre(1, None));
        let signing = SigningKey::from_bytes(&[9; 32]);
        run.within(async {
            let jwks = serde_json::to_string(&publish(&[signing.verifying_key()])).expect("it is JSON");
            let trust = secret_of("trust", "seatkeeper.dev/trust", "jwks.json", &jwks);
            must(&run.shared.api, Method::POST, folder(&secret("centre", "trust")), Some(&trust)).await;
            let of_acd = GRANTS.iter().enumerate().map(|(grant, seats)| (format!("g{grant}"), "acd", *seats));
            for (grant, product, seats) in of_acd.chain([("other".to_owned(), "other", 9)]) {
                let claims = json!({
                    "iss": "vendor", "jti": grant, "sub": "Centre", "aud": product, "iat": 1, "nbf": 1,
                    "exp": 4_000_000_000u64, "grant": grant,
                    "pools": [{"name": "agents", "model": "Concurrent", "countBy": "Start", "seats": seats}],
                });
                let text = sign_key(&serde_json::from_value(claims).expect("it is a key"), &signing);
                let key = secret_of(&grant, "seatkeeper.dev/license", "key", &text);
                must(&run.shared.api, Method::POST, folder(&secret("centre", "keys")), Some(&key)).await;
            }
        });
        let began = run.lived();
        Story {
            run,
            dice: Dice::new(seed, 7),
            claims: Claims::new(TTL),
            sessions: 0,
            held: Vec::new(),
            keys: BTreeMap::new(),
            had: Default::default(),
            changed: [began; LICENSES.len()],
        }
    }

    /// Gives a License exactly these keys; creates it if there is none.
    fn give_keys(&mut self, license: usize, grants: BTreeSet<usize>) {
        self.give(license, "acd", &grants.iter().map(|n| format!("g{n}")).collect::<Vec<_>>());
        self.had[license].extend(&grants);
        self.changed[license] = self.run.lived();
        self.keys.insert(license, grants);
    }

    fn give(&mut self, license: usize, product: &str, keys: &[String]) {
        let path = ours("centre", "licenses", LICENSES[license]);
        let keys: Vec<Value> = keys.iter().map(|key| json!({"name": key, "secretRef": {"name": key}})).collect();
        let object = json!({
            "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License",
            "metadata": {"name": LICENSES[license], "namespace": "centre"},
            "spec": {"product": product, "keys": keys, "trust": {"secretRef": {"name": "trust"}}},
        });
        let shared = self.run.shared.clone();
        self.run.within(async {
            let (code, answer) = ask(&shared.api, Method::POST, folder(&path), Some(&object)).await;
            match code {
                201 => {}
                409 => _ = must(&shared.api, Method::PATCH, &path, Some(&json!({"spec": {"keys": keys}}))).await,
                _ => panic!("{path}: {code} {answer}"),
            }
        });
    }

    fn delete(&mut self, license: usize) {
        let (shared, path) = (self.run.shared.clone(), ours("centre", "licenses", LICENSES[license]));
        self.run.within(async { _ = ask(&shared.api, Method::DELETE, &path, None).await });
        self.changed[license] = self.run.lived();
        self.keys.remove(&license);
    }

    fn take(&mut self, license: usize, count: u32) -> Option<Result<Granted, Denied>> {
        let desk = self.run.desk_if_any()?;
        self.sessions += 1;
        let ask = Ask {
            license: name(license),
            user: None,
            session: format!("s{}", self.sessions),
            client: None,
            pool: None,
            request: None,
            version: None,
            count,
            taker: Taker::of("agent", None, None),
            namespace: None,
        };
        let sent = self.run.lived();
        let asking = async { tokio::time::timeout(Duration::from_secs(5), desk.acquire(&[ask])).await };
        let answer = self.run.within(asking).ok()?.pop().expect("an answer for each");
        let now = self.run.lived();
        if let Ok(granted) = &answer {
            granted.seats.iter().for_each(|seat| self.claims.granted(seat, sent, now));
            self.held.extend(granted.seats.clone());
            self.judge();
        }
        Some(answer)
    }

    /// Whether these seats are granted.
    fn gets(&mut self, license: usize, count: u32) -> bool {
        self.take(license, count).expect("an operator runs").is_ok()
    }

    /// Checks that the seats in use fit on the grants, whichever of its grants each License uses (Hall's theorem).
    fn judge(&mut self) {
        let now = self.run.lived();
        let live: Vec<u64> = (0..LICENSES.len()).map(|n| self.claims.live(&name(n), now).count() as u64).collect();
        for (license, seats) in live.iter().enumerate() {
            // A seat that lapsed while no operator ran is kept when its holder asks again.
            let is_held = *seats > 0 || self.held.iter().any(|seat| seat.license == name(license));
            if !is_held && now >= self.changed[license] + SEEN {
                self.had[license] = self.keys.get(&license).cloned().unwrap_or_default();
            }
        }
        for subset in 1..1usize << GRANTS.len() {
            let within = |grants: &BTreeSet<usize>| grants.iter().all(|grant| subset & (1 << grant) != 0);
            let licensed: u64 = (0..GRANTS.len()).filter(|n| subset & (1 << n) != 0).map(|n| GRANTS[n]).sum();
            let used: u64 = live.iter().zip(&self.had).filter(|(_, had)| within(had)).map(|(seats, _)| seats).sum();
            assert!(used <= licensed, "{used} seats on {licensed} licensed: {live:?} of {:?}", self.had);
        }
    }

    fn pass(&mut self, time: Duration) {
        self.run.pass(time);
    }

    fn step(&mut self) {
        let license = self.dice.below(LICENSES.len() as u64) as usize;
        match self.dice.below(12) {
            0 => self.delete(license),
            1 | 2 => {
                let chosen = self.dice.below(1 << GRANTS.len()) as usize;
                self.give_keys(license, (0..GRANTS.len()).filter(|n| chosen & (1 << n) != 0).collect());
            }
            // A rename: the new License has the keys before the old one is gone, or after.
            3 => {
                let to = self.dice.below(LICENSES.len() as u64) as usize;
                if let Some(keys) = self.keys.get(&license).cloned().filter(|_| to != license) {
                    if self.dice.percent(50) {
                        self.give_keys(to, keys);
                        self.delete(license);
                    } else {
                        self.delete(license);
                        self.give_keys(to, keys);
                    }
                }
            }
            4 => {
                self.run.kill();
                self.run.restart();
            }
            5 if !self.held.is_empty() => {
                let n = self.dice.below(self.held.len() as u64) as usize;
                let seat = self.held.swap_remove(n);
                if let Some(desk) = self.run.desk_if_any() {
                    let freed = self.run.within(async { desk.release(&seat) });
                    self.claims.released(&[seat], &[freed], self.run.lived());
                }
            }
            6 | 7 => self.keep_all(),
            _ => {
                let count = self.dice.between(1, 3) as u32;
                self.take(license, count);
            }
        }
        let time = *self.dice.pick(&[0, 0, 5, 100, 1_500, 20_000, 60_000]);
        self.pass(Duration::from_millis(time));
    }

    /// Everybody sends a heartbeat.
    fn keep_all(&mut self) {
        let Some(desk) = self.run.desk_if_any() else { return };
        let (held, sent) = (self.held.clone(), self.run.lived());
        let heartbeat = async { tokio::time::timeout(Duration::from_secs(5), desk.heartbeat(&held)).await };
        let Ok(Ok(heard)) = self.run.within(heartbeat) else { return };
        let now = self.run.lived();
        for (seat, kept) in held.iter().zip(&heard.kept) {
            match (kept, &heard.unsure) {
                (true, _) => self.claims.kept(seat, sent, now),
                (false, None) => {
                    self.claims.lost(seat, now);
                    self.held.retain(|other| other != seat);
                }
                (false, Some(_)) => {}
            }
        }
        self.judge();
    }

    /// Once everybody has left, every seat that is licensed can be had.
    fn end(mut self) -> u64 {
        (0..LICENSES.len()).for_each(|license| self.delete(license));
        let until = self.run.lived() + ALL_FREE;
        while self.run.lived() < until {
            self.pass(until - self.run.lived());
        }
        self.held.clear();
        self.give_keys(0, (0..GRANTS.len()).collect());
        self.pass(Duration::from_secs(5));
        let all = GRANTS.iter().sum::<u64>() as u32;
        let answer = self.take(0, all);
        assert!(matches!(answer, Some(Ok(_))), "{answer:?}");
        assert_eq!(self.claims.violation, None);
        self.claims.granted
    }
}

/// Tells the story of a seed. Returns how many seats were granted in it.
fn tell(seed: u64) -> u64 {
    let mut story = Story::begin(seed);
    (0..60).for_each(|_| story.step());
    story.end()
}

#[test]
fn keys_that_move_between_licenses_never_grant_a_seat_twice() {
    let seeds =
        std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).map_or(30, |seeds: u64| (seeds / 50).max(30));
    let mut granted = 0;
    for seed in 1..=seeds {
        let told = std::thread::spawn(move || tell(seed)).join();
        granted += told.unwrap_or_else(|_| panic!("seed {seed}"));
    }
    assert!(granted > seeds * 10, "only {granted} seats were granted in {seeds} stories");
}

#[cfg(feature = "known-wrong")]
#[test]
fn desks_that_count_moved_grants_wrongly_are_caught() {
    for variant in seatkeeper::wrong::Variant::OF_GRANTS {
        let is_caught = |seed| {
            let told = std::thread::spawn(move || {
                seatkeeper::wrong::be(Some(variant));
                tell(seed)
            });
            told.join().is_err()
        };
        assert!((1..=30).any(is_caught), "{variant:?} is not caught");
    }
}

/// The attack: take the seats, delete the License, make another one with the same key, and so on.
#[test]
fn deleting_a_license_and_making_another_with_its_key_gives_no_further_seat() {
    let mut story = Story::begin(1);
    for license in 0..LICENSES.len() {
        story.give_keys(license, [1].into());
        story.pass(Duration::from_secs(2));
        let answer = story.take(license, 2).expect("an operator runs");
        assert_eq!(answer.is_ok(), license == 0, "{answer:?}");
        story.keep_all();
        assert_eq!(story.held.len(), 2, "those who work go on working");
        story.delete(license);
        story.pass(Duration::from_secs(2));
        story.run.kill();
        story.run.restart();
        story.pass(Duration::from_secs(20));
        story.keep_all();
    }
}

/// A License whose seats another key covers loses the key that they were taken on, without a change of its seats. The next
/// owner must know on which key they are now.
#[test]
fn the_next_owner_knows_a_change_of_keys_that_changed_no_seat() {
    let mut story = Story::begin(1);
    story.give_keys(0, [1].into());
    story.pass(Duration::from_secs(2));
    assert!(story.gets(0, 2));
    story.give_keys(0, [2].into());
    story.pass(Duration::from_secs(2));
    story.give_keys(1, [1].into());
    story.pass(Duration::from_secs(2));
    assert!(story.gets(1, 2), "the three of the other key cover the two that are held");
    story.pass(Duration::from_secs(2));
    story.delete(0);
    story.run.kill();
    story.run.restart();
    story.pass(Duration::from_secs(20));
    story.keep_all();
    assert_eq!(story.held.len(), 4, "those who work go on working");
    story.give_keys(2, [2].into());
    story.pass(Duration::from_secs(2));
    assert!(!story.gets(2, 2), "two of three are held");
    assert!(story.gets(2, 1));
}

/// It used to be free for the License with the key a second later, when the uncovered seats were counted again.
#[test]
fn a_seat_that_is_given_back_under_the_former_license_can_be_had_at_once() {
    let mut story = Story::begin(1);
    story.give_keys(0, [1].into());
    story.pass(Duration::from_secs(2));
    assert!(story.gets(0, 2));
    story.delete(0);
    story.give_keys(1, [1].into());
    story.pass(Duration::from_secs(2));
    assert!(!story.gets(1, 1), "both are held");
    let seat = story.held.pop().expect("two are held");
    let desk = story.run.desk_if_any().expect("an operator runs");
    let freed = story.run.within(async { desk.release(&seat) });
    story.claims.released(&[seat], &[freed], story.run.lived());
    assert!(story.gets(1, 1), "one was given back");
    assert!(!story.gets(1, 1), "the other one is held");
}

/// The attack: a License of another product, with a key of one's own for as many seats as one likes, in place of the one
/// whose seats are held.
#[test]
fn seats_of_one_product_are_not_covered_by_a_key_of_another() {
    let mut story = Story::begin(1);
    story.give_keys(0, [1].into());
    story.pass(Duration::from_secs(2));
    assert!(story.gets(0, 2));
    story.delete(0);
    story.give(0, "other", &["other".to_owned()]);
    story.pass(Duration::from_secs(2));
    for restarts in 0..2 {
        story.give_keys(1, [1].into());
        story.pass(Duration::from_secs(2));
        assert!(!story.gets(1, 1), "both are held, after {restarts} restarts");
        story.run.kill();
        story.run.restart();
        story.pass(Duration::from_secs(20));
        story.keep_all();
    }
}

/// The attack: after the ledger is lost, delete the License and create it again. It was taken for one that can have no seats
/// from before, while those on its key were still held.
#[test]
fn i2_a_license_that_is_created_again_after_the_ledger_was_lost_waits_too() {
    let mut story = Story::begin(1);
    story.give_keys(0, [2].into());
    story.pass(SEEN);
    assert!(story.gets(0, 3));
    story.run.kill();
    let shared = story.run.shared.clone();
    story.run.within(async {
        let ledger = ours("default", "seatledgers", "");
        let all = must(&shared.api, Method::GET, folder(&ledger), None).await;
        for object in all["items"].as_array().expect("a list") {
            let name = object["metadata"]["name"].as_str().expect("a name");
            must(&shared.api, Method::DELETE, &format!("{ledger}{name}"), None).await;
        }
    });
    story.run.restart();
    story.pass(Duration::from_secs(20));
    story.delete(0);
    story.give_keys(0, [2].into());
    story.pass(SEEN);
    let answer = story.take(0, 1).expect("an operator runs");
    assert!(matches!(answer, Err(Denied::LedgerIncomplete { .. })), "{answer:?}");
    story.pass(with_drift(PROOF_LASTS + TTL));
    assert!(story.gets(0, 3), "the seats of before have ended");
}
