//! Writes: what a request does to the draft that is then committed.
//!
//! | question | file |
//! |---|---|
//! | What do create, update, patch and apply do? | `received.rs`, `change.rs` |
//! | What does a delete do, and what follows from a write? | `delete.rs`, `delete_options.rs`, `namespaces.rs` |
//! | What is wrong with an object's metadata? | `metadata.rs` |
//! | Which name and UID does a new object get? | `identity.rs` |
//! | Which parts of an object are written apart from the others? | `parts.rs` |

mod change;
mod delete;
mod delete_options;
mod identity;
mod metadata;
mod namespaces;
mod parts;
mod received;

pub use delete::{Deleted, FIRST_NAMESPACES, collect, delete, delete_collection, forget_oldest};
pub use received::{Done, Write};
