//! The words in which refusals speak of values.
//!
//! | question | file |
//! |---|---|
//! | How does Go, the API server's language, print a value or write it as JSON? | `go.rs` |
//! | What is a value, in plain words? | `plain.rs` |
//!
//! What is wrong with a custom resource is told in the API server's words, because users read it. Other refusals have
//! its code, its reason and the fields of its causes, on which clients act, and words of their own.

pub mod go;
pub mod plain;
