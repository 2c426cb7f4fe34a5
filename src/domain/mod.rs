//! What a licence is and what it grants: contracts, keys, modes and seats, as total functions of their inputs and
//! `now`.
//!
//! **Architecture Invariant:** nothing in this folder depends on Kubernetes, async, a clock or randomness.
//! `tests/house` proves it.

pub mod certificate;
pub mod contract;
pub mod days;
pub mod event;
pub mod fault;
pub mod license;
pub mod names;
pub mod reason;
pub mod seats;
pub mod text;
pub mod tick;
pub mod transit;
pub mod trusted_time;
mod words;
pub mod zone;

/// A point in time, in UTC. Civil dates become instants only in `contract::term`, and instants become days in `days`.
pub type Instant = chrono::DateTime<chrono::Utc>;
