//! The HTTP servers.
//!
//! | what is served | file |
//! |---|---|
//! | the seat port: who calls, and which replica answers | `seat_port.rs` |
//! | every path of the seat port, and what answers there | `routes.rs`, described in `openapi.rs` |
//! | seats: `/v1/seats` | `seats/` |
//! | health and readiness of the operator | `health.rs` |
//! | metrics, and to whom they are shown | `metrics.rs`, `metrics_port.rs` |
//! | the certificate for seats, if nobody provides one | `own_certificate.rs`, made in `authority.rs` |
//! | the embedded Kubernetes API, for kubectl | `kube_api.rs` |
//! | what all of them are made of | `http/` |

mod authority;
pub mod health;
pub mod http;
pub mod kube_api;
mod metrics;
pub mod metrics_port;
mod openapi;
pub mod own_certificate;
pub mod routes;
pub mod seat_port;
pub mod seats;
