//! What a licence is and what it grants: contracts, keys, modes and seats, as total functions of their inputs and `now`.
//!
//! **Architecture Invariant:** nothing in here knows Kubernetes, async, a clock or randomness. `tests/house.rs` proves it.

pub mod contract;
pub mod fault;
pub mod license;
pub mod seats;
pub mod trusted_time;

/// An instant on the one true time line. Civil dates become instants in `contract::term` and nowhere else.
pub type Instant = chrono::DateTime<chrono::Utc>;
