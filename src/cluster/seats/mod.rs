//! Seats, as one owner hands them out: decided in memory, answered once they stand in the ledger (`design.md` §5).
//!
//! | question | file |
//! |---|---|
//! | What is asked of a desk, what does it answer? | `desk.rs` |
//! | How do answers wait for the ledger? | `commit.rs` |
//! | How does a new owner begin? | `take_over.rs` |
//! | How is the ledger kept in the API server? | `ledger.rs` |
//! | How many bytes may that cost? | `budget.rs` |
//! | What is counted? | `metrics.rs` |

pub mod budget;
mod commit;
pub mod desk;
pub mod ledger;
pub mod metrics;
mod take_over;

pub use desk::{Ask, Denied, Desk, Granted, Licensed, Licenses, Seat};
