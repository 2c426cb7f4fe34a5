//! The seats of one License: its table and everything else a decision depends on, kept together so that they agree.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decision::Decision;
use super::elsewhere::Elsewhere;
use super::headcount::Headcount;
use super::hold::{HeldSeat, Occupant, Record};
use super::keyed::{KeyedMembers, People, is_keyed};
use super::refusal::Refusal;
use super::request::{Grant, Request};
use super::roster::Members;
use super::table::Table;
use super::tag::Tag;
use super::taker::Taker;
use super::terms::{PoolTerms, SeatTerms};
use crate::domain::Instant;
use crate::domain::tick::Tick;

/// Who holds which seat of a License, and who may take one.
///
/// Records must be applied in the order in which they were returned, each batch before the next decision; they count
/// once they are durable. If writing them fails, the table is discarded and loaded again.
///
/// Seats of an Unlimited pool have numbers too, so that they are counted, kept alive and listed like all others; nobody
/// needs to wait for their records to be written.
#[derive(Debug)]
pub struct Seating {
    table: Table,
    terms: Arc<SeatTerms>,
    people: People,
    headcount: Headcount,
    elsewhere: Elsewhere,
    /// Whether names are not kept.
    hides: bool,
}

impl Seating {
    /// Starts with an empty table. The contents of the ledger are applied to it record by record.
    pub fn new(terms: Arc<SeatTerms>, members: Arc<Members>, now: Instant) -> Seating {
        let table = Table::default();
        let people = People { members, keyed: Arc::default() };
        let headcount = Headcount::of(&terms, &people, &table, now);
        Seating { table, terms, people, headcount, elsewhere: Elsewhere::default(), hides: false }
    }

    /// No seats, until it is known what the License grants.
    pub fn empty(now: Instant) -> Seating {
        Seating::new(Arc::new(SeatTerms::none()), Arc::new(Members::unite(&[])), now)
    }

    /// The License grants nothing any longer. Nobody who holds a seat loses it.
    pub fn grants_nothing(&mut self, now: Instant) {
        let terms = Arc::new(self.terms.without_seats());
        let people = People { members: self.people.members.clone(), keyed: self.people.keyed.clone() };
        self.put(terms, people, now);
    }

    pub fn table(&self) -> &Table {
        &self.table
    }

    pub fn terms(&self) -> &SeatTerms {
        &self.terms
    }

    /// Replaces the terms and the members. Nobody who holds a seat loses it.
    pub fn set(&mut self, terms: Arc<SeatTerms>, members: Arc<Members>, now: Instant) {
        self.put(terms, People { members, keyed: Arc::default() }, now);
    }

    /// The same for a License some of whose names are not kept. `key` gives what stands for a user.
    pub fn set_keyed(
        &mut self,
        terms: Arc<SeatTerms>,
        members: Arc<Members>,
        now: Instant,
        key: impl Fn(&str) -> String,
    ) {
        let counts_people = terms.pools.iter().any(PoolTerms::counts_people);
        let keyed = match &self.people {
            _ if !counts_people => Arc::default(),
            before if Arc::ptr_eq(&before.members, &members) && before.keyed.are_of(&members) => before.keyed.clone(),
            before => Arc::new(KeyedMembers::of(&members, (&before.members, &before.keyed), key)),
        };
        self.put(terms, People { members, keyed }, now);
    }

    fn put(&mut self, terms: Arc<SeatTerms>, people: People, now: Instant) {
        self.headcount = Headcount::of(&terms, &people, &self.table, now);
        (self.terms, self.people) = (terms, people);
    }

    /// Whether names are not kept from now on. If so, those that are kept are replaced, unless the ledger has no room for
    /// what stands for them; `set_keyed` must follow. Nobody who holds a seat loses it. Returns whether some of these names
    /// may be in the ledger and need not be.
    pub fn set_hides(&mut self, hides: bool, user: impl Fn(&str) -> String, client: impl Fn(&str) -> String) -> bool {
        let hid = std::mem::replace(&mut self.hides, hides);
        let replaced = hides && self.table.has_clear() && self.table.hide(user, client);
        hides && !hid || replaced
    }

    /// Whether names are not kept.
    pub fn hides(&self) -> bool {
        self.hides
    }

    /// Whether names are not kept, or some were not.
    pub fn has_keyed(&self) -> bool {
        self.hides || self.table.has_keyed()
    }

    /// What stands for a user among these seats, as `key` gives it; `None` if the name is kept.
    pub fn keyed_user(&self, user: &str, key: impl FnOnce(&str) -> String) -> Option<String> {
        let table = &self.table;
        let is_like_keyed = is_keyed(user);
        if !self.has_keyed() && !is_like_keyed {
            return None;
        }
        let keyed = key(user);
        let holds_in_clear = || table.has_clear() && table.has_user(user);
        (is_like_keyed || table.has_user(&keyed) || self.hides && !holds_in_clear()).then_some(keyed)
    }

    /// What is held under other Licenses on the grants of this one. It takes up seats of this one.
    pub fn elsewhere(&self) -> &Elsewhere {
        &self.elsewhere
    }

    pub fn set_elsewhere(&mut self, elsewhere: Elsewhere) {
        self.elsewhere = elsewhere;
    }

    /// The seats of each pool that are held.
    pub fn in_use(&self) -> BTreeMap<Arc<str>, u64> {
        let pools = self.table.pools().map(|(pool, _)| (pool.clone(), self.table.in_use(pool)));
        pools.filter(|(_, seats)| *seats > 0).collect()
    }

    /// The seats of each pool that the terms do not cover, after those held elsewhere: they were granted under other
    /// terms. In demo mode no seat is covered.
    pub fn uncovered(&self) -> BTreeMap<Arc<str>, u64> {
        let uncovered = |pool: &Arc<str>| {
            let limit = self.terms.pool(pool).map_or(0, |terms| terms.limit.unwrap_or(u64::MAX));
            self.table.in_use(pool).saturating_sub(limit.saturating_sub(self.elsewhere.of(pool)))
        };
        let pools = self.table.pools().map(|(pool, _)| (pool.clone(), uncovered(pool)));
        pools.filter(|(_, seats)| *seats > 0).collect()
    }

    /// Grants or refuses a request. The table does not change. If a member's period began or ended since the last decision,
    /// the order of the members is computed again, and nothing else.
    pub fn decide(&mut self, request: &Request, now: Instant) -> Result<Grant, Refusal> {
        request.check()?;
        self.refresh(now);
        let Seating { table, terms, people, headcount, elsewhere, .. } = self;
        Decision { table, terms, people, headcount, elsewhere, request, now }.make()
    }

    /// Records that free seats of sessions that demo mode has ended by `now`, `MOST_FREED` at most.
    pub fn ended(&self, now: Instant) -> Vec<Record> {
        match self.terms.ending {
            Some(ending) if ending.at <= now => self.table.began_before(ending.began_before),
            _ => Vec::new(),
        }
    }

    /// The members who have a licence of a PerEmployee or PerUser pool, in order of user; in demo mode, those who hold
    /// a seat. Looks at every member.
    pub fn licensed(&mut self, pool: &str, now: Instant) -> Vec<&str> {
        self.refresh(now);
        let Some(place) = self.terms.place(pool) else { return Vec::new() };
        let Seating { terms, people, headcount, .. } = self;
        let terms: &SeatTerms = terms;
        let has_licence = |n: usize| {
            let rank = headcount.rank_in(&terms.pools[place], n);
            rank.is_some_and(|(rank, standing)| headcount.licenses(terms, place, rank, standing))
        };
        people.users().enumerate().filter(|(n, _)| has_licence(*n)).map(|(_, user)| user).collect()
    }

    /// Applies a record, as `Table::apply` does.
    pub fn apply(&mut self, record: &Record, until: Tick) {
        let (pool, slot) = (record.pool().clone(), record.slot());
        let before = self.member_on(&pool, slot);
        self.table.apply(record, until);
        let after = self.member_on(&pool, slot);
        if before != after
            && let Some(place) = self.terms.place(&pool)
        {
            for (member, takes) in [(before, false), (after, true)] {
                if let Some(member) = member {
                    self.headcount.count(&self.terms, place, slot, member, takes);
                }
            }
        }
    }

    /// Applies the records of a grant, and extends each of its seats until `until`, including seats held before.
    pub fn assume(&mut self, grant: &Grant, request: &Request, until: Tick) {
        grant.records.iter().for_each(|record| self.apply(record, until));
        for seat in &grant.seats {
            // Asking again renews the seat, even one that was about to be revoked.
            let Request { session, taker, .. } = *request;
            let held = HeldSeat { pool: &seat.pool, slot: seat.slot, user: request.kept_user(), session, taker };
            self.table.heartbeat(&held, Tick::MIN, until);
        }
    }

    /// Keeps a seat until `until` if the session still has it at `now`, also if the seat has moved to the pool for
    /// Passive since it was granted. Returns false if the seat is lost; it is never revived.
    pub fn heartbeat(&mut self, seat: &HeldSeat, now: Tick, until: Tick) -> bool {
        if self.table.heartbeat(seat, now, until) {
            return true;
        }
        let Some((pool, slot)) = self.moved(seat) else { return false };
        self.table.heartbeat(&HeldSeat { pool: &pool, slot, ..*seat }, now, until)
    }

    /// The record that frees one seat of a session; `None` if the session no longer holds it.
    pub fn release(&self, seat: &HeldSeat) -> Option<Record> {
        self.table.release_seat(seat).or_else(|| {
            let (pool, slot) = self.moved(seat)?;
            self.table.release_seat(&HeldSeat { pool: &pool, slot, ..*seat })
        })
    }

    fn refresh(&mut self, now: Instant) {
        if !self.headcount.ranked.holds_at(now) {
            self.headcount = Headcount::of(&self.terms, &self.people, &self.table, now);
        }
    }

    /// The current holding of a seat; `None` if the session does not hold it. A session may hold the same seat twice, one
    /// time after the other, and an answer about the first holding must not count for the second: `since` tells.
    pub fn holding(&self, seat: &HeldSeat) -> Option<Occupant<'_>> {
        let moved =
            || self.moved(seat).and_then(|(pool, slot)| self.table.holding(&HeldSeat { pool: &pool, slot, ..*seat }));
        self.table.holding(seat).or_else(moved)
    }

    /// The secret part of a seat's id, if it was noted. It is that of the holding that `holding` finds under the same name.
    pub fn tag(&self, seat: &HeldSeat) -> Option<Tag> {
        self.table.slots(seat.pool)?.tag(seat)
    }

    /// Notes the secret part of a seat's id.
    pub fn note_tag(&mut self, seat: &HeldSeat, tag: Tag) {
        self.table.note_tag(seat, tag);
    }

    /// Who took the seat that a session of this name holds since then. The caller that names the seat may be another one.
    pub fn taker(&self, seat: &HeldSeat, since: i64) -> Option<Option<Taker>> {
        let mut on_slot = self.table.slots(seat.pool)?.on(seat.slot);
        let held = on_slot.find(|held| (held.user, held.session, held.since) == (seat.user, seat.session, since))?;
        Some(held.taker)
    }

    /// The seat of a session that was granted a seat of `pool` and then moved to another pool. The session has no other
    /// seat in that pool, because PerUser grants one per session.
    fn moved(&self, seat: &HeldSeat) -> Option<(Arc<str>, u32)> {
        self.terms.pools.iter().filter(|other| other.overflows_to.as_deref() == Some(seat.pool)).find_map(|other| {
            let occupant = self.table.slots(&other.name)?.of_session(seat.user, seat.session, seat.taker).next()?;
            Some((other.name.clone(), occupant.slot))
        })
    }

    fn member_on(&self, pool: &str, slot: u32) -> Option<usize> {
        let occupant = self.table.slots(pool)?.on(slot).next()?;
        self.people.find(occupant.user?)
    }
}
