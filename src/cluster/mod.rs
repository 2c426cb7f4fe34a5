//! Talking to the API server: time, calls, caches, leadership, Events and status.

pub mod client;
pub mod clock;
pub mod events;
pub mod leader;
pub mod secrets;
pub mod status;
pub mod watch;
