//! Who may take which seat, and who holds which (docs/design/domain.md, Seats; I2, I9, T1–T9, M3, M4, S5).
//!
//! | question | file |
//! |---|---|
//! | Who is a member now? | `roster.rs` |
//! | In which order are members licensed? | `ranking.rs` |
//! | What does the License grant? | `terms.rs` |
//! | Which assignments and reservations of a License have no effect? | `unused.rs` |
//! | What can be asked, and what is answered? | `request.rs`, `refusal.rs` |
//! | Who may take a seat? | `decision.rs`, called through `seating.rs` |
//! | Which members, and of which team, hold a seat? | `headcount.rs` |
//! | What is held under other Licenses on the same grants? | `elsewhere.rs` |
//! | Whose turn is it when a seat comes free? | `queue.rs` |
//! | Who holds which slot, and until when? | `table.rs`, `slots.rs`, `bits.rs`; what is said of it: `hold.rs` |
//! | Who took a seat, and which part of its id does only the holder know? | `taker.rs`, `tag.rs` |
//! | What stands for a name that is not kept? | `keyed.rs`, `tag.rs` |
//! | How is this written in the ledger? | `line.rs`, `journal.rs` |
//!
//! **Architecture Invariant:** a decision is a function of the table, the terms, the members, the request and `now`. It
//! changes nothing: its effect on the table is in its records, and the same records, read back, give the same table.

mod bits;
mod decision;
pub mod elsewhere;
mod headcount;
pub mod hold;
pub mod journal;
pub mod keyed;
pub mod line;
pub mod queue;
pub mod ranking;
pub mod refusal;
pub mod request;
pub mod roster;
pub mod seating;
mod slots;
pub mod table;
pub mod tag;
pub mod taker;
pub mod terms;
pub mod unused;
