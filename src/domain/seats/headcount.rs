//! Which members hold seats, kept so that a decision searches no list (docs/design/domain.md, Seats).

use std::collections::{BTreeMap, BTreeSet};

use super::keyed::People;
use super::ranking::RankedMembers;
use super::roster::{MemberMode, Standing};
use super::table::Table;
use super::terms::{PoolTerms, SeatTerms};
use crate::domain::Instant;
use crate::domain::license::pool::{LoginMode, PoolModel};

/// What follows from terms, members and table together. It is computed again when the terms or the members change, and
/// updated with each record otherwise.
#[derive(Debug)]
pub(super) struct Headcount {
    pub ranked: RankedMembers,
    /// In the order of the terms.
    pub pools: Vec<PoolHeadcount>,
}

#[derive(Debug, Default)]
pub(super) struct PoolHeadcount {
    /// The members of the pool's kind who hold one of its seats; for a PerUser pool for Passive, also those who hold an
    /// active seat.
    pub holders: Holders,
    /// Seats of a PerUser pool for Active that current Active members hold.
    pub by_active: u64,
    /// Slots of a PerUser pool for Active that current Passive members hold. These members can be moved.
    pub overflowed: BTreeSet<u32>,
    /// The seats held by each team for which the pool has reservations.
    pub teams: Vec<u64>,
}

impl Headcount {
    pub fn of(terms: &SeatTerms, people: &People, table: &Table, now: Instant) -> Headcount {
        let ranked = RankedMembers::at(people, now);
        let mut headcount = Headcount { ranked, pools: Vec::new() };
        for (place, pool) in terms.pools.iter().enumerate() {
            let holders = Holders::among(headcount.members(terms, place));
            let teams = vec![0; pool.reservations.len()];
            headcount.pools.push(PoolHeadcount { holders, teams, ..PoolHeadcount::default() });
        }
        for (place, pool) in terms.pools.iter().enumerate() {
            let mut last = None;
            for occupant in table.holders_within(&pool.name, 0..u32::MAX) {
                // Sessions that share a slot belong to one user.
                if last.replace(occupant.slot) != Some(occupant.slot)
                    && let Some(member) = occupant.user.and_then(|user| people.find(user))
                {
                    headcount.count(terms, place, occupant.slot, member, true);
                }
            }
        }
        headcount
    }

    /// The members who need a licence of a pool.
    pub fn members(&self, terms: &SeatTerms, place: usize) -> u32 {
        match (terms.pools[place].model, terms.pools[place].login_mode) {
            (PoolModel::PerEmployee, _) => self.ranked.members,
            (PoolModel::PerUser, Some(LoginMode::Active)) => self.ranked.active,
            (PoolModel::PerUser, _) => self.ranked.passive,
            _ => 0,
        }
    }

    /// The licences that members of this standing can have. Passive members may also use Active seats that nobody needs
    /// (T7). Guests may not use those that Passive members of the License's own namespace need.
    pub fn licences(&self, terms: &SeatTerms, place: usize, standing: Standing) -> u64 {
        let pool = &terms.pools[place];
        let overflow = pool.overflows_to.as_ref().and_then(|name| terms.place(name));
        let spare = overflow.map_or(0, |active| self.spare(terms, active, standing));
        let needed = match standing {
            Standing::Own => 0,
            Standing::Guest => {
                let passive = terms.pools.iter().filter(|other| other.overflows_to.as_ref() == Some(&pool.name));
                let own = u64::from(self.ranked.own_passive);
                passive.map(|passive| own.saturating_sub(passive.limit.unwrap_or(u64::MAX))).max().unwrap_or(0)
            }
        };
        pool.limit.unwrap_or(u64::MAX).saturating_add(spare).saturating_sub(needed)
    }

    /// Active seats that no current Active member needs (T9). For members of the License's own namespace, guests need none.
    pub fn spare(&self, terms: &SeatTerms, active: usize, standing: Standing) -> u64 {
        let needed = match standing {
            Standing::Own => self.ranked.own_active,
            Standing::Guest => self.ranked.active,
        };
        terms.pools[active].limit.unwrap_or(u64::MAX).saturating_sub(needed.into())
    }

    /// Whether the member of this rank, among the `members` of the pool, has a licence.
    pub fn licenses(&self, terms: &SeatTerms, place: usize, rank: u32, standing: Standing) -> bool {
        self.pools[place].holders.licenses(rank, self.licences(terms, place, standing))
    }

    /// The rank of a member among the `members` of a pool, and the standing; `None` if the member is not one of them.
    pub fn rank_in(&self, pool: &PoolTerms, member: usize) -> Option<(u32, Standing)> {
        let ranked = self.ranked.member(member)?;
        let rank = match (pool.model, pool.login_mode) {
            (PoolModel::PerEmployee, _) => Some(ranked.rank).filter(|_| ranked.needs_seat()),
            (PoolModel::PerUser, Some(LoginMode::Active)) => ranked.rank_of_kind(MemberMode::Active),
            (PoolModel::PerUser, Some(LoginMode::Passive)) => ranked.rank_of_kind(MemberMode::Passive),
            _ => None,
        };
        Some((rank?, ranked.standing))
    }

    /// Counts a member who takes a slot or leaves it. A user whom one guest lists as Active and another as Passive counts as
    /// Active on an active seat: what a guest writes moves nobody to a passive one.
    pub fn count(&mut self, terms: &SeatTerms, place: usize, slot: u32, member: usize, takes: bool) {
        let Some(member) = self.ranked.member(member) else { return };
        let step = |count: &mut u64| if takes { *count += 1 } else { *count -= 1 };
        let pool = &terms.pools[place];
        let own = &mut self.pools[place];
        if let Some(nth) = pool.reservations.iter().position(|(reserved, _)| member.team.as_deref() == Some(reserved)) {
            step(&mut own.teams[nth]);
        }
        let of_kind = |mode| member.rank_of_kind(mode);
        match (pool.model, pool.login_mode, of_kind(MemberMode::Active), of_kind(MemberMode::Passive)) {
            (PoolModel::PerEmployee, ..) if member.needs_seat() => own.holders.count(member.rank, takes),
            (PoolModel::PerUser, Some(LoginMode::Active), Some(rank), _) => {
                step(&mut own.by_active);
                own.holders.count(rank, takes);
            }
            (PoolModel::PerUser, Some(LoginMode::Active), None, Some(rank)) => {
                match takes {
                    true => own.overflowed.insert(slot),
                    false => own.overflowed.remove(&slot),
                };
                for (n, other) in terms.pools.iter().enumerate() {
                    if other.overflows_to.as_ref() == Some(&pool.name) {
                        self.pools[n].holders.count(rank, takes);
                    }
                }
            }
            (PoolModel::PerUser, Some(LoginMode::Passive), _, Some(rank)) => own.holders.count(rank, takes),
            _ => (),
        }
    }
}

/// How many seats each member holds, by rank, and how many holders come after a rank, both in O(log n).
#[derive(Debug, Default)]
pub(super) struct Holders {
    seats: BTreeMap<u32, u32>,
    /// A Fenwick tree over the members who hold at least one seat.
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

    /// Whether the member of this rank has one of the first `seats` licences, given that every holder keeps theirs: the
    /// members who hold no seat share the rest in their order.
    fn licenses(&self, rank: u32, seats: u64) -> bool {
        self.seats.contains_key(&rank) || u64::from(rank) + self.after(rank) < seats
    }
}
