//! Who gets a seat: the cases that users know, each named after what it proves (docs/requirements.md).

use std::sync::Arc;

use chrono::DateTime;
use serde_json::{Value, json};

use seatkeeper::domain::Instant;
use seatkeeper::domain::license::entitlement::{Presented, entitlement};
use seatkeeper::domain::license::key::Claims;
use seatkeeper::domain::license::members::Heads;
use seatkeeper::domain::seats::hold::{HeldSeat, Record};
use seatkeeper::domain::seats::line::{
    BASE_SLOTS, MOST_BASE_BYTES, read_base, read_records, write_base, write_records,
};
use seatkeeper::domain::seats::ranking::heads;
use seatkeeper::domain::seats::refusal::Refusal;
use seatkeeper::domain::seats::request::{Access, Grant, Request};
use seatkeeper::domain::seats::roster::{MemberMode, Members, Roster, RosterEntry};
use seatkeeper::domain::seats::seating::Seating;
use seatkeeper::domain::seats::table::{MOST_FREED, Place};
use seatkeeper::domain::seats::terms::{Assignment, Reservation, SeatTerms};
use seatkeeper::domain::tick::Tick;
use seatkeeper::domain::zone::Zone;
use seatkeeper::machine::monotonic;

/// The key of these tests is in force from 0 until this instant, and then in grace for as long again.
const ENDS: i64 = 2_000_000_000;
const GRACE_ENDS: i64 = 2_100_000_000;

fn at(seconds: i64) -> Instant {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn time(text: &str) -> Instant {
    text.parse().unwrap()
}

/// Returns what a key with these pools and two demo seats grants at an instant.
fn terms_at(now: Instant, pools: Value, assignments: &[Assignment], reservations: &[Reservation]) -> Arc<SeatTerms> {
    let claims: Claims = serde_json::from_value(json!({
        "iss": "v", "jti": "s", "sub": "A", "aud": "p", "iat": 0, "nbf": 0, "exp": ENDS, "grace_until": GRACE_ENDS,
        "demo_seats": 2, "on_demo": {"EndAfterMinutes": 30}, "pools": pools,
    }))
    .unwrap();
    let key =
        Presented { secret: "s".into(), entry: "e".into(), claims: Some(Arc::new(claims)), grant: None, refusal: None };
    Arc::new(SeatTerms::new(&entitlement(&[key], now), assignments, reservations))
}

fn terms(pools: Value) -> Arc<SeatTerms> {
    terms_at(at(1), pools, &[], &[])
}

fn agents(seats: u32) -> Value {
    json!([{"name": "agents", "model": "Concurrent", "countBy": "User", "seats": seats}])
}

fn per_user(active: u32, passive: u32) -> Value {
    json!([
        {"name": "active", "model": "PerUser", "countBy": "Start", "seats": active, "loginMode": "Active"},
        {"name": "passive", "model": "PerUser", "countBy": "Start", "seats": passive, "loginMode": "Passive", "overflowsTo": "active"},
    ])
}

fn member(user: &str, mode: MemberMode, entry: &str, exit: Option<&str>) -> RosterEntry {
    let team = None;
    let (entry_date, exit_date) = (entry.parse().unwrap(), exit.map(|exit| exit.parse().unwrap()));
    RosterEntry { user: user.into(), login_mode: mode, entry_date, exit_date, team }
}

fn roster(name: &str, members: Vec<RosterEntry>) -> Roster {
    Roster {
        name: name.into(),
        guest: None,
        is_equal: false,
        time_zone: Zone::named("Europe/Berlin").unwrap(),
        entries: members,
    }
}

fn people(of: &[(&str, MemberMode)]) -> Arc<Members> {
    let members = of.iter().map(|(user, mode)| member(user, *mode, "1970-01-01", None)).collect();
    Arc::new(Members::unite(&[roster("staff", members)]))
}

fn nobody() -> Arc<Members> {
    Arc::new(Members::unite(&[]))
}

/// A running seat server: what it grants is in the table at once.
struct Server {
    seating: Seating,
    now: Instant,
}

impl Server {
    fn new(terms: Arc<SeatTerms>, people: Arc<Members>) -> Self {
        Server { seating: Seating::new(terms, people, at(1)), now: at(1) }
    }

    fn of(pools: Value) -> Self {
        Server::new(terms(pools), nobody())
    }

    fn set(&mut self, terms: Arc<SeatTerms>, people: Arc<Members>) {
        self.seating.set(terms, people, self.now);
    }

    fn ask(&mut self, request: Request) -> Result<Grant, Refusal> {
        let grant = self.seating.decide(&request, self.now)?;
        self.seating.assume(&grant, &request, Tick(100));
        Ok(grant)
    }

    /// A user starts a session on a client of the same name. Returns the granted pool, slot and access.
    fn start(&mut self, user: &str, session: &str) -> Result<(String, u32, Access), &'static str> {
        let request = Request { user: Some(user), client: Some("pc1"), ..Request::of(session) };
        let grant = self.ask(request).map_err(|refusal| refusal.reason())?;
        Ok((grant.seats[0].pool.to_string(), grant.seats[0].slot, grant.access))
    }

    fn free(&mut self, records: Vec<Record>) {
        assert!(!records.is_empty());
        records.iter().for_each(|record| self.seating.apply(record, Tick::MIN));
    }

    fn log_out(&mut self, user: &str) {
        self.free(self.seating.table().release_user(user));
    }
}

fn held<'a>(pool: &'a str, slot: u32, user: Option<&'a str>, session: &'a str) -> HeldSeat<'a> {
    HeldSeat { pool, slot, user, session, taker: None }
}

fn seat(pool: &str, slot: u32, access: Access) -> Result<(String, u32, Access), &'static str> {
    Ok((pool.into(), slot, access))
}

#[test]
fn i2_k4_a_lowered_limit_logs_nobody_off_and_admits_nobody() {
    let mut server = Server::of(agents(50));
    for n in 0..50 {
        server.start(&format!("u{n}"), "s").unwrap();
    }
    assert_eq!(server.start("late", "s"), Err("SeatsExhausted"));
    server.set(terms(agents(40)), nobody());
    assert_eq!(server.seating.table().in_use("agents"), 50);
    for n in 0..10 {
        assert_eq!(server.start("late", "s"), Err("SeatsExhausted"), "low slots are free, {} are held", 50 - n);
        server.log_out(&format!("u{n}"));
    }
    assert_eq!(server.start("late", "s"), Err("SeatsExhausted"), "40 are held");
    assert_eq!(server.start("u49", "s"), seat("agents", 49, Access::Full), "a holder above the limit keeps the seat");
    server.log_out("u20");
    assert_eq!(server.start("late", "s"), seat("agents", 0, Access::Full));
    assert_eq!(server.start("later", "s"), Err("SeatsExhausted"));
}

#[test]
fn i8_i9_i10_grace_is_full_then_demo_admits_two_and_counts_those_kept() {
    let mut server = Server::of(agents(50));
    for n in 0..36 {
        server.start(&format!("u{n}"), "s").unwrap();
    }
    let terms_at = |seconds| terms_at(at(seconds), agents(50), &[], &[]);
    server.set(terms_at(ENDS), nobody());
    assert!(server.start("u36", "s").is_ok(), "grace");
    server.set(terms_at(GRACE_ENDS), nobody());
    assert_eq!(server.seating.table().in_use("agents"), 37);
    for n in 0..35 {
        assert_eq!(server.start("late", "s"), Err("DemoSeatsExhausted"));
        assert!(server.start(&format!("u{n}"), "s").is_ok(), "a holder keeps the seat");
        server.log_out(&format!("u{n}"));
    }
    assert_eq!(server.start("late", "s"), Err("DemoSeatsExhausted"), "two are held");
    server.log_out("u36");
    assert!(server.start("late", "s").is_ok());
    assert_eq!(server.start("later", "s"), Err("DemoSeatsExhausted"));
    server.set(terms_at(1), nobody());
    assert!(server.start("later", "s").is_ok(), "full use with a key");
}

#[test]
fn i9_the_demo_seats_are_one_counter_over_all_pools() {
    let pools = json!([
        {"name": "a", "model": "Concurrent", "countBy": "User", "seats": 5},
        {"name": "b", "model": "Unlimited", "countBy": "User"},
    ]);
    let mut server = Server::new(terms_at(at(GRACE_ENDS), pools, &[], &[]), nobody());
    let ask = |server: &mut Server, user, pool| {
        server.ask(Request { user: Some(user), pool: Some(pool), ..Request::of("s") }).map_err(|r| r.reason())
    };
    assert!(ask(&mut server, "x", "a").is_ok());
    assert!(ask(&mut server, "y", "b").is_ok());
    assert_eq!(ask(&mut server, "z", "a"), Err("DemoSeatsExhausted"));
    assert_eq!(ask(&mut server, "z", "b"), Err("DemoSeatsExhausted"));
}

/// `onDemo: EndAfterMinutes`: sessions from before demo mode end after its minutes, and those that began in it go on.
#[test]
fn i9_sessions_from_before_demo_mode_end_after_the_minutes_of_the_contract() {
    let mut server = Server::of(agents(3));
    server.now = at(GRACE_ENDS - 60);
    assert!(server.start("early", "s").is_ok());
    server.now = at(GRACE_ENDS + 60);
    server.set(terms_at(server.now, agents(3), &[], &[]), nobody());
    assert!(server.start("late", "s").is_ok());
    assert_eq!(server.seating.ended(at(GRACE_ENDS + 30 * 60 - 1)), []);
    server.free(server.seating.ended(at(GRACE_ENDS + 30 * 60)));
    let left: Vec<_> = server.seating.table().holders().filter_map(|(_, held)| held.user).collect();
    assert_eq!(left, ["late"]);
    server.set(terms(agents(3)), nobody());
    assert_eq!(server.seating.ended(at(GRACE_ENDS + 60 * 60)), [], "a new key ends nothing");
}

#[test]
fn i1_i2_a_person_is_one_seat_however_many_windows() {
    let mut server = Server::of(agents(1));
    assert_eq!(server.start("x", "firefox"), seat("agents", 0, Access::Full));
    assert_eq!(server.start("x", "chrome"), seat("agents", 0, Access::Full));
    assert_eq!(server.seating.table().in_use("agents"), 1);
    assert_eq!(server.start("y", "s"), Err("SeatsExhausted"));
    server.free(server.seating.release(&held("agents", 0, Some("x"), "firefox")).into_iter().collect());
    assert_eq!(server.start("y", "s"), Err("SeatsExhausted"));
    server.log_out("x");
    assert_eq!(server.start("y", "s"), seat("agents", 0, Access::Full));
}

#[test]
fn t5_every_start_of_an_employee_uses_a_licence() {
    let pools = json!([{"name": "employees", "model": "PerEmployee", "countBy": "Start", "seats": 3}]);
    let staff = people(&[("a", MemberMode::Active), ("b", MemberMode::Passive)]);
    let mut server = Server::new(terms(pools), staff);
    for session in ["1", "2", "3"] {
        assert!(server.start("a", session).is_ok());
    }
    assert_eq!(server.start("a", "4"), Err("SeatsExhausted"));
    assert_eq!(server.start("b", "1"), Err("SeatsExhausted"));
    server.free(server.seating.release(&held("employees", 1, Some("a"), "2")).into_iter().collect());
    assert_eq!(server.start("b", "1"), seat("employees", 1, Access::ReadOnly), "passive may only read (T2)");
}

#[test]
fn t6_t7_t9_passive_users_overflow_into_active_seats_that_nobody_needs_and_move_back() {
    use MemberMode::{Active, Passive};
    let with = |more: &[(&str, MemberMode)]| {
        let staff = [("a1", Active), ("a2", Active), ("p1", Passive), ("p2", Passive), ("p3", Passive)];
        people(&[&staff, more].concat())
    };
    let mut server = Server::new(terms(per_user(3, 1)), with(&[]));
    assert_eq!(server.start("p3", "s"), Err("RosterExceedsSeats"));
    assert_eq!(server.seating.licensed("passive", at(1)), ["p1", "p2"]);
    assert_eq!(server.seating.licensed("active", at(1)), ["a1", "a2"]);
    assert_eq!(server.start("p1", "s"), seat("passive", 0, Access::ReadOnly));
    assert_eq!(server.start("p2", "s"), seat("active", 0, Access::ReadOnly));
    assert_eq!(server.start("p1", "again"), Err("SeatsExhausted"));
    assert_eq!(server.start("a1", "s"), seat("active", 1, Access::Full));
    assert_eq!(server.start("a2", "s"), seat("active", 2, Access::Full));
    assert_eq!(server.start("a1", "again"), Err("SeatsExhausted"));
    server.log_out("p1");
    server.set(terms(per_user(3, 1)), with(&[("a3", Active)]));
    let request = Request { user: Some("a3"), ..Request::of("s") };
    let grant = server.ask(request).unwrap();
    assert_eq!((&*grant.seats[0].pool, grant.seats[0].slot, grant.access), ("active", 0, Access::Full));
    assert_eq!(
        write_records(&grant.records),
        "=active\n-0 s\n=passive\n+0 p2 s 1 pc1\n=active\n+0 a3 s 1\n",
        "in one commit"
    );
    let table = server.seating.table();
    assert_eq!((table.in_use("active"), table.in_use("passive")), (3, 1), "nobody is dropped");
    // p2 knows the seat by the id under which it was granted.
    assert!(server.seating.heartbeat(&held("active", 0, Some("p2"), "s"), Tick(50), Tick(200)));
    assert_eq!(server.start("p2", "s"), seat("passive", 0, Access::ReadOnly));
    server.free(server.seating.release(&held("active", 0, Some("p2"), "s")).into_iter().collect());
    assert_eq!(server.seating.table().in_use("passive"), 0);
}

#[test]
fn t7_active_users_never_take_passive_seats() {
    let mut server = Server::new(terms(per_user(1, 5)), people(&[("a1", MemberMode::Active)]));
    assert!(server.start("a1", "1").is_ok());
    assert_eq!(server.start("a1", "2"), Err("SeatsExhausted"));
    let named = Request { user: Some("a1"), pool: Some("passive"), ..Request::of("3") };
    assert_eq!(server.ask(named).unwrap_err().reason(), "WrongPool");
}

#[test]
fn t7_no_key_makes_active_users_overflow() {
    let mut pools = per_user(1, 5);
    pools[0]["overflowsTo"] = json!("passive");
    let mut server = Server::new(terms(pools), people(&[("a1", MemberMode::Active), ("a2", MemberMode::Active)]));
    assert!(server.start("a1", "1").is_ok());
    assert_eq!(server.start("a1", "2"), Err("SeatsExhausted"));
    assert_eq!(server.start("a2", "1"), Err("RosterExceedsSeats"));
    let mut pools = per_user(1, 5);
    (pools[0]["overflowsTo"], pools[1]["loginMode"]) = (json!("passive"), json!("Active"));
    let mut server = Server::new(terms(pools), people(&[("a1", MemberMode::Active)]));
    assert!(server.start("a1", "1").is_ok());
    assert_eq!(server.start("a1", "2"), Err("SeatsExhausted"), "not into another pool for Active either");
}

#[test]
fn t7_a_move_frees_no_seat_that_is_reserved_for_the_movers_team() {
    let mut staff: Vec<RosterEntry> =
        [("a1", MemberMode::Active), ("p1", MemberMode::Passive), ("p2", MemberMode::Passive)]
            .map(|(user, mode)| member(user, mode, "1970-01-01", None))
            .into();
    staff[2].team = Some("north".into());
    let reservation = Reservation { pool: "active".into(), team: "north".into(), seats: 1 };
    let terms = terms_at(at(1), per_user(2, 1), &[], &[reservation]);
    let mut server = Server::new(terms, Arc::new(Members::unite(&[roster("staff", staff)])));
    assert_eq!(server.start("p1", "s"), seat("passive", 0, Access::ReadOnly));
    assert_eq!(server.start("p2", "s"), seat("active", 0, Access::ReadOnly));
    assert_eq!(server.start("a1", "1"), seat("active", 1, Access::Full));
    server.log_out("p1");
    assert_eq!(server.start("a1", "2"), Err("SeatsExhausted"));
    assert_eq!(server.start("p2", "s"), seat("active", 0, Access::ReadOnly), "and nobody moved needlessly");
}

#[test]
fn t9_an_active_seat_that_somebody_who_left_still_holds_is_not_spare_twice() {
    let staff = vec![
        member("a1", MemberMode::Active, "2020-01-01", None),
        member("p1", MemberMode::Passive, "2020-01-01", None),
        member("z", MemberMode::Active, "2020-01-01", Some("2026-07-01")),
    ];
    let mut server = Server::new(terms(per_user(2, 0)), Arc::new(Members::unite(&[roster("staff", staff)])));
    server.now = time("2026-06-30T12:00:00Z");
    assert!(server.start("z", "s").is_ok());
    server.now = time("2026-07-01T12:00:00Z");
    assert_eq!(server.start("p1", "s"), Err("SeatsExhausted"), "the second active seat is for a1");
    assert_eq!(server.start("a1", "s"), seat("active", 1, Access::Full));
    server.log_out("z");
    assert_eq!(server.start("p1", "s"), seat("active", 0, Access::ReadOnly));
}

#[test]
fn t1_t5_members_beyond_the_licences_wait_until_somebody_leaves() {
    let mut staff: Vec<RosterEntry> =
        (1..=51).map(|n| member(&format!("e{n:02}"), MemberMode::Active, "2020-01-01", None)).collect();
    staff[6].exit_date = Some("2026-07-01".parse().unwrap());
    let twice = roster("again", vec![staff[0].clone()]);
    let people = Members::unite(&[roster("staff", staff), twice]);
    assert_eq!(people.duplicates.len(), 1);
    assert_eq!(
        (people.duplicates[0].user.as_str(), people.duplicates[0].rosters.join(" ")),
        ("e01", "again staff".into())
    );
    assert_eq!(people.next_change(time("2026-06-30T21:59:59Z")), Some(time("2026-06-30T22:00:00Z")));
    assert_eq!(people.next_change(time("2026-06-30T22:00:00Z")), None);
    let pools = json!([{"name": "employees", "model": "PerEmployee", "countBy": "Start", "seats": 50}]);
    let mut server = Server::new(terms(pools), Arc::new(people));
    server.now = time("2026-06-30T21:59:59Z");
    assert_eq!(server.start("e51", "s"), Err("RosterExceedsSeats"));
    assert!(server.start("e07", "s").is_ok());
    server.now = time("2026-06-30T22:00:00Z");
    assert_eq!(server.start("e07", "another"), Err("NotInRoster"));
    assert_eq!(server.start("e07", "s"), seat("employees", 0, Access::Full), "a running session goes on");
    assert!(server.start("e51", "s").is_ok(), "licensed from that instant");
}

#[test]
fn t1_a_holder_stays_licensed_and_the_others_share_the_rest_in_order() {
    let staff: Vec<RosterEntry> = ["a", "b", "c", "d"]
        .iter()
        .zip(["2022-01-01", "2021-01-01", "2023-01-01", "2020-01-01"])
        .map(|(user, entry)| member(user, MemberMode::Passive, entry, None))
        .collect();
    let pools = |seats: u32| terms(json!([{"name": "e", "model": "PerEmployee", "countBy": "Start", "seats": seats}]));
    let people = Arc::new(Members::unite(&[roster("staff", staff)]));
    let mut server = Server::new(pools(4), people.clone());
    server.now = time("2026-01-01T00:00:00Z");
    assert!(server.start("c", "s").is_ok());
    server.set(pools(2), people.clone());
    assert_eq!(server.seating.licensed("e", server.now), ["c", "d"]);
    assert_eq!(server.start("b", "s"), Err("RosterExceedsSeats"), "d is first and c holds the other");
    assert!(server.start("c", "t").is_ok(), "a licensed member may start twice while seats are free (T5)");
    server.free(server.seating.table().release(Some("c"), "t", None));
    assert!(server.start("d", "s").is_ok());
    server.log_out("c");
    assert_eq!(server.start("c", "s"), Err("RosterExceedsSeats"));
    assert!(server.start("b", "s").is_ok());
}

#[test]
fn t3_t8_login_mode_none_and_strangers_cannot_log_in() {
    let staff = people(&[("n", MemberMode::None)]);
    for pools in [per_user(1, 1), json!([{"name": "e", "model": "PerEmployee", "countBy": "Start", "seats": 1}])] {
        let mut server = Server::new(terms(pools), staff.clone());
        assert_eq!(server.start("n", "s"), Err("LoginModeNone"));
        assert_eq!(server.start("stranger", "s"), Err("NotInRoster"));
        assert_eq!(server.ask(Request::of("s")).unwrap_err().reason(), "UserRequired");
        server.set(Arc::new(server.seating.terms().clone()), nobody());
        assert_eq!(server.start("n", "s"), Err("RosterMissing"));
    }
}

#[test]
fn t1_overlapping_entries_count_as_the_stronger_one_and_returning_is_no_overlap() {
    use MemberMode::{Active, None as NoLogin, Passive};
    let people = Members::unite(&[
        roster(
            "a",
            vec![member("x", Passive, "2020-01-01", None), member("y", Active, "2020-01-01", Some("2021-01-01"))],
        ),
        roster(
            "b",
            vec![
                member("x", Active, "2021-01-01", Some("2022-01-01")),
                member("x", NoLogin, "2019-01-01", Some("2023-01-01")),
                member("y", Active, "2021-01-01", Some("2022-01-01")),
            ],
        ),
    ]);
    let modes = ["2019-06-01", "2020-06-01", "2021-06-01", "2022-06-01", "2023-06-01"]
        .map(|day| people.current("x", None, time(&format!("{day}T00:00:00Z"))).map(|now| now.mode));
    assert_eq!(modes, [Some(NoLogin), Some(Passive), Some(Active), Some(Passive), Some(Passive)]);
    assert_eq!(people.duplicates.len(), 1, "y came back on the day y left");
    assert_eq!(people.current("y", None, time("2022-06-01T00:00:00Z")), None);
    assert_eq!(people.last_known("y", None, time("2022-06-01T00:00:00Z")).map(|last| last.mode), Some(Active));
    assert_eq!(people.last_known("y", None, time("2019-06-01T00:00:00Z")), None);
}

#[test]
fn m3_a_fixed_licence_belongs_to_one_user_on_one_computer_at_a_time() {
    let pools = json!([{"name": "fixed", "model": "Fixed", "countBy": "User", "seats": 2}]);
    let assigned = |users: &[&str]| {
        [Assignment { pool: "fixed".into(), users: users.iter().map(|user| user.to_string()).collect() }]
    };
    let mut server = Server::new(terms_at(at(1), pools.clone(), &assigned(&["a.ivanov"]), &[]), nobody());
    for session in ["1", "2", "3"] {
        assert_eq!(server.start("a.ivanov", session), seat("fixed", 0, Access::Full));
    }
    assert_eq!(server.seating.table().in_use("fixed"), 1);
    let on_pc2 = Request { user: Some("a.ivanov"), client: Some("pc2"), ..Request::of("4") };
    let refusal = server.ask(on_pc2).unwrap_err();
    assert_eq!(refusal.reason(), "InUseOnOtherClient");
    assert!(refusal.to_string().contains("`pc1`") && refusal.may_pass());
    let of_the_same_name = Request { user: Some("a.ivanov"), client: Some("pc2"), ..Request::of("1") };
    assert_eq!(server.ask(of_the_same_name).unwrap_err().reason(), "InUseOnOtherClient");
    assert_eq!(server.start("b.petrov", "1"), Err("NotAssigned"), "though a seat is free");
    assert_eq!(
        server.ask(Request { user: Some("a.ivanov"), ..Request::of("5") }).unwrap_err().reason(),
        "ClientRequired"
    );
    let lost = server.seating.table().expired(Tick(100));
    assert_eq!(lost.len(), 3);
    server.free(lost);
    assert!(server.ask(on_pc2).is_ok(), "the time of those on the first client is over");
    // More users than seats: only the first ones have a seat.
    server.set(terms_at(at(1), pools.clone(), &assigned(&["x", "y", "z"]), &[]), nobody());
    assert_eq!(server.start("z", "1"), Err("NotAssigned"));
    assert!(server.start("x", "1").is_ok());
    // Assignments in the key take precedence over those of the License.
    let mut named = pools;
    named[0]["users"] = json!(["b.petrov"]);
    server.set(terms_at(at(1), named, &assigned(&["a.ivanov"]), &[]), nobody());
    server.log_out("x");
    assert_eq!(server.start("x", "2"), Err("NotAssigned"));
    assert!(server.start("b.petrov", "1").is_ok());
}

#[test]
fn m3_a_named_licence_belongs_to_one_user_on_any_computer() {
    let pools = json!([{"name": "named", "model": "Named", "countBy": "User", "seats": 1, "users": ["x"]}]);
    let mut server = Server::of(pools);
    assert!(server.start("x", "1").is_ok());
    assert!(server.ask(Request { user: Some("x"), client: Some("pc2"), ..Request::of("2") }).is_ok());
    assert_eq!(server.seating.table().in_use("named"), 1);
    assert_eq!(server.start("y", "1"), Err("NotAssigned"));
}

#[test]
fn no_key_no_seat() {
    let terms = Arc::new(SeatTerms::new(&entitlement(&[], at(1)), &[], &[]));
    let mut server = Server::new(terms, nobody());
    assert_eq!(server.start("x", "s"), Err("NoLicense"));
}

#[test]
fn m4_floating_counts_users_and_each_start_without_a_user() {
    let mut server = Server::of(agents(3));
    assert!(server.ask(Request::of("1")).is_ok());
    assert!(server.ask(Request::of("2")).is_ok());
    assert!(server.start("x", "1").is_ok());
    assert!(server.start("x", "2").is_ok());
    assert_eq!(server.start("y", "1"), Err("SeatsExhausted"), "another user's session of the same name is another");
    assert_eq!(server.seating.table().in_use("agents"), 3);
    let again = server.ask(Request::of("2")).unwrap();
    assert_eq!((again.seats[0].slot, again.records.len()), (1, 0), "the same session has the same seat");
}

#[test]
fn s5_any_number_of_users_of_an_organisation() {
    let pools = json!([{"name": "users", "model": "Unlimited", "countBy": "User"}]);
    let mut server = Server::of(pools);
    for n in 0..5_000 {
        assert!(server.start(&format!("u{n}"), "s").is_ok());
    }
    assert_eq!(server.seating.table().in_use("users"), 5_000);
}

#[test]
fn several_seats_at_once_are_all_or_none_and_a_retry_gets_the_same() {
    let mut server = Server::of(agents(10));
    let of = |session, count| Request { count, request: Some("r1"), ..Request::of(session) };
    let slots = |grant: Grant| grant.seats.into_iter().map(|seat| seat.slot).collect::<Vec<_>>();
    assert_eq!(slots(server.ask(of("pod", 4)).unwrap()), [0, 1, 2, 3]);
    let retry = server.ask(of("pod", 4)).unwrap();
    assert!(retry.records.is_empty());
    assert_eq!(slots(retry), [0, 1, 2, 3]);
    assert_eq!(server.ask(of("other", 7)).unwrap_err().reason(), "SeatsExhausted");
    assert_eq!(server.seating.table().in_use("agents"), 4);
    server.free(server.seating.release(&held("agents", 1, None, "pod")).into_iter().collect());
    assert_eq!(slots(server.ask(of("pod", 4)).unwrap()), [0, 2, 3, 1], "what is missing is added");
    assert_eq!(slots(server.ask(of("other", 6)).unwrap()), [4, 5, 6, 7, 8, 9]);
    let as_user = Request { user: Some("x"), ..of("s", 2) };
    assert_eq!(server.ask(as_user).unwrap_err().reason(), "InvalidRequest");
    server.free(server.seating.table().release(None, "pod", None));
    assert_eq!(server.seating.table().in_use("agents"), 6);
}

/// The attack: a Roster in another namespace that may use the seats lists people with early dates, the owner's people with
/// other modes, and the owner's team.
#[test]
fn t6_guests_do_not_push_out_the_people_of_the_owner() {
    use MemberMode::{Active, Passive};
    let of_guests = |members| Roster { guest: Some("guests".into()), ..roster("guests", members) };
    let early = |user: &str, mode| member(user, mode, "1970-01-01", None);
    let late = |user: &str, mode| member(user, mode, "1970-01-02", None);
    let guests = of_guests(vec![early("a", Active), early("b", Active), early("y", Active)]);

    let employees = json!([{"name": "employees", "model": "PerEmployee", "countBy": "Start", "seats": 2}]);
    let own = roster("own", vec![late("x", Active), late("y", Passive)]);
    let mut server = Server::new(terms(employees), Arc::new(Members::unite(&[guests.clone(), own])));
    server.now = at(200_000);
    assert_eq!(server.start("a", "1"), Err("RosterExceedsSeats"));
    assert_eq!(server.start("y", "2"), Ok(("employees".into(), 0, Access::ReadOnly)), "the owner says what y may do");
    assert_eq!(server.start("x", "3"), Ok(("employees".into(), 1, Access::Full)));

    // Passive people of the owner need active seats that no Active one of the owner has.
    let own = roster("own", vec![late("x", Passive), late("y", Passive), late("z", Passive)]);
    let mut server = Server::new(terms(per_user(2, 1)), Arc::new(Members::unite(&[guests, own])));
    server.now = at(200_000);
    assert_eq!(server.start("a", "1"), Err("RosterExceedsSeats"));
    for user in ["x", "y", "z"] {
        assert!(server.start(user, user).is_ok(), "{user}");
    }

    let team = |user: &str| RosterEntry { team: Some("north".into()), ..early(user, Active) };
    let reserved = [Reservation { pool: "agents".into(), team: "north".into(), seats: 1 }];
    let members = [of_guests(vec![team("a")]), roster("own", vec![team("x")])];
    let mut server = Server::new(terms_at(at(1), agents(1), &[], &reserved), Arc::new(Members::unite(&members)));
    server.now = at(200_000);
    assert_eq!(server.start("a", "1"), Err("ReservedForTeam"));
    assert!(server.start("x", "2").is_ok());
}

fn of_guest(namespace: &str, members: Vec<RosterEntry>) -> Roster {
    Roster { guest: Some(namespace.into()), ..roster(&format!("{namespace}/r"), members) }
}

/// The attack: a guest lists its people with the earliest dates, to push out those of another guest.
#[test]
fn t1_t6_guests_take_turns_so_that_none_pushes_out_anothers_people() {
    use MemberMode::{Active, None as NoLogin, Passive};
    let early = |user: &str| member(user, Active, "1970-01-01", None);
    let third = of_guest("third", vec![member("t1", Active, "1970-01-02", None), early("t2")]);
    let many = (0..50).map(|n| early(&format!("zz{n:02}"))).collect();
    let employees = json!([{"name": "employees", "model": "PerEmployee", "countBy": "Start", "seats": 2}]);
    let people = Arc::new(Members::unite(&[of_guest("intruder", many), third.clone()]));
    let mut server = Server::new(terms(employees.clone()), people.clone());
    server.now = at(200_000);
    assert_eq!(server.start("t1", "1"), Err("RosterExceedsSeats"), "in third, t2 came first");
    assert_eq!(server.start("zz01", "1"), Err("RosterExceedsSeats"));
    assert!(server.start("t2", "1").is_ok() && server.start("zz00", "1").is_ok());
    let mut server = Server::new(terms(per_user(4, 0)), people);
    server.now = at(200_000);
    assert!(server.start("t1", "1").is_ok() && server.start("t2", "1").is_ok());

    // To list the people of another guest, last and with another mode, takes nothing from them.
    for (mode, pools) in [(NoLogin, &employees), (Passive, &employees), (Passive, &per_user(2, 0))] {
        let mut listed: Vec<_> = (0..50).map(|n| early(&format!("zz{n:02}"))).collect();
        listed.extend(["t1", "t2"].map(|user| member(user, mode, "1970-01-02", None)));
        let people = Members::unite(&[of_guest("intruder", listed), third.clone()]);
        let mut server = Server::new(terms(pools.clone()), Arc::new(people));
        server.now = at(200_000);
        let granted = server.ask(Request { user: Some("t2"), namespace: Some("third"), ..Request::of("1") });
        assert_eq!(granted.map(|granted| granted.access), Ok(Access::Full), "{mode:?}");
    }
}

/// The attack: a guest makes those people Active whom another guest keeps to reading, or lets in who must not log in.
#[test]
fn t2_t3_what_a_guest_says_of_a_user_counts_for_the_guest_alone() {
    use MemberMode::{Active, None as NoLogin, Passive};
    let since = |user: &str, mode| member(user, mode, "1970-01-01", None);
    let intruder = of_guest("intruder", vec![since("p", Active), since("n", Active), since("x", NoLogin)]);
    let third = of_guest("third", vec![since("p", Passive), since("n", NoLogin), since("x", Active)]);
    let own = roster("own", vec![since("o", Passive)]);
    let people = Arc::new(Members::unite(&[intruder, third, own, of_guest("third", vec![since("o", Active)])]));
    for pools in
        [json!([{"name": "employees", "model": "PerEmployee", "countBy": "Start", "seats": 9}]), per_user(9, 9)]
    {
        let mut server = Server::new(terms(pools), people.clone());
        server.now = at(200_000);
        let mut ask = |user, namespace| {
            let request = Request { user: Some(user), namespace, ..Request::of(namespace.unwrap_or("none")) };
            server.ask(request).map(|granted| granted.access).map_err(|refusal| refusal.reason())
        };
        assert_eq!(ask("p", Some("third")), Ok(Access::ReadOnly));
        assert_eq!(ask("n", Some("third")), Err("LoginModeNone"));
        assert_eq!(ask("x", Some("third")), Ok(Access::Full));
        assert_eq!(ask("p", Some("intruder")), Ok(Access::Full));
        assert_eq!(ask("x", Some("intruder")), Err("LoginModeNone"));
        assert_eq!(ask("x", Some("others")), Ok(Access::Full), "the first that lets the user log in");
        assert_eq!(ask("o", Some("third")), Ok(Access::ReadOnly), "the owner says what its people may do");
    }
}

/// A user whom several guests list is one member, and has the first turn of those that list them.
#[test]
fn t1_a_user_whom_several_guests_list_takes_one_licence() {
    let since = |user: &str| member(user, MemberMode::Active, "1970-01-01", None);
    let guests = [of_guest("a", vec![since("x"), since("y")]), of_guest("b", vec![since("x"), since("z")])];
    let people = Members::unite(&guests);
    let (all, elsewhere) = heads(&people, at(200_000));
    assert_eq!((all, elsewhere), (Heads { active: 3, passive: 0, either: 3 }, all));
    let employees = json!([{"name": "employees", "model": "PerEmployee", "countBy": "Start", "seats": 2}]);
    let mut server = Server::new(terms(employees), Arc::new(people));
    server.now = at(200_000);
    assert_eq!(server.start("y", "1"), Err("RosterExceedsSeats"), "a has had its turn with x, and b brings z");
    assert!(server.start("x", "1").is_ok() && server.start("z", "1").is_ok());
}

#[test]
fn the_lowest_free_slots_of_ten_thousand_are_given_out() {
    let mut server = Server::of(agents(10_000));
    for n in 0..10 {
        server.ask(Request { count: 1_000, ..Request::of(&format!("pod{n}")) }).unwrap();
    }
    assert_eq!(server.ask(Request::of("late")).unwrap_err().reason(), "SeatsExhausted");
    let free = [0, 63, 64, 127, 4_095, 4_096, 5_000, 8_192, 9_999];
    for slot in free.into_iter().rev() {
        let session = format!("pod{}", slot / 1_000);
        server.free(server.seating.release(&held("agents", slot, None, &session)).into_iter().collect());
    }
    let grant = server.ask(Request { count: 9, ..Request::of("late") }).unwrap();
    assert_eq!(grant.seats.iter().map(|seat| seat.slot).collect::<Vec<_>>(), free);
    server.free(server.seating.release(&held("agents", 9_999, None, "late")).into_iter().collect());
    assert_eq!(server.ask(Request::of("later")).unwrap().seats[0].slot, 9_999);
}

#[test]
fn the_sessions_that_share_a_seat_are_limited() {
    let mut server = Server::of(agents(2));
    for n in 0..32 {
        assert!(server.start("x", &format!("s{n}")).is_ok());
    }
    assert_eq!(server.start("x", "one more"), Err("TooManySessions"));
}

/// The attack: one pool whose seats take more bytes than one object holds. The ledger could not be written any longer, and
/// nobody in the cluster would get a seat.
#[test]
fn the_seats_of_a_base_fit_into_an_object_whatever_the_names_of_those_who_share_them() {
    let (mut server, long) = (Server::of(agents(10_000)), "%".repeat(120));
    let name = |n: usize| format!("{long}{n}");
    let bases = |server: &Server| -> Vec<usize> {
        let lines = |base: u32| {
            let slots = base * BASE_SLOTS..(base + 1) * BASE_SLOTS;
            write_base(server.seating.table().holders_within("agents", slots)).len()
        };
        (0..4).map(lines).collect()
    };
    for user in 0..20 {
        let user = name(user);
        for session in 0..32 {
            let (session, client) = (name(session), long.clone());
            let request =
                Request { user: Some(&user), client: Some(&client), request: Some(&client), ..Request::of(&session) };
            if let Err(refusal) = server.ask(request) {
                assert!(refusal.to_string().contains("use a shorter `session`"), "{refusal}");
            }
        }
    }
    assert_eq!(server.seating.table().in_use("agents"), 20, "every user has a seat");
    assert!(bases(&server).iter().all(|bytes| *bytes <= MOST_BASE_BYTES as usize), "{:?}", bases(&server));
    let many = Request { count: 1_000, client: Some(&long), request: Some(&long), ..Request::of(&long) };
    assert_eq!(server.ask(many).unwrap().seats.len(), 1_000, "they go where there is room");
    assert!(bases(&server).iter().all(|bytes| *bytes <= MOST_BASE_BYTES as usize), "{:?}", bases(&server));
    for user in 0..20 {
        server.log_out(&name(user));
    }
    server.free(server.seating.table().release(None, &long, None));
    let kept = Request { user: Some("x"), client: Some(&long), request: Some(&long), ..Request::of(&long) };
    assert_eq!(server.ask(kept).unwrap().seats[0].slot, 0, "what is freed is room again");
}

#[test]
fn a_version_takes_the_lowest_pool_that_suffices() {
    let pools = json!([
        {"name": "any", "model": "Concurrent", "countBy": "User", "seats": 1},
        {"name": "two", "model": "Concurrent", "countBy": "User", "seats": 1, "major": 2},
        {"name": "one", "model": "Concurrent", "countBy": "User", "seats": 1, "major": 1},
    ]);
    let mut server = Server::of(pools);
    let ask = |server: &mut Server, user, version| {
        let request = Request { user: Some(user), version, ..Request::of(user) };
        server.ask(request).map(|grant| grant.seats[0].pool.to_string()).map_err(|refusal| refusal.reason())
    };
    assert_eq!(ask(&mut server, "a", Some(2)), Ok("two".into()));
    assert_eq!(ask(&mut server, "b", None), Ok("one".into()));
    assert_eq!(ask(&mut server, "c", Some(1)), Ok("any".into()));
    assert_eq!(ask(&mut server, "d", Some(1)), Err("SeatsExhausted"));
    let mut server =
        Server::of(json!([{"name": "one", "model": "Concurrent", "countBy": "User", "seats": 9, "major": 1}]));
    for user in ["a", "b"] {
        assert_eq!(ask(&mut server, user, Some(2)), Ok("one".into()), "demo seats");
    }
    assert_eq!(ask(&mut server, "c", Some(2)), Err("VersionNotEntitled"));
    assert_eq!(ask(&mut server, "c", Some(1)), Ok("one".into()), "that workload alone");
}

#[test]
fn seats_reserved_for_a_team_stay_free_for_it() {
    let mut staff =
        vec![member("n", MemberMode::Active, "2020-01-01", None), member("s", MemberMode::Active, "2020-01-01", None)];
    staff[0].team = Some("north".into());
    let reservation = Reservation { pool: "agents".into(), team: "north".into(), seats: 1 };
    let terms = terms_at(at(1), agents(2), &[], &[reservation]);
    let mut server = Server::new(terms, Arc::new(Members::unite(&[roster("staff", staff)])));
    server.now = time("2026-01-01T00:00:00Z");
    assert!(server.start("s", "1").is_ok());
    assert_eq!(server.start("guest", "1"), Err("ReservedForTeam"));
    assert!(server.start("n", "1").is_ok());
    assert_eq!(server.start("guest", "1"), Err("SeatsExhausted"));
    server.log_out("s");
    assert!(server.start("guest", "1").is_ok(), "the team has what is reserved for it");
}

#[test]
fn a_lost_seat_is_never_revived() {
    let mut server = Server::of(agents(2));
    let beat = |server: &mut Server, session, now| {
        server.seating.heartbeat(&held("agents", 0, Some("x"), session), Tick(now), Tick(now + 100))
    };
    server.start("x", "1").unwrap();
    assert!(beat(&mut server, "1", 99));
    assert!(beat(&mut server, "1", 198));
    assert!(!beat(&mut server, "2", 198), "no such session");
    assert!(!beat(&mut server, "1", 298), "its time is over");
    assert!(!beat(&mut server, "1", 297 + 1));
    assert_eq!(server.seating.table().expired(Tick(297)), []);
    server.free(server.seating.table().expired(Tick(298)));
    assert!(!beat(&mut server, "1", 100));
    let granted = server.seating.decide(&Request { user: Some("x"), ..Request::of("1") }, at(1)).unwrap();
    granted.records.iter().for_each(|record| server.seating.apply(record, Tick(10)));
    let mut next = Server::of(agents(2));
    granted.records.iter().for_each(|record| next.seating.apply(record, Tick(1_000)));
    assert!(beat(&mut next, "1", 999), "after a fail-over everybody has a full TTL");
    let again = server.seating.decide(&Request { user: Some("x"), ..Request::of("2") }, at(1)).unwrap();
    again.records.iter().for_each(|record| server.seating.apply(record, Tick(10)));
    again.records.iter().for_each(|record| server.seating.apply(record, Tick(2_000)));
    assert!(beat(&mut server, "2", 1_999), "a lease is never made shorter");
}

#[test]
fn bad_requests_are_refused_in_words() {
    let mut server = Server::of(agents(2));
    let long = "x".repeat(257);
    let requests = [
        Request::of(""),
        Request::of(&long),
        Request { user: Some(""), ..Request::of("s") },
        Request { client: Some(&long), ..Request::of("s") },
        Request { request: Some(&long), ..Request::of("s") },
        Request { count: 0, ..Request::of("s") },
        Request { count: 1_001, ..Request::of("s") },
    ];
    for request in requests {
        assert_eq!(server.ask(request).unwrap_err().reason(), "InvalidRequest");
    }
    let refusal = server.ask(Request { pool: Some("a\u{202e}\n"), ..Request::of("s") }).unwrap_err();
    assert_eq!(refusal.to_string(), "the licence has no pool `a\\u{202e}\\n`; it has: agents");
    assert_eq!(server.seating.table().in_use_at_all(), 0);
    let two = json!([
        {"name": "a", "model": "Concurrent", "countBy": "User", "seats": 1},
        {"name": "b", "model": "Concurrent", "countBy": "User", "seats": 1},
    ]);
    assert_eq!(Server::of(two).start("x", "s"), Err("PoolRequired"));
}

/// The attack: a tenant with 100,000 seats lists them a page at a time, or frees them. Each page copied all holders, and each
/// entry of the ledger was chosen among all of them, while everybody else waited.
#[test]
fn i2_a_page_of_holders_and_a_round_of_freeing_take_no_longer_the_more_holders_there_are() {
    const SEATS: u32 = 20_000;
    let mut server = Server::of(json!([
        {"name": "agents", "model": "Concurrent", "countBy": "User", "seats": 40},
        {"name": "machines", "model": "Concurrent", "countBy": "Start", "seats": SEATS},
    ]));
    for n in 0..SEATS {
        let (user, session) = (format!("user-{}", n % 2), format!("s{n}"));
        let request = Request { user: Some(&user), pool: Some("machines"), ..Request::of(&session) };
        assert!(server.ask(request).is_ok());
    }
    for n in 0..90 {
        let (user, session) = (format!("user-{}", n % 30), format!("s{n}"));
        let request = Request { user: Some(&user), pool: Some("agents"), ..Request::of(&session) };
        assert!(server.ask(request).is_ok(), "three sessions share a seat");
    }
    let table = server.seating.table();
    let all: Vec<_> = table.holders().map(|(pool, held)| (pool, held.slot, held.session)).collect();
    assert_eq!(all.len(), SEATS as usize + 90);
    for page in [1, 7, 1_000] {
        let (mut paged, mut from) = (Vec::new(), Some(Place::default()));
        while let Some(place) = from.take().filter(|_| page > 1 || paged.len() < 200) {
            let mut holders = table.holders_from(place);
            paged.extend(holders.by_ref().take(page).map(|(_, pool, held)| (pool, held.slot, held.session)));
            from = holders.next().map(|(place, ..)| place);
        }
        assert_eq!(paged, all[..if page > 1 { all.len() } else { 200 }], "pages of {page}");
    }
    let last = table.holders_from(Place::default()).last().map(|(place, ..)| place).expect("there are holders");
    let took = |from: Place| {
        let began = monotonic();
        assert_eq!((0..2_000).filter_map(|_| table.holders_from(from).next()).count(), 2_000);
        monotonic() - began
    };
    let (first, later) = (took(Place::default()), took(last));
    assert!(later < first * 100, "a page takes as long wherever it begins: {first:?}, {later:?}");
    assert_eq!(table.release_user("user-0").len(), MOST_FREED);
    let mut rounds = 0;
    while !server.seating.table().release_user("user-0").is_empty() {
        server.log_out("user-0");
        rounds += 1;
    }
    assert_eq!((rounds, server.seating.table().in_use("machines")), (11, u64::from(SEATS / 2)));
    assert_eq!(server.seating.table().expired(Tick::MAX).len(), MOST_FREED);
}

#[test]
fn the_ledger_reads_as_text() {
    let mut server = Server::of(agents(9));
    let request = Request { user: Some("Jürgen Ö"), client: Some("-"), ..Request::of("50% \u{202e}\n-") };
    let grant = server.ask(request).unwrap();
    let more = server.ask(Request { request: Some("r"), ..Request::of("s") }).unwrap();
    let records = [grant.records, more.records, server.seating.table().release(None, "s", None)].concat();
    let text = write_records(&records);
    assert_eq!(text, "=agents\n+0 Jürgen%20Ö 50%25%20%E2%80%AE%0A- 1 %2D\n+1 - s 1 - r\n-1 s\n");
    assert_eq!(read_records(&text).unwrap(), records);
    let base = write_base(server.seating.table().holders_within("agents", 0..256));
    assert_eq!(read_base(&"agents".into(), &base, "").unwrap()[0].occupant().user, Some("Jürgen Ö"));
    let wrong = [
        ("+0 x s 1", "line 1: no `=pool` comes before it"),
        ("=a\n+0 x s", "line 2: `slot user session since [client] [request]` has 3 parts"),
        ("=a\n+0 x - 1", "line 2: the session is missing"),
        ("=a\n+0 x s now", "line 2: `since` is not a number of seconds"),
        ("=a\n+00 x s 1", "line 2: the slot is not a number"),
        ("=a\n+99999999 x s 1", "line 2: slot 99999999 is beyond the 10000000 seats that a pool can have"),
        ("=a\n+0 x%2 s 1", "line 2: the user has a `%` without two digits"),
        ("=a\n+0 %ff s 1", "line 2: the user is not UTF-8"),
        ("=a\n-0", "line 2: `-slot session` has one part"),
        ("=\n", "line 1: the pool has 0 bytes; 1 to 256 are read"),
        ("0 x s 1", "line 1: it begins with neither `=`, `+` nor `-`"),
    ];
    for (text, message) in wrong {
        assert_eq!(read_records(text).unwrap_err().to_string(), message);
    }
}
