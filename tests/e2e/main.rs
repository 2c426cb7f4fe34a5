//! What is proven on a real API server, with real kubectl and helm. One binary, so that its tests share a control plane.

mod bad_keys_test;
mod bad_orders_test;
mod case;
mod chart_test;
mod clock_test;
mod contract_test;
mod control_plane;
mod control_plane_test;
mod delivery_test;
mod documents_test;
mod eventually;
mod faults_ground;
mod faults_operators;
mod faults_proxy;
mod faults_test;
mod handover_test;
mod helm;
mod installation;
mod keys;
mod kubectl;
mod kubectl_test;
mod order_test;
mod privacy_test;
mod program;
mod years_test;
