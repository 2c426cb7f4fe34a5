//! The operator's side of the API server: time, calls, caches, leadership, Events and status.

pub mod audit_lines;
pub mod client;
pub mod clock;
pub mod compare_and_swap;
pub mod events;
mod gather;
pub mod health;
pub mod leader;
pub mod metrics;
pub mod room;
pub mod scope;
pub mod secrets;
pub mod specs;
pub mod status;
pub mod trouble;
pub mod watch;
pub mod watch_leader;
