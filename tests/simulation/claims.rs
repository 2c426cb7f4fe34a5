//! What the holders of seats believe, and the oracle that judges it: no two holders believe to have the same seat, and
//! a seat that was reported lost is never held again. It shares no code with the desk.

use std::time::Duration;

use seatkeeper::seats::Seat;
use seatkeeper::wrong::{self, Variant};

/// A holder's belief that it has a seat.
#[derive(Clone, Debug)]
struct Claim {
    seat: Seat,
    /// The end of the TTL, by the holder's own clock, which is right.
    until: Duration,
}

/// All beliefs at one time.
pub struct Claims {
    ttl: Duration,
    held: Vec<Claim>,
    lost: Vec<Seat>,
    /// The first thing that must never happen.
    pub violation: Option<String>,
    pub granted: u32,
    pub kept: u32,
}

impl Claims {
    pub fn new(ttl: Duration) -> Self {
        Claims { ttl, held: Vec::new(), lost: Vec::new(), violation: None, granted: 0, kept: 0 }
    }

    /// A holder learns at `now` that it has a seat: it asked for it, or sent a heartbeat, at `sent`.
    fn holds(&mut self, seat: &Seat, sent: Duration, now: Duration) {
        let from = if wrong::is(Variant::TtlFromReply) { now } else { sent };
        let until = from + self.ttl;
        let same_place = |claim: &&Claim| (&claim.seat.pool, claim.seat.slot) == (&seat.pool, seat.slot);
        let other = |claim: &&Claim| claim.seat.session != seat.session && claim.until > now.max(from);
        if until > now
            && let Some(other) = self.held.iter().filter(same_place).find(other)
        {
            let Claim { seat: theirs, until } = other;
            let what =
                format!("at {now:?} {} holds seat {} of {} until {until:?}", theirs.session, seat.slot, seat.session);
            self.violate(what);
        }
        self.held.retain(|claim| claim.seat != *seat);
        self.held.push(Claim { seat: seat.clone(), until });
    }

    pub fn granted(&mut self, seat: &Seat, sent: Duration, now: Duration) {
        self.granted += 1;
        self.holds(seat, sent, now);
    }

    pub fn kept(&mut self, seat: &Seat, sent: Duration, now: Duration) {
        self.kept += 1;
        if self.lost.contains(seat) {
            self.violate(format!("at {now:?} {} keeps a seat that was reported lost", seat.session));
        }
        self.holds(seat, sent, now);
    }

    /// A holder is told that its seat is lost.
    pub fn lost(&mut self, seat: &Seat, now: Duration) {
        if self.held.iter().any(|claim| claim.seat == *seat && claim.until > now) {
            self.violate(format!("at {now:?} the seat of {} is reported lost before its time is over", seat.session));
        }
        self.held.retain(|claim| claim.seat != *seat);
        self.lost.push(seat.clone());
    }

    fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }
}
