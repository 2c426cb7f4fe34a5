//! Decides who is granted what, on a table that includes every earlier decision.

use std::time::Duration;
use tokio::sync::oneshot;

use super::asked::{Ask, Denied, Granted};
use super::desk::{PATIENCE, Shared, ticks, with_drift};
use super::owned::{Counter, State, Writes};
use super::queue::HEAD;
use crate::domain::Instant;
use crate::domain::license::name::LicenseName;
use crate::domain::seats::queue::MOST_QUEUED;
use crate::domain::seats::seating::Seating;
use crate::domain::seats::table::HeldSeat;
use crate::machine::monotonic;

/// A grant, and when it may be answered.
pub(super) enum Outcome {
    Now(Granted),
    /// After the grant is durable.
    Then(Granted, oneshot::Receiver<()>),
}

impl Outcome {
    /// Waits until the grant may be answered.
    pub async fn answer(self) -> Result<Granted, Denied> {
        match self {
            Outcome::Now(granted) => Ok(granted),
            Outcome::Then(granted, durable) => is_durable(durable).await.map(|()| granted),
        }
    }
}

/// Waits until a decision is in the ledger.
pub(super) async fn is_durable(durable: oneshot::Receiver<()>) -> Result<(), Denied> {
    match tokio::time::timeout(PATIENCE, durable).await {
        Ok(Ok(())) => Ok(()),
        // The owner that decided has lost the ledger, so it is unknown whether the ledger has the decision. Asking
        // again answers that.
        Ok(Err(_)) => Err(Denied::NotOwner),
        Err(_) => Err(Denied::LedgerUnavailable),
    }
}

impl Shared {
    /// Looks up what the License grants if that may have changed. Returns whether it did so.
    pub fn look_up(&self, license: &LicenseName, counter: &mut Counter, at: Instant) -> Result<bool, Denied> {
        let outdated = counter.stale || counter.good_until.is_some_and(|until| until <= at);
        if outdated {
            let licensed = self.licensed(license, at);
            let licensed = licensed.ok_or_else(|| Denied::UnknownLicense(license.clone()))?;
            counter.seating.set(licensed.terms, licensed.people, at);
            (counter.good_until, counter.uid, counter.stale) = (licensed.until, Some(licensed.uid), false);
        }
        Ok(outdated)
    }

    pub fn decide(&self, state: &mut State, ask: &Ask) -> Result<Outcome, Denied> {
        let now = monotonic();
        let Some(owned) = state.owned.as_mut().filter(|_| !state.closing) else { return Err(Denied::NotOwner) };
        if owned.is_full() {
            return Err(Denied::Overloaded);
        }
        let at = self.clock.now().at;
        let (seatings, mut writes) = owned.parts();
        let counter = match seatings.get_mut(&ask.license) {
            Some(counter) => counter,
            None => {
                // Created only for a License that exists: nobody can fill the memory with names.
                let licensed = self.licensed(&ask.license, at);
                let licensed = licensed.ok_or_else(|| Denied::UnknownLicense(ask.license.clone()))?;
                let seating = Seating::new(licensed.terms, licensed.people, at);
                seatings.entry(ask.license.clone()).or_insert_with(|| Counter::new(seating))
            }
        };
        if self.look_up(&ask.license, counter, at)? && !counter.queue.is_empty() {
            self.serve(&ask.license, counter, &mut writes, MOST_QUEUED);
        }
        let outcome = self.grant(counter, &mut writes, ask, (now, at), ticks(now + with_drift(self.ttl)));
        match &outcome {
            Ok(_) if !counter.queue.is_empty() => counter.leaves_queue(ask),
            Err(Denied::Refused(refusal)) => {
                counter.refused.entry(refusal.reason()).or_insert_with(|| refusal.to_string());
            }
            _ => {}
        }
        outcome
    }

    /// Frees a seat in the table now and in the ledger soon, and serves the queue at once. Returns false if the seat is
    /// not held.
    pub fn free(
        &self,
        license: &LicenseName,
        counter: &mut Counter,
        writes: &mut Writes,
        seat: &HeldSeat,
    ) -> Result<bool, Denied> {
        let Some(record) = counter.seating.release(seat) else { return Ok(false) };
        writes.pending.check(license, std::slice::from_ref(&record))?;
        counter.seating.apply(&record, 0);
        writes.pending.add(license, vec![record]);
        if !counter.queue.is_empty() {
            self.serve(license, counter, writes, HEAD);
        }
        Ok(true)
    }

    /// Grants a request until `until`, or says why not. The table has the grant when this returns, the ledger soon
    /// after.
    pub fn grant(
        &self,
        counter: &mut Counter,
        writes: &mut Writes,
        ask: &Ask,
        (now, at): (Duration, Instant),
        until: u64,
    ) -> Result<Outcome, Denied> {
        let request = ask.request();
        let grant = counter.seating.decide(&request, at).map_err(Denied::Refused)?;
        if grant.records.is_empty() {
            if !self.proof.is_there(now) {
                return Err(Denied::NotOwner);
            }
            counter.seating.assume(&grant, &request, until);
            let granted = ask.granted(&grant, &counter.seating);
            // A caller that asks again while the seat is being written must not be answered before it is written.
            return Ok(match writes.until_durable() {
                None => Outcome::Now(granted),
                Some(told) => Outcome::Then(granted, told),
            });
        }
        if let Some(shut) = writes.shut.filter(|shut| now < shut.until)
            && counter.uid.as_ref().is_none_or(|uid| shut.licenses.contains(uid))
        {
            return Err(Denied::LedgerIncomplete { why: shut.why.clone(), wait: shut.until - now });
        }
        writes.pending.check(&ask.license, &grant.records)?;
        if writes.are_stuck(now) {
            return Err(Denied::LedgerUnavailable);
        }
        counter.seating.assume(&grant, &request, until);
        let granted = ask.granted(&grant, &counter.seating);
        counter.note_peaks();
        writes.pending.add(&ask.license, grant.records);
        let (durable, told) = oneshot::channel();
        writes.waiting.push(durable);
        Ok(Outcome::Then(granted, told))
    }
}
