//! What is served over HTTP: health, readiness and metrics of the operator, and the embedded API.

pub mod api;
pub mod guests;
pub mod health;
pub mod seats;
