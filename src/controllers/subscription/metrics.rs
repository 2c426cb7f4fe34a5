//! Metrics of the keys of contracts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// How many keys were issued and revoked.
#[derive(Default)]
pub struct KeyMetrics {
    issued: Counter,
    revoked: Counter,
}

impl KeyMetrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register("keys_issued", "Keys issued", self.issued.clone());
        registry.register("keys_revoked", "Keys revoked", self.revoked.clone());
    }

    pub fn count(&self, issued: usize, revoked: usize) {
        self.issued.inc_by(issued as u64);
        self.revoked.inc_by(revoked as u64);
    }
}
