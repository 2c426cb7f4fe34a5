//! The HTTP servers.
//!
//! | what is served | file |
//! |---|---|
//! | seats: `/v1/seats` | `seats/` |
//! | health, readiness and metrics of the operator | `health.rs` |
//! | the embedded Kubernetes API, for kubectl | `kube_api.rs` |
//! | what all of them are made of | `http/` |

pub mod health;
pub mod http;
pub mod kube_api;
mod metrics;
pub mod seats;
