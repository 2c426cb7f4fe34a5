//! What is proven on a real API server, with real kubectl and helm. One binary, so that its tests share a control plane.

mod clock_test;
mod control_plane;
mod control_plane_test;
mod eventually;
mod faults_ground;
mod faults_operators;
mod faults_proxy;
mod faults_test;
mod handover_test;
mod helm;
mod kubectl;
mod program;
mod years_test;
