//! A contact centre whose seats are used.

use std::time::Duration;

use chrono::NaiveDate;
use seatkeeper::domain::license::name::LicenseName;
use seatkeeper::domain::seats::taker::Taker;
use seatkeeper::seats::{Ask, Denied, Desk, Granted, Seat};

use crate::contract::{Contract, Line, Plan, Span, Terms, zone};
use crate::run::Run;
use crate::schedule::Schedule;
use crate::vendor;
use crate::world::{Edit, World};

/// Returns a world with a yearly contract for `seats` agents, with two weeks of grace and two demo seats.
pub fn centre(seats: u32, on_demo_minutes: Option<u32>) -> World {
    let day = NaiveDate::from_ymd_opt(2030, 1, 1).expect("a date");
    let start = day.and_hms_opt(9, 0, 0).expect("a time").and_utc();
    let terms = Terms { interval: Span { months: 12, days: 0 }, notice: Span { months: 3, days: 0 }, length: None };
    let plan = Plan {
        namespace: "centre".into(),
        name: "innoacd".into(),
        product: "innoacd".into(),
        terms: Some(terms),
        grace_days: 14,
        demo_seats: 2,
        on_demo_minutes,
        issue_before: None,
        manual: false,
        pools: vec!["agents".into()],
        per_user: false,
        there: true,
    };
    let contract = Contract {
        namespace: "centre".into(),
        name: "contract".into(),
        starts_on: day,
        zone: zone("UTC"),
        lines: vec![Line { plan: 0, seats: vec![seats], changes: vec![Vec::new()] }],
        cancelled_on: None,
        approved_on: None,
        license: Some(("centre".into(), "innoacd".into())),
        secret: "keys".into(),
        keep: false,
        there: false,
    };
    World {
        start,
        end: start + chrono::TimeDelta::days(2 * 365),
        namespaces: vec!["centre".into()],
        plans: vec![plan],
        contracts: vec![contract],
        users: Vec::new(),
        steps: Vec::new(),
    }
}

/// Returns the name of the centre's License.
pub fn license() -> LicenseName {
    LicenseName::new("centre", "innoacd")
}

/// Returns a user's request for a seat, in the user's own session.
pub fn ask(user: &str) -> Ask {
    let (taker, session) = (Taker::of(user, None, None), format!("of-{user}"));
    let user = Some(user.to_owned());
    Ask {
        license: license(),
        user,
        session,
        client: None,
        pool: None,
        request: None,
        version: None,
        count: 1,
        taker,
        namespace: None,
    }
}

pub async fn asks(desk: &Desk, user: &str) -> Result<Granted, Denied> {
    desk.acquire(&[ask(user)]).await.pop().expect("an answer for each")
}

/// Whether a heartbeat is answered that the seat is kept.
pub async fn is_kept(desk: &Desk, seat: &Seat) -> bool {
    desk.heartbeat([seat]).await.is_ok_and(|heard| heard.kept == [true])
}

/// Starts the centre with its licence in force and seats available.
pub fn open(world: &World) -> Run {
    let mut run = Run::begin(world, Schedule::Calm, 5);
    run.found(world);
    run.within(async {
        vendor::carry_out(&run.shared, &Edit::Issuer { namespace: "centre".into(), key: 1 }).await;
        vendor::carry_out(&run.shared, &Edit::Order(0)).await;
    });
    run.settle().unwrap_or_else(|failure| panic!("{failure}"));
    // The License existed before the ledger, so nothing is granted until any earlier holder's TTL would be over.
    run.within(async { tokio::time::sleep(Duration::from_secs(120)).await });
    run
}
