//! What will happen to a contract, and when.

use serde::Serialize;

use super::Contract;
use super::term::LAST_DATE;
use crate::domain::Instant;

/// The most terms that one call of `timeline` looks at.
pub const MAX_TERMS: u32 = 10_000;

/// What happens. Events of the same instant happen in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Event {
    /// From this instant on a cancellation is too late for this term.
    NoticeDeadline,
    /// The key of the term is issued.
    KeyIssued,
    /// The contract ends with this term.
    Ends,
    TermStarts,
    GraceStarts,
    DemoStarts,
}

impl Event {
    pub fn as_str(self) -> &'static str {
        match self {
            Event::NoticeDeadline => "NoticeDeadline",
            Event::KeyIssued => "KeyIssued",
            Event::Ends => "Ends",
            Event::TermStarts => "TermStarts",
            Event::GraceStarts => "GraceStarts",
            Event::DemoStarts => "DemoStarts",
        }
    }
}

/// One event of one term. The event of a key has the time of its validity; a perpetual key has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    pub at: Instant,
    pub event: Event,
    pub term: u32,
    pub valid_from: Option<Instant>,
    pub expires_at: Option<Instant>,
}

impl Moment {
    fn new(at: Instant, event: Event, term: u32) -> Self {
        Moment { at, event, term, valid_from: None, expires_at: None }
    }
}

/// Returns the events of terms `first..=last`, ordered by time, as known at `now`: a cancellation received later does
/// not count.
pub fn timeline(contract: &Contract, first: u32, last: u32, now: Instant) -> Vec<Moment> {
    let Some(terms) = &contract.terms else {
        let start = contract.starts_at();
        let key = Moment { valid_from: Some(start), ..Moment::new(start, Event::KeyIssued, 1) };
        return vec![key, Moment::new(start, Event::TermStarts, 1)];
    };
    let last_term = contract.last_term(terms, now);
    let mut moments = Vec::new();
    for number in first.max(1)..=last.min(first.saturating_add(MAX_TERMS)).min(last_term.unwrap_or(u32::MAX)) {
        let term = contract.term(terms, number);
        moments.push(Moment {
            valid_from: Some(term.starts_at),
            expires_at: Some(term.ends_at),
            ..Moment::new(contract.key_due_at(terms, &term), Event::KeyIssued, number)
        });
        moments.push(Moment::new(term.starts_at, Event::TermStarts, number));
        moments.extend(
            contract.notice_deadline(terms, term.ends_on).map(|at| Moment::new(at, Event::NoticeDeadline, number)),
        );
        if last_term == Some(number) {
            let grace_days = contract.grace_days();
            moments.push(Moment::new(term.ends_at, Event::Ends, number));
            if grace_days > 0 {
                moments.push(Moment::new(term.ends_at, Event::GraceStarts, number));
            }
            moments.push(Moment::new(contract.grace_ends_at(term.ends_on, grace_days), Event::DemoStarts, number));
        }
    }
    moments.sort();
    moments
}

/// Returns the next event after `now` that changes something: a key, a term, an end. A notice deadline alone changes
/// nothing.
pub fn next_event(contract: &Contract, now: Instant) -> Option<Moment> {
    let current = contract.standing(None, now).term.map_or(1, |term| term.number);
    // If the notice is longer than the interval, keys are due several terms ahead.
    let ahead = contract.terms.map_or(1, |terms| terms.notice.most_days() / terms.interval.least_days().max(1) + 2);
    let last = current.saturating_add(u32::try_from(ahead).unwrap_or(MAX_TERMS));
    timeline(contract, current, last, now).into_iter().find(|m| m.at > now && m.event != Event::NoticeDeadline)
}

/// Returns when to look at the contract again: the next instant at which anything about it changes by itself. `next` is
/// its next event.
pub fn next_wake(contract: &Contract, next: Option<Moment>, now: Instant) -> Option<Instant> {
    let changes = contract.lines.iter().flat_map(|line| &line.pools).flat_map(|pool| &pool.changes);
    let days =
        changes.filter_map(|c| c.received_on).chain(contract.cancellation_received_on).chain(contract.approved_on);
    let begins = days.filter(|day| *day <= LAST_DATE).map(|day| contract.begin(day));
    let notice = contract.standing(None, now).notice_deadline;
    begins.chain(notice).chain(next.map(|m| m.at)).filter(|at| *at > now).min()
}
