//! What is counted at the desk.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::asked::{Denied, Granted};
use crate::domain::license::name::LicenseName;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Denial {
    namespace: String,
    name: String,
    reason: &'static str,
}

impl Denial {
    fn of(license: Option<&LicenseName>, reason: &'static str) -> Self {
        let (namespace, name) =
            license.map_or_else(Default::default, |license| (license.namespace.to_string(), license.name.to_string()));
        Denial { namespace, name, reason }
    }
}

/// Seats granted and refused, and what the ledger costs.
#[derive(Clone)]
pub struct SeatMetrics {
    pub granted: Counter,
    pub released: Counter,
    /// Seats freed because no heartbeat came.
    pub lost: Counter,
    denied: Family<Denial, Counter>,
    /// The reasons for which each License has a series in `denied`.
    reasons: Arc<Mutex<HashMap<LicenseName, BTreeSet<&'static str>>>>,
    /// Sessions in the queue at the last sweep.
    pub queued: Gauge,
    /// From a request to its answer, without requests that wait in the queue.
    pub wait: Histogram,
    /// Requests answered by one commit.
    pub batch: Histogram,
    pub commit: Histogram,
    /// Seats taken and freed in the ledger, and the bytes of its writes: their quotient is the bytes per seat.
    pub changes: Counter,
    pub bytes: Counter,
    pub owns: Gauge,
}

impl Default for SeatMetrics {
    fn default() -> Self {
        let seconds = || Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0]);
        SeatMetrics {
            granted: Counter::default(),
            released: Counter::default(),
            lost: Counter::default(),
            denied: Family::default(),
            reasons: Arc::default(),
            queued: Gauge::default(),
            wait: seconds(),
            batch: Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0]),
            commit: seconds(),
            changes: Counter::default(),
            bytes: Counter::default(),
            owns: Gauge::default(),
        }
    }
}

impl SeatMetrics {
    /// Registers the metrics in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("seats_granted", "Seats granted", self.granted.clone());
        registry.register("seats_released", "Seats released by their holders", self.released.clone());
        registry.register("seats_lost", "Seats freed because no heartbeat came from their holder", self.lost.clone());
        registry.register("seats_denied", "Requests refused, by License and reason", self.denied.clone());
        registry.register("seats_queued", "Sessions waiting for a seat", self.queued.clone());
        registry.register("seat_wait_seconds", "Time from a request for seats to its answer", self.wait.clone());
        registry.register("ledger_batch", "Requests answered by one commit", self.batch.clone());
        registry.register("ledger_commit_seconds", "Time that a commit takes", self.commit.clone());
        registry.register("ledger_changes", "Seats taken and freed in the ledger", self.changes.clone());
        registry.register("ledger_bytes", "Bytes written to the ledger", self.bytes.clone());
        registry.register("ledger_owned", "1 in the replica that grants seats", self.owns.clone());
    }

    /// Counts an answer.
    pub fn answered(&self, license: &LicenseName, answer: &Result<Granted, Denied>) {
        match answer {
            Ok(granted) => _ = self.granted.inc_by(granted.seats.len() as u64),
            Err(Denied::NotOwner) => {}
            Err(denied) => {
                let known = !matches!(denied, Denied::UnknownLicense(_));
                self.denied(known.then_some(license), denied.reason());
            }
        }
    }

    /// The License is gone: drops its series. Otherwise a tenant could make one for each name that it can think of.
    pub fn forget(&self, license: &LicenseName) {
        let reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner).remove(license);
        for reason in reasons.unwrap_or_default() {
            self.denied.remove(&Denial::of(Some(license), reason));
        }
    }

    /// Counts a refusal; `license` is `None` if the License is not known.
    fn denied(&self, license: Option<&LicenseName>, reason: &'static str) {
        // Under the lock, so that nothing is counted of a License that is being forgotten.
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(license) = license {
            match reasons.get_mut(license) {
                Some(known) => _ = known.insert(reason),
                None => _ = reasons.insert(license.clone(), [reason].into()),
            }
        }
        self.denied.get_or_create(&Denial::of(license, reason)).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_license_that_is_gone_has_no_series() {
        let (metrics, mut registry) = (SeatMetrics::default(), Registry::default());
        metrics.register(&mut registry);
        let (gone, stays) = (LicenseName::new("a", "gone"), LicenseName::new("a", "stays"));
        for license in [&gone, &stays] {
            ["NoLicense", "SeatsExhausted"].iter().for_each(|reason| metrics.denied(Some(license), reason));
        }
        metrics.forget(&gone);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("it is text");
        assert_eq!((text.matches("gone").count(), text.matches("stays").count()), (0, 2), "{text}");
    }
}
