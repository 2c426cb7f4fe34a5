//! What every HTTP server of the operator is made of. Nothing here knows what is served.
//!
//! | question | file |
//! |---|---|
//! | How is a connection accepted, and TLS begun? | `serve.rs` |
//! | Which connection is closed if there are too many? | `guests.rs` |
//! | How long may a connection be silent, or an answer unread? | `patience.rs` |
//! | What does a handler get? | `asked.rs`; its body: `body.rs` |
//! | What does an answer look like? | `reply.rs`, its body: `outgoing.rs`; a refusal: `problem.rs` |
//! | Where is done what takes long for one caller? | `aside.rs` |
//! | How does a handler describe itself? | `operation.rs` |
//! | Who is the caller, and what may it do? | `callers.rs`, `caller.rs`; one fixed token: `credential.rs` |
//! | What is the API server asked, and how often? | `reviews.rs`; in turn: `turns.rs`, `strangers.rs` |
//! | Has the cluster signed this token? | `token.rs` |
//! | Who shares connections, bodies and reviews? | `group.rs`; bytes: `share.rs` |
//! | How long does an answer of the API server count? | `answers.rs` |
//! | Which certificate is shown, and which is trusted? | `tls.rs` |
//! | How is a request passed on to the replica that leads? | `forward.rs`, over `connector.rs` |

pub mod answers;
pub mod aside;
pub mod asked;
pub mod body;
pub mod caller;
pub mod callers;
mod connector;
pub mod credential;
pub mod forward;
pub mod group;
pub mod guests;
pub mod operation;
pub mod outgoing;
pub mod patience;
pub mod problem;
pub mod reply;
pub mod reviews;
pub mod serve;
pub mod share;
mod strangers;
pub mod tls;
pub mod token;
mod turns;
