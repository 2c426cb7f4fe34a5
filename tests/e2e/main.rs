//! What is proven on a real API server, with real kubectl and helm. One binary, so that its tests share a control plane.

mod control_plane;
mod control_plane_test;
mod documents_test;
mod eventually;
mod helm;
mod kubectl;
mod program;
