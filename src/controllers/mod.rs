//! The controllers: they watch objects, judge them with the domain, act, and show the result.
//!
//! | question | file |
//! |---|---|
//! | Which kinds are there? | `kinds.rs` |
//! | What is kept of each kind? | `kind.rs` |
//! | Which change makes which object worth another look? | `relations.rs` |
//! | Which objects are to be looked at, and when? | `queue.rs` |
//! | How is an object looked at, and what follows? | `runner.rs`, measured in `metrics.rs` |
//! | What does a look at an object do? | `license/`, `subscription/`, `plan.rs`, `roster.rs` |
//! | What is too new to warn of? | `fresh.rs` |
//! | What does no watch show, and when is it looked at again? | `unseen.rs` |
//! | What is kept of lists of revoked keys? | `kept_lists.rs` |
//! | In which order do caches, controllers and watches begin? | `wiring.rs` |
//!
//! **Architecture Invariant:** no step depends on having seen an event. Every reconcile starts from what exists.

mod fresh;
mod kept_lists;
mod kind;
mod kinds;
pub mod license;
pub mod metrics;
pub mod plan;
pub mod queue;
mod relations;
pub mod roster;
pub mod runner;
pub mod subscription;
mod unseen;
pub mod wiring;
