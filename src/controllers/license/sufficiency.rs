//! Whether a License has enough seats for the people on its Rosters.

use crate::api::License;
use crate::api::conditions::{ConditionType, Conditions};
use crate::domain::Instant;
use crate::domain::license::members::{Bound, Heads, bounds};
use crate::domain::license::mode::Mode;
use crate::domain::license::pool::PoolModel;
use crate::domain::reason::Reason;
use crate::observed::{Judged, Observed};

/// What a License shows of its Rosters. Only Licenses with pools that count members show it.
pub struct OnRosters {
    has_roster: bool,
    in_demo: bool,
    exceeded: Vec<Bound>,
    /// When the next change of any membership comes.
    pub next_change: Option<Instant>,
}

impl OnRosters {
    pub fn of(license: &License, judged: &Judged, observed: &Observed, now: Instant) -> Option<Self> {
        let by_roster = |model| matches!(model, PoolModel::PerEmployee | PoolModel::PerUser);
        if !judged.entitlement.pools.iter().any(|pool| by_roster(pool.model)) {
            return None;
        }
        let people = &judged.people;
        let counts = observed.enrolment.counts(license, people, now);
        let heads = Heads { active: counts.active.into(), passive: counts.passive.into() };
        Some(OnRosters {
            has_roster: people.has_roster(),
            in_demo: judged.entitlement.mode == Mode::Demo,
            exceeded: bounds(&judged.terms, heads).into_iter().filter(Bound::is_exceeded).collect(),
            next_change: people.next_change(now),
        })
    }

    /// Sets the condition `RosterExceedsSeats`.
    pub fn say(&self, list: &mut Conditions) {
        let mut fits = |reason, message| list.set(ConditionType::RosterExceedsSeats, false, reason, message);
        match self.exceeded.as_slice() {
            _ if !self.has_roster => {
                fits(Reason::RosterMissing, "no Roster that counts names this License, so it has no members")
            }
            _ if self.in_demo => {
                fits(Reason::InDemo, "in demo mode the demo seats are granted first come, first served")
            }
            [] => fits(Reason::Fits, "there is a seat for every member on the Rosters"),
            exceeded => {
                let each = exceeded.iter().map(|bound| {
                    let Bound { pool, members, seats } = bound;
                    format!("pool {pool}: {members} members, {} seats", seats.unwrap_or_default())
                });
                let message = format!(
                    "{}; those who joined last are not licensed: order more seats, or set an exitDate for leavers",
                    each.collect::<Vec<_>>().join("; ")
                );
                list.set(ConditionType::RosterExceedsSeats, true, Reason::MoreMembersThanSeats, message);
            }
        }
    }
}
