//! The seats of a contract over time: one computation for all pools of a Plan, because they share its most users (P6).

use chrono::NaiveDate;
use std::collections::BTreeMap;

use super::renewal::first_where;
use super::{Contract, Line, SeatChange};
use crate::domain::Instant;
use crate::domain::fault::Fault;
use crate::domain::reason::Reason;

/// The number of seats of a pool from a civil day on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatStep {
    pub from: NaiveDate,
    pub seats: u32,
}

/// Returns the seats of each pool of line `n` over time, as ordered by `now`, and the changes that are refused. More seats
/// may start on any day, as long as all pools together have at most as many as the Plan allows; fewer only at the start of
/// a term, and the change must be received in time, like a cancellation.
pub fn seat_steps(contract: &Contract, n: usize, line: &Line, now: Instant) -> (Vec<Vec<SeatStep>>, Vec<Fault>) {
    let first = |seats: u32| vec![SeatStep { from: contract.starts_on, seats }];
    let mut steps: Vec<Vec<SeatStep>> = line.pools.iter().map(|pool| first(pool.seats)).collect();
    let mut faults = Vec::new();
    for (day, of_day) in received_by_day(contract, line, now) {
        let field = |pool: usize| format!("spec.plans[{n}].pools[{}].changes[{day}]", line.pools[pool].name);
        let (fewer, more): (Vec<_>, Vec<_>) =
            of_day.into_iter().partition(|(pool, change)| change.seats < last(&steps[*pool]));
        // Only a decrease that counts makes room for others.
        for (pool, change) in fewer {
            match may_decrease(contract, &change, last(&steps[pool])) {
                Ok(()) => take(contract, &mut steps[pool], &change),
                Err(message) => faults.push(Fault::new(Reason::SeatDecreaseRefused, field(pool), message)),
            }
        }
        let now_of = |pool: usize| more.iter().find(|(of, _)| *of == pool).map(|(_, change)| change.seats);
        let users = steps.iter().enumerate().map(|(pool, steps)| now_of(pool).unwrap_or_else(|| last(steps)));
        let users: u64 = users.map(u64::from).sum();
        let most = line.max_users.filter(|most| users > u64::from(*most));
        for (pool, change) in &more {
            match most.filter(|_| change.seats > last(&steps[*pool])) {
                None => take(contract, &mut steps[*pool], change),
                Some(most) => {
                    let message = format!(
                        "{users} users are ordered from {day}; Plan {} allows at most {most} in one Subscription",
                        line.plan
                    );
                    faults.push(Fault::new(Reason::TooManyUsers, format!("{}.seats", field(*pool)), message));
                }
            }
        }
    }
    (steps, faults)
}

/// The changes received by `now`, by the day from which they count: of each pool, by its place, the first one of a day.
fn received_by_day(contract: &Contract, line: &Line, now: Instant) -> BTreeMap<NaiveDate, Vec<(usize, SeatChange)>> {
    let mut days: BTreeMap<NaiveDate, Vec<(usize, SeatChange)>> = BTreeMap::new();
    for (pool, order) in line.pools.iter().enumerate() {
        for change in order.changes.iter().filter(|change| contract.has_begun(change.received_on, now)) {
            let of_day = days.entry(change.on).or_default();
            if of_day.last().is_none_or(|(before, _)| *before != pool) {
                of_day.push((pool, *change));
            }
        }
    }
    days
}

fn last(steps: &[SeatStep]) -> u32 {
    steps.last().map_or(0, |step| step.seats)
}

fn take(contract: &Contract, steps: &mut Vec<SeatStep>, change: &SeatChange) {
    let from = change.on.max(contract.starts_on);
    steps.retain(|step| step.from < from);
    steps.push(SeatStep { from, seats: change.seats });
}

fn may_decrease(contract: &Contract, change: &SeatChange, before: u32) -> Result<(), String> {
    let Some(terms) = &contract.terms else {
        return Err(format!("a perpetual licence keeps its {before} seats; remove this change"));
    };
    let number = first_where(|k| contract.day_of_term(terms, k + 1) >= change.on) + 1;
    let term_starts_on = contract.day_of_term(terms, number);
    if term_starts_on != change.on {
        return Err(format!(
            "fewer seats than {before} are possible only from the start of a term; the next term starts on {term_starts_on}"
        ));
    }
    let notice_day = contract.notice_day(terms, change.on);
    match change.received_on {
        Some(received) if received < notice_day => Ok(()),
        Some(received) => Err(format!(
            "the reduction from {} had to be received before {notice_day} but was received on {received}; write on: {}",
            change.on,
            contract.day_of_term(terms, number + 1)
        )),
        None => Err(format!("a reduction needs receivedOn, a day before {notice_day}")),
    }
}
