//! How long the other end of a connection may leave it as it is. One look at all connections every few seconds stands for
//! a timer for each head, answer and connection: timers took a tenth of the time of a request.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// The time between two looks.
pub const LOOK: Duration = Duration::from_secs(10);
/// How many looks a connection may be silent between two requests, and the head of a request may take: two minutes. Clients that
/// keep a seat are heard far more often. Replicas that watch this one are cut off too, and connect again
/// (`cluster/watch_leader.rs`).
const SILENT: u32 = 12;
/// How many looks an answer may go unread: it takes memory until it is read.
const UNREAD: u32 = 3;
/// After this many looks, an hour, a connection ends with the answer to its next request.
const AGE: u32 = 360;

/// What the other end of a connection has done, and for how many looks it has done nothing.
#[derive(Default)]
pub struct Patience {
    /// One more when a head is complete, and when its answer has been handed over: it is odd while a request is answered.
    steps: AtomicU32,
    /// Some bytes could not be sent yet, because the other end does not read.
    is_unread: AtomicBool,
    /// How many times some of them could.
    reads: AtomicU32,
    /// What was found at the last look. Only `look` writes these.
    steps_then: AtomicU32,
    reads_then: AtomicU32,
    silent: AtomicU32,
    unread: AtomicU32,
    age: AtomicU32,
}

impl Patience {
    /// The head of a request is complete, or the answer to it has been handed over.
    pub fn takes_step(&self) {
        // Only the task of the connection counts, so this need not be one operation.
        self.steps.store(self.steps.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Whether bytes for the other end could be sent.
    pub fn note_sent(&self, sent: bool) {
        if self.is_unread.load(Relaxed) == sent {
            self.is_unread.store(!sent, Relaxed);
            self.reads.store(self.reads.load(Relaxed).wrapping_add(1), Relaxed);
        }
    }

    /// Whether the connection is so old that it should end with its next answer.
    pub fn is_old(&self) -> bool {
        self.age.load(Relaxed) >= AGE
    }

    /// Looks at the connection, as is done every `LOOK`. Returns whether it has to end now.
    pub fn look(&self) -> bool {
        let one_more = |count: &AtomicU32, if_so: bool| {
            let now = if if_so { count.load(Relaxed).saturating_add(1) } else { 0 };
            count.store(now, Relaxed);
            now
        };
        let (steps, reads) = (self.steps.load(Relaxed), self.reads.load(Relaxed));
        let waits_for_head = steps.is_multiple_of(2) && self.steps_then.swap(steps, Relaxed) == steps;
        let unread = self.is_unread.load(Relaxed) && self.reads_then.swap(reads, Relaxed) == reads;
        one_more(&self.age, true);
        one_more(&self.silent, waits_for_head) >= SILENT || one_more(&self.unread, unread) >= UNREAD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks_until_it_ends(patience: &Patience, between: impl Fn(u32)) -> Option<u32> {
        (1..1_000).find(|n| {
            between(*n);
            patience.look()
        })
    }

    #[test]
    fn who_sends_nothing_has_two_minutes_and_who_is_answered_has_as_long_as_that_takes() {
        assert_eq!(looks_until_it_ends(&Patience::default(), |_| ()), Some(SILENT));
        let answered = Patience::default();
        answered.takes_step();
        assert_eq!(looks_until_it_ends(&answered, |_| ()), None);
        answered.takes_step();
        assert_eq!(looks_until_it_ends(&answered, |_| ()), Some(SILENT + 1));
        let busy = Patience::default();
        let now_and_then = |n: u32| {
            if n.is_multiple_of(SILENT - 1) {
                busy.takes_step();
                busy.takes_step();
            }
        };
        assert_eq!(looks_until_it_ends(&busy, now_and_then), None);
        assert!(busy.is_old());
    }

    /// The attack: requests whose answers are never read.
    #[test]
    fn an_answer_that_nobody_reads_is_given_up_and_one_that_is_read_slowly_is_not() {
        let unread = Patience::default();
        unread.takes_step();
        unread.note_sent(false);
        assert_eq!(looks_until_it_ends(&unread, |_| ()), Some(UNREAD + 1));
        let slow = Patience::default();
        slow.takes_step();
        let reads_some = |_| {
            slow.note_sent(true);
            slow.note_sent(false);
        };
        assert_eq!(looks_until_it_ends(&slow, reads_some), None);
    }
}
