//! What is proven on a real API server, with real kubectl and helm. One binary, so that its tests share a control
//! plane.
//!
//! `suite/` also runs on the embedded API, in `tests/embedded`; `real/` needs what only a real control plane has.

#[path = "../harness/mod.rs"]
mod harness;
mod real;
mod rights;
mod suite;

use harness::control_plane::ControlPlane as Cluster;
