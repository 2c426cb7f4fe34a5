//! The queue for seats. Waiters are served at each moment at which a seat may have come free, before anyone else is
//! decided on: a newcomer never finds a seat that a waiter could take.
//!
//! If a waiter's turn comes between two of its requests, the seat is granted anyway and kept for the rest of its grace
//! period: its next request finds the seat, and without one the sweep frees it for the next waiter. The same happens to
//! a grant that does not reach its caller.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::asked::{Ask, Denied, Granted};
use super::decide::Outcome;
use super::desk::{Desk, Shared, ticks, with_drift};
use super::owned::{Counter, State, Writes};
use crate::domain::license::name::LicenseName;
use crate::domain::seats::queue::{GRACE, MOST_QUEUED, Queue, Session};
use crate::domain::seats::refusal::Refusal;
use crate::machine::monotonic;

/// The most waiters that are considered when a seat comes free; the next sweep considers all. Those at the head of a
/// long queue mostly wait for the same kind of seat, so one of them takes it.
pub(super) const HEAD: usize = 16;

/// A waiter.
pub(super) struct InQueue {
    ask: Arc<Ask>,
    /// Why there was no seat when the waiter was last considered.
    refusal: Refusal,
    /// `None` once it is answered.
    answer: Option<oneshot::Sender<Result<Outcome, Denied>>>,
}

impl InQueue {
    fn tell(&mut self, answer: Result<Outcome, Denied>) {
        if let Some(waiting) = self.answer.take() {
            // If the waiter is gone, its next request finds the seat, or the seat comes free after the grace period.
            let _ = waiting.send(answer);
        }
    }

    /// The session has sent a newer request, and the answer to that one counts.
    fn give_way(mut self) {
        let refusal = self.refusal.clone();
        self.tell(Err(Denied::Refused(refusal)));
    }
}

impl Ask {
    fn who(&self) -> Session {
        Session::of(self.user.as_deref(), &self.session)
    }
}

impl Counter {
    /// The caller has its seat and no longer waits.
    pub fn leaves_queue(&mut self, ask: &Ask) {
        if let Some(waiting) = self.queue.leave(&ask.who()) {
            waiting.give_way();
        }
    }
}

/// A place in the queue while its request is open. The grace period begins when this is dropped.
struct Turn<'d> {
    shared: &'d Shared,
    ask: Arc<Ask>,
    answer: oneshot::Receiver<Result<Outcome, Denied>>,
}

impl Desk {
    /// Asks for seats. If there are none now but some may come free, waits in the queue for at most `most`. The answer
    /// comes once the grant is durable.
    pub async fn acquire_in_turn(&self, ask: Ask, most: Duration) -> Result<Granted, Denied> {
        let ask = Arc::new(ask);
        let answer = self.in_turn(&ask, most).await;
        self.0.metrics.answered(&ask.license, &answer);
        answer
    }

    async fn in_turn(&self, ask: &Arc<Ask>, most: Duration) -> Result<Granted, Denied> {
        let decided = {
            let mut state = self.0.lock();
            match self.0.decide(&mut state, ask) {
                Err(Denied::Refused(refusal)) if refusal.may_pass() => Err(self.0.join(&mut state, ask, refusal)?),
                decided => Ok(decided),
            }
        };
        self.0.pending.notify_one();
        match decided {
            Ok(decided) => decided?.answer().await,
            Err(mut turn) => {
                let granted = turn.comes(most).await?.answer().await?;
                self.0.hand_over(&ask.license, &granted)?;
                Ok(granted)
            }
        }
    }
}

impl Shared {
    fn join(&self, state: &mut State, ask: &Arc<Ask>, refusal: Refusal) -> Result<Turn<'_>, Denied> {
        let (tell, answer) = oneshot::channel();
        let queue = queue_of(state, &ask.license).ok_or(Denied::NotOwner)?;
        let waiting = InQueue { ask: ask.clone(), refusal, answer: Some(tell) };
        let before = queue.join(ask.who(), waiting).map_err(|_| Denied::Overloaded)?;
        before.into_iter().for_each(InQueue::give_way);
        Ok(Turn { shared: self, ask: ask.clone(), answer })
    }

    /// Serves the waiters in their order: the first `most` of them, or all if the License may grant more than before.
    pub(super) fn serve(&self, license: &LicenseName, counter: &mut Counter, writes: &mut Writes, most: usize) {
        let (now, at) = (monotonic(), self.clock.now().at);
        let looked_up = self.look_up(license, counter, at);
        let most = if looked_up == Ok(false) { most } else { MOST_QUEUED };
        let mut queue = std::mem::take(&mut counter.queue);
        queue.call(most, |waiting| {
            if waiting.kept_until().is_some_and(|until| until <= ticks(now)) {
                return Some(false);
            }
            let until = waiting.kept_until().unwrap_or(ticks(now) + GRACE);
            let one = &mut waiting.ask;
            match looked_up.clone().and_then(|_| self.grant(counter, writes, &one.ask, (now, at), until)) {
                Err(Denied::Refused(refusal)) if refusal.may_pass() => {
                    one.refusal = refusal;
                    Some(true)
                }
                // No new seat can be granted to anyone at present.
                Err(Denied::LedgerIncomplete { .. } | Denied::LedgerUnavailable | Denied::Overloaded) => None,
                answer => {
                    one.tell(answer);
                    Some(false)
                }
            }
        });
        counter.queue = queue;
    }

    /// The waiter is being answered: from now on its seats are held for a whole TTL, like all others.
    fn hand_over(&self, license: &LicenseName, granted: &Granted) -> Result<(), Denied> {
        let now = monotonic();
        let until = ticks(now + with_drift(self.ttl));
        let mut state = self.lock();
        let owned = state.owned.as_mut().ok_or(Denied::NotOwner)?;
        let counter = owned.seatings.get_mut(license).ok_or(Denied::NotOwner)?;
        let held = granted.seats.iter().all(|seat| {
            counter.seating.since(&seat.held()) == Some(seat.since)
                && counter.seating.heartbeat(&seat.held(), ticks(now), until)
        });
        // If they are not held, the ledger took longer than the grace period.
        if held { Ok(()) } else { Err(Denied::LedgerUnavailable) }
    }
}

impl Turn<'_> {
    /// Waits for its turn, for at most `most`.
    async fn comes(&mut self, most: Duration) -> Result<Outcome, Denied> {
        if let Ok(told) = tokio::time::timeout(most, &mut self.answer).await {
            return told.unwrap_or(Err(Denied::NotOwner));
        }
        let mut state = self.shared.lock();
        match self.answer.try_recv() {
            // Its turn came at the last moment.
            Ok(answer) => answer,
            Err(TryRecvError::Closed) => Err(Denied::NotOwner),
            Err(TryRecvError::Empty) => {
                let queue = queue_of(&mut state, &self.ask.license).ok_or(Denied::NotOwner)?;
                let who = self.ask.who();
                let waiting = queue.ask(&who).zip(queue.place(&who));
                let (waiting, place) = waiting.ok_or(Denied::NotOwner)?;
                Err(Denied::Queued { refusal: waiting.refusal.clone(), place })
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let Some(queue) = queue_of(&mut state, &self.ask.license) else { return };
        let who = self.ask.who();
        // The session may have sent another request, or may have left the queue.
        if queue.ask(&who).is_some_and(|waiting| Arc::ptr_eq(&waiting.ask, &self.ask)) {
            queue.ended(&who, ticks(monotonic()));
        }
    }
}

fn queue_of<'s>(state: &'s mut State, license: &LicenseName) -> Option<&'s mut Queue<InQueue>> {
    Some(&mut state.owned.as_mut()?.seatings.get_mut(license)?.queue)
}
