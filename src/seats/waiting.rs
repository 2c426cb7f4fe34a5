//! A request that waits in the queue of a License.

use std::sync::Arc;
use tokio::sync::oneshot;

use super::asked::{Ask, Denied};
use super::outcome::Outcome;
use crate::domain::seats::refusal::Refusal;

/// The most waiters that are considered when a seat comes free; the next sweep considers all. Those at the head of a
/// long queue mostly wait for the same kind of seat, so one of them takes it.
pub(super) const HEAD: usize = 16;

/// A waiter.
pub(super) struct Waiter {
    pub ask: Arc<Ask>,
    /// Why there was no seat when the waiter was last considered.
    pub refusal: Refusal,
    /// `None` once it is answered.
    answer: Option<oneshot::Sender<Result<Outcome, Denied>>>,
}

impl Waiter {
    /// A waiter, and what receives its answer.
    pub fn new(ask: Arc<Ask>, refusal: Refusal) -> (Self, oneshot::Receiver<Result<Outcome, Denied>>) {
        let (answer, answered) = oneshot::channel();
        (Waiter { ask, refusal, answer: Some(answer) }, answered)
    }

    pub fn answer(&mut self, answer: Result<Outcome, Denied>) {
        if let Some(waiting) = self.answer.take() {
            // If the waiter is gone, its next request finds the seat, or the seat comes free once the place is no longer
            // kept.
            let _ = waiting.send(answer);
        }
    }

    /// The session has sent a newer request, and the answer to that one counts.
    pub fn give_way(mut self) {
        let refusal = self.refusal.clone();
        self.answer(Err(Denied::Refused(refusal)));
    }
}
