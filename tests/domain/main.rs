//! The pure decisions: each compared with brute force, with a second implementation, or with a table of the cases that
//! people know.
//!
//! | question | file |
//! |---|---|
//! | When do days, months and terms begin? | `calendar_test.rs` |
//! | When does a contract renew, and which keys does it owe? | `contract_test.rs` |
//! | What do keys grant, and what time is it? | `license_test.rs` |
//! | What do keys that are made to mislead or to take long? | `hostile_keys_test.rs` |
//! | What is read of texts that editors, shells and mail programs have changed? | `transit_test.rs` |
//! | What counts of lists of revoked keys that are gone? | `kept_lists_test.rs` |
//! | Are the seats enough for the members? | `members_test.rs` |
//! | Who gets a seat? | `seats_test.rs`, and against brute force `seats_properties_test.rs` |
//! | Whose seat is it? | `seats_takers_test.rs` |
//! | Under which name is it kept, and how is its user called? | `seats_keyed_test.rs` |
//! | When are two names those of one user, or of one team? | `names_test.rs` |
//! | What does a License assign or reserve without effect? | `unused_test.rs` |
//! | Who waits for one? | `seats_queue_test.rs` |
//! | What may one taker have of what all share? | `seats_shares_test.rs` |
//! | What does the next owner of the ledger find? | `seats_journal_test.rs` |
//!
//! What a held seat takes in memory is tested by `tests/domain_seats_memory.rs`, which counts every allocation and so
//! has to be a program of its own.

mod calendar_test;
mod contract_test;
mod hostile_keys_test;
mod kept_lists_test;
mod license_test;
mod members_test;
mod names_test;
mod seats_journal_test;
mod seats_keyed_test;
mod seats_properties_test;
mod seats_queue_test;
mod seats_shares_test;
mod seats_takers_test;
mod seats_test;
mod transit_test;
mod unused_test;
