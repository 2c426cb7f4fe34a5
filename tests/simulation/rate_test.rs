//! How fast years pass: a decade with many customers of the lead case, on one core.

use chrono::{Days, NaiveDate};
use seatkeeper::machine::monotonic;

use crate::contract::{Contract, Line, Plan, Span, Terms, zone};
use crate::run::run;
use crate::schedule::Schedule;
use crate::world::{Edit, Step, World};

/// Fewer in unoptimized builds, where a hundred customers take minutes.
const CUSTOMERS: usize = if cfg!(debug_assertions) { 3 } else { 100 };

/// Returns a world of yearly contracts that begin on different days of 2030 and run until 2040.
fn decade() -> World {
    let first = NaiveDate::from_ymd_opt(2030, 1, 1).expect("a date");
    let terms = Terms { interval: Span { months: 12, days: 0 }, notice: Span { months: 3, days: 0 }, length: None };
    let plan = Plan {
        namespace: "vendor".into(),
        name: "innoacd".into(),
        product: "innoacd".into(),
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
    let contract = |n: usize| Contract {
        namespace: "vendor".into(),
        name: format!("customer-{n}"),
        starts_on: first + Days::new(n as u64 % 20 * 17),
        zone: zone("Europe/Berlin"),
        lines: vec![Line { plan: 0, seats: vec![50], changes: vec![Vec::new()] }],
        cancelled_on: None,
        approved_on: None,
        license: Some(("vendor".into(), format!("license-{n}"))),
        secret: format!("keys-{n}"),
        keep: false,
        there: false,
    };
    let at = |day: NaiveDate| day.and_hms_opt(9, 0, 0).expect("a time").and_utc();
    let issuer = Edit::Issuer { namespace: "vendor".into(), key: 1 };
    World {
        start: at(first - Days::new(1)),
        end: at(first + Days::new(3652)),
        namespaces: vec!["vendor".into()],
        plans: vec![plan],
        contracts: (0..CUSTOMERS).map(contract).collect(),
        users: Vec::new(),
        steps: vec![Step {
            at: at(first - Days::new(1)),
            edits: std::iter::once(issuer).chain((0..CUSTOMERS).map(Edit::Order)).collect(),
        }],
    }
}

#[test]
fn a_decade_of_yearly_contracts_passes_in_seconds() {
    let began = monotonic();
    let outcome = run(&decade(), Schedule::Calm, None).unwrap_or_else(|failure| panic!("{failure}"));
    let seconds = (monotonic() - began).as_secs_f64();
    let rate = outcome.contract_years / seconds;
    eprintln!(
        "{:.0} contract-years in {seconds:.1} s: {rate:.0} a second on one core; {} requests, {} writes",
        outcome.contract_years, outcome.counts.requests, outcome.counts.writes
    );
    assert!(outcome.contract_years > 9.0 * CUSTOMERS as f64, "only {} contract-years passed", outcome.contract_years);
}
