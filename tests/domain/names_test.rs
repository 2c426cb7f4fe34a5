//! Names of users and teams in keys, Licenses and Rosters are compared as people see them. A request has them in that form
//! already (`tests/seats/names_test.rs`).

use std::sync::Arc;

use chrono::DateTime;
use proptest::prelude::*;
use serde_json::{Value, json};

use seatkeeper::domain::license::entitlement::{Presented, entitlement};
use seatkeeper::domain::license::key::Claims;
use seatkeeper::domain::names::{is_unusual, normal, without_case};
use seatkeeper::domain::seats::request::Request;
use seatkeeper::domain::seats::roster::{AlikeMembers, MemberMode, Members, Roster, RosterEntry};
use seatkeeper::domain::seats::seating::Seating;
use seatkeeper::domain::seats::terms::{Assignment, Reservation, SeatTerms};
use seatkeeper::domain::zone::Zone;

/// As a Mac's files have it, and as requests are compared.
const WRITTEN: &str = "mu\u{308}ller";
const NORMAL: &str = "m\u{fc}ller";

fn terms(pool: Value, assignments: &[Assignment], reservations: &[Reservation]) -> Arc<SeatTerms> {
    let claims: Claims = serde_json::from_value(json!({
        "iss": "v", "jti": "s", "sub": "A", "aud": "p", "iat": 0, "nbf": 0, "exp": 2_000_000_000, "pools": [pool],
    }))
    .unwrap();
    let key =
        Presented { secret: "s".into(), entry: "e".into(), claims: Some(Arc::new(claims)), grant: None, refusal: None };
    Arc::new(SeatTerms::new(&entitlement(&[key], DateTime::UNIX_EPOCH), assignments, reservations))
}

fn entry(user: &str, team: Option<&str>) -> RosterEntry {
    let (team, entry_date) = (team.map(str::to_owned), "1960-01-01".parse().unwrap());
    RosterEntry { user: user.into(), login_mode: MemberMode::Active, entry_date, exit_date: None, team }
}

fn roster(name: &str, guest: Option<&str>, users: &[&str]) -> Roster {
    let entries = users.iter().map(|user| entry(user, None)).collect();
    Roster { name: name.into(), guest: guest.map(Into::into), is_equal: false, time_zone: Zone::utc(), entries }
}

fn asks(terms: Arc<SeatTerms>, people: Members, user: &str) -> Result<(), &'static str> {
    let mut seating = Seating::new(terms, Arc::new(people), DateTime::UNIX_EPOCH);
    let request = Request { user: Some(user), ..Request::of("s") };
    seating.decide(&request, DateTime::UNIX_EPOCH).map(drop).map_err(|refusal| refusal.reason())
}

#[test]
fn a_seat_of_a_key_or_a_license_is_its_users_however_the_name_is_typed() {
    let named = |users: &[&str]| json!({"name": "a", "model": "Named", "countBy": "User", "seats": 2, "users": users});
    let assigned = [Assignment { pool: "a".into(), users: vec![WRITTEN.into(), NORMAL.into(), "anna".into()] }];
    for terms in [terms(named(&[WRITTEN, NORMAL, "anna"]), &[], &[]), terms(named(&[]), &assigned, &[])] {
        assert_eq!(asks(terms.clone(), Members::default(), NORMAL), Ok(()));
        assert_eq!(asks(terms.clone(), Members::default(), "anna"), Ok(()), "one user has one of the two seats");
        assert_eq!(asks(terms, Members::default(), "M\u{fc}ller"), Err("NotAssigned"));
    }
}

#[test]
fn a_seat_that_is_kept_for_a_team_is_its_members_however_the_team_is_typed() {
    let pool = json!({"name": "a", "model": "Concurrent", "countBy": "User", "seats": 1});
    let reserved = |team: &str| Reservation { pool: "a".into(), team: team.into(), seats: 1 };
    let people = || {
        let entries = vec![entry("anna", Some(NORMAL)), entry("bob", Some("others"))];
        Members::unite(&[Roster { entries, ..roster("r", None, &[]) }])
    };
    let terms = terms(pool, &[], &[reserved(WRITTEN)]);
    assert_eq!(asks(terms.clone(), people(), "anna"), Ok(()));
    assert_eq!(asks(terms, people(), "bob"), Err("ReservedForTeam"));
}

#[test]
fn names_that_differ_in_case_are_shown_where_they_are_written() {
    let alike = |rosters: &[Roster]| Members::unite(rosters).alike;
    let shown = |users: &[&str], rosters: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        AlikeMembers { shown_to: None, users: owned(users), rosters: owned(rosters) }
    };
    assert_eq!(alike(&[roster("a", None, &["anna", "anna", "bob", "m\u{fc}ller", "muller"])]), []);
    let (own, more) = (roster("a", None, &["Anna", "bob"]), roster("b", None, &["anna", "ANNA", "\u{c4}", "\u{e4}"]));
    let found = [shown(&["ANNA", "Anna", "anna"], &["a", "b"]), shown(&["\u{c4}", "\u{e4}"], &["b"])];
    assert_eq!(alike(&[own.clone(), more]), found);
    // Whatever guests write, the owner's Rosters are in order, and a guest is told of its own Rosters alone.
    let guest = roster("g", Some("guest"), &["ANNA", "Bob", "cem"]);
    let other = roster("o", Some("other"), &["anna", "Cem"]);
    let all = [own, guest, other, roster("p", Some("other"), &["ANNA"])];
    let others = AlikeMembers { shown_to: Some("other".into()), ..shown(&["ANNA", "anna"], &["o", "p"]) };
    assert_eq!(alike(&all), std::slice::from_ref(&others));
    // That is so too if the owner gives all the same rank; the owner sees everything then.
    let equal = all.map(|roster| Roster { is_equal: true, ..roster });
    let everything = [
        shown(&["ANNA", "Anna", "anna"], &["a", "g", "o", "p"]),
        shown(&["Bob", "bob"], &["a", "g"]),
        shown(&["Cem", "cem"], &["g", "o"]),
        others,
    ];
    assert_eq!(alike(&equal), everything);
}

proptest! {
    #[test]
    fn the_form_of_a_form_is_that_form(name in "\\PC{0,24}") {
        let form = normal(&name).into_owned();
        prop_assert_eq!(&*normal(&form), &*form);
    }

    #[test]
    fn no_name_does_harm(name: String) {
        let _ = (is_unusual(&name), without_case(&normal(&name)));
    }
}
