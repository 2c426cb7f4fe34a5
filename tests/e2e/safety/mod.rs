//! Seats under fire: real replicas on a real control plane, faults of a seed, and a checker of what clients saw.
//!
//! | question | file |
//! |---|---|
//! | What did clients do and hear? | `history.rs` |
//! | Can that be? | `checker.rs`, with planted errors in `checker_test.rs` |
//! | What do clients do? | `agent.rs`, over `line.rs` |
//! | On what, with how many replicas? | `ground.rs`, `replica.rs`, `relay.rs`; `network.rs` where they have networks of their own |
//! | What is done to them, and how is it known that it happened? | `faults.rs` |
//! | The whole, in which size? | `siege.rs` |
//!
//! `safety_test.rs` is the short size, `benches/safety` the long one.

pub mod agent;
pub mod checker;
mod checker_test;
pub mod dice;
pub mod faults;
pub mod ground;
pub mod history;
#[allow(dead_code)]
#[path = "../../../benches/seats/http.rs"]
mod http;
pub mod line;
pub mod network;
pub mod relay;
pub mod replica;
pub mod siege;
