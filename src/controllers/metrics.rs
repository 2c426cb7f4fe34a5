//! Metrics of the looks at objects.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    kind: &'static str,
    outcome: &'static str,
}

/// What is measured of each kind. Clones count together.
#[derive(Clone)]
pub struct LookMetrics {
    reconciles: Family<OfOutcome, Counter>,
    seconds: Family<OfKind, Histogram>,
    statuses: Family<OfKind, Counter>,
}

impl Default for LookMetrics {
    fn default() -> Self {
        let seconds = Family::new_with_constructor(seconds as fn() -> Histogram);
        LookMetrics { reconciles: Family::default(), seconds, statuses: Family::default() }
    }
}

fn seconds() -> Histogram {
    Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0])
}

impl LookMetrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register("reconciles", "Reconciles by kind and outcome", self.reconciles.clone());
        registry.register("reconcile_seconds", "Time that a reconcile takes", self.seconds.clone());
        registry.register("status_writes", "Status writes by kind", self.statuses.clone());
    }

    pub fn reconciled(&self, kind: &'static str, took: Duration, done: bool) {
        self.reconciles.get_or_create(&OfOutcome { kind, outcome: if done { "done" } else { "failed" } }).inc();
        self.seconds.get_or_create(&OfKind { kind }).observe(took.as_secs_f64());
    }

    pub fn status_written(&self, kind: &'static str) {
        self.statuses.get_or_create(&OfKind { kind }).inc();
    }
}
