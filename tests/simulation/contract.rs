//! Contracts as the simulator understands them: brute force after docs/design/domain.md, with none of the product's
//! code.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, Days, Months, NaiveDate};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use seatkeeper::domain::Instant;

/// The time zone of that name.
pub fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).expect("a zone")
}

/// A period of months, and then days.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    pub months: u32,
    pub days: u32,
}

impl Span {
    pub fn after(self, day: NaiveDate, times: u32) -> NaiveDate {
        day + Months::new(self.months * times) + Days::new((self.days * times).into())
    }

    pub fn before(self, day: NaiveDate) -> NaiveDate {
        day - Months::new(self.months) - Days::new(self.days.into())
    }
}

#[derive(Clone, Debug)]
pub struct Terms {
    pub interval: Span,
    pub notice: Span,
    pub length: Option<Span>,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub namespace: String,
    pub name: String,
    pub product: String,
    /// `None` if the licence is perpetual.
    pub terms: Option<Terms>,
    pub grace_days: u32,
    pub demo_seats: u32,
    /// `None` if running work may finish.
    pub on_demo_minutes: Option<u32>,
    pub issue_before: Option<Span>,
    pub manual: bool,
    pub pools: Vec<String>,
    /// Whether seats are for the members of Rosters only.
    pub per_user: bool,
    pub there: bool,
}

#[derive(Clone, Debug)]
pub struct Change {
    pub on: NaiveDate,
    pub seats: u32,
    pub received_on: Option<NaiveDate>,
}

/// One Plan of a contract: the seats of each pool, and their changes.
#[derive(Clone, Debug)]
pub struct Line {
    pub plan: usize,
    pub seats: Vec<u32>,
    pub changes: Vec<Vec<Change>>,
}

#[derive(Clone, Debug)]
pub struct Contract {
    pub namespace: String,
    pub name: String,
    pub starts_on: NaiveDate,
    pub zone: TimeZone,
    pub lines: Vec<Line>,
    pub cancelled_on: Option<NaiveDate>,
    pub approved_on: Option<NaiveDate>,
    /// Namespace and name of the License to which the keys go; `secret` is their Secret.
    pub license: Option<(String, String)>,
    pub secret: String,
    /// Whether the keys are also kept in a Secret beside the Subscription.
    pub keep: bool,
    pub there: bool,
}

/// A key that the contract owes: for a term, from one instant until another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owed {
    pub plan: String,
    pub product: String,
    pub term: u32,
    pub from: Instant,
    pub until: Option<Instant>,
    pub grace: Option<Instant>,
    pub pools: BTreeMap<String, u32>,
    pub due: Instant,
}

impl Contract {
    /// Returns the first instant whose local date is `day` or later.
    pub fn begin(&self, day: NaiveDate) -> Instant {
        let part = |part: u32| i8::try_from(part).expect("of a date");
        let year = i16::try_from(day.year()).expect("of our time");
        let mut local = jiff::civil::date(year, part(day.month()), part(day.day())).at(0, 0, 0, 0);
        loop {
            let offset = match self.zone.to_ambiguous_timestamp(local).offset() {
                AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => offset,
                AmbiguousOffset::Gap { .. } => {
                    local += jiff::SignedDuration::from_mins(1);
                    continue;
                }
            };
            let at = offset.to_timestamp(local).expect("of our time").as_second();
            return DateTime::from_timestamp(at, 0).expect("of our time");
        }
    }

    fn day(&self, terms: &Terms, term: u32) -> NaiveDate {
        terms.interval.after(self.starts_on, term - 1)
    }

    /// Returns the last term, as known at `now`.
    pub fn last_term(&self, terms: &Terms, now: Instant) -> Option<u32> {
        let by_length = terms.length.map(|length| {
            let end = length.after(self.starts_on, 1);
            (1..).find(|k| self.day(terms, k + 1) >= end).unwrap_or(1)
        });
        let received = self.cancelled_on.filter(|day| self.begin(*day) <= now);
        let by_notice = received
            .map(|received| (1..).find(|k| received < terms.notice.before(self.day(terms, k + 1))).unwrap_or(1));
        by_length.into_iter().chain(by_notice).min()
    }

    /// Returns every key that is due, except for terms whose grace is long over.
    pub fn owed(&self, plans: &[Plan], now: Instant) -> Vec<Owed> {
        let mut owed = Vec::new();
        let manual = self.lines.iter().any(|line| plans[line.plan].manual);
        if manual && self.approved_on.is_none_or(|day| self.begin(day) > now) {
            return owed;
        }
        for line in &self.lines {
            let plan = &plans[line.plan];
            let Some(terms) = &plan.terms else {
                if self.begin(self.starts_on) <= now {
                    owed.extend(self.segments(plan, line, 1, self.starts_on, None, self.begin(self.starts_on), now));
                }
                continue;
            };
            let last = self.last_term(terms, now).unwrap_or(u32::MAX);
            let fixed = terms.length.map(|length| length.after(self.starts_on, 1));
            for term in 1..=last {
                let next = self.day(terms, term + 1);
                let ends_on = fixed.map_or(next, |end| end.min(next));
                // No time zone is two days from UTC, and computing all earlier years would cost more than the year that
                // counts.
                if ends_on + Days::new(u64::from(plan.grace_days) + 2) < now.date_naive() {
                    continue;
                }
                let due = self.due(terms, term);
                if due > now {
                    break;
                }
                let starts_on = self.day(terms, term);
                owed.extend(self.segments(plan, line, term, starts_on, Some(ends_on), due, now));
            }
        }
        owed
    }

    /// Returns when the key of a term is due.
    pub fn due(&self, terms: &Terms, term: u32) -> Instant {
        let start = self.begin(self.starts_on);
        if term == 1 {
            return start;
        }
        self.begin(terms.notice.before(self.day(terms, term))).max(start)
    }

    #[expect(clippy::too_many_arguments, reason = "a term of a Plan has as many parts")]
    fn segments(
        &self,
        plan: &Plan,
        line: &Line,
        term: u32,
        starts_on: NaiveDate,
        ends_on: Option<NaiveDate>,
        due: Instant,
        now: Instant,
    ) -> Vec<Owed> {
        let steps: Vec<Vec<(NaiveDate, u32)>> = line
            .seats
            .iter()
            .zip(&line.changes)
            .map(|(seats, changes)| self.steps(plan, *seats, changes, now))
            .collect();
        let mut days = BTreeSet::from([starts_on]);
        days.extend(steps.iter().flatten().map(|(day, _)| *day).filter(|day| *day > starts_on));
        days.retain(|day| ends_on.is_none_or(|end| *day < end));
        let seats_on =
            |steps: &[(NaiveDate, u32)], day| steps.iter().rfind(|(from, _)| *from <= day).map_or(0, |s| s.1);
        let key = |day: NaiveDate| Owed {
            plan: plan.name.clone(),
            product: plan.product.clone(),
            term,
            from: self.begin(day),
            until: ends_on.map(|end| self.begin(end)),
            grace: ends_on.map(|end| self.begin(end + Days::new(plan.grace_days.into()))),
            pools: plan.pools.iter().zip(&steps).map(|(pool, steps)| (pool.clone(), seats_on(steps, day))).collect(),
            due,
        };
        days.into_iter().map(key).collect()
    }

    /// Returns the seats of a pool over time: more from any day, fewer only from the start of a term and if received in
    /// time.
    fn steps(&self, plan: &Plan, seats: u32, changes: &[Change], now: Instant) -> Vec<(NaiveDate, u32)> {
        let mut steps = vec![(self.starts_on, seats)];
        let mut changes: Vec<&Change> = changes.iter().collect();
        changes.sort_by_key(|change| change.on);
        for change in changes {
            if change.received_on.is_some_and(|day| self.begin(day) > now) {
                continue;
            }
            let before = steps.last().map_or(0, |step| step.1);
            if change.seats < before {
                let Some(terms) = &plan.terms else { continue };
                let at_term = (2..).map(|k| self.day(terms, k)).find(|day| *day >= change.on) == Some(change.on);
                let in_time = change.received_on.is_some_and(|day| day < terms.notice.before(change.on));
                if !at_term || !in_time {
                    continue;
                }
            }
            let from = change.on.max(self.starts_on);
            steps.retain(|step| step.0 < from);
            steps.push((from, change.seats));
        }
        steps
    }

    /// Returns the instants until `end` at which something may change by itself.
    pub fn instants(&self, plans: &[Plan], end: Instant) -> BTreeSet<Instant> {
        let mut days = BTreeSet::from([self.starts_on]);
        days.extend(self.cancelled_on.into_iter().chain(self.approved_on));
        for line in &self.lines {
            let changes = line.changes.iter().flatten();
            days.extend(changes.flat_map(|change| [Some(change.on), change.received_on]).flatten());
            let plan = &plans[line.plan];
            let Some(terms) = &plan.terms else { continue };
            let fixed = terms.length.map(|length| length.after(self.starts_on, 1));
            for term in 2.. {
                let day = fixed.map_or(self.day(terms, term), |end| end.min(self.day(terms, term)));
                days.extend([day, terms.notice.before(day)]);
                let grace = day + Days::new(plan.grace_days.into());
                if self.begin(terms.notice.before(day)) > end || fixed == Some(day) {
                    days.insert(grace);
                    break;
                }
                // Grace begins only if no term follows; the instant at which it could end is checked anyway.
                if self.last_term(terms, end) == Some(term - 1) {
                    days.insert(grace);
                    break;
                }
            }
        }
        days.into_iter().map(|day| self.begin(day)).filter(|at| *at <= end).collect()
    }

    /// Returns when the contract ends, grace included; `None` if no end is known at `now`.
    pub fn over_at(&self, plans: &[Plan], now: Instant) -> Option<Instant> {
        let last = |line: &Line| {
            let plan = &plans[line.plan];
            let terms = plan.terms.as_ref()?;
            let last = self.last_term(terms, now)?;
            let fixed = terms.length.map(|length| length.after(self.starts_on, 1));
            let end = fixed.map_or(self.day(terms, last + 1), |end| end.min(self.day(terms, last + 1)));
            Some(self.begin(end + Days::new(plan.grace_days.into())))
        };
        self.lines.iter().filter_map(last).max()
    }
}
