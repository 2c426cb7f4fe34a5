//! Who holds which numbered seat of a License (docs/design/domain.md, Seats; docs/design/seats.md).

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::hold::{HeldSeat, Occupant, Record, free};
use super::keyed::is_keyed;
use super::slots::Slots;
use super::tag::Tag;
use super::taker::Taker;
use crate::domain::Instant;
use crate::domain::tick::Tick;

/// The most records that a method which frees seats returns: those beyond are returned once these are applied. One License may
/// have 100,000 seats, and others wait while they are gathered.
pub const MOST_FREED: usize = 1_000;

/// The place of a holder among all holders of a License.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The number of the pool, by name, among those that have or had seats.
    pub pool: u32,
    pub slot: u32,
    /// The number of the session among those on the slot.
    pub session: u32,
}

/// The slots of all pools of one License. Ticks are those of the owner's clock; records do not contain them.
#[derive(Debug, Default)]
pub struct Table {
    pools: BTreeMap<Arc<str>, Slots>,
    /// Whether a session was ever put on a slot whose names are keyed hashes.
    has_keyed: bool,
    /// Whether one may be there whose names are in clear.
    has_clear: bool,
}

impl Table {
    /// Applies a record. A session that is put on a slot keeps it at least until `until`. Applying the same records
    /// again, from any earlier one up to the last and in order, changes nothing.
    pub fn apply(&mut self, record: &Record, until: Tick) {
        match record {
            Record::Hold(hold) => {
                if let Some(name) = hold.user.as_deref().or(hold.client.as_deref()) {
                    *if is_keyed(name) { &mut self.has_keyed } else { &mut self.has_clear } = true;
                }
                match self.pools.get_mut(&hold.pool) {
                    Some(slots) => slots.put(hold, until),
                    None => self.pools.entry(hold.pool.clone()).or_default().put(hold, until),
                }
            }
            Record::Free(free) => {
                if let Some(slots) = self.pools.get_mut(&free.pool) {
                    slots.take_off(free);
                }
            }
        }
    }

    /// The number of held slots of a pool, however many sessions share them.
    pub fn in_use(&self, pool: &str) -> u64 {
        self.slots(pool).map_or(0, |slots| slots.held().into())
    }

    /// The number of held slots of all pools, which is what the demo seats limit.
    pub fn in_use_at_all(&self) -> u64 {
        self.pools.values().map(|slots| u64::from(slots.held())).sum()
    }

    /// All holders, by pool and slot.
    pub fn holders(&self) -> impl Iterator<Item = (&Arc<str>, Occupant<'_>)> {
        self.pools.iter().flat_map(|(pool, slots)| slots.within(0..u32::MAX).map(move |occupant| (pool, occupant)))
    }

    /// The same from a place on, with the place of each. Finding the first takes no longer for a later place.
    pub fn holders_from(&self, from: Place) -> impl Iterator<Item = (Place, &Arc<str>, Occupant<'_>)> {
        let pools = (0..).zip(&self.pools).skip(from.pool as usize);
        let holders = pools.flat_map(move |(number, (pool, slots))| {
            let first = if number == from.pool { from.slot } else { 0 };
            let mut before: Option<Place> = None;
            slots.within(first..u32::MAX).map(move |occupant| {
                let session =
                    before.filter(|before| before.slot == occupant.slot).map_or(0, |before| before.session + 1);
                let place = Place { pool: number, slot: occupant.slot, session };
                before = Some(place);
                (place, pool, occupant)
            })
        });
        holders.skip_while(move |(place, ..)| *place < from)
    }

    /// All holders of these slots of a pool, by slot: what one object of the ledger holds.
    pub fn holders_within(&self, pool: &str, slots: Range<u32>) -> impl Iterator<Item = Occupant<'_>> {
        self.slots(pool).into_iter().flat_map(move |pool| pool.within(slots.clone()))
    }

    /// Records that free seats whose TTL is over at `now`, `MOST_FREED` at most.
    pub fn expired(&self, now: Tick) -> Vec<Record> {
        self.freed(|slots| slots.lost(now))
    }

    /// Records that free seats of sessions that began before an instant, `MOST_FREED` at most.
    pub fn began_before(&self, instant: Instant) -> Vec<Record> {
        let since = instant.timestamp();
        self.freed(|slots| slots.within(0..u32::MAX).filter(move |occupant| occupant.since < since))
    }

    /// Records that free the seats of one session in every pool, because it logged out; `MOST_FREED` at most.
    pub fn release(&self, user: Option<&str>, session: &str, taker: Option<Taker>) -> Vec<Record> {
        self.freed(|slots| slots.of_session(user, session, taker))
    }

    /// The session that holds a seat, if it is the one that is named.
    pub fn holding(&self, seat: &HeldSeat) -> Option<Occupant<'_>> {
        self.slots(seat.pool)?.holding(seat)
    }

    /// The record that frees one seat of a session; `None` if the session no longer holds it.
    pub fn release_seat(&self, seat: &HeldSeat) -> Option<Record> {
        let (pool, _) = self.pools.get_key_value(seat.pool)?;
        Some(free(pool, &self.holding(seat)?))
    }

    /// Whether some seat may be held under a keyed hash.
    pub fn has_keyed(&self) -> bool {
        self.has_keyed
    }

    /// Whether some seat may be held under a name in clear.
    pub fn has_clear(&self) -> bool {
        self.has_clear
    }

    /// Whether a seat is held under this name of a user.
    pub fn has_user(&self, user: &str) -> bool {
        self.pools.values().any(|slots| slots.of_user(user).next().is_some())
    }

    /// Replaces all names of users and their machines with what stands for them. Returns false, and replaces none, if
    /// some base has no room for that: an earlier version filled it.
    pub fn hide(&mut self, user: impl Fn(&str) -> String, client: impl Fn(&str) -> String) -> bool {
        if !self.pools.values().all(Slots::can_hide) {
            return false;
        }
        self.pools.values_mut().for_each(|slots| slots.hide(&user, &client));
        self.has_keyed |= self.has_clear;
        self.has_clear = false;
        true
    }

    /// Records that free seats of a user, `MOST_FREED` at most.
    pub fn release_user(&self, user: &str) -> Vec<Record> {
        self.freed(|slots| slots.of_user(user))
    }

    /// Keeps a seat until `until` if the session still holds it at `now`. Returns false if the seat is lost; it stays
    /// lost.
    pub fn heartbeat(&mut self, seat: &HeldSeat, now: Tick, until: Tick) -> bool {
        self.pools.get_mut(seat.pool).is_some_and(|slots| slots.extend(seat, now, until))
    }

    /// Notes the secret part of a seat's id.
    pub fn note_tag(&mut self, seat: &HeldSeat, tag: Tag) {
        if let Some(slots) = self.pools.get_mut(seat.pool) {
            slots.note_tag(seat, tag);
        }
    }

    pub(super) fn slots(&self, pool: &str) -> Option<&Slots> {
        self.pools.get(pool)
    }

    pub(super) fn pools(&self) -> impl Iterator<Item = (&Arc<str>, &Slots)> {
        self.pools.iter()
    }

    fn freed<'t, I: Iterator<Item = Occupant<'t>>>(&'t self, of: impl Fn(&'t Slots) -> I) -> Vec<Record> {
        let of = &of;
        let occupants = self.pools.iter().flat_map(|(pool, slots)| of(slots).map(move |occupant| (pool, occupant)));
        occupants.take(MOST_FREED).map(|(pool, occupant)| free(pool, &occupant)).collect()
    }
}
