//! The handlers of `/v1/seats` (docs/design/seats.md).
//!
//! | question | file |
//! |---|---|
//! | How is a seat taken? | `acquire.rs` |
//! | How is it kept? | `heartbeat.rs` |
//! | How is it given back? | `release.rs` |
//! | Who holds seats? | `holders.rs` |
//! | How does an administrator free seats? | `evict.rs` |
//! | Who may do which of these? | `access.rs` |
//! | What is noted of evictions and refused rights? | `audit.rs` |
//! | What do the bodies look like, and the queries? | `wire.rs`, `query.rs` |
//! | How is a seat named in a path? | `id.rs` |
//! | Which status does a refusal have? | `problems.rs` |

pub mod access;
pub mod acquire;
pub mod audit;
pub mod evict;
pub mod heartbeat;
pub mod holders;
pub mod id;
mod problems;
pub mod query;
pub mod release;
pub mod wire;
