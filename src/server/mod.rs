//! The HTTP servers.
//!
//! | what is served | file |
//! |---|---|
//! | the seat port: who calls, and which replica answers | `seat_port.rs` |
//! | every path of the seat port, and what answers there | `routes.rs`, described in `openapi.rs` |
//! | seats: `/v1/seats` | `seats/` |
//! | health, readiness and metrics of the operator | `health.rs`, `metrics.rs` |
//! | the embedded Kubernetes API, for kubectl | `kube_api.rs` |
//! | what all of them are made of | `http/` |

pub mod health;
pub mod http;
pub mod kube_api;
mod metrics;
mod openapi;
pub mod routes;
pub mod seat_port;
pub mod seats;
