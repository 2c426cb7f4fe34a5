//! Seats, as one owner grants them: decided in memory, answered once they are in the ledger (docs/design/seats.md).
//!
//! A request for a seat takes six steps; their numbers stand in the code too.
//!
//! 1. **Look up** what the License grants, if that may have changed (`look_up.rs`).
//! 2. **Decide**, as a pure function of the table and what the License grants (`domain/seats/seating.rs`).
//! 3. **Assume** the grant in the table, so that the next decision sees it (`grant.rs`).
//! 4. **Write** all that waits as one entry of the ledger (`commit.rs`, through `ledger.rs`).
//! 5. **Answer** every caller whose seat is in the entry (`desk.rs`, through `outcome.rs`).
//! 6. **Forget** on failure: an owner whose write fails discards its whole table, answers everyone who waits that it is
//!    not the owner, and begins again with what the ledger shows (`take_over.rs`).
//!
//! A heartbeat, and a request for a seat that the session already holds, change nothing in the ledger: they are answered
//! at once, with proof of ownership in place of a write.
//!
//! The files stand in this order: each uses only those before it.
//!
//! | question | file |
//! |---|---|
//! | How long may things take, and how many may there be? | `limits.rs` |
//! | What can be asked of a desk, and what does it answer? | `asked.rs` |
//! | What is counted? | `metrics.rs` |
//! | When may a decision be answered? | `outcome.rs` |
//! | Which changes wait to be written, and how much may each License have of an entry? | `pending.rs` |
//! | How many bytes may the ledger cost, and who waits for it? | `budget.rs` |
//! | What proves that nobody else owns the ledger? | `proof.rs` |
//! | How is the ledger kept in the API server? | `ledger.rs` |
//! | Which key makes the ids of seats? | `tag_key.rs` |
//! | What is known of a waiter? | `waiting.rs` |
//! | What does an owner keep in memory? | `ownership.rs` |
//! | What do all callers and tasks share? | `shared.rs` |
//! | Under which names are seats kept? | `kept_names.rs` |
//! | What does a License grant, and which of its seats are held under other Licenses? | `look_up.rs` |
//! | How is a seat of a License granted? | `grant.rs` |
//! | Whose is the seat that a caller names? | `whose.rs` |
//! | Who waits for a seat, and whose turn is it? | `queue.rs` |
//! | Who is granted what, and when? | `decide.rs` |
//! | How does the ledger forget names that are no longer kept? | `forget_names.rs` |
//! | Who frees a seat? | `free.rs` |
//! | When is a seat kept, and when is it lost? | `heartbeats.rs` |
//! | Who holds the seats of a License? | `list.rs` |
//! | How do answers wait for the ledger? | `commit.rs` |
//! | When is the ledger of a deleted License deleted? | `clear.rs` |
//! | How does an owner begin, and end? | `take_over.rs` |
//! | How are the people who hold seats shown? | `shown.rs` |
//! | What does everyone else call? | `desk.rs` |
//! | On which thread does all this run? | `thread.rs` |

pub mod asked;
pub mod budget;
mod clear;
mod commit;
mod decide;
pub mod desk;
mod forget_names;
mod free;
mod grant;
mod heartbeats;
mod kept_names;
pub mod ledger;
pub mod limits;
pub mod list;
mod look_up;
pub mod metrics;
mod outcome;
mod ownership;
mod pending;
pub mod proof;
mod queue;
mod shared;
mod shown;
mod tag_key;
mod take_over;
pub mod thread;
mod waiting;
mod whose;

pub use asked::{Ask, Denied, Granted, HeartbeatOutcome, Seat, Use};
pub use desk::Desk;
pub use shown::Shown;
