//! Seats, as one owner hands them out: decided in memory, answered once they stand in the ledger (`design.md` §5).
//!
//! | question | file |
//! |---|---|
//! | What is asked of a desk, what does it answer? | `asked.rs` |
//! | Who is granted what, and when? | `desk.rs`, by `decide.rs`, on what `owned.rs` has |
//! | What becomes of a seat that somebody holds? | `keep.rs` |
//! | What proves that nobody else owns the ledger? | `proof.rs` |
//! | Who waits for a seat, and whose turn is it? | `queue.rs` |
//! | How do answers wait for the ledger? | `commit.rs`, with what is in `pending.rs` |
//! | How does a new owner begin? | `take_over.rs` |
//! | Where does all this run? | `thread.rs` |
//! | How is the ledger kept in the API server? | `ledger.rs` |
//! | What becomes of the ledger of a License that is no more? | `clear.rs` |
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
