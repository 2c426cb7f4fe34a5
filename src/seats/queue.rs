//! The queue for seats. Waiters are served at each moment at which a seat may have come free, before anyone else is
//! decided on: a newcomer never finds a seat that a waiter could take.
//!
//! If a waiter's turn comes between two of its requests, the seat is granted anyway and kept for as long as its place is
//! kept: its next request finds the seat, and without one the sweep frees it for the next waiter. The same happens to a
//! grant that does not reach its caller.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::asked::{Ask, Denied, Granted};
use super::grant::grant;
use super::kept_names::{as_kept, replaced_since};
use super::limits::with_drift;
use super::look_up::look_up;
use super::outcome::Outcome;
use super::ownership::{DeskState, SeatsOf, Uncommitted};
use super::shared::Shared;
use super::waiting::Waiter;
use crate::domain::license::name::LicenseName;
use crate::domain::seats::queue::{Left, MOST_QUEUED, PLACE_LASTS};
use crate::domain::seats::refusal::Refusal;
use crate::domain::tick::Tick;
use crate::machine::monotonic;

/// A place in the queue while its request is open. It is kept for `PLACE_LASTS` once this is dropped.
pub(super) struct Turn<'d> {
    shared: &'d Shared,
    ask: Arc<Ask>,
    answer: oneshot::Receiver<Result<Outcome, Denied>>,
}

/// Joins the queue of a License with a request that was just refused.
pub(super) fn join<'d>(
    shared: &'d Shared,
    state: &mut DeskState,
    ask: &Arc<Ask>,
    refusal: Refusal,
) -> Result<Turn<'d>, Denied> {
    let queue = state.queue_of(&ask.license).ok_or(Denied::NotOwner)?;
    let (waiter, answer) = Waiter::new(ask.clone(), refusal);
    let before = queue.join(ask.who(), ask.namespace.clone(), waiter).map_err(|_| Denied::Overloaded)?;
    match before {
        Some(Left::Replaced(waiter)) => waiter.give_way(),
        Some(Left::MadeRoom(mut waiter)) => waiter.answer(Err(Denied::Overloaded)),
        None => {}
    }
    Ok(Turn { shared, ask: ask.clone(), answer })
}

/// Serves the waiters in their order: the first `most` of them, or all if the License may grant more than before.
pub(super) fn serve(
    shared: &Shared,
    license: &LicenseName,
    seats_of: &mut SeatsOf,
    uncommitted: &mut Uncommitted,
    most: usize,
) {
    if seats_of.get(license).is_none_or(|seats| seats.queue.is_empty()) {
        return;
    }
    let (now, at) = (monotonic(), shared.clock.now().at);
    let looked_up = look_up(shared, seats_of, license, at, uncommitted.tagger);
    seats_of.note(uncommitted.pending);
    let Some(seats) = seats_of.get_mut(license) else { return };
    let most = if looked_up == Ok(false) { most } else { MOST_QUEUED };
    let mut queue = std::mem::take(&mut seats.queue);
    queue.call(most, |waiting| {
        if waiting.kept_until().is_some_and(|until| until <= Tick::at(now)) {
            return Some(false);
        }
        let until = waiting.kept_until().unwrap_or(Tick::at(now) + PLACE_LASTS);
        let waiter = &mut waiting.ask;
        let granted = looked_up.clone().and_then(|_| grant(shared, seats, uncommitted, &waiter.ask, (now, at), until));
        match granted.map(|granted| Outcome::new(granted, uncommitted.durable_notice())) {
            Err(Denied::Refused(refusal)) if refusal.may_pass() => {
                waiter.refusal = refusal;
                Some(true)
            }
            // No new seat can be granted to anyone at present.
            Err(Denied::LedgerIncomplete { .. } | Denied::LedgerUnavailable | Denied::Overloaded) => None,
            answer => {
                waiter.answer(answer);
                Some(false)
            }
        }
    });
    seats.queue = queue;
}

/// The waiter is being answered: from now on its seats are held for a whole TTL, like all others.
pub(super) fn hand_over(shared: &Shared, license: &LicenseName, granted: &Granted) -> Result<(), Denied> {
    let now = monotonic();
    let until = Tick::at(now + with_drift(shared.ttl));
    let mut state = shared.lock();
    let ownership = state.ownership.as_mut().ok_or(Denied::NotOwner)?;
    let seats = ownership.seats_of.get_mut(license).ok_or(Denied::NotOwner)?;
    let held = granted.seats.iter().all(|seat| {
        let replaced = replaced_since(seat, &seats.seating, &ownership.tagger);
        let held = as_kept(seat, replaced.as_deref());
        seats.seating.holding(&held).is_some_and(|found| found.since == seat.since)
            && seats.seating.heartbeat(&held, Tick::at(now), until)
    });
    // If they are not held, the ledger took longer than the place was kept.
    if held { Ok(()) } else { Err(Denied::LedgerUnavailable) }
}

impl Turn<'_> {
    /// Waits for its turn, for at most `most`.
    pub async fn comes(&mut self, most: Duration) -> Result<Outcome, Denied> {
        if let Ok(answer) = tokio::time::timeout(most, &mut self.answer).await {
            return answer.unwrap_or(Err(Denied::NotOwner));
        }
        let mut state = self.shared.lock();
        match self.answer.try_recv() {
            // Its turn came at the last moment.
            Ok(answer) => answer,
            Err(TryRecvError::Closed) => Err(Denied::NotOwner),
            Err(TryRecvError::Empty) => {
                let queue = state.queue_of(&self.ask.license).ok_or(Denied::NotOwner)?;
                let who = self.ask.who();
                let waiter = queue.ask(&who).zip(queue.place(&who));
                let (waiter, place) = waiter.ok_or(Denied::NotOwner)?;
                Err(Denied::Queued { refusal: waiter.refusal.clone(), place })
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let Some(queue) = state.queue_of(&self.ask.license) else { return };
        let who = self.ask.who();
        // The session may have sent another request, or may have left the queue.
        if queue.ask(&who).is_some_and(|waiter| Arc::ptr_eq(&waiter.ask, &self.ask)) {
            queue.ended(&who, Tick::at(monotonic()));
        }
    }
}
