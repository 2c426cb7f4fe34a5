//! Who may take which seat, and who holds which (`design.md` §4 "Seats", `requirements.md` I2, I9, T1–T9, M3, M4, S5).
//!
//! | question | file |
//! |---|---|
//! | Who is a member now, and in which order? | `roster.rs` |
//! | What does the License grant? | `pool.rs` |
//! | What is asked, what is answered? | `request.rs`, `refusal.rs` |
//! | Who may take a seat? | `decision.rs`, asked through `seating.rs` |
//! | Who of the members, and of which team, holds one? | `standing.rs` |
//! | Whose turn is it when a seat comes free? | `queue.rs` |
//! | Which slot is whose, until when? | `table.rs`, `slots.rs` |
//! | How does it stand in the ledger? | `line.rs`, `journal.rs` |
//!
//! **Architecture Invariant:** a decision is a function of the table, the terms, the people, the request and `now`. It
//! changes nothing: what it means for the table is in its records, and the same records, read back, give the same table.

mod decision;
pub mod journal;
pub mod line;
pub mod pool;
pub mod queue;
pub mod refusal;
pub mod request;
pub mod roster;
pub mod seating;
mod slots;
mod standing;
pub mod table;
