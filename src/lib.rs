//! Seatkeeper keeps software licences in Kubernetes: contracts, the keys they produce, and what those keys grant.

pub mod api;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod controllers;
pub mod domain;
pub mod embedded;
pub mod server;
pub mod wrong;
