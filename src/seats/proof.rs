//! Proof of owning the ledger: the Lease, renewed without a gap since it was taken.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

use crate::domain::tick::{Moment, Tick};
use crate::machine::monotonic;

/// How long proof of owning the ledger lasts, from when the renewal of the Lease that brought it was sent.
pub const PROOF_LASTS: Duration = Duration::from_secs(10);
/// A renewal sent within the same tick as the request proves nothing, so wait for longer than one tick.
const LONGER_THAN_A_TICK: Duration = Duration::from_millis(2);
/// How long to wait for a renewal of the Lease before asking for it again.
const ASK_AGAIN: Duration = Duration::from_millis(100);

pub(super) struct Proof {
    /// The tick until which the proof lasts.
    lasts: watch::Sender<Tick>,
    /// Notified when a renewal of the Lease is wanted now.
    pub wanted: Arc<Notify>,
    /// The times at which callers are served together are counted from here.
    began: Moment,
}

impl Default for Proof {
    fn default() -> Self {
        Proof { lasts: watch::Sender::new(Tick::MIN), wanted: Arc::default(), began: monotonic() }
    }
}

impl Proof {
    /// Records that the Lease was renewed with a request that was sent at `sent`.
    pub fn came(&self, sent: Moment) {
        let until = Tick::at(sent + PROOF_LASTS);
        self.lasts.send_if_modified(|lasts| {
            let longer = until > *lasts;
            *lasts = until.max(*lasts);
            longer
        });
    }

    pub fn is_there(&self, now: Moment) -> bool {
        Tick::at(now) < *self.lasts.borrow()
    }

    /// Asks for a renewal of the Lease at once, and returns after a renewal whose request was sent after `since`. It
    /// proves that nobody else had owned the ledger until then.
    pub async fn of_later(&self, since: Moment) {
        let enough = Tick::at(since + PROOF_LASTS).next();
        let mut lasts = self.lasts.subscribe();
        let ask = async {
            loop {
                tokio::time::sleep(LONGER_THAN_A_TICK).await;
                self.wanted.notify_one();
                // Ask repeatedly: a notice may come before the replica has begun to keep its Lease.
                tokio::time::sleep(ASK_AGAIN).await;
            }
        };
        tokio::select! {
            biased;
            // The sender lives as long as `self`.
            _ = lasts.wait_for(|lasts| *lasts >= enough) => {}
            () = ask => {}
        }
    }

    /// Like `of_later`, but shared with all other callers that come within `every`: one renewal is enough for all of
    /// them.
    pub async fn of_later_together(&self, every: Duration) {
        let since = monotonic();
        let into = (since - self.began).as_nanos() % every.as_nanos().max(1);
        tokio::time::sleep(every.saturating_sub(Duration::from_nanos(u64::try_from(into).unwrap_or(0)))).await;
        self.of_later(since).await;
    }
}
