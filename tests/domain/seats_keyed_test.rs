//! Names that are not kept: what stands for them, and how the people are called.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate};
use serde_json::json;

use seatkeeper::domain::Instant;
use seatkeeper::domain::license::entitlement::{Presented, entitlement};
use seatkeeper::domain::license::key::Claims;
use seatkeeper::domain::license::name::LicenseName;
use seatkeeper::domain::seats::hold::{Hold, Record};
use seatkeeper::domain::seats::keyed::is_keyed;
use seatkeeper::domain::seats::line::{BASE_SLOTS, MOST_BASE_BYTES, write_base};
use seatkeeper::domain::seats::request::Request;
use seatkeeper::domain::seats::roster::Members;
use seatkeeper::domain::seats::seating::Seating;
use seatkeeper::domain::seats::table::Table;
use seatkeeper::domain::seats::tag::{KEY_BYTES, Tagger};
use seatkeeper::domain::seats::taker::Taker;
use seatkeeper::domain::seats::terms::SeatTerms;
use seatkeeper::domain::tick::Tick;

fn license() -> LicenseName {
    LicenseName::new("centre", "innoacd")
}

fn tagger() -> Tagger {
    Tagger::new(&[7; KEY_BYTES], 0)
}

fn now() -> Instant {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

/// A key for 256 agents whose sessions share a seat.
fn terms() -> Arc<SeatTerms> {
    let pool = json!({"name": "agents", "model": "Concurrent", "countBy": "User", "seats": BASE_SLOTS});
    let claims: Claims = serde_json::from_value(json!({
        "iss": "v", "jti": "s", "sub": "A", "aud": "p", "iat": 0, "nbf": 0, "exp": 2_000_000_000, "pools": [pool],
    }))
    .unwrap();
    let key =
        Presented { secret: "s".into(), entry: "e".into(), claims: Some(Arc::new(claims)), grant: None, refusal: None };
    Arc::new(SeatTerms::new(&entitlement(&[key], now()), &[], &[]))
}

fn day(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, day).unwrap()
}

fn hold(slot: u32, user: &str, session: &str, client: Option<&str>) -> Record {
    Record::Hold(Hold {
        pool: "agents".into(),
        slot,
        user: Some(user.into()),
        session: session.into(),
        since: 1_790_000_000,
        client: client.map(Box::from),
        request: None,
        taker: Some(Taker::of("pod", None, None)),
    })
}

fn text(table: &Table) -> String {
    write_base(table.holders_within("agents", 0..u32::MAX))
}

#[test]
fn a_pseudonym_is_the_same_for_a_day_and_another_on_the_next_day_and_under_another_license() {
    let (tagger, other) = (tagger(), LicenseName::new("centre", "other"));
    let called = |license: &LicenseName, user: &str, on: u32| {
        tagger.of_day(day(on)).pseudonym(license, &tagger.user(license, user))
    };
    let today = called(&license(), "a.ivanov", 29);
    let is_pseudonym = |name: &str| {
        name.strip_prefix("agent-").is_some_and(|hex| hex.len() == 4 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    assert!(is_pseudonym(&today), "{today}");
    assert_eq!(today, called(&license(), "a.ivanov", 29));
    // One of some days may be the same by accident, and not several.
    let days: BTreeSet<String> = (1..=28).map(|on| called(&license(), "a.ivanov", on)).collect();
    assert!(days.len() >= 27 && !days.contains(&today), "{days:?}");
    assert_ne!(today, called(&other, "a.ivanov", 29));
    let users: BTreeSet<String> = (0..100).map(|n| called(&license(), &format!("u{n}"), 29)).collect();
    assert!(users.len() >= 98, "{} for 100 users", users.len());
}

#[test]
fn what_stands_for_a_user_differs_for_each_license_and_key_and_from_that_of_a_session_or_machine() {
    let (tagger, other) = (tagger(), LicenseName::new("centre", "other"));
    let keyed = tagger.user(&license(), "a");
    assert!(is_keyed(&keyed) && keyed == tagger.user(&license(), "a"), "{keyed}");
    let others = [
        tagger.user(&other, "a"),
        tagger.user(&license(), "b"),
        Tagger::new(&[8; KEY_BYTES], 0).user(&license(), "a"),
        tagger.client(&license(), "a"),
    ];
    assert!(others.iter().all(|other| is_keyed(other) && *other != keyed), "{others:?}");
    assert!(!keyed.contains(&tagger.session(&license(), "a")), "{keyed}");
    assert!(!is_keyed("a") && !is_keyed("") && !is_keyed("~") && !is_keyed("~a.ivanov"));
}

/// The attack: a user is called like a keyed hash that the ledger shows, to have the seat of the user for whom it stands.
#[test]
fn who_is_called_like_a_keyed_hash_is_somebody_else() {
    let tagger = tagger();
    let key = |user: &str| tagger.user(&license(), user);
    for hides in [false, true] {
        let mut seating = Seating::empty(now());
        seating.set_hides(true, key, key);
        seating.apply(&hold(0, &key("anna"), "s1", None), Tick::MAX);
        seating.set_hides(hides, key, key);
        assert_eq!(seating.keyed_user("anna", key), Some(key("anna")), "anna has the seat of before");
        assert_eq!(seating.keyed_user(&key("anna"), key), Some(key(&key("anna"))));
        assert_eq!(seating.keyed_user("bob", key).is_some(), hides);
    }
}

#[test]
fn names_that_are_no_longer_kept_leave_the_table_and_everything_else_stays() {
    let key = |name: &str| tagger().user(&license(), name);
    let mut table = Table::default();
    for (slot, user, session) in [(0, "anna", "s1"), (0, "anna", "s2"), (1, "bob", "s1"), (7, "cem", "s3")] {
        table.apply(&hold(slot, user, session, Some("pc-117")), Tick::MAX);
    }
    let before = text(&table);
    assert!(table.hide(key, key) && !table.has_clear() && table.has_keyed());
    let after = text(&table);
    assert!(["anna", "bob", "cem", "pc-117"].iter().all(|name| !after.contains(name)), "{after}");
    let names = ["anna", "bob", "cem", "pc-117"].iter();
    assert_eq!(after, names.fold(before, |text, name| text.replace(name, &key(name))));
    assert_eq!((table.in_use("agents"), table.release_user(&key("anna")).len()), (3, 2));
    assert!(table.release_user("anna").is_empty());
    for record in table.release_user(&key("anna")) {
        table.apply(&record, Tick::MIN);
    }
    assert_eq!(table.in_use("agents"), 2);
}

/// The attack: a base full of users with short names. What stands for them would make it too large to be written.
#[test]
fn a_base_full_of_short_names_has_room_for_what_stands_for_them() {
    let key = |name: &str| tagger().user(&license(), name);
    let mut seating = Seating::new(terms(), Arc::new(Members::unite(&[])), now());
    let (mut granted, mut refused) = (0, 0);
    for user in 0..64 {
        for taker in 0..8 {
            for session in 0..32 {
                let (user, session) = (user.to_string(), session.to_string());
                let taker = Some(Taker::of(&taker.to_string(), None, None));
                let of_session = Request { request: Some("window-1"), taker, ..Request::of(&session) };
                let request = Request { user: Some(&user), client: Some("c"), ..of_session };
                match seating.decide(&request, now()) {
                    Ok(grant) => {
                        seating.assume(&grant, &request, Tick::MAX);
                        granted += 1;
                    }
                    Err(_) => refused += 1,
                }
            }
        }
    }
    let sizes = |seating: &Seating| -> Vec<usize> {
        let base = |number: u32| number * BASE_SLOTS..(number + 1) * BASE_SLOTS;
        (0..4).map(|number| write_base(seating.table().holders_within("agents", base(number))).len()).collect()
    };
    let before = sizes(&seating);
    assert!(refused > 0 && before[1] > 0, "{granted} sessions, {refused} refused, {before:?} bytes");
    assert!(seating.set_hides(true, key, key) && !seating.table().has_clear());
    let after = sizes(&seating);
    assert!(after.iter().all(|bytes| *bytes <= MOST_BASE_BYTES as usize), "{before:?} {after:?}");
    assert!(after[0] > MOST_BASE_BYTES as usize * 9 / 10, "{before:?} {after:?}");
}
