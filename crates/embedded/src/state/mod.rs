//! The objects, their recent changes, and how a write becomes one.
//!
//! | question | file |
//! |---|---|
//! | What is there now, and what has changed lately? | `objects.rs` |
//! | What has a write changed that is not stored yet? | `draft.rs` |
//! | In which order are writes stored, and when are they shown? | `commit.rs` |
//! | What does an API hold together? | `served.rs` |

mod commit;
mod draft;
mod objects;
mod served;

pub use commit::Ledger;
pub use draft::Draft;
pub use objects::{Event, Object, State, at_revision, owners, written};
pub use served::Served;
