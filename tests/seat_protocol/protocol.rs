//! The steps that the world can take from a state, under the right rules or with one rule left out.

use crate::state::*;
use crate::step::Step;
use crate::{DRIFT, PROOF, SKEW, TTL};

/// The order in which a candidate takes over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Reads the ring, takes the Lease, seals what it had read. If anything fails, it begins again with reading.
    ReadLeaseSeal,
    /// Takes the Lease, reads the ring, seals, and owns only once the Lease is found unchanged after the seal.
    SealThenConfirm,
    /// Takes the Lease, reads the ring, seals, owns. Known wrong.
    LeaseThenSeal,
}

/// The rule that is left out or changed, if any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrong {
    Nothing,
    NoSeal,
    SealOverUnfolded,
    ReclaimWithoutWaiting,
    WaitsForTtlOnly,
    NoDriftMargin,
    HeartbeatShortensWait,
    TtlFromReply,
    WallClocks,
    HeartbeatsWithoutProof,
    ProofFromReply,
    LeaseTakenBackWithoutSeal,
    ReplyBeforeDurable,
    UnknownTakenAsFailed,
    NotThereTakenAsFailed,
    SkipsToNextObject,
    SessionUsedAgain,
    LostBeforeDurable,
    LostWithoutProof,
}

/// What is modelled in detail. All of it at once, with two slots, would be too many states.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct World {
    pub slots: usize,
    /// Requests and replies take time and get lost, and each owner's clock has its own rate in each tick. Without this
    /// they arrive at once and clocks are at their worst, which allows more behaviour: a late reply is believed for a
    /// shorter time, a clock that is not at its worst proves for a shorter time or waits for a longer one, and a
    /// client's belief never forbids it anything.
    pub travel: bool,
    /// Records stay in the ring until they must be folded into the base, and the write of a crashed owner may still
    /// arrive. Without this the ring is always folded, and the write of a crashed owner is lost.
    pub log: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    pub order: Order,
    pub wrong: Wrong,
    pub world: World,
}

impl Protocol {
    /// Adds every possible step, with the state after it. Nothing is forced: a process that takes no step while the
    /// clocks advance is paused, and a write that is not carried out is late or lost.
    pub fn steps(&self, s: &State, out: &mut Vec<(Step, State)>) {
        self.ticks(s, out);
        for client in 0..2 {
            self.client_steps(s, client, out);
        }
        for owner in 0..2 {
            self.takeover_steps(s, owner, out);
            self.owner_steps(s, owner, out);
            self.write_steps(s, owner, out);
        }
        if s.orphan != 0 {
            let mut t = *s;
            t.store(s.orphan - 1, s.orphan_records);
            out.push((Step::OrphanCarriedOut, t));
        }
        for (_, t) in out {
            self.tidy(t);
        }
    }

    pub fn is(&self, wrong: Wrong) -> bool {
        self.wrong == wrong
    }

    /// Returns the time on an owner's own clock after which a client's clock has certainly advanced by TTL.
    fn ttl(&self) -> u8 {
        if self.is(Wrong::NoDriftMargin) { TTL } else { TTL * DRIFT }
    }

    fn takeover_wait(&self) -> u8 {
        match self.wrong {
            Wrong::ReclaimWithoutWaiting => 0,
            Wrong::WaitsForTtlOnly => TTL * DRIFT,
            Wrong::NoDriftMargin => PROOF + TTL,
            _ => (PROOF + TTL) * DRIFT,
        }
    }

    /// Lets time pass. The clients' clocks are the slow ones: a fast one would only end the client's belief earlier.
    fn ticks(&self, s: &State, out: &mut Vec<(Step, State)>) {
        let mut pass = |step, proof: [u8; 2], wait: [u8; 2]| {
            let mut t = *s;
            for (o, owner) in t.owners.iter_mut().enumerate() {
                owner.proof = owner.proof.saturating_sub(proof[o]);
                owner.wait = owner.wait.map(|left| left.saturating_sub(wait[o]));
            }
            for client in &mut t.clients {
                client.age = (client.age + u8::from(client.request != NONE)).min(TTL);
                client.left = client.left.saturating_sub(1);
            }
            out.push((step, t));
        };
        if self.world.travel {
            for rates in [[1, 1], [1, DRIFT], [DRIFT, 1], [DRIFT, DRIFT]] {
                pass(Step::Tick(rates), rates, rates);
            }
        } else {
            pass(Step::WorstTick, [1, 1], [DRIFT, DRIFT]);
        }
    }

    fn client_steps(&self, s: &State, c: usize, out: &mut Vec<(Step, State)>) {
        if self.world.travel {
            let mut t = *s;
            // Asking again abandons the earlier request: a late reply to that one is ignored.
            (t.clients[c].request, t.clients[c].age) = (SENT, 0);
            out.push((Step::Asks(c), t));
        }
        if s.clients[c].request >= ANSWERED {
            let mut t = *s;
            self.receives(&mut t, c);
            out.push((Step::Receives(c), t));
        }
        let mut t = *s;
        t.clients[c] = Client { releasing: s.clients[c].releasing, ..Client::default() };
        if self.is(Wrong::SessionUsedAgain) {
            t.clients[c].releasing = 1;
        } else {
            // Its next session is a different one. Whether and when an owner receives the release is left open.
            t.rename(|holder| if usize::from(holder) == c + 1 { ENDED } else { holder });
        }
        out.push((Step::Releases(c), t));
    }

    pub fn receives(&self, t: &mut State, c: usize) {
        let client = &mut t.clients[c];
        let age = if self.is(Wrong::TtlFromReply) { 0 } else { client.age };
        // The owner says "until this time" by its wall clock, and the client's wall clock is behind.
        let skew = if self.is(Wrong::WallClocks) { SKEW } else { 0 };
        client.slot |= client.request - ANSWERED + 1;
        client.left = TTL - age + skew;
        (client.request, client.age) = (NONE, 0);
    }

    /// Whether an owner may find that this client has sent it a request.
    fn asks(&self, s: &State, c: usize) -> bool {
        s.clients[c].request == SENT || !self.world.travel
    }

    fn takeover_steps(&self, s: &State, o: usize, out: &mut Vec<(Step, State)>) {
        let lease_first = self.order != Order::ReadLeaseSeal;
        let mut t = *s;
        match (s.owners[o].phase, lease_first) {
            (IDLE, false) | (BEGUN, true) => {
                t.owners[o] = Owner { fresh: ALL_FRESH, next: s.newest() + 1, ..t.owners[o] };
                out.push((Step::Reads(o), t));
            }
            (IDLE, true) | (BEGUN, false) => {
                t.lease = o as u8 + 1;
                if self.order != Order::SealThenConfirm {
                    t.owners[o].proof = PROOF + 1;
                }
                out.push((Step::TakesLease(o), t));
            }
            (SEALED, _) if s.lease == o as u8 + 1 => {
                t.owners[o].phase = OWNER;
                t.owners[o].proof = PROOF + 1;
                out.push((Step::Confirms(o), t));
                return;
            }
            _ => return,
        }
        let Some((_, t)) = out.last_mut() else { return };
        if s.owners[o].phase == IDLE {
            t.owners[o].phase = BEGUN;
        } else if self.is(Wrong::NoSeal) {
            self.owns(t, o, t.replay());
        } else {
            // The seal is sent in the same step: a message may be late in any case.
            if !self.is(Wrong::SealOverUnfolded) {
                t.fold();
            }
            (t.owners[o].phase, t.owners[o].put) = (SEALING, SENT);
        }
    }

    fn owns(&self, t: &mut State, o: usize, table: [u8; 2]) {
        let wait = self.takeover_wait();
        let owner = &mut t.owners[o];
        owner.phase = if self.order == Order::SealThenConfirm { SEALED } else { OWNER };
        owner.table = table;
        owner.wait = table.map(|holder| if holder == FREE { 0 } else { wait });
    }

    fn owner_steps(&self, s: &State, o: usize, out: &mut Vec<(Step, State)>) {
        if s.owners[o].phase == OWNER {
            self.renews(s, o, out);
            self.heartbeats(s, o, out);
            self.losses(s, o, out);
            self.decides(s, o, out);
        }
        if s.owners[o].phase != IDLE {
            // Learning of a conflict is the same step: a fenced owner forgets everything and is a candidate again.
            let mut t = *s;
            if self.world.log {
                t.abandon(o);
            }
            t.crash(o);
            out.push((Step::Crashes(o), t));
        }
    }

    /// The renewal is sent and carried out at one instant: sent earlier, it would only prove less.
    fn renews(&self, s: &State, o: usize, out: &mut Vec<(Step, State)>) {
        let mut t = *s;
        t.owners[o].proof = PROOF + 1;
        if s.owners[o].renewing != 0 {
            t.owners[o].renewing = 0;
            out.push((Step::RenewalAcknowledged(o), t));
        } else if s.lease == o as u8 + 1 {
            if self.is(Wrong::ProofFromReply) {
                (t.owners[o].proof, t.owners[o].renewing) = (s.owners[o].proof, 1);
            }
            out.push((Step::Renews(o), t));
        } else if self.is(Wrong::LeaseTakenBackWithoutSeal) {
            t.lease = o as u8 + 1;
            out.push((Step::TakesLeaseBack(o), t));
        }
    }

    /// A session that asks again for the seat it holds is answered from memory, unless the seat is just being taken
    /// from it.
    fn heartbeats(&self, s: &State, o: usize, out: &mut Vec<(Step, State)>) {
        let owner = &s.owners[o];
        if owner.proof == 0 && !self.is(Wrong::HeartbeatsWithoutProof) {
            return;
        }
        for c in 0..2 {
            let held = owner.table.iter().position(|holder| usize::from(*holder) == c + 1);
            let Some(slot) = held.filter(|slot| owner.records[*slot] == 0 && self.asks(s, c)) else { continue };
            let mut t = *s;
            t.clients[c].answer(slot, self.world.travel);
            // It does not shorten the wait after a take-over: the previous owner may have answered after this
            // heartbeat.
            let wait = if self.is(Wrong::HeartbeatShortensWait) { 0 } else { owner.wait[slot] };
            t.owners[o].wait[slot] = wait.max(self.ttl());
            out.push((Step::Heartbeat(o, c), t));
        }
    }

    /// A session that has no seat, and none on its way, is told so once a renewal of the Lease that was sent after the
    /// request has succeeded, that is, while the owner has the Lease.
    fn losses(&self, s: &State, o: usize, out: &mut Vec<(Step, State)>) {
        let owner = &s.owners[o];
        let leads = s.lease == o as u8 + 1;
        if !(leads || self.is(Wrong::LostWithoutProof) && owner.proof != 0) {
            return;
        }
        for c in (0..2).filter(|c| self.asks(s, *c)) {
            let has_lost = match owner.table.iter().position(|holder| usize::from(*holder) == c + 1) {
                None => !owner.records.contains(&(c as u8 + 2)),
                Some(slot) => self.is(Wrong::LostBeforeDurable) && owner.records[slot] != 0,
            };
            if has_lost {
                let mut t = *s;
                (t.clients[c].request, t.clients[c].age) = (NONE, 0);
                out.push((Step::Loses(o, c), t));
            }
        }
    }

    /// Decides on the records of the next entry and sends it; one entry at a time.
    fn decides(&self, s: &State, o: usize, out: &mut Vec<(Step, State)>) {
        let owner = &s.owners[o];
        // A fenced owner's write fails. Learning of that is the same step as a crash.
        if owner.put != NONE || !(owner.is_fresh() || self.is(Wrong::ReplyBeforeDurable)) {
            return;
        }
        let options = |slot: usize| {
            let holder = owner.table[slot];
            let released = match holder {
                FREE => false,
                ENDED => true,
                holder => s.clients[usize::from(holder) - 1].releasing != 0,
            };
            let open = slot < self.world.slots && (holder == FREE || released || owner.wait[slot] == 0);
            let mut options = vec![0];
            options.extend((open && holder != FREE).then_some(FREE + 1));
            let seatless = |c: &u8| self.asks(s, usize::from(*c)) && !owner.table.contains(&(c + 1));
            options.extend((0..2).filter(|c| open && seatless(c)).map(|c| c + 2));
            options
        };
        for first in options(0) {
            for second in options(1) {
                if first != second || first == FREE + 1 {
                    self.sends(s, o, [first, second], out);
                }
            }
        }
    }

    fn sends(&self, s: &State, o: usize, records: Records, out: &mut Vec<(Step, State)>) {
        let mut t = *s;
        if s.owners[o].is_fresh() {
            t.fold();
        }
        (t.owners[o].put, t.owners[o].records) = (SENT, records);
        for slot in (0..2).filter(|slot| records[*slot] != 0) {
            if let Some(c) = client(s.owners[o].table[slot]) {
                t.clients[c].releasing = 0;
            }
            t.owners[o].wait[slot] = 0;
            if let Some(c) = client(records[slot] - 1) {
                // The time counts from the decision, which comes after the request was sent.
                t.owners[o].wait[slot] = self.ttl();
                if !self.world.travel {
                    t.clients[c].age = 0;
                }
                t.clients[c].request =
                    if self.is(Wrong::ReplyBeforeDurable) { ANSWERED + slot as u8 } else { IN_ENTRY_OF + o as u8 };
            }
        }
        out.push((Step::Writes(o, records), t));
    }

    /// Adds what may happen to the write that an owner waits for. That the owner asks again, by reading or by sending
    /// the same write again, is not a separate step: it learns the outcome sooner or later.
    fn write_steps(&self, s: &State, o: usize, out: &mut Vec<(Step, State)>) {
        let owner = &s.owners[o];
        if owner.put == SENT && owner.is_fresh() {
            let mut t = *s;
            t.store(owner.next, owner.records);
            t.owners[o].fresh |= bit(owner.next);
            t.owners[o].put = DONE;
            if owner.phase == SEALING {
                t.owners[o].table = s.replay();
            }
            out.push((Step::CarriedOut(o), t));
        }
        if owner.put == DONE {
            let mut t = *s;
            t.owners[o].put = NONE;
            t.owners[o].next += 1;
            if owner.phase == SEALING {
                self.owns(&mut t, o, owner.table);
            }
            apply(&mut t.owners[o].table, owner.records);
            t.owners[o].records = [0, 0];
            for slot in 0..2 {
                let granted = owner.records[slot].checked_sub(1).and_then(client);
                if let Some(c) = granted.filter(|c| s.clients[*c].request == IN_ENTRY_OF + o as u8) {
                    t.clients[c].request = ANSWERED + slot as u8;
                }
            }
            out.push((Step::Acknowledged(o), t));
        }
        if owner.phase != OWNER || owner.put == NONE {
            return;
        }
        let mut t = *s;
        t.abandon(o);
        if self.is(Wrong::UnknownTakenAsFailed) || self.is(Wrong::NotThereTakenAsFailed) && owner.put == SENT {
            t.owners[o].records = [0, 0];
            out.push((Step::GivesUp(o), t));
        } else if self.is(Wrong::SkipsToNextObject) && owner.next < MOST_SKIPPED {
            t.owners[o].next += 1;
            t.owners[o].put = SENT;
            out.push((Step::Skips(o), t));
        }
    }
}

/// A higher sequence would not fit in its bits; the variant that skips objects is caught long before.
const MOST_SKIPPED: u8 = 6;

/// Returns the client whose session holds a slot.
fn client(holder: u8) -> Option<usize> {
    (holder != FREE && holder != ENDED).then(|| usize::from(holder) - 1)
}
