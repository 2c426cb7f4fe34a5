//! The kinds that are served: those built into Kubernetes, and those of CustomResourceDefinitions.
//!
//! | question | file |
//! |---|---|
//! | What is known of a kind? | `kind.rs` |
//! | Which kinds are there? | `registry.rs` |
//! | What may a kind do differently from others? | `strategy.rs` |
//! | What is special about a built-in kind? | `builtin/`, one file each |
//! | What does a CustomResourceDefinition define? | `custom.rs` |
//! | What does a real API server publish of built-in types? | `published.rs` |
//! | What does `kubectl get` show? | `columns.rs`, `jsonpath.rs` |
//! | What may names and labels look like? | `names.rs` |
//! | Which version of Kubernetes is this? | `version.rs` |

mod builtin;
pub mod columns;
mod custom;
mod jsonpath;
mod kind;
pub mod names;
pub mod published;
mod registry;
pub mod strategy;
pub mod version;

pub use custom::Unsupported;
pub use kind::Kind;
pub use registry::Kinds;
