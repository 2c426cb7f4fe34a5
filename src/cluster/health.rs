//! What the operator knows of itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::machine::monotonic;

/// A runtime that did not turn for this long hangs, and only a restart helps.
const HANGS: Duration = Duration::from_secs(60);
const BEAT: Duration = Duration::from_secs(5);

/// What the operator knows of itself.
#[derive(Default)]
pub struct Health {
    /// Every cache has listed once: what is shown is founded on what is there.
    pub synced: AtomicBool,
    pub leads: AtomicBool,
    /// Milliseconds of monotonic time at the last sign of life.
    beat: AtomicU64,
}

impl Health {
    /// A sign of life every few seconds. Never returns.
    pub async fn beat(&self) {
        loop {
            self.beat.store(u64::try_from(monotonic().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
            tokio::time::sleep(BEAT).await;
        }
    }

    /// Whether there was a sign of life lately.
    pub fn alive(&self) -> bool {
        monotonic().saturating_sub(Duration::from_millis(self.beat.load(Ordering::Relaxed))) < HANGS
    }
}
