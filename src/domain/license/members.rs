//! Whether the seats of a License suffice for the people on its Rosters (T1, T2, T6, T7; docs/design/domain.md, Seats).

use super::mode::Mode;
use super::pool::{LoginMode, PoolModel};
use crate::domain::seats::terms::{PoolTerms, SeatTerms};

/// The number of members who need a seat now, by login mode. Members with login mode None need no seat (T3, T8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    pub active: u64,
    pub passive: u64,
}

/// The number of members that a pool is for, and how many of them it licenses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    pub pool: String,
    pub members: u64,
    /// The pool's own seats plus the active seats that it may overflow to. `None` if unlimited.
    pub seats: Option<u64>,
}

impl Bound {
    /// Whether some members are not licensed.
    pub fn is_exceeded(&self) -> bool {
        self.seats.is_some_and(|seats| self.members > seats)
    }
}

/// Returns a bound for each pool whose seats depend on the Rosters. In demo mode there are none: demo seats go to the
/// first who ask.
pub fn bounds(terms: &SeatTerms, heads: Heads) -> Vec<Bound> {
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
