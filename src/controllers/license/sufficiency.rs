//! Whether a License has enough seats for the people on its Rosters.

use crate::api::conditions::{ConditionType, Conditions};
use crate::domain::Instant;
use crate::domain::license::members::{Bound, bounds};
use crate::domain::license::mode::Mode;
use crate::domain::license::pool::PoolModel;
use crate::domain::reason::Reason;
use crate::domain::seats::ranking::heads;
use crate::observed::Judged;

/// What a License shows of its Rosters. Only Licenses with pools that count members show it.
pub struct OnRosters {
    has_roster: bool,
    in_demo: bool,
    exceeded: Vec<Bound>,
    /// When the next change of any membership comes.
    pub next_change: Option<Instant>,
}

impl OnRosters {
    pub fn of(judged: &Judged, now: Instant) -> Option<Self> {
        let by_roster = |model| matches!(model, PoolModel::PerEmployee | PoolModel::PerUser);
        if !judged.entitlement.pools.iter().any(|pool| by_roster(pool.model)) {
            return None;
        }
        let people = &judged.people;
        let (heads, elsewhere) = heads(people, now);
        Some(OnRosters {
            has_roster: people.has_roster(),
            in_demo: judged.entitlement.mode == Mode::Demo,
            exceeded: bounds(&judged.terms, heads, elsewhere).into_iter().filter(Bound::is_exceeded).collect(),
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
                    let Bound { pool, members, elsewhere, seats } = bound;
                    let of_them = if *elsewhere > 0 {
                        format!("{elsewhere} of them in other namespaces, ")
                    } else {
                        String::new()
                    };
                    format!("pool {pool}: {members} members, {of_them}{} seats", seats.unwrap_or_default())
                });
                let each = each.collect::<Vec<_>>().join("; ");
                let message = match exceeded.iter().any(|bound| bound.elsewhere > 0) {
                    false => format!(
                        "{each}; those who joined last are not licensed: order more seats, or set an exitDate for leavers"
                    ),
                    true => format!(
                        "{each}; spec.allowedNamespaces.rosters says whether members of this namespace come first: order more \
                         seats, set an exitDate for leavers, or admit fewer namespaces"
                    ),
                };
                list.set(ConditionType::RosterExceedsSeats, true, Reason::MoreMembersThanSeats, message);
            }
        }
    }
}
