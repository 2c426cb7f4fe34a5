//! What the holders of seats believe, and the oracle that judges it: no two holders believe they have the same seat, and
//! a seat that was reported lost is never held again. It shares no code with the desk.

use std::time::Duration;

use seatkeeper::domain::license::name::LicenseName;
use seatkeeper::domain::tick::Moment;
use seatkeeper::seats::{Denied, Seat};
use seatkeeper::wrong::{self, Variant};

/// A holder's belief that it has a seat.
#[derive(Clone, Debug)]
struct Claim {
    seat: Seat,
    /// The end of the TTL, by the holder's own clock, which is right.
    until: Moment,
}

/// All beliefs at one time.
pub struct Claims {
    ttl: Duration,
    held: Vec<Claim>,
    lost: Vec<Seat>,
    /// The first thing that must never happen.
    pub violation: Option<String>,
    /// How many seats were granted, and how many heartbeats kept one.
    pub granted: u64,
    pub kept: u64,
}

impl Claims {
    pub fn new(ttl: Duration) -> Self {
        Claims { ttl, held: Vec::new(), lost: Vec::new(), violation: None, granted: 0, kept: 0 }
    }

    /// A holder learns at `now` that it has a seat: it asked for it, or sent a heartbeat, at `sent`.
    fn holds(&mut self, seat: &Seat, sent: Moment, now: Moment) {
        let from = if wrong::is(Variant::TtlFromReply) { now } else { sent };
        let until = from + self.ttl;
        let place = |seat: &Seat| (seat.license.clone(), seat.pool.clone(), seat.slot);
        let same_place = |claim: &&Claim| place(&claim.seat) == place(seat);
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

    pub fn granted(&mut self, seat: &Seat, sent: Moment, now: Moment) {
        self.granted += 1;
        self.holds(seat, sent, now);
    }

    pub fn kept(&mut self, seat: &Seat, sent: Moment, now: Moment) {
        self.kept += 1;
        if self.lost.contains(seat) {
            self.violate(format!("at {now:?} {} keeps a seat that was reported lost", seat.session));
        }
        self.holds(seat, sent, now);
    }

    /// A holder is told that its seat is lost.
    pub fn lost(&mut self, seat: &Seat, now: Moment) {
        if self.held.iter().any(|claim| claim.seat == *seat && claim.until > now) {
            self.violate(format!("at {now:?} the seat of {} is reported lost before its time is over", seat.session));
        }
        self.held.retain(|claim| claim.seat != *seat);
        self.lost.push(seat.clone());
    }

    /// A holder gives seats back; `freed` is what the desk says about each.
    pub fn released(&mut self, seats: &[Seat], freed: &[Result<bool, Denied>], now: Moment) {
        for (seat, freed) in seats.iter().zip(freed) {
            let is_live = self.held.iter().any(|claim| claim.seat == *seat && claim.until > now);
            if is_live && *freed == Ok(false) {
                self.violate(format!("at {now:?} the desk does not know the seat that {} gives back", seat.session));
            }
            self.held.retain(|claim| claim.seat != *seat);
        }
    }

    /// A holder no longer uses the seats of its session.
    pub fn gave_up(&mut self, session: &str) {
        self.held.retain(|claim| claim.seat.session != session);
    }

    /// The seats of a License that are held at `now`.
    pub fn live<'c>(&'c self, license: &LicenseName, now: Moment) -> impl Iterator<Item = &'c Seat> {
        let is_live = move |claim: &&Claim| claim.seat.license == *license && claim.until > now;
        self.held.iter().filter(is_live).map(|claim| &claim.seat)
    }

    pub fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }
}
