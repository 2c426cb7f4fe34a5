//! The seats of one License: its table, and all that a decision looks at, kept together so that they agree.

use std::sync::Arc;

use super::decision::Decision;
use super::pool::Terms;
use super::refusal::Refusal;
use super::request::{Grant, Request};
use super::roster::People;
use super::standing::Standing;
use super::table::{HeldSeat, Record, Table};
use crate::domain::Instant;

/// Who holds which seat of a License, and who may take one.
///
/// Records are to be applied in the order in which they were given, each batch before the next decision; they count
/// once they are durable. Where writing them fails, the table is thrown away and loaded again.
///
/// Seats of an Unlimited pool have numbers too, so that they are counted, kept alive and shown like all others; nobody
/// need wait for their records to be written.
#[derive(Debug)]
pub struct Seating {
    table: Table,
    terms: Arc<Terms>,
    people: Arc<People>,
    standing: Standing,
}

impl Seating {
    /// An empty table. What the ledger holds is applied to it record by record.
    pub fn new(terms: Arc<Terms>, people: Arc<People>, now: Instant) -> Seating {
        let table = Table::default();
        let standing = Standing::of(&terms, &people, &table, now);
        Seating { table, terms, people, standing }
    }

    pub fn table(&self) -> &Table {
        &self.table
    }

    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    pub fn people(&self) -> &People {
        &self.people
    }

    /// Other terms or people. Nobody who holds a seat loses it.
    pub fn set(&mut self, terms: Arc<Terms>, people: Arc<People>, now: Instant) {
        self.standing = Standing::of(&terms, &people, &self.table, now);
        (self.terms, self.people) = (terms, people);
    }

    /// Whether a seat is granted. The table stays as it is; what is worked out anew where somebody's membership began or
    /// ended since the last decision is only the order of the members.
    pub fn decide(&mut self, request: &Request, now: Instant) -> Result<Grant, Refusal> {
        request.check()?;
        self.refresh(now);
        let Seating { table, terms, people, standing } = self;
        Decision { table, terms, people, standing, request, now }.make()
    }

    /// The sessions that demo mode has ended by `now`, as records that free their seats.
    pub fn ended(&self, now: Instant) -> Vec<Record> {
        match self.terms.ending {
            Some(ending) if ending.at <= now => self.table.began_before(ending.began_before),
            _ => Vec::new(),
        }
    }

    /// The members who have a licence of a PerEmployee or PerUser pool, in order of user; in demo mode, those who hold a
    /// seat. Costs a look at everybody.
    pub fn licensed(&mut self, pool: &str, now: Instant) -> Vec<&str> {
        self.refresh(now);
        let Some(place) = self.terms.place(pool) else { return Vec::new() };
        let Seating { terms, people, standing, .. } = self;
        let terms: &Terms = terms;
        let has_licence = |n: usize| {
            standing.rank_in(&terms.pools[place], n).is_some_and(|rank| standing.licenses(terms, place, rank))
        };
        people.users().enumerate().filter(|(n, _)| has_licence(*n)).map(|(_, user)| user).collect()
    }

    /// Takes a record over, as `Table::apply`.
    pub fn apply(&mut self, record: &Record, until: u64) {
        let (pool, slot) = (record.pool().clone(), record.slot());
        let before = self.person_on(&pool, slot);
        self.table.apply(record, until);
        let after = self.person_on(&pool, slot);
        if before != after
            && let Some(place) = self.terms.place(&pool)
        {
            for (person, takes) in [(before, false), (after, true)] {
                if let Some(person) = person {
                    self.standing.count(&self.terms, place, slot, person, takes);
                }
            }
        }
    }

    /// Takes the records of a grant over, and gives each of its seats until `until`, those held before too.
    pub fn assume(&mut self, grant: &Grant, request: &Request, until: u64) {
        grant.records.iter().for_each(|record| self.apply(record, until));
        for seat in &grant.seats {
            // Whoever asks for a seat anew has it anew, also one that was about to be taken away.
            let Request { user, session, .. } = *request;
            self.table.heartbeat(&HeldSeat { pool: &seat.pool, slot: seat.slot, user, session }, 0, until);
        }
    }

    /// Keeps a seat until `until`, if the session still has it at `now`; also one that has moved to the pool for Passive
    /// since it was granted. False: it is lost, and is never revived.
    pub fn heartbeat(&mut self, seat: &HeldSeat, now: u64, until: u64) -> bool {
        if self.table.heartbeat(seat, now, until) {
            return true;
        }
        let Some((pool, slot)) = self.moved(seat) else { return false };
        self.table.heartbeat(&HeldSeat { pool: &pool, slot, ..*seat }, now, until)
    }

    /// Frees one seat of a session; nothing where it has it no more.
    pub fn release(&self, seat: &HeldSeat) -> Option<Record> {
        self.table.release_seat(seat).or_else(|| {
            let (pool, slot) = self.moved(seat)?;
            self.table.release_seat(&HeldSeat { pool: &pool, slot, ..*seat })
        })
    }

    fn refresh(&mut self, now: Instant) {
        if !self.standing.roll.holds_at(now) {
            self.standing = Standing::of(&self.terms, &self.people, &self.table, now);
        }
    }

    /// Since when a seat is held, in seconds; None: it is not. A session may hold the same seat twice, one time after the
    /// other, and what was said of the first must not count for the second.
    pub fn since(&self, seat: &HeldSeat) -> Option<i64> {
        let since = |pool: &str, slot| {
            let mut there = self.table.slots(pool)?.on(slot);
            there.find(|held| held.user == seat.user && held.session == seat.session).map(|held| held.since)
        };
        since(seat.pool, seat.slot).or_else(|| self.moved(seat).and_then(|(pool, slot)| since(&pool, slot)))
    }

    /// Where a session sits that was granted a seat of `pool` and moved. It has no other seat there: PerUser grants one
    /// to a session.
    fn moved(&self, seat: &HeldSeat) -> Option<(Arc<str>, u32)> {
        self.terms.pools.iter().filter(|other| other.overflows_to.as_deref() == Some(seat.pool)).find_map(|other| {
            let occupant = self.table.slots(&other.name)?.of_session(seat.user, seat.session).next()?;
            Some((other.name.clone(), occupant.slot))
        })
    }

    fn person_on(&self, pool: &str, slot: u32) -> Option<usize> {
        let occupant = self.table.slots(pool)?.on(slot).next()?;
        self.people.find(occupant.user?)
    }
}
