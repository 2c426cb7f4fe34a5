//! Seats, as one owner grants them: decided in memory, answered once they are in the ledger (docs/design/seats.md).
//!
//! | question | file |
//! |---|---|
//! | What can be asked of a desk, and what does it answer? | `asked.rs` |
//! | Who is granted what, and when? | `desk.rs`, by `decide.rs`, on the state in `owned.rs` |
//! | When is a seat kept, and when is it lost? | `keep.rs` |
//! | What proves that nobody else owns the ledger? | `proof.rs` |
//! | Who waits for a seat, and whose turn is it? | `queue.rs` |
//! | How do answers wait for the ledger? | `commit.rs`, with the changes in `pending.rs` |
//! | How does a new owner begin? | `take_over.rs` |
//! | On which thread does all this run? | `thread.rs` |
//! | How is the ledger kept in the API server? | `ledger.rs` |
//! | When is the ledger of a deleted License deleted? | `clear.rs` |
//! | How many bytes may that cost? | `budget.rs` |
//! | What is counted? | `metrics.rs` |

pub mod asked;
pub mod budget;
mod clear;
mod commit;
mod decide;
pub mod desk;
mod keep;
pub mod ledger;
pub mod metrics;
mod owned;
mod pending;
pub mod proof;
mod queue;
mod take_over;
pub mod thread;

pub use asked::{Ask, Denied, Granted, Heard, Licensed, Licenses, Seat, Use};
pub use desk::Desk;
