//! Whether the seats of a License suffice for the people on its Rosters (T1, T2, T6, T7; docs/design/domain.md, Seats).

use super::mode::Mode;
use super::pool::{LoginMode, PoolModel};
use crate::domain::seats::terms::{PoolTerms, SeatTerms};

/// The number of members who need a seat now, by login mode. Members with login mode None need no seat (T3, T8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    pub active: u64,
    pub passive: u64,
    /// A user whom one guest lists as Active and another as Passive is one member.
    pub either: u64,
}

impl Heads {
    pub fn add(&mut self, more: Heads) {
        self.active += more.active;
        self.passive += more.passive;
        self.either += more.either;
    }
}

/// The number of members that a pool is for, and how many of them it licenses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    pub pool: String,
    pub members: u64,
    /// How many of them are on Rosters of other namespaces.
    pub elsewhere: u64,
    /// The pool's own seats plus the active seats that it may overflow to. `None` if unlimited.
    pub seats: Option<u64>,
}

impl Bound {
    /// Whether some members are not licensed.
    pub fn is_exceeded(&self) -> bool {
        self.seats.is_some_and(|seats| self.members > seats)
    }
}

/// Returns a bound for each pool whose seats depend on the Rosters. `elsewhere` are the members on Rosters of other
/// namespaces. In demo mode there are no bounds: demo seats go to the first who ask.
pub fn bounds(terms: &SeatTerms, heads: Heads, elsewhere: Heads) -> Vec<Bound> {
    if terms.mode == Mode::Demo {
        return Vec::new();
    }
    let bound = |pool: &PoolTerms| {
        let of_pool: fn(Heads) -> u64 = match (pool.model, pool.login_mode) {
            (PoolModel::PerEmployee, _) => |heads| heads.either,
            (PoolModel::PerUser, Some(LoginMode::Active)) => |heads| heads.active,
            (PoolModel::PerUser, _) => |heads| heads.passive,
            _ => return None,
        };
        let spare = match (pool.model, pool.login_mode) {
            (PoolModel::PerUser, Some(LoginMode::Passive)) => {
                let active = pool.overflows_to.as_deref().and_then(|name| terms.pool(name));
                let spare = |active: &PoolTerms| active.limit.unwrap_or(u64::MAX).saturating_sub(heads.active);
                active.map_or(0, spare)
            }
            _ => 0,
        };
        let seats = pool.limit.map(|limit| limit.saturating_add(spare));
        let pool = pool.name.to_string();
        Some(Bound { pool, members: of_pool(heads), elsewhere: of_pool(elsewhere), seats })
    };
    terms.pools.iter().filter_map(bound).collect()
}
