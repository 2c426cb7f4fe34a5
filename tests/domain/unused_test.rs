//! What of a License's assignments and reservations has no effect is named.

use std::sync::Arc;

use chrono::DateTime;
use serde_json::json;

use seatkeeper::domain::license::entitlement::{Entitlement, Presented, entitlement};
use seatkeeper::domain::license::key::Claims;
use seatkeeper::domain::seats::terms::{Assignment, Reservation};
use seatkeeper::domain::seats::unused::unused;

fn granted(at: i64) -> Entitlement {
    let pools = json!([
        {"name": "fixed", "model": "Fixed", "countBy": "User", "seats": 2},
        {"name": "named", "model": "Named", "countBy": "User", "seats": 2, "users": ["anna"]},
        {"name": "agents", "model": "Concurrent", "countBy": "User", "seats": 5},
        {"name": "all", "model": "Unlimited", "countBy": "User"},
    ]);
    let claims: Claims = serde_json::from_value(json!({
        "iss": "v", "jti": "s", "sub": "A", "aud": "p", "iat": 0, "nbf": 0, "exp": 1_000, "demo_seats": 2, "pools": pools,
    }))
    .unwrap();
    let key =
        Presented { secret: "s".into(), entry: "e".into(), claims: Some(Arc::new(claims)), grant: None, refusal: None };
    entitlement(&[key], DateTime::from_timestamp(at, 0).unwrap())
}

fn of_assignment(pool: &str, users: &[&str]) -> Vec<String> {
    let assignment = Assignment { pool: pool.into(), users: users.iter().map(|user| (*user).to_owned()).collect() };
    unused(&granted(1), &[assignment], &[]).iter().map(|fault| format!("{} {fault}", fault.reason)).collect()
}

fn of_reservations(reservations: &[(&str, &str, u32)]) -> Vec<String> {
    let reservation = |(pool, team, seats): &(&str, &str, u32)| Reservation {
        pool: (*pool).into(),
        team: (*team).into(),
        seats: *seats,
    };
    let reservations: Vec<Reservation> = reservations.iter().map(reservation).collect();
    unused(&granted(1), &[], &reservations).iter().map(|fault| format!("{} {fault}", fault.reason)).collect()
}

#[test]
fn an_assignment_without_effect_is_named_and_one_with_effect_is_not() {
    assert_eq!(of_assignment("fixed", &["anna", "bob"]), [""; 0]);
    // One user, in two spellings.
    assert_eq!(of_assignment("fixed", &["m\u{fc}ller", "mu\u{308}ller", "bob"]), [""; 0]);
    let too_many = "MoreUsersThanSeats spec.assignments[fixed]: 7 users are named, and pool fixed has 2 seats; without a \
                    seat: c, d, e and 2 more. Order more seats, or remove users";
    assert_eq!(of_assignment("fixed", &["a", "b", "c", "d", "e", "f", "g"]), [too_many]);
    for (pool, users, says) in [
        (
            "fixd",
            &["anna"][..],
            "UnknownPool spec.assignments[fixd]: the keys grant no such pool; they grant agents, all, fixed, named",
        ),
        (
            "agents",
            &["anna"],
            "AssignmentNotUsed spec.assignments[agents]: pool agents is of model Concurrent, so its seats are assigned to nobody: remove this",
        ),
        (
            "named",
            &["bob"],
            "AssignmentNotUsed spec.assignments[named]: the keys name the users of pool named: remove this",
        ),
        (
            "fixed",
            &[" anna"],
            "UserInvalid spec.assignments[fixed]: \" anna\" has blanks around it, or more than 256 bytes: write the name as the applications do",
        ),
    ] {
        assert_eq!(of_assignment(pool, users), [says]);
    }
    assert!(of_assignment("fixed", &["anna\u{3000}"])[0].starts_with("UserInvalid"));
    assert!(of_assignment("fixed", &[&"\u{9dc}".repeat(43)])[0].starts_with("UserInvalid"));
}

#[test]
fn a_reservation_without_effect_is_named_and_one_with_effect_is_not() {
    assert_eq!(of_reservations(&[("agents", "north", 3), ("agents", "south", 2), ("fixed", "north", 2)]), [""; 0]);
    let said = of_reservations(&[("agents", "north", 3), ("agents", "south", 4), ("agents", "west", 1)]);
    let says = |seats: u32, team: &str, kept: u32| {
        format!(
            "MoreReservedThanSeats spec.reservations[agents, {team}]: {seats} seats are reserved for team {team}, and only \
             {kept} are kept: pool agents has 5 seats, and the reservations before this one come first. Order more seats, or \
             reserve fewer"
        )
    };
    assert_eq!(said, [says(4, "south", 2), says(1, "west", 0)]);
    assert!(of_reservations(&[("agent", "north", 1)])[0].starts_with("UnknownPool spec.reservations[agent, north]: "));
    assert!(
        of_reservations(&[("all", "north", 1)])[0].starts_with("ReservationNotUsed spec.reservations[all, north]: ")
    );
}

/// Which pools the next key has is not known, and in demo mode no seat belongs to anybody.
#[test]
fn without_a_licence_nothing_is_said() {
    let assignment = Assignment { pool: "other".into(), users: vec!["anna".into()] };
    assert_eq!(unused(&granted(2_000), std::slice::from_ref(&assignment), &[]), []);
    assert_eq!(unused(&entitlement(&[], DateTime::UNIX_EPOCH), &[assignment], &[]), []);
}
