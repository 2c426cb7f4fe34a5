//! Metrics of the process and its requests, and the place where every other part registers what it measures.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::{Mutex, PoisonError};

use super::client::RequestCount;

/// Everything that is measured.
pub struct Metrics {
    registry: Mutex<Registry>,
    pub events_dropped: Counter,
    pub leads: Gauge,
    pub clock_trusted: Gauge,
    pub seat_certificate_refused: Gauge,
}

impl Metrics {
    /// `requests` are counted by the kube client and exported here.
    pub fn new(requests: &RequestCount) -> Self {
        let metrics = Metrics {
            registry: Mutex::default(),
            events_dropped: Counter::default(),
            leads: Gauge::default(),
            clock_trusted: Gauge::default(),
            seat_certificate_refused: Gauge::default(),
        };
        metrics.export(|registry| {
            registry.register("leads", "1 in the replica that leads", metrics.leads.clone());
            let help = "1 if our clock and the API server's agree";
            registry.register("clock_trusted", help, metrics.clock_trusted.clone());
            let help = "1 while renewed files of --seats-tls-dir cannot be used";
            registry.register("seat_certificate_refused", help, metrics.seat_certificate_refused.clone());
            registry.register("api_reads", "Read requests to the API server", requests.reads.clone());
            registry.register("api_writes", "Write requests to the API server", requests.writes.clone());
            let help = "Events dropped because too many were waiting";
            registry.register("events_dropped", help, metrics.events_dropped.clone());
        });
        metrics
    }

    /// Exports what another part of the operator measures. Its names get the prefix `seatkeeper_` here.
    pub fn export(&self, register: impl FnOnce(&mut Registry)) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        register(registry.sub_registry_with_prefix("seatkeeper"));
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
