//! Reads: get, list and watch, and how their answers look.
//!
//! | question | file |
//! |---|---|
//! | Which objects does a get or a list show? How do pages continue? | `list.rs` |
//! | What does a watch send, and when? | `watch.rs` |
//! | Which objects does a selector match? | `selector.rs` |
//! | How are objects shown: whole, as a table, as metadata only? | `shown.rs` |

pub mod list;
pub mod selector;
pub mod shown;
pub mod watch;
