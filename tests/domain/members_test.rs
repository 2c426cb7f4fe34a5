//! Whether the seats of a License are enough for the members of its Rosters.

use std::sync::Arc;

use proptest::prelude::*;
use seatkeeper::domain::license::entitlement::{Presented, entitlement};
use seatkeeper::domain::license::key::Claims;
use seatkeeper::domain::license::members::{Bound, Heads, bounds};
use seatkeeper::domain::seats::terms::SeatTerms;
use serde_json::{Value, json};

fn terms(pools: Value, now: &str) -> SeatTerms {
    let claims: Claims = serde_json::from_value(json!({
        "iss": "vendor", "jti": "1", "sub": "Company", "aud": "teamplaner", "iat": 0, "nbf": 0, "exp": 1_000,
        "plan": "p", "demo_seats": 2, "pools": pools,
    }))
    .expect("claims of a key");
    let key =
        Presented { secret: "s".into(), entry: "e".into(), claims: Some(Arc::new(claims)), grant: None, refusal: None };
    let (keys, now) = ([key], now.parse().expect("a time"));
    SeatTerms::new(&entitlement(&keys, now), &[], &[])
}

const IN_FORCE: &str = "1970-01-01T00:00:01Z";

fn per_user(active: u64, passive: u64) -> Value {
    json!([
        {"name": "active", "model": "PerUser", "countBy": "Start", "seats": active, "loginMode": "Active"},
        {"name": "passive", "model": "PerUser", "countBy": "Start", "seats": passive, "loginMode": "Passive", "overflowsTo": "active"},
    ])
}

fn exceeded(terms: &SeatTerms, active: u64, passive: u64) -> Vec<(String, u64, Option<u64>)> {
    let heads = Heads { active, passive, either: active + passive };
    let bounds = bounds(terms, heads, Heads::default());
    bounds.into_iter().filter(Bound::is_exceeded).map(|b| (b.pool, b.members, b.seats)).collect()
}

#[test]
fn t1_t2_active_and_passive_employees_need_a_licence_each() {
    let employees = json!([
        {"name": "employees", "model": "PerEmployee", "countBy": "Start", "seats": 50},
        {"name": "rooms", "model": "Concurrent", "countBy": "User", "seats": 1},
    ]);
    let full = terms(employees.clone(), IN_FORCE);
    assert_eq!(exceeded(&full, 30, 20), []);
    assert_eq!(exceeded(&full, 30, 21), [("employees".into(), 51, Some(50))]);
    assert_eq!(bounds(&full, Heads::default(), Heads::default()).len(), 1, "other models know no members");
    let many = Heads { active: 99, passive: 0, either: 99 };
    assert_eq!(bounds(&terms(employees, "1970-01-02T00:00:00Z"), many, many), []);
}

#[test]
fn t6_t7_passive_users_may_use_what_no_active_user_needs_and_never_the_other_way_round() {
    let terms = terms(per_user(3, 1), IN_FORCE);
    assert_eq!(exceeded(&terms, 2, 2), []);
    assert_eq!(exceeded(&terms, 2, 3), [("passive".into(), 3, Some(2))]);
    assert_eq!(exceeded(&terms, 4, 1), [("active".into(), 4, Some(3))]);
    assert_eq!(exceeded(&terms, 4, 2), [("active".into(), 4, Some(3)), ("passive".into(), 2, Some(1))]);
}

proptest! {
    /// All members are licensed exactly if the active members fit the active seats and all members fit all seats.
    #[test]
    fn t7_overflow_against_the_plain_sum(seats in (0u64..9, 0u64..9), heads in (0u64..9, 0u64..9)) {
        let ((active, passive), (a, p)) = (seats, heads);
        let enough = a <= active && a + p <= active + passive;
        prop_assert_eq!(exceeded(&terms(per_user(active, passive), IN_FORCE), a, p).is_empty(), enough);
    }
}
