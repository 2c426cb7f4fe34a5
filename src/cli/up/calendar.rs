//! The calendar of `--speed`: how fast it runs, where it begins and where it stopped.

use chrono::{Days, NaiveDate, SecondsFormat};

use super::data::{CALENDAR, Data};
use crate::api::contract::{Resolved, resolve};
use crate::api::plan::PlanSpec;
use crate::api::subscription::SubscriptionSpec;
use crate::cli::failure::Failure;
use crate::cli::yaml::{Document, File};
use crate::cluster::clock::Clock;
use crate::domain::Instant;
use crate::domain::contract::Contract;
use crate::domain::contract::term::LAST_DATE;
use crate::domain::contract::timeline::{Event, timeline};
use crate::machine::machine_time;

/// The highest speed: nobody could follow a faster one.
const FASTEST: f64 = 366.0 * 86_400.0;
/// The calendar begins this many days before the first renewal, so that something happens soon.
const BEFORE: Days = Days::new(3);

/// How many seconds of the calendar pass in one second: `1d/s`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed(pub f64);

impl std::str::FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || "write a number, a unit (s, m, h, d or w) and /s, for example 1d/s".to_owned();
        let time = text.strip_suffix("/s").ok_or_else(bad)?;
        let digits = time.trim_end_matches(char::is_alphabetic);
        let unit = match &time[digits.len()..] {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            _ => return Err(bad()),
        };
        let number: f64 = digits.parse().map_err(|_| bad())?;
        let speed = number * unit;
        match (1.0..=FASTEST).contains(&speed) {
            true => Ok(Speed(speed)),
            false => Err("the speed must be from 1s/s, that of the clock, to 366d/s, 366 days each second".to_owned()),
        }
    }
}

/// Where the calendar stood when it was stopped; `None` if this data directory runs in real time or is new.
pub fn stored(data: &Data) -> Result<Option<Instant>, Failure> {
    let Some(text) = data.read(CALENDAR)? else { return Ok(None) };
    let path = data.folder.join(CALENDAR);
    let wrong = |_| Failure::new(format!("{}: is not a time; write one, such as 2026-10-09T00:00:00Z", path.display()));
    text.trim().parse().map(Some).map_err(wrong)
}

/// Records where the calendar stands, so that the next start goes on from there.
pub fn store(data: &Data, clock: &Clock) -> Result<(), Failure> {
    data.write(CALENDAR, &format!("{}\n", clock.now().at.to_rfc3339_opts(SecondsFormat::Millis, true)))
}

/// Midnight of a day.
pub fn midnight(day: NaiveDate) -> Instant {
    day.and_time(chrono::NaiveTime::MIN).and_utc()
}

/// Where a new calendar begins: three days before the first renewal of these contracts, or today if none renews.
pub fn beginning(files: &[File]) -> Instant {
    let all = || files.iter().flat_map(|file| &file.documents);
    let plans: Vec<&Document> = all().filter(|document| document.kind() == "Plan").collect();
    let subscriptions = all().filter(|document| document.kind() == "Subscription");
    let renewals = subscriptions.filter_map(|subscription| first_renewal(&contract(subscription, &plans)?));
    let first = renewals.min().and_then(|at| at.date_naive().checked_sub_days(BEFORE));
    first.map_or_else(machine_time, midnight)
}

fn contract(subscription: &Document, plans: &[&Document]) -> Option<Contract> {
    let spec: SubscriptionSpec = serde_json::from_value(subscription.object["spec"].clone()).ok()?;
    let place = |document: &Document| document.namespace().unwrap_or("default").to_owned();
    let ordered = spec.plans.iter().map(|ordered| {
        let plan = plans.iter().find(|plan| plan.name() == ordered.name && place(plan) == place(subscription))?;
        serde_json::from_value::<PlanSpec>(plan.object["spec"].clone()).ok()
    });
    let ordered: Vec<PlanSpec> = ordered.collect::<Option<_>>()?;
    let ordered: Vec<&PlanSpec> = ordered.iter().collect();
    match resolve(&place(subscription), subscription.name(), &spec, &ordered) {
        Ok(Resolved { contract, .. }) => Some(contract),
        Err(_) => None,
    }
}

/// When the key of the second term is issued.
fn first_renewal(contract: &Contract) -> Option<Instant> {
    let moments = timeline(contract, 1, 2, contract.begin(LAST_DATE));
    moments.iter().find(|moment| moment.event == Event::KeyIssued && moment.term == 2).map(|moment| moment.at)
}
