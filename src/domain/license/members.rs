//! Whether the seats of a License suffice for the people on its Rosters (T1, T2, T6, T7; `design.md` §4 "Seats").

use super::mode::Mode;
use super::pool::{LoginMode, PoolModel};
use crate::domain::seats::pool::{PoolTerms, Terms};

/// The members who need a seat now, by login mode. Mode None needs none (T3, T8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    pub active: u64,
    pub passive: u64,
}

/// The members that a pool is for, and how many it licenses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    pub pool: String,
    pub members: u64,
    /// Its own seats, and the active ones that overflow may use. None: any number.
    pub seats: Option<u64>,
}

impl Bound {
    /// Some members are not licensed.
    pub fn is_exceeded(&self) -> bool {
        self.seats.is_some_and(|seats| self.members > seats)
    }
}

/// The pools that a Roster decides about. In demo mode there are none: the demo seats are for whoever comes first.
pub fn bounds(terms: &Terms, heads: Heads) -> Vec<Bound> {
    if terms.mode == Mode::Demo {
        return Vec::new();
    }
    let bound = |pool: &PoolTerms| {
        let (members, spare) = match (pool.model, pool.login_mode) {
            (PoolModel::PerEmployee, _) => (heads.active + heads.passive, 0),
            (PoolModel::PerUser, Some(LoginMode::Active)) => (heads.active, 0),
            (PoolModel::PerUser, _) => {
                let active = pool.overflows_to.as_deref().and_then(|name| terms.pool(name));
                let spare = |active: &PoolTerms| active.limit.unwrap_or(u64::MAX).saturating_sub(heads.active);
                (heads.passive, active.map_or(0, spare))
            }
            _ => return None,
        };
        let seats = pool.limit.map(|limit| limit.saturating_add(spare));
        Some(Bound { pool: pool.name.to_string(), members, seats })
    };
    terms.pools.iter().filter_map(bound).collect()
}
