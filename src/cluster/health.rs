//! The health of the operator: whether its caches are filled, whether it leads and whether it is alive.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::machine::monotonic;

/// A runtime that has not run for this long hangs, and only a restart helps.
const HANGS: Duration = Duration::from_secs(60);
const BEAT: Duration = Duration::from_secs(5);

/// The health of the operator.
#[derive(Default)]
pub struct Health {
    /// Every cache has listed once: what the operator shows is based on what exists.
    pub synced: AtomicBool,
    pub leads: AtomicBool,
    /// Milliseconds of monotonic time at the last sign of life.
    beat: AtomicU64,
}

impl Health {
    /// Records a sign of life every few seconds. Never returns.
    pub async fn beat(&self) {
        loop {
            self.beat.store(u64::try_from(monotonic().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
            tokio::time::sleep(BEAT).await;
        }
    }

    /// Whether there was a recent sign of life.
    pub fn alive(&self) -> bool {
        monotonic().saturating_sub(Duration::from_millis(self.beat.load(Ordering::Relaxed))) < HANGS
    }
}
