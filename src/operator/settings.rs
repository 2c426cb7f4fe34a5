//! The settings of an operator.

use std::time::Duration;

use crate::controllers::wiring::Bounds;

/// What an operator is told, besides where it serves (`servers.rs`).
pub struct Settings {
    /// Its own namespace, with its Lease and the trust that the installation pins.
    pub namespace: String,
    /// The name that tells replicas apart.
    pub identity: String,
    pub bounds: Bounds,
    pub policies: Policies,
    pub seats: SeatSettings,
}

/// Whether the operator begins before the API server refuses what the chart's admission policies forbid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policies {
    Awaited,
    NotAwaited,
}

/// How seats are kept.
pub struct SeatSettings {
    /// A seat is freed after this time without a heartbeat.
    pub ttl: Duration,
    /// The most bytes a second that writes of SeatLedgers may cost on average; 0 for no limit.
    pub ledger_bytes_a_second: u64,
    /// Whether what the API server keeps has just begun: a missing ledger then has never been there, and was not
    /// deleted.
    pub is_new: bool,
}
