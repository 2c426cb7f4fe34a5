//! Contracts, compared with independent calculations: a day-by-day simulation of renewal, and a store of keys whose
//! writer is killed between any two writes.

use chrono::{Datelike, Duration, NaiveDate};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

use seatkeeper::domain::Instant;
use seatkeeper::domain::contract::issuing::{
    IssuedKey, Work, changed_law, keys_of_term, refused_seat_changes, wanted, work,
};
use seatkeeper::domain::contract::renewal::State;
use seatkeeper::domain::contract::term::Period;
use seatkeeper::domain::contract::timeline::{Event, next_event, next_wake, timeline};
use seatkeeper::domain::contract::{Contract, Line, PoolOrder, SeatChange, Terms};
use seatkeeper::domain::license::entitlement::{Presentation, Presented, entitlement, present};
use seatkeeper::domain::license::jwk::signing_key_pem;
use seatkeeper::domain::license::key::{Claims, Holder, Lifetime, OnDemo, sign_key, verify_key};
use seatkeeper::domain::license::mode::Mode;
use seatkeeper::domain::license::pool::{CountBy, PoolModel};
use seatkeeper::domain::license::trust::{Revocations, Trust, sign_revocations};
use seatkeeper::domain::zone::Zone;
use seatkeeper::machine::monotonic;

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

fn period(months: u32, days: u32) -> Period {
    Period { months: Some(months), days: Some(days), ..Period::default() }
}

/// Returns a contract with one Plan: 50 agents, 12 months with 3 months' notice from 2026-01-01 in Berlin, 14 days of
/// grace, 2 demo seats.
fn contract() -> Contract {
    Contract {
        namespace: "vendor".into(),
        name: "stadtwerke".into(),
        organisation: "Stadtwerke".into(),
        holder: None,
        starts_on: date("2026-01-01"),
        zone: berlin(),
        approval_required: false,
        approved_on: None,
        terms: Some(Terms { interval: Period::of_months(12), notice: Period::of_months(3), length: None }),
        cancellation_received_on: None,
        lines: vec![line("innoacd", 50)],
    }
}

fn line(plan: &str, seats: u32) -> Line {
    Line {
        plan: plan.into(),
        product: "innoacd".into(),
        lifetime: Lifetime::Term,
        grace_days: 14,
        demo_seats: 2,
        on_demo: OnDemo::Finish,
        features: vec!["acd".into()],
        support_included: None,
        max_users: None,
        pools: vec![PoolOrder {
            name: "agents".into(),
            model: PoolModel::Concurrent,
            count_by: CountBy::User,
            login_mode: None,
            overflows_to: None,
            major: None,
            users: vec![],
            seats,
            changes: vec![],
        }],
    }
}

// Renewal, compared with an independent calendar and a walk through the days.

/// Returns `day` plus `months`, held to the last day of the month, plus `days`, by the simplest arithmetic.
fn plus(day: NaiveDate, months: i64, days: i64) -> NaiveDate {
    let month = i64::from(day.year()) * 12 + i64::from(day.month0()) + months;
    let (year, month0) = (month.div_euclid(12) as i32, month.rem_euclid(12) as u32);
    let in_month = (1..=day.day()).rev().find_map(|d| NaiveDate::from_ymd_opt(year, month0 + 1, d)).unwrap();
    in_month + Duration::days(days)
}

#[derive(Clone, Copy, Debug)]
struct Conditions {
    start: NaiveDate,
    interval: (i64, i64),
    notice: (i64, i64),
    length: Option<(i64, i64)>,
}

/// The state of a contract on a day.
#[derive(Debug, PartialEq)]
struct Simulated {
    /// The last term and the day on which it ends, if that is certain.
    end: Option<(u32, NaiveDate)>,
    /// The terms whose keys have been issued.
    keys: Vec<u32>,
}

impl Conditions {
    fn end_of(&self, term: u32) -> NaiveDate {
        plus(self.start, self.interval.0 * i64::from(term), self.interval.1 * i64::from(term))
    }

    fn fixed_end(&self) -> Option<NaiveDate> {
        self.length.map(|(months, days)| plus(self.start, months, days))
    }

    /// Walks from long before the start to `today`. Each day first decides the deadlines that fall on it, with the
    /// letters that came before, and then opens the letters of the day.
    fn walk(&self, received: Option<NaiveDate>, today: NaiveDate) -> Simulated {
        let mut certain_terms = 1;
        let mut end = None;
        let mut letter = false;
        let mut keys = Vec::new();
        let first_day = self.start.min(today) - Duration::days(520);
        for day in first_day.iter_days().take_while(|day| *day <= today) {
            while end.is_none() {
                let of_term = self.end_of(certain_terms);
                if let Some(fixed) = self.fixed_end().filter(|fixed| *fixed <= of_term) {
                    end = Some((certain_terms, fixed));
                } else if plus(of_term, -self.notice.0, -self.notice.1) > day {
                    break;
                } else if letter {
                    end = Some((certain_terms, of_term));
                } else {
                    certain_terms += 1;
                }
            }
            letter |= received == Some(day);
            if day >= self.start {
                keys.extend(keys.len() as u32 + 1..=certain_terms);
            }
        }
        let end = end.or_else(|| letter.then(|| (certain_terms, self.end_of(certain_terms))));
        let by_length = || self.fixed_end().map(|end| ((1..).find(|k| self.end_of(*k) >= end).unwrap(), end));
        let end = end.or_else(by_length);
        Simulated { end, keys }
    }
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let part = |most_months: i64| (0..=most_months, 0..40_i64);
    let positive = |p: (i64, i64)| if p == (0, 0) { (0, 7) } else { p };
    let interval = part(13).prop_map(move |p| positive((p.0, p.1.max(if p.0 == 0 { 5 } else { 0 }))));
    let length = prop::option::weighted(0.3, part(30).prop_map(positive));
    let start = (0..3_000_i64).prop_map(|day| date("2022-12-01") + Duration::days(day));
    (start, interval, part(14).prop_map(positive), length).prop_map(|(start, interval, notice, length)| Conditions {
        start,
        interval,
        notice,
        length,
    })
}

fn berlin() -> Zone {
    Zone::named("Europe/Berlin").expect("a zone")
}

fn contract_of(c: Conditions, zone: Zone, received: Option<NaiveDate>) -> Contract {
    let of = |(months, days): (i64, i64)| period(months as u32, days as u32);
    Contract {
        starts_on: c.start,
        zone,
        terms: Some(Terms { interval: of(c.interval), notice: of(c.notice), length: c.length.map(of) }),
        cancellation_received_on: received,
        ..contract()
    }
}

fn zone() -> impl Strategy<Value = Zone> {
    let names = ["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Kiritimati", "Africa/Cairo"];
    prop::sample::select(names.map(|name| Zone::named(name).expect("a zone")).to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn renewal_is_what_a_walk_through_the_days_finds(
        c in conditions(),
        zone in zone(),
        received in prop::option::weighted(0.7, -500..1_200_i64),
        days in prop::collection::vec(-450..1_300_i64, 3),
        hour in 0..20_i64,
    ) {
        let received = received.map(|day| c.start + Duration::days(day));
        let contract = contract_of(c, zone, received);
        for today in days.into_iter().map(|day| c.start + Duration::days(day)) {
            let now = contract.begin(today) + Duration::hours(hour);
            let simulated = c.walk(received, today);
            let standing = contract.standing(None, now);
            let term = standing.term.unwrap();
            prop_assert_eq!(
                standing.ends_at, simulated.end.map(|(_, day)| contract.begin(day)), "{} {:?}", today, simulated
            );
            let last = simulated.end.map_or(u32::MAX, |(last, _)| last);
            let running = (1..).find(|k| c.end_of(*k) > today).unwrap();
            prop_assert_eq!(term.number, running.min(last), "{} {:?}", today, simulated);
            let letter = received.is_some_and(|day| day <= today);
            let expected = match simulated.end {
                Some((_, end)) if end <= today => State::Ended,
                Some(_) if letter => State::Cancelled,
                _ if today < c.start => State::Pending,
                _ => State::Active,
            };
            prop_assert_eq!(standing.state, expected);
            prop_assert_eq!(standing.closed, simulated.end.is_some_and(|(_, end)| end + Duration::days(14) <= today));

            let (keys, faults) = wanted(&contract, &standing, "vendor", now);
            prop_assert_eq!(faults, vec![]);
            let terms: Vec<u32> = keys.iter().map(|key| key.subscription.as_ref().unwrap().term).collect();
            let window = term.number.saturating_sub(12).max(1);
            let expected: Vec<u32> = simulated.keys.into_iter().filter(|k| *k >= window).collect();
            prop_assert_eq!(terms, expected, "{}", today);
            for key in keys {
                let number = key.subscription.as_ref().unwrap().term;
                let end = c.end_of(number).min(c.fixed_end().unwrap_or(NaiveDate::MAX));
                prop_assert_eq!(key.ends_at(), Some(contract.begin(end)));
                prop_assert_eq!(key.grace_ends_at(), Some(contract.begin(end + Duration::days(14))));
                let start = if number == 1 { c.start } else { c.end_of(number - 1) };
                prop_assert_eq!(key.starts_at(), contract.begin(start));
            }
        }
    }

    /// K3: an operator that sleeps until the next wake misses nothing.
    #[test]
    fn nothing_about_a_contract_changes_between_now_and_the_next_wake(
        c in conditions(),
        zone in zone(),
        received in prop::option::weighted(0.7, -100..900_i64),
        approved in prop::option::weighted(0.3, -50..100_i64),
        change in prop::option::of((0..600_i64, -30..100_i64)),
        day in -100..1_000_i64,
        fractions in prop::collection::vec(0.0..1.0_f64, 6),
    ) {
        let on = |day: i64| c.start + Duration::days(day);
        let mut contract = contract_of(c, zone, received.map(on));
        contract.approval_required = approved.is_some();
        contract.approved_on = approved.map(on);
        contract.lines[0].pools[0].changes = change
            .map(|(from, known)| SeatChange { on: on(from), seats: 60, received_on: Some(on(from - known)) })
            .into_iter()
            .collect();
        let now = contract.begin(on(day)) + Duration::hours(3);
        let seen = |now: Instant| {
            let standing = contract.standing(None, now);
            let keys = wanted(&contract, &standing, "vendor", now);
            (standing, keys)
        };
        let before = seen(now);
        let wake = next_wake(&contract, next_event(&contract, now), now).unwrap_or(now + Duration::days(4_000));
        prop_assert!(wake > now);
        let asleep = (wake - now).num_seconds() - 1;
        let between = fractions.iter().map(|f| (asleep as f64 * f) as i64).chain([asleep]);
        for seconds in between {
            prop_assert_eq!(&seen(now + Duration::seconds(seconds)), &before, "{} .. {}", now, wake);
        }
    }

    /// P6, whatever is ordered when: of several pools, some changes are refused, and none of these makes room for another.
    #[test]
    fn no_key_has_more_users_than_the_plan_allows_and_seats_become_fewer_only_with_a_term(
        orders in prop::collection::vec((0..60_u32, prop::collection::vec((0..36_i64, 0..90_u32, 0..500_i64), 0..5)), 1..4),
        spare in 0..30_u32,
        today in 0..900_i64,
    ) {
        let mut contract = contract();
        let most = orders.iter().map(|(seats, _)| seats).sum::<u32>() + spare;
        let pool = contract.lines[0].pools[0].clone();
        contract.lines[0].max_users = Some(most);
        contract.lines[0].pools = orders.iter().enumerate().map(|(n, (seats, changes))| {
            let change = |&(month, seats, before): &(i64, u32, i64)| {
                let on = plus(contract.starts_on, month, 0);
                SeatChange { on, seats, received_on: Some(on - Duration::days(before)) }
            };
            let mut changes: Vec<SeatChange> = changes.iter().map(change).collect();
            changes.sort_by_key(|change| change.on);
            changes.dedup_by_key(|change| change.on);
            PoolOrder { name: format!("pool-{n}"), seats: *seats, changes, ..pool.clone() }
        }).collect();
        let now = contract.begin(contract.starts_on + Duration::days(today));
        let mut keys = wanted(&contract, &contract.standing(None, now), "vendor", now).0;
        keys.sort_by_key(|key| key.nbf);
        let users = |key: &Claims| key.pools.iter().map(|pool| pool.seats).sum::<u32>();
        prop_assert!(keys.iter().all(|key| users(key) <= most), "{keys:?}");
        for pair in keys.windows(2).filter(|pair| pair[0].exp == pair[1].exp) {
            prop_assert!(pair[0].pools.iter().zip(&pair[1].pools).all(|(a, b)| a.seats <= b.seats), "{pair:?}");
        }
    }

    /// The keys of the timeline are those that are issued, at the instants it says.
    #[test]
    fn the_timeline_says_when_each_key_is_first_wanted(
        c in conditions(), zone in zone(), received in prop::option::weighted(0.5, -100..900_i64)
    ) {
        let contract = contract_of(c, zone, received.map(|day| c.start + Duration::days(day)));
        let forever = contract.begin(date("2099-12-31"));
        let moments = timeline(&contract, 1, 5, forever);
        prop_assert!(moments.windows(2).all(|pair| (pair[0].at, pair[0].event) <= (pair[1].at, pair[1].event)));
        for key in moments.iter().filter(|moment| moment.event == Event::KeyIssued) {
            let has = |now: Instant| {
                let keys = wanted(&contract, &contract.standing(None, now), "vendor", now).0;
                keys.iter().any(|k| k.subscription.as_ref().unwrap().term == key.term && k.ends_at() == key.expires_at)
            };
            prop_assert!(has(key.at) && !has(key.at - Duration::seconds(1)), "{:?}", key);
        }
        let ends: Vec<Instant> = moments.iter().filter(|m| m.event == Event::Ends).map(|m| m.at).collect();
        if let [end] = ends[..] {
            let after = |at: Instant| contract.standing(None, at).state;
            prop_assert!(after(end) == State::Ended && after(end - Duration::seconds(1)) != State::Ended);
        }
    }
}

/// The attack: as many changes as a Plan of a Subscription may have, each from a day of its own and received as the clocks
/// changed. For each day every change was looked at, which took minutes.
#[test]
fn k4_as_many_changes_of_seats_as_there_may_be_are_worked_out_at_once() {
    let mut contract = contract();
    let pool = contract.lines[0].pools[0].clone();
    let day = |n: u32| contract.starts_on + Duration::days(n.into());
    let received_on = Some(date("2026-03-29"));
    let change = |n: u32| SeatChange { on: day(n), seats: n + 2, received_on };
    let pools = (0..16).map(|n| PoolOrder {
        name: format!("pool-{n}"),
        seats: 1,
        changes: (0..64).map(|change_of| change(change_of * 16 + n)).collect(),
        ..pool.clone()
    });
    contract.lines[0].pools = pools.collect();
    let began = monotonic();
    let refused = refused_seat_changes(&contract, at("2026-03-29T12:00:00Z"));
    let took = monotonic() - began;
    assert!(refused.is_empty() && took < std::time::Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_cancellation_received_on_the_last_day_counts_and_one_day_later_does_not_i6() {
    for (received, end) in [("2026-09-30", "2026-12-31T23:00:00Z"), ("2026-10-01", "2027-12-31T23:00:00Z")] {
        let contract = Contract { cancellation_received_on: Some(date(received)), ..contract() };
        assert_eq!(contract.standing(None, at("2026-11-01T00:00:00Z")).ends_at, Some(at(end)));
    }
}

#[test]
fn a_cancellation_received_in_the_future_does_not_count_until_that_day() {
    let contract = Contract { cancellation_received_on: Some(date("2026-05-01")), ..contract() };
    assert_eq!(contract.standing(None, at("2026-04-30T21:59:59Z")).state, State::Active);
    assert_eq!(contract.standing(None, at("2026-04-30T22:00:00Z")).state, State::Cancelled);
    let now = at("2026-04-01T00:00:00Z");
    assert_eq!(next_wake(&contract, next_event(&contract, now), now), Some(at("2026-04-30T22:00:00Z")));
}

/// Walks day by day with what a controller stores: a cancellation is entered on one day and withdrawn on another.
#[test]
fn a_cancellation_withdrawn_before_the_end_of_grace_leaves_no_gap_and_after_it_comes_too_late_i8() {
    let cancelled = Contract { cancellation_received_on: Some(date("2026-09-01")), ..contract() };
    let days = ["2026-10-01", "2026-12-31", "2027-01-01", "2027-01-02", "2027-01-15", "2027-01-16", "2027-02-15"];
    for taken_out in days.map(date) {
        let mut ended_for_good = None;
        for today in date("2026-09-15").iter_days().take_while(|day| *day <= date("2027-03-01")) {
            let now = cancelled.begin(today);
            let current = if today < taken_out { cancelled.clone() } else { contract() };
            let standing = current.standing(ended_for_good, now);
            if standing.closed {
                ended_for_good = standing.ends_at;
            }
            let too_late = taken_out > date("2027-01-15");
            let expected = match () {
                () if today < date("2027-01-01") && today < taken_out => State::Cancelled,
                () if today >= date("2027-01-01") && (today < taken_out || too_late) => State::Ended,
                () => State::Active,
            };
            assert_eq!(standing.state, expected, "{today}, taken out on {taken_out}");
            assert_eq!(standing.closed, today >= date("2027-01-15") && expected == State::Ended, "{today} {taken_out}");
            let keys = wanted(&current, &standing, "vendor", now).0;
            let second = keys.iter().find(|key| key.subscription.as_ref().unwrap().term == 2);
            assert_eq!(second.is_some(), expected == State::Active, "{today} {taken_out}");
            assert!(second.is_none_or(|key| key.starts_at() == at("2026-12-31T23:00:00Z")));
        }
    }
}

#[test]
fn a_day_that_does_not_exist_has_no_key_and_its_change_of_seats_counts_from_the_next() {
    // Apia skipped 2011-12-30.
    let mut contract =
        Contract { starts_on: date("2011-12-28"), zone: Zone::named("Pacific/Apia").expect("a zone"), ..contract() };
    contract.terms = Some(Terms { interval: Period::of_days(1), notice: Period::of_days(1), length: None });
    let now = at("2012-01-05T00:00:00Z");
    let keys = wanted(&contract, &contract.standing(None, now), "vendor", now).0;
    assert!(keys.iter().all(|key| key.exp > Some(key.nbf)));
    let terms: Vec<u32> = keys.iter().map(|key| key.subscription.as_ref().unwrap().term).collect();
    assert_eq!(terms[..3], [1, 2, 4]);
    assert!(keys_of_term(&contract, "innoacd", "vendor", Some(3), now).is_err());

    contract.terms = Some(Terms { interval: Period::of_months(12), notice: Period::of_months(3), length: None });
    let change = |on: &str, seats: u32| SeatChange { on: date(on), seats, received_on: None };
    contract.lines[0].pools[0].changes = vec![change("2011-12-30", 60), change("2011-12-31", 70)];
    let keys = wanted(&contract, &contract.standing(None, now), "vendor", now).0;
    let seats: Vec<u32> = keys.iter().map(|key| key.pools[0].seats).collect();
    assert_eq!(seats, [50, 70]);
}

#[test]
fn fewer_seats_only_from_the_start_of_a_term_and_in_time_like_a_cancellation() {
    let with = |on: &str, received: Option<&str>| {
        let mut contract = contract();
        let change = SeatChange { on: date(on), seats: 40, received_on: received.map(date) };
        contract.lines[0].pools[0].changes = vec![change];
        let now = at("2026-12-01T00:00:00Z");
        let (keys, faults) = wanted(&contract, &contract.standing(None, now), "vendor", now);
        let seats: Vec<u32> = keys.iter().map(|key| key.pools[0].seats).collect();
        (seats, faults.into_iter().map(|fault| fault.message).collect::<Vec<_>>())
    };
    assert_eq!(with("2027-01-01", Some("2026-09-30")), (vec![50, 40], vec![]));
    let refused = [
        (
            "2027-01-01",
            Some("2026-10-01"),
            "had to be received before 2026-10-01 but was received on 2026-10-01; write on: 2028-01-01",
        ),
        ("2027-01-01", None, "needs receivedOn, a day before 2026-10-01"),
        ("2026-06-01", Some("2026-01-01"), "only from the start of a term; the next term starts on 2027-01-01"),
        ("2026-01-01", Some("2025-01-01"), "only from the start of a term; the next term starts on 2027-01-01"),
    ];
    for (on, received, says) in refused {
        let (seats, faults) = with(on, received);
        assert_eq!(seats, [50, 50], "{on}");
        assert!(matches!(&faults[..], [fault] if fault.contains(says)), "{faults:?}");
    }
}

// Issuing, with a writer that is killed between any two writes.

/// What is stored for a contract: delivered keys and revoked serials.
#[derive(Clone, Debug, Default, PartialEq)]
struct Ledger {
    keys: Vec<IssuedKey>,
    revoked: BTreeSet<String>,
}

impl Ledger {
    /// The three writes of `Work`, in its order.
    fn write(&mut self, work: &Work, step: usize) {
        match step {
            0 => self.keys.extend(work.issue.iter().cloned()),
            1 => self.revoked.extend(work.revoke.iter().cloned()),
            _ => self.keys.retain(|key| !work.remove.contains(&key.entry)),
        }
    }

    fn work(&self, contract: &Contract, now: Instant) -> Work {
        let keys = wanted(contract, &contract.standing(None, now), "vendor", now).0;
        work(&keys, &self.keys, |serial| self.revoked.contains(serial), now)
    }

    /// Returns the keys that a customer holds and that are not revoked.
    fn sound(&self) -> impl Iterator<Item = &Claims> {
        self.keys.iter().map(|key| &key.claims).filter(|claims| !self.revoked.contains(&claims.jti))
    }

    fn is_licensed(&self, now: Instant) -> bool {
        self.sound().any(|claims| claims.in_force_at(now))
    }

    fn sorted(mut self) -> Self {
        self.keys.sort_by(|a, b| a.entry.cmp(&b.entry));
        self
    }
}

/// What a key says, but for the notice deadline: a key that was issued before a cancellation keeps it.
fn content(claims: &Claims) -> String {
    serde_json::to_string(&Claims { jti: String::new(), iat: 0, notice_deadline: None, ..claims.clone() }).unwrap()
}

/// A change that a person makes to a contract.
#[derive(Clone, Debug)]
enum Deed {
    Wait(i64),
    Cancel { days_ago: i64 },
    TakeCancellationOut,
    MoreSeats { in_days: i64 },
    NoChanges,
    NewContact(u8),
    LoseTheSecret,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => (1..200_i64).prop_map(Deed::Wait),
        2 => (0..400_i64).prop_map(|days_ago| Deed::Cancel { days_ago }),
        2 => Just(Deed::TakeCancellationOut),
        3 => (-300..300_i64).prop_map(|in_days| Deed::MoreSeats { in_days }),
        1 => Just(Deed::NoChanges),
        2 => (0..3_u8).prop_map(Deed::NewContact),
        1 => Just(Deed::LoseTheSecret),
    ]
}

fn carry_out(deed: Deed, contract: &mut Contract, ledger: &mut Ledger, today: &mut NaiveDate) {
    match deed {
        Deed::Wait(days) => *today += Duration::days(days),
        Deed::Cancel { days_ago } => contract.cancellation_received_on = Some(*today - Duration::days(days_ago)),
        Deed::TakeCancellationOut => contract.cancellation_received_on = None,
        Deed::MoreSeats { in_days } => {
            for line in &mut contract.lines {
                let changes = &mut line.pools[0].changes;
                let on = *today + Duration::days(in_days);
                changes.retain(|change| change.on < on);
                let seats = 51 + changes.len() as u32 * 10;
                changes.push(SeatChange { on, seats, received_on: Some(*today) });
            }
        }
        Deed::NoChanges => contract.lines.iter_mut().for_each(|line| line.pools[0].changes.clear()),
        Deed::NewContact(n) => contract.holder = Some(Holder { user: Some(format!("user {n}")), email: None }),
        Deed::LoseTheSecret => ledger.keys.clear(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn issuing_converges_whatever_happens_and_wherever_it_is_killed(
        deeds in prop::collection::vec((deed(), 0..3_usize), 1..14),
        months in prop::sample::select(vec![1_u32, 5, 12]),
        notice in prop::sample::select(vec![1_u32, 3, 14]),
    ) {
        let mut contract = contract();
        contract.terms = Some(Terms { interval: Period::of_months(months), notice: Period::of_months(notice), length: None });
        contract.lines = vec![line("one", 50), line("two", 50)];
        let (mut ledger, mut today) = (Ledger::default(), date("2025-12-01"));
        let mut serial_of: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut content_of: BTreeMap<String, String> = BTreeMap::new();
        for (deed, killed_after) in deeds {
            carry_out(deed, &mut contract, &mut ledger, &mut today);
            let now = contract.begin(today) + Duration::hours(9);
            let keys = wanted(&contract, &contract.standing(None, now), "vendor", now).0;
            let todo = ledger.work(&contract, now);

            // Killed after this write and started again, the writer reaches the same state as undisturbed, with nothing
            // left to do.
            let (mut killed, mut undisturbed) = (ledger.clone(), ledger.clone());
            (0..=killed_after).for_each(|step| killed.write(&todo, step));
            let again = killed.work(&contract, now);
            prop_assert!(again.issue.is_empty(), "issued twice: {:?}", again.issue);
            (0..3).for_each(|step| killed.write(&again, step));
            let stays_licensed = ledger.is_licensed(now) && keys.iter().any(|key| key.in_force_at(now));
            for step in 0..3 {
                undisturbed.write(&todo, step);
                prop_assert!(!stays_licensed || undisturbed.is_licensed(now), "a licence in force disappeared at step {}", step);
            }
            prop_assert_eq!(&killed.clone().sorted(), &undisturbed.clone().sorted());
            prop_assert!(undisturbed.work(&contract, now).is_empty());

            // Keys that are removed before they expire are revoked, because the customer may have copies. No others
            // are.
            for key in ledger.keys.iter().filter(|key| todo.remove.contains(&key.entry)) {
                let over = key.claims.grace_ends_at().is_some_and(|end| end <= now);
                prop_assert_eq!(undisturbed.revoked.contains(&key.claims.jti), !over, "{}", key.entry);
            }
            // The new key of a term counts before the old one is removed.
            for new in &todo.issue {
                let slot = |claims: &Claims| (claims.plan.clone(), claims.nbf, claims.exp);
                let mut old = ledger.keys.iter().filter(|old| slot(&old.claims) == slot(&new.claims));
                prop_assert!(old.all(|old| old.claims.iat < new.claims.iat));
            }

            // No serial names two contents, and no content has two serials that are not revoked.
            for key in &todo.issue {
                let content = content(&key.claims);
                let known = content_of.insert(key.claims.jti.clone(), content.clone());
                prop_assert!(known.is_none_or(|known| known == content));
                serial_of.entry(content).or_default().insert(key.claims.jti.clone());
            }
            for serials in serial_of.values() {
                prop_assert!(serials.difference(&undisturbed.revoked).count() <= 1);
            }
            let entries: BTreeSet<&String> = undisturbed.keys.iter().map(|key| &key.entry).collect();
            prop_assert_eq!(entries.len(), undisturbed.keys.len());
            // The keys that count now or later are exactly the wanted ones.
            let open = |claims: &&Claims| claims.ends_at().is_none_or(|end| end > now);
            let held: BTreeSet<String> = undisturbed.sound().filter(open).map(content).collect();
            let due: BTreeSet<String> = keys.iter().filter(open).map(content).collect();
            prop_assert_eq!(held, due);
            ledger = undisturbed;
        }
    }
}

proptest! {
    // Every case signs and verifies a few keys.
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// The seats that a customer has on a day are those ordered by then, all the way through contract, keys and
    /// entitlement.
    #[test]
    fn the_seats_granted_on_a_day_are_the_seats_ordered_for_it(
        orders in prop::collection::btree_map(0..700_i64, (1..30_u32, 0..200_i64), 0..5),
        day in 0..800_i64,
    ) {
        let mut contract = contract();
        let mut seats = 50;
        let mut expected = 50;
        let start = contract.starts_on;
        for (on, (more, before)) in orders {
            seats += more;
            contract.lines[0].pools[0].changes.push(SeatChange {
                on: start + Duration::days(on),
                seats,
                received_on: Some(start + Duration::days(on - before)),
            });
            if on <= day {
                expected = seats;
            }
        }
        // The operator looks at the contract every day.
        let mut ledger = Ledger::default();
        for today in (0..=day).step_by(7).chain([day]) {
            let now = contract.begin(start + Duration::days(today));
            let todo = ledger.work(&contract, now);
            (0..3).for_each(|step| ledger.write(&todo, step));
        }
        let granted = entitlement(&presented(&ledger), contract.begin(start + Duration::days(day)));
        prop_assert_eq!((granted.mode, granted.pools[0].limit), (Mode::Full, Some(expected.into())));
    }
}

/// Returns the stored keys as a License reads them: signed, sent, verified, and checked against the revocations.
fn presented(ledger: &Ledger) -> Vec<Presented> {
    let (key, _) = signing_key_pem(&[7; 32]).unwrap();
    let mut trust = Trust::new([key.verifying_key()]);
    let list = Revocations { version: 1, iat: 0, exp: None, serials: ledger.revoked.clone() };
    trust.heed(sign_revocations(&list, &key).as_bytes()).unwrap();
    let to = Presentation { product: "innoacd", cluster: "uid", trust: &trust };
    ledger
        .keys
        .iter()
        .map(|k| present("secret", &k.entry, verify_key(sign_key(&k.claims, &key).as_bytes(), to.trust), &to))
        .collect()
}

#[test]
fn two_orders_side_by_side_add_up_and_each_ends_in_its_time_i8_i9() {
    let mut l1 = Contract { name: "l1".into(), cancellation_received_on: Some(date("2026-03-01")), ..contract() };
    let mut l2 = Contract { name: "l2".into(), starts_on: date("2026-06-01"), ..contract() };
    l1.lines = vec![line("innoacd", 50)];
    l2.lines = vec![line("innoacd", 10)];
    let mut both = Ledger::default();
    for moment in [at("2026-02-01T00:00:00Z"), at("2026-07-01T00:00:00Z"), at("2027-03-15T00:00:00Z")] {
        for contract in [&l1, &l2] {
            let todo = both.work(contract, moment);
            (0..3).for_each(|step| both.write(&todo, step));
        }
    }
    let keys = presented(&both);
    let cases = [
        ("2025-12-31T22:59:59Z", Mode::Demo, false, None),
        ("2025-12-31T23:00:00Z", Mode::Full, false, Some(50)),
        ("2026-05-31T21:59:59Z", Mode::Full, false, Some(50)),
        ("2026-05-31T22:00:00Z", Mode::Full, false, Some(60)),
        ("2026-12-31T22:59:59Z", Mode::Full, false, Some(60)),
        ("2026-12-31T23:00:00Z", Mode::Full, true, Some(60)),
        ("2027-01-14T22:59:59Z", Mode::Full, true, Some(60)),
        ("2027-01-14T23:00:00Z", Mode::Full, false, Some(10)),
    ];
    for (now, mode, in_grace, limit) in cases {
        let granted = entitlement(&keys, at(now));
        let found = granted.pools.first().and_then(|pool| pool.limit);
        assert_eq!((granted.mode, granted.in_grace, found), (mode, in_grace, limit), "{now}");
    }
}

#[test]
fn a_revoked_key_is_removed_and_replaced() {
    let (contract, now) = (contract(), at("2026-02-01T00:00:00Z"));
    let mut ledger = Ledger::default();
    let todo = ledger.work(&contract, now);
    (0..3).for_each(|step| ledger.write(&todo, step));
    let serial = ledger.keys[0].claims.jti.clone();
    ledger.revoked.insert(serial.clone());
    let todo = ledger.work(&contract, now);
    assert_eq!((todo.issue.len(), todo.remove.len()), (1, 1));
    assert_ne!(todo.issue[0].claims.jti, serial);
    assert_eq!(content(&todo.issue[0].claims), content(&ledger.keys[0].claims));
}

/// A key of the same contract that names another issuer is still ours: two grants would double the seats.
#[test]
fn a_new_name_of_the_issuer_replaces_the_keys_and_does_not_double_the_seats() {
    let (contract, now) = (contract(), at("2026-02-01T00:00:00Z"));
    let standing = contract.standing(None, now);
    let mut ledger = Ledger::default();
    for issuer in ["vendor", "Vendor Ltd"] {
        let is_revoked = |serial: &str| ledger.revoked.contains(serial);
        let todo = work(&wanted(&contract, &standing, issuer, now).0, &ledger.keys, is_revoked, now);
        (0..3).for_each(|step| ledger.write(&todo, step));
    }
    let granted = entitlement(&presented(&ledger), now);
    assert_eq!((granted.grants.len(), granted.pools[0].limit), (1, Some(50)));
}

#[test]
fn keys_of_other_origin_are_left_alone() {
    let (contract, now) = (contract(), at("2026-02-01T00:00:00Z"));
    let mut ledger = Ledger::default();
    let todo = ledger.work(&contract, now);
    (0..3).for_each(|step| ledger.write(&todo, step));
    let ours = ledger.keys[0].claims.clone();
    let by_hand = Claims { jti: "hand".into(), subscription: None, grant: None, ..ours.clone() };
    let mut earlier = Claims { jti: "earlier".into(), grant: None, ..ours };
    earlier.subscription.as_mut().unwrap().starts_on = date("2025-01-01");
    for (entry, claims) in [("hand.jwt", by_hand), ("earlier.jwt", earlier)] {
        ledger.keys.push(IssuedKey { entry: entry.into(), claims });
    }
    assert!(ledger.work(&contract, now).is_empty());
}

/// A key's serial is made from its content. If another version made another serial for the same content, an upgrade
/// would issue every key again.
#[test]
fn the_serial_of_a_key_never_changes_between_versions() {
    let (keys, _) = keys_of_term(&contract(), "innoacd", "vendor", Some(1), at("2026-02-01T00:00:00Z")).unwrap();
    assert_eq!(keys.now.jti, "07577292278396cf4c9864a1bdc47325");
}

#[test]
fn offline_and_in_the_cluster_the_same_keys_are_made() {
    let mut contract = contract();
    contract.lines[0].pools[0].changes = vec![SeatChange { on: date("2026-06-01"), seats: 60, received_on: None }];
    let now = at("2026-07-01T00:00:00Z");
    let ledger = Ledger::default().work(&contract, now);
    let (offline, _) = keys_of_term(&contract, "innoacd", "vendor", None, now).unwrap();
    assert_eq!(offline.now, ledger.issue[1].claims);
    assert_eq!(offline.now.pools[0].seats, 60);
    let (before, _) = keys_of_term(&contract, "innoacd", "vendor", None, at("2026-05-01T00:00:00Z")).unwrap();
    assert_eq!((before.now.pools[0].seats, before.later.len()), (50, 1));
    assert_eq!(before.now.jti, ledger.issue[0].claims.jti);
}

/// British Columbia decided in 2026 to set its clocks back no more. Before, its law was that of Los Angeles.
#[test]
fn i5_a_change_of_law_moves_no_key_that_was_issued_and_leaves_no_gap() {
    let zone = |name: &str| Zone::named(name).expect("a zone");
    let old = Contract { starts_on: date("2025-12-01"), zone: zone("America/Los_Angeles"), ..contract() };
    let new = Contract { zone: zone("America/Vancouver"), ..old.clone() };
    let now = at("2026-06-01T00:00:00Z");
    let mut ledger = Ledger::default();
    let first = ledger.work(&old, now);
    (0..3).for_each(|step| ledger.write(&first, step));
    assert_eq!(ledger.keys[0].claims.exp, Some(at("2026-12-01T08:00:00Z").timestamp()));
    assert!(ledger.work(&new, now).is_empty(), "the key stays as it was issued");
    let there: Vec<Claims> = ledger.keys.iter().map(|key| key.claims.clone()).collect();
    let said = "the law of America/Vancouver has changed since: the key of term 1 ends 60 minutes after the end of its last day, \
                and stays as it is";
    assert_eq!(changed_law(&old, &there, now), None);
    assert_eq!(changed_law(&new, &there, now).as_deref(), Some(said));
    assert_eq!(changed_law(&new, &there, at("2026-12-01T07:00:00Z")), None, "its term is over");
    assert_eq!(changed_law(&Contract { name: "another".into(), ..new.clone() }, &there, now), None);

    let due = at("2026-11-20T00:00:00Z");
    let second = ledger.work(&new, due);
    assert!(second.revoke.is_empty() && second.remove.is_empty(), "{second:?}");
    let following = &second.issue[0].claims;
    assert_eq!(following.nbf, at("2026-12-01T08:00:00Z").timestamp(), "it begins when the first ends");
    assert_eq!(following.exp, Some(at("2027-12-01T07:00:00Z").timestamp()), "and ends by the new law");
    (0..3).for_each(|step| ledger.write(&second, step));
    assert!(ledger.work(&new, due).is_empty(), "once");

    // A change of seats is followed, and the term ends when it was said to.
    let mut more = new.clone();
    more.lines[0].pools[0].changes.push(SeatChange { on: date("2026-11-21"), seats: 60, received_on: None });
    let third = ledger.work(&more, at("2026-11-21T12:00:00Z"));
    let instants: Vec<_> = third.issue.iter().map(|key| (key.claims.nbf, key.claims.exp)).collect();
    let [changed, end, next] =
        ["2026-11-21T07:00:00Z", "2026-12-01T08:00:00Z", "2027-12-01T07:00:00Z"].map(|t| at(t).timestamp());
    assert_eq!(instants, [(changed, Some(end)), (end, Some(next))]);
    (0..3).for_each(|step| ledger.write(&third, step));
    assert!(ledger.work(&more, at("2026-11-21T12:00:00Z")).is_empty(), "once");
}

/// A key that is revoked lends its instants to no other: the one that replaces it would have its serial.
#[test]
fn k4_another_grace_makes_another_key_whatever_the_law_says() {
    let zone = |name: &str| Zone::named(name).expect("a zone");
    for other in ["America/Los_Angeles", "America/Vancouver"] {
        let old = Contract { starts_on: date("2025-12-01"), zone: zone("America/Los_Angeles"), ..contract() };
        let mut new = Contract { zone: zone(other), ..old.clone() };
        new.lines[0].grace_days = 30;
        for moment in ["2026-06-01T00:00:00Z", "2026-12-20T00:00:00Z"].map(at) {
            let mut ledger = Ledger::default();
            let first = ledger.work(&old, at("2026-06-01T00:00:00Z"));
            (0..3).for_each(|step| ledger.write(&first, step));
            let second = ledger.work(&new, moment);
            for key in &second.issue {
                assert!(!second.revoke.contains(&key.claims.jti), "{other}, {moment}: it is revoked as it is issued");
                let days = (key.claims.grace_until.unwrap() - key.claims.exp.unwrap()) / 86_400;
                assert_eq!(days, 30, "{other}, {moment}");
            }
            (0..3).for_each(|step| ledger.write(&second, step));
            assert!(ledger.work(&new, moment).is_empty(), "{other}, {moment}: once");
        }
    }
}

#[test]
fn a_change_of_law_leaves_keys_of_the_past_as_they_were() {
    let zone = |name: &str| Zone::named(name).expect("a zone");
    let old = Contract { starts_on: date("2025-12-01"), zone: zone("America/Los_Angeles"), ..contract() };
    let mut ledger = Ledger::default();
    let first = ledger.work(&old, at("2026-06-01T00:00:00Z"));
    (0..3).for_each(|step| ledger.write(&first, step));
    let mut new = Contract { zone: zone("America/Vancouver"), ..old };
    new.lines[0].features = vec!["another".into()];
    let later = ledger.work(&new, at("2027-02-01T00:00:00Z"));
    assert!(later.remove.is_empty() && later.revoke.is_empty(), "{later:?}");
    assert!(later.issue.iter().all(|key| key.claims.nbf >= at("2026-12-01T00:00:00Z").timestamp()), "{later:?}");
}
