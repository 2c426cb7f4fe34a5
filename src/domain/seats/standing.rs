//! Which members hold seats, kept so that a decision looks nobody up in a list (`design.md` §4 "Seats").

use std::collections::{BTreeMap, BTreeSet};

use super::pool::Terms;
use super::roster::{Enrolled, MemberMode, People, Roll};
use super::table::Table;
use crate::domain::Instant;
use crate::domain::license::pool::{LoginMode, PoolModel};

/// What follows from terms, people and table together. It is worked out anew where one of the first two changes, and
/// carried along with each record otherwise.
#[derive(Debug)]
pub(super) struct Standing {
    pub roll: Roll,
    /// In the order of the terms.
    pub pools: Vec<PoolStanding>,
}

#[derive(Debug, Default)]
pub(super) struct PoolStanding {
    /// The members of the pool's kind who hold one of its seats, or, of a PerUser pool for Passive, an active one.
    pub holders: Holders,
    /// Seats of a PerUser pool for Active that current Active members hold.
    pub by_active: u64,
    /// Slots of such a pool that current Passive members hold: they can move.
    pub overflowed: BTreeSet<u32>,
    /// Seats held by each team that the pool has reservations for.
    pub teams: Vec<u64>,
}

impl Standing {
    pub fn of(terms: &Terms, people: &People, table: &Table, now: Instant) -> Standing {
        let roll = Roll::call(people, now);
        let pool = |pool: &super::pool::PoolTerms| {
            let members = match (pool.model, pool.login_mode) {
                (PoolModel::PerEmployee, _) => roll.members,
                (PoolModel::PerUser, Some(LoginMode::Active)) => roll.active,
                (PoolModel::PerUser, _) => roll.passive,
                _ => 0,
            };
            PoolStanding {
                holders: Holders::among(members),
                teams: vec![0; pool.reservations.len()],
                ..PoolStanding::default()
            }
        };
        let pools = terms.pools.iter().map(pool).collect();
        let mut standing = Standing { roll, pools };
        for (place, pool) in terms.pools.iter().enumerate() {
            let mut last = None;
            for occupant in table.holders_within(&pool.name, 0..u32::MAX) {
                // Sessions that share a slot are of one user.
                if last.replace(occupant.slot) != Some(occupant.slot)
                    && let Some(person) = occupant.user.and_then(|user| people.find(user))
                {
                    standing.count(terms, place, occupant.slot, person, true);
                }
            }
        }
        standing
    }

    /// Somebody took a slot or left it.
    pub fn count(&mut self, terms: &Terms, place: usize, slot: u32, person: usize, takes: bool) {
        let Some(Enrolled { mode, team, rank, rank_of_kind }) = self.roll.entry(person) else { return };
        let step = |count: &mut u64| if takes { *count += 1 } else { *count -= 1 };
        let pool = &terms.pools[place];
        let own = &mut self.pools[place];
        if let Some(nth) = pool.reservations.iter().position(|(reserved, _)| team.as_deref() == Some(reserved)) {
            step(&mut own.teams[nth]);
        }
        match (pool.model, pool.login_mode, mode) {
            (PoolModel::PerEmployee, _, MemberMode::Active | MemberMode::Passive) => own.holders.count(*rank, takes),
            (PoolModel::PerUser, Some(LoginMode::Active), MemberMode::Active) => {
                step(&mut own.by_active);
                own.holders.count(*rank_of_kind, takes);
            }
            (PoolModel::PerUser, Some(LoginMode::Active), MemberMode::Passive) => {
                match takes {
                    true => own.overflowed.insert(slot),
                    false => own.overflowed.remove(&slot),
                };
                let rank = *rank_of_kind;
                for (n, other) in terms.pools.iter().enumerate() {
                    if other.overflows_to.as_ref() == Some(&pool.name) {
                        self.pools[n].holders.count(rank, takes);
                    }
                }
            }
            (PoolModel::PerUser, Some(LoginMode::Passive), MemberMode::Passive) => {
                own.holders.count(*rank_of_kind, takes);
            }
            _ => (),
        }
    }
}

/// How many seats each member holds, by rank, and how many holders come after a rank: both in O(log n).
#[derive(Debug, Default)]
pub(super) struct Holders {
    seats: BTreeMap<u32, u32>,
    /// A Fenwick tree over who holds at least one.
    tree: Vec<u32>,
}

impl Holders {
    fn among(members: u32) -> Self {
        Holders { seats: BTreeMap::new(), tree: vec![0; members as usize + 1] }
    }

    fn count(&mut self, rank: u32, takes: bool) {
        let seats = self.seats.entry(rank).or_insert(0);
        match takes {
            true => *seats += 1,
            false => *seats -= 1,
        }
        let changed = match (*seats, takes) {
            (1, true) => true,
            (0, false) => self.seats.remove(&rank).is_some(),
            _ => false,
        };
        let mut at = rank as usize + 1;
        while changed && at < self.tree.len() {
            match takes {
                true => self.tree[at] += 1,
                false => self.tree[at] -= 1,
            }
            at += at & at.wrapping_neg();
        }
    }

    fn after(&self, rank: u32) -> u64 {
        let mut at = rank as usize + 1;
        let mut up_to = 0;
        while at > 0 {
            up_to += u64::from(self.tree[at]);
            at &= at - 1;
        }
        self.seats.len() as u64 - up_to
    }

    /// Whether the member of this rank is among the first `seats`, when everybody who holds a seat keeps it: who holds
    /// none shares what is left with those before, in their order.
    pub fn licenses(&self, rank: u32, seats: u64) -> bool {
        self.seats.contains_key(&rank) || u64::from(rank) + self.after(rank) < seats
    }
}
