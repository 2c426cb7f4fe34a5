//! Short histories, each of which runs with every fault at every moment.

use chrono::{NaiveDate, TimeDelta};
use seatkeeper::domain::Instant;

use crate::contract::{Contract, Line, Plan, Span, Terms, zone};
use crate::world::{Edit, Step, World};

fn at(text: &str) -> Instant {
    text.parse().expect("an instant")
}

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

fn seats(on: &str, seats: u32) -> Edit {
    Edit::Seats { contract: 0, line: 0, pool: 0, on: day(on), seats, received_on: Some(day(on) - TimeDelta::days(150)) }
}

/// Returns a yearly contract from 1 January 2030 with three months' notice and 14 days of grace, and the given steps.
fn history(end: &str, steps: &[(&str, &[Edit])]) -> World {
    let terms = Terms { interval: Span { months: 12, days: 0 }, notice: Span { months: 3, days: 0 }, length: None };
    let plan = Plan {
        namespace: "acme".into(),
        name: "standard".into(),
        product: "acd".into(),
        terms: Some(terms),
        grace_days: 14,
        demo_seats: 2,
        on_demo_minutes: None,
        issue_before: None,
        manual: false,
        pools: vec!["agents".into()],
        per_user: false,
        there: true,
    };
    let contract = |n: usize, starts_on: &str| Contract {
        namespace: "acme".into(),
        name: format!("contract-{n}"),
        starts_on: day(starts_on),
        zone: zone("Europe/Berlin"),
        lines: vec![Line { plan: 0, seats: vec![50], changes: vec![Vec::new()] }],
        cancelled_on: None,
        approved_on: None,
        license: Some(("acme".into(), "license".into())),
        secret: format!("keys-{n}"),
        keep: false,
        there: false,
    };
    World {
        start: at("2030-05-01T09:00:00Z"),
        end: at(end),
        namespaces: vec!["acme".into(), "acme-branch".into()],
        plans: vec![plan],
        contracts: vec![contract(0, "2030-01-01"), contract(1, "2030-05-02")],
        users: Vec::new(),
        steps: steps.iter().map(|(when, edits)| Step { at: at(when), edits: edits.to_vec() }).collect(),
    }
}

fn issuer(key: u8) -> Edit {
    Edit::Issuer { namespace: "acme".into(), key }
}

fn license(namespace: &str, secrets: &[&str]) -> Edit {
    Edit::License {
        namespace: namespace.into(),
        name: "license".into(),
        product: "acd".into(),
        secrets: secrets.iter().map(|secret| (*secret).to_owned()).collect(),
        subscription: Some(("acme".into(), "contract-0".into())),
    }
}

const FIRST: &str = "2030-05-01T10:00:00Z";

pub fn all() -> Vec<(&'static str, World)> {
    let cancel = |received_on: &str| Edit::Cancel { contract: 0, received_on: day(received_on) };
    let order = || [issuer(1), Edit::Order(0)];
    let mut kept =
        history("2030-11-01T00:00:00Z", &[(FIRST, &order()), ("2030-06-01T10:00:00Z", &[seats("2030-06-02", 60)])]);
    kept.contracts[0].keep = true;
    let mut elsewhere = history(
        "2030-11-01T00:00:00Z",
        &[
            (FIRST, &[Edit::Trust { namespace: "acme-branch".into() }, issuer(1), Edit::Order(0)]),
            ("2030-05-03T10:00:00Z", &[license("acme-branch", &["keys-0"])]),
        ],
    );
    elsewhere.contracts[0].license = Some(("acme-branch".into(), "license".into()));
    vec![
        (
            "an order, and the signing key after it",
            history("2030-06-01T00:00:00Z", &[(FIRST, &[Edit::Order(0)]), ("2030-05-02T10:00:00Z", &[issuer(1)])]),
        ),
        ("a renewal", history("2031-01-02T00:00:00Z", &[(FIRST, &order())])),
        (
            "more seats, then fewer",
            history(
                "2031-02-01T00:00:00Z",
                &[
                    (FIRST, &order()),
                    ("2030-07-01T10:00:00Z", &[seats("2030-07-10", 70)]),
                    ("2030-11-01T10:00:00Z", &[seats("2031-01-01", 30)]),
                ],
            ),
        ),
        (
            "a cancellation entered late, and withdrawn again",
            history(
                "2030-12-20T00:00:00Z",
                &[
                    (FIRST, &order()),
                    ("2030-11-10T10:00:00Z", &[cancel("2030-09-20")]),
                    ("2030-12-10T10:00:00Z", &[Edit::Withdraw(0)]),
                ],
            ),
        ),
        (
            "the end, grace, demo, and a new contract",
            history(
                "2031-02-20T00:00:00Z",
                &[
                    (FIRST, &[issuer(1), Edit::Order(0), license("acme", &["keys-0", "keys-1"])]),
                    ("2030-06-10T10:00:00Z", &[cancel("2030-06-09")]),
                    ("2031-02-01T10:00:00Z", &[Edit::Order(1)]),
                ],
            ),
        ),
        (
            "a contract that goes on in its grace",
            history(
                "2031-01-20T00:00:00Z",
                &[
                    (FIRST, &order()),
                    ("2030-06-10T10:00:00Z", &[cancel("2030-06-09")]),
                    ("2031-01-05T10:00:00Z", &[Edit::Withdraw(0)]),
                ],
            ),
        ),
        (
            "another signing key",
            history("2030-11-01T00:00:00Z", &[(FIRST, &order()), ("2030-08-01T10:00:00Z", &[issuer(2)])]),
        ),
        (
            "a key revoked by hand",
            history("2030-09-01T00:00:00Z", &[(FIRST, &order()), ("2030-08-01T10:00:00Z", &[Edit::RevokeByHand(0)])]),
        ),
        (
            "two contracts of one License",
            history(
                "2030-07-01T00:00:00Z",
                &[
                    (FIRST, &[issuer(1), Edit::Order(0), license("acme", &["keys-0", "keys-1"])]),
                    ("2030-06-01T10:00:00Z", &[Edit::Order(1)]),
                ],
            ),
        ),
        (
            "everything deleted, and made again",
            history(
                "2030-09-01T00:00:00Z",
                &[
                    (FIRST, &order()),
                    ("2030-06-01T10:00:00Z", &[Edit::DeleteKeys { namespace: "acme".into(), secret: "keys-0".into() }]),
                    (
                        "2030-06-02T10:00:00Z",
                        &[Edit::DeleteLicense { namespace: "acme".into(), name: "license".into() }],
                    ),
                    ("2030-06-03T10:00:00Z", &[Edit::DeleteSubscription(0)]),
                    ("2030-06-04T10:00:00Z", &[Edit::Order(0)]),
                ],
            ),
        ),
        ("keys in two places", kept),
        ("a License in another namespace", elsewhere),
    ]
}
