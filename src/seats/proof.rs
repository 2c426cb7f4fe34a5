//! Proof of owning the ledger: the Lease, renewed without a gap since it was taken.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

use super::desk::ticks;
use crate::machine::monotonic;

/// Proof of owning the ledger lasts this long from when the renewal of the Lease was sent that brought it.
pub const PROOF_LASTS: Duration = Duration::from_secs(10);
/// What is sent within the same tick proves nothing: it is waited for longer than one.
const TICK: Duration = Duration::from_millis(2);
/// How long it is waited for a renewal of the Lease before it is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(100);

pub(super) struct Proof {
    /// Ticks until which it lasts.
    lasts: watch::Sender<u64>,
    /// Told where a renewal of the Lease is wanted now.
    pub wanted: Arc<Notify>,
}

impl Default for Proof {
    fn default() -> Self {
        Proof { lasts: watch::Sender::new(0), wanted: Arc::default() }
    }
}

impl Proof {
    /// The Lease was renewed with a request that was sent at `sent`.
    pub fn came(&self, sent: Duration) {
        let until = ticks(sent + PROOF_LASTS);
        self.lasts.send_if_modified(|lasts| {
            let longer = until > *lasts;
            *lasts = until.max(*lasts);
            longer
        });
    }

    pub fn is_there(&self, now: Duration) -> bool {
        ticks(now) < *self.lasts.borrow()
    }

    /// Returns once the Lease was renewed with a request sent after `since`: nobody else had owned the ledger until then.
    /// A renewal is asked for at once.
    pub async fn of_later(&self, since: Duration) {
        let enough = ticks(since + PROOF_LASTS) + 1;
        let mut lasts = self.lasts.subscribe();
        let ask = async {
            loop {
                tokio::time::sleep(TICK).await;
                self.wanted.notify_one();
                // Whoever was told before is asked again: a notice may come before the replica has begun to keep its Lease.
                tokio::time::sleep(ASK_AGAIN).await;
            }
        };
        tokio::select! {
            // The sender lives as long as this does.
            _ = lasts.wait_for(|lasts| *lasts >= enough) => {}
            () = ask => {}
        }
    }

    /// The same, with everybody else who wants that within `every`: one renewal is enough for all of them.
    pub async fn of_later_together(&self, every: Duration) {
        let since = monotonic();
        let into = since.as_nanos() % every.as_nanos().max(1);
        tokio::time::sleep(every.saturating_sub(Duration::from_nanos(u64::try_from(into).unwrap_or(0)))).await;
        self.of_later(since).await;
    }
}
