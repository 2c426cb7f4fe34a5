//! The numbered slots of one pool, and the sessions on them, in as little memory as fast lookups allow: one allocation
//! per session for all its names, and indexes of four bytes per session that are chained through the sessions
//! themselves.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use super::bits::Bits;
use super::hold::{Free, HeldSeat, Hold, Occupant};
use super::keyed::is_keyed;
use super::line::{BASE_SLOTS, MOST_BASE_BYTES, room_of_seat};
use super::tag::Tag;
use super::taker::{Taker, belongs};
use crate::domain::tick::Tick;

/// No slot, no session.
const NONE: u32 = u32::MAX;
/// The two indexes: by user, session and taker, and by user alone.
const BY_SESSION: usize = 0;
const BY_USER: usize = 1;
/// A flag in `Session::before`: the session is the first in its bucket, and the other bits are the number of that bucket.
/// Indexes of sessions never reach this bit.
const FIRST_IN: u32 = 1 << 31;

#[derive(Debug)]
struct Session {
    /// User, session, client and request, one after the other.
    names: Box<str>,
    /// Where session, client and request begin.
    cuts: [u16; 3],
    taker: Option<Taker>,
    /// The secret part of its id, once this process has made it: that takes longer than all else about a seat.
    tag: Option<Tag>,
    /// The most that it takes in the lines of its base.
    bytes: u16,
    slot: u32,
    since: i64,
    alive_until: Tick,
    /// The next session on the same slot; for an unused entry, the next unused entry.
    next: u32,
    /// The next session in the same bucket of each index.
    chained: [u32; 2],
    /// The one before, or the bucket (`FIRST_IN`): a user may have as many as there are seats, and each is removed without a
    /// search.
    before: [u32; 2],
}

#[derive(Debug, Default)]
pub(super) struct Slots {
    /// The first session of each slot.
    heads: Vec<u32>,
    taken: Bits,
    held: u32,
    /// The most bytes that the lines of each base take.
    bytes: Vec<u32>,
    sessions: Vec<Session>,
    /// The first entry of `sessions` that is not in use, counted from 1.
    unused: u32,
    in_use: u32,
    /// Sessions whose taker is not known, as earlier versions left them.
    without_taker: u32,
    buckets: [Vec<u32>; 2],
    /// Differs from table to table, so that nobody can choose names that all fall into one bucket. Nothing depends on it
    /// but the time that a search takes.
    hash: RandomState,
}

impl Session {
    fn user(&self) -> &str {
        &self.names[..self.cuts[0].into()]
    }

    fn session(&self) -> &str {
        &self.names[self.cuts[0].into()..self.cuts[1].into()]
    }

    fn occupant(&self) -> Occupant<'_> {
        let given = |name| Some(name).filter(|name: &&str| !name.is_empty());
        Occupant {
            slot: self.slot,
            user: given(self.user()),
            session: self.session(),
            client: given(&self.names[self.cuts[1].into()..self.cuts[2].into()]),
            request: given(&self.names[self.cuts[2].into()..]),
            since: self.since,
            taker: self.taker,
        }
    }
}

impl Slots {
    fn hash(&self, user: &str, session: &str, taker: Option<Taker>) -> u64 {
        self.hash.hash_one((user, session, taker))
    }

    fn hash_in(&self, at: usize, index: usize) -> u64 {
        let session = &self.sessions[at];
        match index == BY_SESSION {
            true => self.hash(session.user(), session.session(), session.taker),
            false => self.hash(session.user(), "", None),
        }
    }

    pub fn held(&self) -> u32 {
        self.held
    }

    pub fn is_taken(&self, slot: u32) -> bool {
        self.taken.has(slot)
    }

    /// Free slots, the lowest first. The iterator never ends.
    pub fn free(&self) -> impl Iterator<Item = u32> + '_ {
        std::iter::successors(Some(self.taken.first_missing(0)), |slot| Some(self.taken.first_missing(slot + 1)))
    }

    /// Free slots for seats whose lines take `bytes` each, the lowest first: those in bases that have room for all that were
    /// returned. The iterator never ends.
    pub fn free_for(&self, bytes: u32) -> impl Iterator<Item = u32> + '_ {
        let (mut base, mut added) = (0, 0);
        self.free().filter(move |slot| {
            if slot / BASE_SLOTS != base {
                (base, added) = (slot / BASE_SLOTS, 0);
            }
            let fits = self.has_room(*slot, added + bytes);
            added += if fits { bytes } else { 0 };
            fits
        })
    }

    /// Whether the base of a slot has room for lines of that size.
    pub fn has_room(&self, slot: u32, bytes: u32) -> bool {
        let used = self.bytes.get((slot / BASE_SLOTS) as usize).copied().unwrap_or(0);
        used + bytes <= MOST_BASE_BYTES
    }

    /// The sessions on a slot, all of one user.
    pub fn on(&self, slot: u32) -> impl Iterator<Item = Occupant<'_>> {
        self.chain(self.head(slot), |session| session.next).map(|at| self.sessions[at].occupant())
    }

    /// Every seat of one session.
    pub fn of_session<'a>(
        &'a self,
        user: Option<&'a str>,
        session: &'a str,
        taker: Option<Taker>,
    ) -> impl Iterator<Item = Occupant<'a>> {
        let user = user.unwrap_or("");
        // Those without a taker are in a bucket of their own: many pods may name their sessions alike.
        let are_two = taker.is_some() && self.without_taker > 0;
        let takers = [taker, None].into_iter().take(if are_two { 2 } else { 1 });
        takers.flat_map(move |taker| {
            self.bucket(BY_SESSION, self.hash(user, session, taker))
                .map(|at| &self.sessions[at])
                .filter(move |held| held.user() == user && held.session() == session && held.taker == taker)
                .map(Session::occupant)
        })
    }

    /// The session that holds a seat, if it is the one that is named.
    pub fn holding(&self, seat: &HeldSeat) -> Option<Occupant<'_>> {
        self.named(seat).map(|at| self.sessions[at].occupant())
    }

    /// The secret part of a seat's id, if it was noted.
    pub fn tag(&self, seat: &HeldSeat) -> Option<Tag> {
        self.sessions[self.named(seat)?].tag
    }

    pub fn note_tag(&mut self, seat: &HeldSeat, tag: Tag) {
        if let Some(at) = self.named(seat) {
            self.sessions[at].tag = Some(tag);
        }
    }

    /// Every session of one user.
    pub fn of_user<'a>(&'a self, user: &'a str) -> impl Iterator<Item = Occupant<'a>> {
        let held = self.bucket(BY_USER, self.hash(user, "", None)).map(|at| &self.sessions[at]);
        held.filter(move |held| held.user() == user).map(Session::occupant)
    }

    /// All holders of these slots, in order of slots.
    pub fn within(&self, slots: Range<u32>) -> impl Iterator<Item = Occupant<'_>> {
        let end = slots.end.min(self.heads.len() as u32);
        (slots.start.min(end)..end).filter(|slot| self.is_taken(*slot)).flat_map(|slot| self.on(slot))
    }

    /// Puts a session on its slot. A session of another user, which held the slot in an older state of the ledger, is
    /// removed from it. A session whose user is kept in the other form may be of the same user, and stays.
    pub fn put(&mut self, hold: &Hold, until: Tick) {
        let user = hold.user.as_deref().unwrap_or("");
        if let Some(at) =
            self.find(hold.slot, &hold.session, |session| session.user() == user && session.taker == hold.taker)
        {
            self.sessions[at].alive_until = self.sessions[at].alive_until.max(until);
            return;
        }
        while let first = self.head(hold.slot)
            && first != NONE
        {
            let first = first as usize;
            let other = self.sessions[first].user();
            if other == user || is_keyed(other) != is_keyed(user) {
                break;
            }
            self.remove(first);
        }
        let at = self.insert(hold, until);
        let slot = hold.slot as usize;
        if self.heads.len() <= slot {
            grow(&mut self.heads, slot + 1);
            self.heads.resize(slot + 1, NONE);
        }
        self.sessions[at].next = std::mem::replace(&mut self.heads[slot], at as u32);
        if self.sessions[at].next == NONE {
            self.held += 1;
            self.taken.set(hold.slot, true);
        }
    }

    pub fn take_off(&mut self, free: &Free) {
        let is_of = |held: &Session| free.taker.is_none() || belongs(held.taker, free.taker);
        if let Some(at) = self.find(free.slot, &free.session, is_of) {
            self.remove(at);
        }
    }

    /// Whether the session has the seat and had not lost it by `now`; if so, it has it until `until` at least.
    pub fn extend(&mut self, seat: &HeldSeat, now: Tick, until: Tick) -> bool {
        let Some(at) = self.named(seat) else { return false };
        let alive = &mut self.sessions[at].alive_until;
        let in_time = now < *alive;
        if in_time {
            *alive = until.max(*alive);
        }
        in_time
    }

    pub fn lost(&self, now: Tick) -> impl Iterator<Item = Occupant<'_>> {
        self.sessions.iter().filter(move |s| s.slot != NONE && s.alive_until <= now).map(Session::occupant)
    }

    /// Whether each base has room for its lines if all names are replaced with what stands for them.
    pub fn can_hide(&self) -> bool {
        self.bytes.iter().all(|bytes| *bytes <= MOST_BASE_BYTES)
    }

    /// Replaces the names of users and their machines with what stands for them.
    pub fn hide(&mut self, user: &impl Fn(&str) -> String, client: &impl Fn(&str) -> String) {
        for at in 0..self.sessions.len() {
            let session = &self.sessions[at];
            let held = session.occupant();
            // A machine is kept in the form of its user.
            let is_clear = held.user.or(held.client).is_some_and(|name| !is_keyed(name));
            if session.slot == NONE || !is_clear {
                continue;
            }
            let (user, client) = (held.user.map(user), held.client.map(client));
            let held = Occupant { user: user.as_deref(), client: client.as_deref(), ..held };
            let (names, cuts) = names_of(&held);
            let (bytes, base) = (room_of_seat(&held) as u16, session.slot as usize / BASE_SLOTS as usize);
            self.leave(at);
            let session = &mut self.sessions[at];
            self.bytes[base] = self.bytes[base] - u32::from(session.bytes) + u32::from(bytes);
            (session.names, session.cuts, session.bytes) = (names, cuts, bytes);
            // It was made of the former names.
            session.tag = None;
            self.enter(at);
        }
    }

    fn head(&self, slot: u32) -> u32 {
        self.heads.get(slot as usize).copied().unwrap_or(NONE)
    }

    fn chain(&self, first: u32, next: impl Fn(&Session) -> u32) -> impl Iterator<Item = usize> {
        let some = |at: u32| (at != NONE).then_some(at as usize);
        std::iter::successors(some(first), move |at| some(next(&self.sessions[*at])))
    }

    fn find(&self, slot: u32, session: &str, and: impl Fn(&Session) -> bool) -> Option<usize> {
        let is = |at: &usize| self.sessions[*at].session() == session && and(&self.sessions[*at]);
        self.chain(self.head(slot), |session| session.next).find(is)
    }

    fn named(&self, seat: &HeldSeat) -> Option<usize> {
        let user = seat.user.unwrap_or("");
        self.find(seat.slot, seat.session, |held| held.user() == user && belongs(held.taker, seat.taker))
    }

    fn bucket(&self, index: usize, hash: u64) -> impl Iterator<Item = usize> {
        let buckets = &self.buckets[index];
        let first = if buckets.is_empty() { NONE } else { buckets[hash as usize & (buckets.len() - 1)] };
        self.chain(first, move |session| session.chained[index])
    }

    fn insert(&mut self, hold: &Hold, until: Tick) -> usize {
        let (names, cuts) = names_of(&hold.occupant());
        let session = Session {
            names,
            cuts,
            taker: hold.taker,
            tag: None,
            bytes: room_of_seat(&hold.occupant()) as u16,
            slot: hold.slot,
            since: hold.since,
            alive_until: until,
            next: NONE,
            chained: [NONE; 2],
            before: [NONE; 2],
        };
        let base = (hold.slot / BASE_SLOTS) as usize;
        if self.bytes.len() <= base {
            self.bytes.resize(base + 1, 0);
        }
        self.bytes[base] += u32::from(session.bytes);
        let at = match self.unused {
            0 => {
                grow(&mut self.sessions, self.in_use as usize + 1);
                self.sessions.push(session);
                self.sessions.len() - 1
            }
            unused => {
                let at = unused as usize - 1;
                self.unused = self.sessions[at].next;
                self.sessions[at] = session;
                at
            }
        };
        self.in_use += 1;
        self.without_taker += u32::from(hold.taker.is_none());
        if self.buckets[BY_SESSION].len() < self.in_use as usize {
            let size = (self.in_use as usize).next_power_of_two().max(16);
            self.buckets = [vec![NONE; size], vec![NONE; size]];
            let in_use: Vec<usize> = (0..self.sessions.len()).filter(|at| self.sessions[*at].slot != NONE).collect();
            in_use.into_iter().for_each(|at| self.enter(at));
        } else {
            self.enter(at);
        }
        at
    }

    /// Puts a session into the indexes. Sessions without a user are not in the index by user.
    fn enter(&mut self, at: usize) {
        for index in [BY_SESSION, BY_USER] {
            if index == BY_SESSION || !self.sessions[at].user().is_empty() {
                let bucket = self.hash_in(at, index) as usize & (self.buckets[index].len() - 1);
                let next = std::mem::replace(&mut self.buckets[index][bucket], at as u32);
                self.sessions[at].chained[index] = next;
                self.sessions[at].before[index] = FIRST_IN | bucket as u32;
                if next != NONE {
                    self.sessions[next as usize].before[index] = at as u32;
                }
            }
        }
    }

    /// Takes a session out of the indexes.
    fn leave(&mut self, at: usize) {
        for index in [BY_SESSION, BY_USER] {
            let (before, next) = (self.sessions[at].before[index], self.sessions[at].chained[index]);
            match before {
                NONE => continue,
                first if first & FIRST_IN != 0 => self.buckets[index][(first & !FIRST_IN) as usize] = next,
                before => self.sessions[before as usize].chained[index] = next,
            }
            if next != NONE {
                self.sessions[next as usize].before[index] = before;
            }
        }
    }

    fn remove(&mut self, at: usize) {
        self.leave(at);
        let (slot, next) = (self.sessions[at].slot, self.sessions[at].next);
        let mut on_slot = self.chain(self.head(slot), |session| session.next);
        let before = on_slot.find(|other| self.sessions[*other].next == at as u32);
        drop(on_slot);
        match before {
            Some(before) => self.sessions[before].next = next,
            None => self.heads[slot as usize] = next,
        }
        if self.heads[slot as usize] == NONE {
            self.held -= 1;
            self.taken.set(slot, false);
        }
        self.in_use -= 1;
        self.without_taker -= u32::from(self.sessions[at].taker.is_none());
        self.bytes[slot as usize / BASE_SLOTS as usize] -= u32::from(self.sessions[at].bytes);
        let unused = std::mem::replace(&mut self.unused, at as u32 + 1);
        self.sessions[at] = Session {
            names: "".into(),
            cuts: [0; 3],
            taker: None,
            tag: None,
            bytes: 0,
            slot: NONE,
            since: 0,
            alive_until: Tick::MAX,
            next: unused,
            chained: [NONE; 2],
            before: [NONE; 2],
        };
    }
}

/// The names of a session, one after the other, and where each but the first begins.
fn names_of(held: &Occupant) -> (Box<str>, [u16; 3]) {
    let parts = [held.user, Some(held.session), held.client, held.request].map(|part| part.unwrap_or(""));
    let cut = |n: usize| parts[..n].iter().map(|part| part.len()).sum::<usize>() as u16;
    (parts.concat().into(), [cut(1), cut(2), cut(3)])
}

/// Grows by an eighth instead of doubling: memory matters for what is held, not for what might be.
fn grow<T>(list: &mut Vec<T>, needed: usize) {
    if list.capacity() < needed {
        list.reserve_exact(needed - list.len() + list.len() / 8 + 16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{DefaultHasher, Hash, Hasher};

    /// The attack: names that all fall into one bucket of a table whose hash is the same everywhere. Each search was
    /// through all of them, under the lock of every seat.
    #[test]
    fn nobody_can_choose_names_that_all_meet_in_one_bucket() {
        let meets = |name: &String| {
            let mut hash = DefaultHasher::new();
            ("", name.as_str(), None::<Taker>).hash(&mut hash);
            hash.finish().is_multiple_of(256)
        };
        let mut slots = Slots::default();
        for (slot, session) in (0..).map(|n| format!("s{n}")).filter(meets).take(256).enumerate() {
            let hold = Hold {
                pool: "agents".into(),
                slot: slot as u32,
                user: None,
                session: session.into(),
                since: 0,
                client: None,
                request: None,
                taker: None,
            };
            slots.put(&hold, Tick::MAX);
        }
        let buckets = &slots.buckets[BY_SESSION];
        let longest = buckets.iter().map(|first| slots.chain(*first, |session| session.chained[BY_SESSION]).count());
        assert!(longest.max() < Some(16), "256 sessions in {} buckets", buckets.len());
    }
}
