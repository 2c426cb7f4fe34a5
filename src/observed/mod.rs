//! What is there now, and what it grants: read from caches, never written.
//!
//! | question | file |
//! |---|---|
//! | What is in the cluster? | `caches.rs`, for namespaces `namespaces.rs` |
//! | Which objects refer to which? | `references.rs` |
//! | Who is on the Rosters of a License, and which Rosters count? | `enrolment.rs` |
//! | Which License counts, if several have the same keys? | `holdings.rs` |
//! | Whom does a License trust? | `reading.rs` chooses, `trust.rs` reads the Secrets |
//! | Which issuers does a License trust because of its contracts? | `issuers.rs` |
//! | Which products does the installation pin? | `pins.rs` |
//! | What do the lists of revoked keys say? | `revocation_lists.rs` |
//! | What was revoked by lists that are gone or older now? | `kept_lists.rs` |
//! | Which keys were verified before? | `verified.rs` |
//! | What do an issuer's Secrets hold? | `keyrings.rs` |
//! | Which keys does a License present, and what is wrong with its sources? | `reading.rs` |
//! | What does a License grant? | `judged.rs` |

mod caches;
pub mod enrolment;
pub mod holdings;
pub mod issuers;
mod judged;
pub mod kept_lists;
pub mod keyrings;
pub mod namespaces;
mod pins;
pub mod reading;
pub mod references;
pub mod revocation_lists;
pub mod trust;
pub mod verified;

pub use caches::Observed;
pub use judged::{Judged, assignments, reservations};
