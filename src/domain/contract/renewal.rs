//! How a contract renews, is cancelled and ends (docs/design/domain.md, Renewal; docs/requirements.md, I5, I6, S9, P1).
//!
//! If a cancellation was removed while no operator ran, the contract goes on, even after its end and grace. Nothing
//! records that it had ended, so the vendor's word counts.

use chrono::{Duration, NaiveDate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::term::start_of_day;
use super::{Contract, Terms};
use crate::domain::Instant;

/// A civil day further from today than this, in days, needs no time zone: it has begun everywhere, or nowhere. Zones are less
/// than a day from UTC, and none has skipped more than a day.
const FAR: i64 = 3;
/// The latest date of any term: later dates are replaced by it. Nothing is ever due then.
const END_OF_CALENDAR: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 31).expect("a date");

/// The state of a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum State {
    /// The order waits for approval.
    Ordered,
    /// The order is approved; the first term has not begun.
    Pending,
    Active,
    /// The contract is cancelled and runs until its end.
    Cancelled,
    Ended,
}

/// The situation of a contract at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub state: State,
    /// The current term: the first one before the contract starts, the last one after it has ended. `None` if the
    /// contract is perpetual.
    pub term: Option<Term>,
    /// The first instant at which a cancellation is too late for that term. `None` if the contract ends with that term
    /// by itself, or never ends.
    pub notice_deadline: Option<Instant>,
    /// It is too late to cancel for the end of that term: another term follows.
    pub renews: bool,
    /// When the contract ends. `None` while that is open.
    pub ends_at: Option<Instant>,
    /// The contract has ended for good: removing the cancellation no longer revives it.
    pub closed: bool,
}

/// One term, `[starts_at, ends_at)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    pub number: u32,
    pub starts_on: NaiveDate,
    pub ends_on: NaiveDate,
    pub starts_at: Instant,
    pub ends_at: Instant,
}

impl Contract {
    pub fn starts_at(&self) -> Instant {
        self.begin(self.starts_on)
    }

    /// The instant at which a civil day of this contract begins.
    pub fn begin(&self, day: NaiveDate) -> Instant {
        start_of_day(day, &self.zone)
    }

    /// Whether civil day `day` has begun. Always true if no day is given.
    pub fn has_begun(&self, day: Option<NaiveDate>, now: Instant) -> bool {
        // A contract has thousands of days, nearly all of them far from now, and a day beside a change of clocks takes long.
        day.is_none_or(|day| {
            let days = (day - now.date_naive()).num_days();
            if days.abs() > FAR { days < 0 } else { self.begin(day) <= now }
        })
    }

    /// Whether the order may be acted on (I11).
    pub fn is_approved(&self, now: Instant) -> bool {
        !self.approval_required || self.approved_on.is_some_and(|day| self.has_begun(Some(day), now))
    }

    /// Returns term `number`, counted from 1 at the contract's start. The last term of a fixed contract may be shorter
    /// than the interval.
    pub fn term(&self, terms: &Terms, number: u32) -> Term {
        let starts_on = self.day_of_term(terms, number.max(1)).min(END_OF_CALENDAR);
        let ends_on = self.end_of_term(terms, number);
        Term { number, starts_on, ends_on, starts_at: self.begin(starts_on), ends_at: self.begin(ends_on) }
    }

    /// The day on which term `number` ends.
    fn end_of_term(&self, terms: &Terms, number: u32) -> NaiveDate {
        let ends_on = self.day_of_term(terms, number.saturating_add(1)).min(END_OF_CALENDAR);
        self.fixed_end(terms).map_or(ends_on, |end| end.min(ends_on))
    }

    fn fixed_end(&self, terms: &Terms) -> Option<NaiveDate> {
        terms.length.map(|length| length.after(self.starts_on, 1).unwrap_or(END_OF_CALENDAR))
    }

    /// The number of the term that runs at `now`, or 1 before the contract's start.
    fn term_number_at(&self, terms: &Terms, now: Instant) -> u32 {
        first_where(|k| self.begin(self.day_of_term(terms, k + 1)) > now)
    }

    /// The first day of term `number`, regardless of the contract's length.
    pub(super) fn day_of_term(&self, terms: &Terms, number: u32) -> NaiveDate {
        terms.interval.after(self.starts_on, number - 1).unwrap_or(END_OF_CALENDAR)
    }

    /// The first civil day on which a cancellation is too late for a term that ends on `ends_on`.
    pub fn notice_day(&self, terms: &Terms, ends_on: NaiveDate) -> NaiveDate {
        terms.notice.before(ends_on).unwrap_or(NaiveDate::MIN)
    }

    /// The first instant at which a cancellation is too late for a term that ends on `ends_on`. `None` for the last
    /// term of a fixed contract.
    pub fn notice_deadline(&self, terms: &Terms, ends_on: NaiveDate) -> Option<Instant> {
        let ends_by_itself = self.fixed_end(terms).is_some_and(|end| end <= ends_on);
        (!ends_by_itself).then(|| self.begin(self.notice_day(terms, ends_on)))
    }

    /// The number of the last term, if the contract ends: by its length, or by a cancellation received by `now`.
    /// `receivedOn` decides, whenever it was entered.
    pub fn last_term(&self, terms: &Terms, now: Instant) -> Option<u32> {
        let by_length = self.fixed_end(terms).map(|end| first_where(|k| self.day_of_term(terms, k + 1) >= end));
        let received = self.cancellation_received_on.filter(|day| self.has_begun(Some(*day), now));
        let by_notice = received.map(|r| first_where(|k| r < self.notice_day(terms, self.day_of_term(terms, k + 1))));
        [by_length, by_notice].into_iter().flatten().min()
    }

    /// When the key of `term` is issued: as soon as renewal is certain, but never before the contract's start.
    pub fn key_due_at(&self, terms: &Terms, term: &Term) -> Instant {
        match term.number {
            0 | 1 => self.starts_at(),
            number => {
                let before = self.end_of_term(terms, number - 1);
                self.notice_deadline(terms, before).unwrap_or_else(|| self.begin(before)).max(self.starts_at())
            }
        }
    }

    /// The days of grace after the contract's end: the most that any of its Plans grants.
    pub fn grace_days(&self) -> u32 {
        self.lines.iter().map(|line| line.grace_days).max().unwrap_or(0)
    }

    /// When the grace of `days` days after an end on civil day `ends_on` is over.
    pub fn grace_ends_at(&self, ends_on: NaiveDate, days: u32) -> Instant {
        self.begin(ends_on.checked_add_signed(Duration::days(days.into())).unwrap_or(END_OF_CALENDAR))
    }

    /// The situation of the contract at `now`. `closed` is the end of a contract that was found closed and stored
    /// before: what has ended for good stays ended.
    pub fn standing(&self, closed: Option<Instant>, now: Instant) -> Standing {
        let running = if now < self.starts_at() { State::Pending } else { State::Active };
        let Some(terms) = &self.terms else {
            let state = if self.is_approved(now) { running } else { State::Ordered };
            return Standing { state, term: None, notice_deadline: None, renews: false, ends_at: None, closed: false };
        };
        let current = self.term_number_at(terms, now);
        let last = match closed {
            Some(ended_at) => Some(self.term_number_at(terms, ended_at - Duration::seconds(1))),
            None => self.last_term(terms, now),
        };
        let term = self.term(terms, last.map_or(current, |last| last.min(current)));
        let ends_at = last
            .map(|last| self.term(terms, last))
            .map(|term| (term.ends_at, self.grace_ends_at(term.ends_on, self.grace_days())));
        let by_notice = self.cancellation_received_on.is_some_and(|day| self.has_begun(Some(day), now));
        let state = match ends_at {
            _ if !self.is_approved(now) => State::Ordered,
            Some((end, _)) if end <= now => State::Ended,
            Some(_) if by_notice => State::Cancelled,
            _ => running,
        };
        let notice_deadline = self.notice_deadline(terms, term.ends_on);
        Standing {
            state,
            notice_deadline,
            renews: last.is_none_or(|last| term.number < last) && notice_deadline.is_some_and(|at| at <= now),
            term: Some(term),
            ends_at: ends_at.map(|(end, _)| end),
            closed: closed.is_some() || (state == State::Ended && ends_at.is_some_and(|(_, grace)| grace <= now)),
        }
    }
}

/// The smallest k ≥ 1 for which `holds`, which must stay true once it is true. Saturates far beyond any calendar.
pub(super) fn first_where(holds: impl Fn(u32) -> bool) -> u32 {
    const LIMIT: u32 = 1 << 23;
    let mut high = 1;
    while high < LIMIT && !holds(high) {
        high *= 2;
    }
    let mut low = high / 2;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match holds(middle) {
            true => high = middle,
            false => low = middle,
        }
    }
    high
}
