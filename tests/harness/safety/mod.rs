//! Seats under fire: real replicas on a real control plane, faults chosen by a seed, and a checker of what clients saw.
//!
//! | question | file |
//! |---|---|
//! | What did clients do, and how were they answered? | `history.rs` |
//! | Is that possible? | `checker.rs`; `tests/e2e/real/checker_test.rs` plants errors |
//! | What do clients do? | `agent.rs`, over `line.rs` |
//! | On which cluster, with which replicas? | `ground.rs`, `replica.rs`, `relay.rs`; `network.rs` if each has its own
//! network |
//! | Which faults do they suffer, and how do we know that each happened? | `faults.rs` |
//! | Which grants move between Licenses meanwhile? | `moves.rs` |
//! | How is all of it run, and in which size? | `siege.rs` |
//!
//! `tests/e2e/real/safety_test.rs` is the short size, `benches/safety` the long one.

pub mod agent;
pub mod checker;
pub mod dice;
pub mod faults;
pub mod ground;
pub mod history;
pub mod line;
pub mod moves;
pub mod network;
pub mod relay;
pub mod replica;
pub mod siege;
