//! Seatkeeper keeps software licences in Kubernetes: contracts, the keys they produce, and what those keys grant.

pub mod api;
pub mod cli;
pub mod cluster;
pub mod controllers;
pub mod domain;
pub mod machine;
pub mod observed;
pub mod operator;
pub mod seats;
pub mod server;
pub mod wrong;
