//! Metrics, in the words of the API: licence, mode, seats, keys.

use kube::ResourceExt;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::client::RequestCount;
use crate::api::License;
use crate::api::conditions::{ConditionType, is_true};
use crate::api::license::{KeyStateName, LicenseStatus};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLicense {
    namespace: String,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPool {
    namespace: String,
    name: String,
    pool: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    kind: &'static str,
    outcome: &'static str,
}

/// Everything that is measured.
pub struct Metrics {
    registry: Mutex<Registry>,
    licensed: Family<OfLicense, Gauge>,
    mode: Family<OfLicense, Gauge>,
    expires: Family<OfLicense, Gauge>,
    refused: Family<OfLicense, Gauge>,
    limit: Family<OfPool, Gauge>,
    in_use: Family<OfPool, Gauge>,
    peak: Family<OfPool, Gauge>,
    reconciles: Family<OfOutcome, Counter>,
    seconds: Family<OfKind, Histogram>,
    statuses: Family<OfKind, Counter>,
    issued: Counter,
    revoked: Counter,
    pub events_dropped: Counter,
    pub leads: Gauge,
    pub clock_trusted: Gauge,
    pub seat_certificate_refused: Gauge,
}

impl Metrics {
    /// `requests` are counted by the kube client and exported here.
    pub fn new(requests: &RequestCount) -> Self {
        let seconds: Family<OfKind, Histogram> =
            Family::new_with_constructor(|| Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0]));
        let metrics = Metrics {
            registry: Mutex::default(),
            licensed: Family::default(),
            mode: Family::default(),
            expires: Family::default(),
            refused: Family::default(),
            limit: Family::default(),
            in_use: Family::default(),
            peak: Family::default(),
            reconciles: Family::default(),
            seconds,
            statuses: Family::default(),
            issued: Counter::default(),
            revoked: Counter::default(),
            events_dropped: Counter::default(),
            leads: Gauge::default(),
            clock_trusted: Gauge::default(),
            seat_certificate_refused: Gauge::default(),
        };
        {
            let mut registry = metrics.registry.lock().unwrap_or_else(PoisonError::into_inner);
            let seatkeeper = registry.sub_registry_with_prefix("seatkeeper");
            seatkeeper.register(
                "license_licensed",
                "1 if the License is in mode Full or Grace, 0 in mode Demo",
                metrics.licensed.clone(),
            );
            seatkeeper.register("license_mode", "Mode of the License: 2 Full, 1 Grace, 0 Demo", metrics.mode.clone());
            seatkeeper.register(
                "license_expires_timestamp_seconds",
                "When what the License grants ends; absent if never",
                metrics.expires.clone(),
            );
            seatkeeper.register("license_keys_refused", "Refused keys of the License", metrics.refused.clone());
            seatkeeper.register("license_pool_limit", "Seats of a pool; absent if unlimited", metrics.limit.clone());
            seatkeeper.register("license_pool_in_use", "Seats of a pool in use", metrics.in_use.clone());
            seatkeeper.register("license_pool_peak", "The most seats of a pool in use at once", metrics.peak.clone());
            seatkeeper.register("reconciles", "Reconciles by kind and outcome", metrics.reconciles.clone());
            seatkeeper.register("reconcile_seconds", "Time that a reconcile takes", metrics.seconds.clone());
            seatkeeper.register("status_writes", "Status writes by kind", metrics.statuses.clone());
            seatkeeper.register("keys_issued", "Keys issued", metrics.issued.clone());
            seatkeeper.register("keys_revoked", "Keys revoked", metrics.revoked.clone());
            seatkeeper.register("leads", "1 in the replica that leads", metrics.leads.clone());
            seatkeeper.register(
                "clock_trusted",
                "1 if our clock and the API server's agree",
                metrics.clock_trusted.clone(),
            );
            seatkeeper.register(
                "seat_certificate_refused",
                "1 while renewed files of --seats-tls-dir cannot be used",
                metrics.seat_certificate_refused.clone(),
            );
            seatkeeper.register("api_reads", "Read requests to the API server", requests.reads.clone());
            seatkeeper.register("api_writes", "Write requests to the API server", requests.writes.clone());
            seatkeeper.register(
                "events_dropped",
                "Events dropped because too many were waiting",
                metrics.events_dropped.clone(),
            );
        }
        metrics
    }

    /// Exports what another part of the operator measures. Its names get the prefix `seatkeeper_` here.
    pub fn export(&self, register: impl FnOnce(&mut Registry)) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        register(registry.sub_registry_with_prefix("seatkeeper"));
    }

    /// Updates the metrics of a License from its new status.
    pub fn licensed(&self, license: &License, status: &LicenseStatus) {
        let of = of(license);
        let mode = match status.mode {
            Some(crate::domain::license::mode::Mode::Full) => 2,
            Some(crate::domain::license::mode::Mode::Grace) => 1,
            _ => 0,
        };
        self.mode.get_or_create(&of).set(mode);
        self.licensed.get_or_create(&of).set(i64::from(is_true(&status.conditions, ConditionType::Licensed)));
        let refused = status.keys.iter().filter(|key| key.state == KeyStateName::Refused).count();
        self.refused.get_or_create(&of).set(i64::try_from(refused).unwrap_or(i64::MAX));
        match status.expires_at {
            Some(at) => _ = self.expires.get_or_create(&of).set(at.0.timestamp()),
            None => _ = self.expires.remove(&of),
        }
        for pool in &status.pools {
            let of = OfPool { namespace: of.namespace.clone(), name: of.name.clone(), pool: pool.name.clone() };
            for (family, count) in [(&self.in_use, pool.in_use), (&self.peak, pool.peak)] {
                match count {
                    Some(count) => _ = family.get_or_create(&of).set(i64::try_from(count).unwrap_or(i64::MAX)),
                    None => _ = family.remove(&of),
                }
            }
            match pool.limit {
                Some(limit) => _ = self.limit.get_or_create(&of).set(i64::try_from(limit).unwrap_or(i64::MAX)),
                None => _ = self.limit.remove(&of),
            }
        }
        for gone in
            license.status.iter().flat_map(|s| &s.pools).filter(|p| status.pools.iter().all(|q| q.name != p.name))
        {
            self.forget_pool(&of, &gone.name);
        }
    }

    fn forget_pool(&self, of: &OfLicense, pool: &str) {
        let of = OfPool { namespace: of.namespace.clone(), name: of.name.clone(), pool: pool.to_owned() };
        for family in [&self.limit, &self.in_use, &self.peak] {
            family.remove(&of);
        }
    }

    /// Removes the metrics of a deleted License.
    pub fn forget_license(&self, license: &License) {
        let of = of(license);
        for family in [&self.mode, &self.licensed, &self.expires, &self.refused] {
            family.remove(&of);
        }
        for pool in license.status.iter().flat_map(|status| &status.pools) {
            self.forget_pool(&of, &pool.name);
        }
    }

    pub fn reconciled(&self, kind: &'static str, took: Duration, done: bool) {
        self.reconciles.get_or_create(&OfOutcome { kind, outcome: if done { "done" } else { "failed" } }).inc();
        self.seconds.get_or_create(&OfKind { kind }).observe(took.as_secs_f64());
    }

    pub fn status_written(&self, kind: &'static str) {
        self.statuses.get_or_create(&OfKind { kind }).inc();
    }

    pub fn keys_issued(&self, issued: usize, revoked: usize) {
        self.issued.inc_by(issued as u64);
        self.revoked.inc_by(revoked as u64);
    }

    /// Returns all metrics in the OpenMetrics text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        match encode(&mut text, &registry) {
            Ok(()) => text,
            Err(error) => format!("# {error}\n"),
        }
    }
}

fn of(license: &License) -> OfLicense {
    OfLicense { namespace: license.namespace().unwrap_or_default(), name: license.name_any() }
}
