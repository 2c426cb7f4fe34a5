//! The part of the Kubernetes API that Seatkeeper uses, inside this process: for one machine without a cluster, and for
//! simulation. What it answers is checked call by call against a real API server.

pub mod fields;
pub mod schema;
