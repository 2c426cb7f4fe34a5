//! The words in which the API server, a Go program, speaks of values and of broken JSON.
//!
//! | question | file |
//! |---|---|
//! | How does Go print a value, or write it as JSON? | `go.rs` |
//! | What does Go's JSON reader say about broken JSON? | `json_fault.rs` |
//!
//! The wording is frozen: clients act on `code`, `reason` and `field`, not on these texts, and only the refusals of
//! custom resources are read by users. Texts for further built-in kinds are not worth writing. The same holds for the
//! wording that is beside what it describes: `schema/typed.rs`, `schema/typed_text.rs`, `fields/check.rs`,
//! `http/doubled.rs` and `write/shown_patch.rs`.

pub mod go;
pub mod json_fault;
