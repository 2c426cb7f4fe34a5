//! What the operator serves over HTTP: health, readiness and metrics.

pub mod health;
