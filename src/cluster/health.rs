//! The health of the operator: whether its caches are filled, whether it leads and whether every part of it is alive.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::tick::Tick;
use crate::machine::monotonic;

/// A part that has not run for this long hangs, and only a restart helps.
const HANGS: Duration = Duration::from_secs(60);
const BEAT: Duration = Duration::from_secs(5);

/// The health of the operator.
#[derive(Default)]
pub struct Health {
    /// Every cache has listed once: what the operator shows is based on what exists.
    pub synced: AtomicBool,
    pub leads: AtomicBool,
    /// The seat server is to have a certificate of its own authority, and has none yet.
    pub awaits_certificate: AtomicBool,
    /// The last sign of life of each part that runs now.
    parts: Mutex<BTreeMap<&'static str, Tick>>,
}

/// A part that runs. It is expected to show signs of life until this value is dropped.
struct Part<'h> {
    health: &'h Health,
    name: &'static str,
}

impl Health {
    /// Records a sign of life of a part every few seconds. Never returns. A task that waits for this together with its
    /// work shows signs of life only while its work does not block it.
    pub async fn beat(&self, name: &'static str) {
        let part = Part { health: self, name };
        loop {
            part.health.parts().insert(name, Tick::at(monotonic()));
            tokio::time::sleep(BEAT).await;
        }
    }

    /// A part without a recent sign of life; `None` if every part is alive.
    pub fn hanging(&self) -> Option<&'static str> {
        let now = Tick::at(monotonic());
        self.parts().iter().find(|(_, last)| now >= **last + HANGS).map(|(name, _)| *name)
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<&'static str, Tick>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        self.health.parts().remove(self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_part_that_no_longer_runs_is_named_until_it_ends() {
        let health = std::sync::Arc::new(Health::default());
        assert_eq!(health.hanging(), None, "nothing runs yet");
        let mut blocked = Box::pin(health.beat("blocked"));
        assert!(futures::poll!(&mut blocked).is_pending());
        let beating = tokio::spawn({
            let health = health.clone();
            async move { health.beat("well").await }
        });
        tokio::time::sleep(HANGS - BEAT).await;
        assert_eq!(health.hanging(), None);
        tokio::time::sleep(2 * BEAT).await;
        assert_eq!(health.hanging(), Some("blocked"));
        drop(blocked);
        assert_eq!(health.hanging(), None);
        beating.abort();
        let _ = beating.await;
        tokio::time::sleep(2 * HANGS).await;
        assert_eq!(health.hanging(), None, "what has ended does not hang");
    }
}
