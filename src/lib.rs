//! Seatkeeper keeps software licences in Kubernetes: contracts, the keys they produce, and what those keys grant.

pub mod api;
pub mod cli;
pub mod domain;
