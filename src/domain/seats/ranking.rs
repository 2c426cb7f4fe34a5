//! The order in which members are licensed (docs/design/domain.md, Seats; T1, T5, T6, T9).
//!
//! The owner's people come first, by entry date and then by user. Those of guests follow in turns: the first of each
//! namespace, then the second of each, and so on, by the names of the namespaces. A guest decides on the order of its own
//! people alone. With one order for all, a guest would put its people first by an early entry date.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;

use super::roster::{Member, MemberMode, Members, Standing};
use crate::domain::Instant;
use crate::domain::license::members::Heads;

/// The members at one instant, in the order in which they are licensed.
#[derive(Debug, Default)]
pub(super) struct RankedMembers {
    /// The instant from which this holds; `None` if it always has.
    pub from: Option<Instant>,
    /// The first instant at which this no longer holds; `None` if it always will.
    pub until: Option<Instant>,
    /// By place among all who ever were or will be members.
    each: Vec<Option<RankedMember>>,
    /// How many members need a seat: all of them, and those of each kind.
    pub members: u32,
    pub active: u32,
    pub passive: u32,
    /// How many of them are the owner's.
    pub own_active: u32,
    pub own_passive: u32,
}

/// A member who needs a seat, or (mode None) one who does not.
#[derive(Clone, Debug)]
pub(super) struct RankedMember {
    pub standing: Standing,
    pub team: Option<Arc<str>>,
    of_owner: bool,
    mode: MemberMode,
    /// What each guest says, if several list the user.
    guests: Box<[(Arc<str>, MemberMode)]>,
    /// How many members come before this one, of all who need a seat.
    pub rank: u32,
    /// The same of those who need an active seat, and of those who need a passive one; `None` if this one needs none.
    active: Option<u32>,
    passive: Option<u32>,
}

/// The people who are to be put in order: for the owner and each guest, by date and place.
#[derive(Default)]
struct Queues<'m> {
    own: Vec<(NaiveDate, usize, MemberMode)>,
    guests: BTreeMap<&'m Arc<str>, Vec<(NaiveDate, usize, MemberMode)>>,
}

impl RankedMembers {
    /// Computes the order of the members at `now`. Costs O(n log n); holds until the next period begins or ends.
    pub fn at(members: &Members, now: Instant) -> RankedMembers {
        let mut queues = Queues::default();
        let each = members.each().iter().enumerate().map(|(place, member)| queues.take(place, member, now)).collect();
        let (from, until) = members.unchanged_around(now);
        let mut ranked = RankedMembers { from, until, each, ..RankedMembers::default() };
        queues.own.sort_unstable();
        queues.guests.values_mut().for_each(|queue| queue.sort_unstable());
        let count = |mode| queues.own.iter().filter(|(.., of)| *of == mode).count() as u32;
        (ranked.own_active, ranked.own_passive) = (count(MemberMode::Active), count(MemberMode::Passive));
        ranked.members = ranked.rank(&queues, |mode| mode != MemberMode::None, |member, rank| member.rank = rank);
        ranked.active =
            ranked.rank(&queues, |mode| mode == MemberMode::Active, |member, rank| member.active = Some(rank));
        ranked.passive =
            ranked.rank(&queues, |mode| mode == MemberMode::Passive, |member, rank| member.passive = Some(rank));
        ranked
    }

    /// Sets the ranks of those whose mode counts. Returns how many they are.
    fn rank(&mut self, of: &Queues, counts: fn(MemberMode) -> bool, set: fn(&mut RankedMember, u32)) -> u32 {
        let mut rank = 0;
        for place in of.in_order(counts, self.each.len()) {
            if let Some(member) = self.each[place].as_mut() {
                set(member, rank);
                rank += 1;
            }
        }
        rank
    }

    pub fn holds_at(&self, now: Instant) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }

    /// The member at a place; `None` if that user is not a member now.
    pub fn member(&self, place: usize) -> Option<&RankedMember> {
        self.each.get(place)?.as_ref()
    }
}

impl<'m> Queues<'m> {
    /// Takes a member in, and returns what is known before the ranks are; `None` if they are not a member at `now`.
    fn take(&mut self, place: usize, member: &'m Member, now: Instant) -> Option<RankedMember> {
        let unranked = |standing, mode, of_owner, team| {
            let guests = [].into();
            RankedMember { standing, team, of_owner, mode, guests, rank: 0, active: None, passive: None }
        };
        if let Some(period) = member.own_at(now) {
            self.own.push((period.entry_date, place, period.mode));
            return Some(unranked(Standing::Own, period.mode, period.of_owner, period.team.clone()));
        }
        let mut said: Vec<(Arc<str>, MemberMode)> = Vec::new();
        for (namespace, period) in member.guests_at(now) {
            self.guests.entry(namespace).or_default().push((period.entry_date, place, period.mode));
            said.push((namespace.clone(), period.mode));
        }
        let (_, mode) = *said.iter().min_by_key(|(_, mode)| *mode == MemberMode::None)?;
        let guests = if said.len() > 1 { said.into() } else { [].into() };
        Some(RankedMember { guests, ..unranked(Standing::Guest, mode, false, None) })
    }

    /// The places of those whose mode counts, in the order in which they are licensed. A user whom several guests list
    /// counts once, when it is first somebody's turn to bring them; the others then bring their next.
    fn in_order(&self, counts: fn(MemberMode) -> bool, places: usize) -> Vec<usize> {
        let counting = |queue: &'_ [(NaiveDate, usize, MemberMode)]| -> Vec<usize> {
            queue.iter().filter(|(.., mode)| counts(*mode)).map(|(_, place, _)| *place).collect()
        };
        let mut order = counting(&self.own);
        let mut has_come = vec![false; if self.guests.is_empty() { 0 } else { places }];
        let mut queues: Vec<_> = self.guests.values().map(|queue| counting(queue).into_iter()).collect();
        while !queues.is_empty() {
            queues.retain_mut(|queue| {
                let next = queue.find(|place| !std::mem::replace(&mut has_come[*place], true));
                order.extend(next);
                next.is_some()
            });
        }
        order
    }
}

impl RankedMember {
    /// The mode for those who ask from `namespace`: what that namespace says itself, else what the first guest by name says
    /// that lets the user log in. What another guest says never changes it for a guest that lists the user.
    pub fn mode_for(&self, namespace: Option<&str>) -> MemberMode {
        let own = self.guests.iter().find(|(guest, _)| Some(&**guest) == namespace);
        own.map_or(self.mode, |(_, mode)| *mode)
    }

    /// Whether the member needs a seat.
    pub fn needs_seat(&self) -> bool {
        self.active.is_some() || self.passive.is_some()
    }

    /// How many members come before this one of all who need a seat of this kind; `None` if this one needs none.
    pub fn rank_of_kind(&self, mode: MemberMode) -> Option<u32> {
        match mode {
            MemberMode::Active => self.active,
            MemberMode::Passive => self.passive,
            MemberMode::None => None,
        }
    }
}

/// How many members need a seat at `now`, and how many of them are on Rosters of other namespaces.
pub fn heads(members: &Members, now: Instant) -> (Heads, Heads) {
    let (mut all, mut elsewhere) = (Heads::default(), Heads::default());
    for member in RankedMembers::at(members, now).each.into_iter().flatten() {
        let one = Heads {
            active: member.active.is_some().into(),
            passive: member.passive.is_some().into(),
            either: member.needs_seat().into(),
        };
        all.add(one);
        if !member.of_owner {
            elsewhere.add(one);
        }
    }
    (all, elsewhere)
}
