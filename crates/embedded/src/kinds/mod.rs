//! The kinds that are served: those built into Kubernetes, and those of CustomResourceDefinitions.
//!
//! | question | file |
//! |---|---|
//! | What is known of a kind? Which kinds are there? | `kind.rs` |
//! | What is special about a built-in kind? | `builtin.rs`, `strategy.rs`, `events.rs`, `pods.rs` |
//! | What does a real API server publish of built-in types? | `published.rs` |
//! | What does `kubectl get` show? | `columns.rs`, `jsonpath.rs` |
//! | What may names and labels look like? | `names.rs` |
//! | Which version of Kubernetes is this? | `version.rs` |

pub mod builtin;
pub mod columns;
pub mod events;
mod jsonpath;
mod kind;
pub mod names;
mod pods;
pub mod published;
pub mod strategy;
pub mod version;

pub use kind::{Kind, Kinds};
