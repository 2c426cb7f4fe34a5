//! The health of the operator: whether its caches are filled, whether it leads and whether it is alive.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::domain::tick::Tick;
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
    /// The tick of the last sign of life.
    beat: AtomicU64,
}

impl Health {
    /// Records a sign of life every few seconds. Never returns.
    pub async fn beat(&self) {
        loop {
            self.beat.store(Tick::at(monotonic()).0, Ordering::Relaxed);
            tokio::time::sleep(BEAT).await;
        }
    }

    /// Whether there was a recent sign of life.
    pub fn alive(&self) -> bool {
        Tick::at(monotonic()) < Tick(self.beat.load(Ordering::Relaxed)) + HANGS
    }
}
