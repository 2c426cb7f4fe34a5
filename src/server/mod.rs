//! The HTTP servers: health, readiness and metrics of the operator, the embedded API, and seats.

pub mod api;
pub mod guests;
pub mod health;
pub mod seats;
