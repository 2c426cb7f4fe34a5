//! What all callers of a desk and its own tasks share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

use super::asked::Denied;
use super::budget::Budget;
use super::metrics::SeatMetrics;
use super::ownership::DeskState;
use super::proof::Proof;
use crate::cluster::clock::Clock;
use crate::domain::Instant;
use crate::domain::license::name::LicenseName;
use crate::domain::tick::Moment;
use crate::machine::monotonic;
use crate::observed::{Judged, Observed};

pub(super) struct Shared {
    pub state: Mutex<DeskState>,
    /// Notified when something waits to be written.
    pub wake_committer: Notify,
    /// Proof of owning the ledger.
    pub proof: Proof,
    /// Whether a missing ledger is new rather than deleted.
    pub from_nothing: AtomicBool,
    /// Shows what each License grants.
    pub observed: Observed,
    pub clock: Clock,
    pub ttl: Duration,
    pub budget: Mutex<Budget>,
    /// Whether some License may have to wait for the budget.
    pub is_strained: AtomicBool,
    /// Notified when an entry is taken, so that there is room for more.
    pub room: Notify,
    pub metrics: SeatMetrics,
}

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, DeskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a write of the ledger, and what each License has in it.
    pub fn spend<'l>(&self, bytes: usize, of: impl IntoIterator<Item = (&'l LicenseName, usize)>) {
        let now = monotonic();
        let mut budget = self.budget();
        budget.spend(bytes, of, now);
        self.is_strained.store(budget.is_strained(now), Ordering::Relaxed);
    }

    /// Whether a License has used more of the ledger than its share, so that nothing more is to be granted to it at present.
    pub fn delays(&self, license: &LicenseName, now: Moment) -> bool {
        self.is_strained.load(Ordering::Relaxed) && self.budget().delays(license, now)
    }

    /// What a License grants at `now`. Returns an error if there is no such License.
    pub fn judge(&self, license: &LicenseName, now: Instant) -> Result<Judged, Denied> {
        self.observed.judge(license, now).ok_or_else(|| Denied::UnknownLicense(license.clone()))
    }

    /// Returns an error if there is no such License.
    pub fn known(&self, license: &LicenseName) -> Result<(), Denied> {
        self.observed.has_license(license).then_some(()).ok_or_else(|| Denied::UnknownLicense(license.clone()))
    }
}
