//! What is proven on a real API server, with real kubectl and helm. One binary, so that its tests share a control
//! plane.
//! `tests/embedded` runs the same tests on the embedded API.

mod bad_keys_test;
mod bad_orders_test;
mod case;
mod certificates;
mod chart_test;
mod clock_test;
mod cluster;
mod conformance_normal;
mod conformance_script;
mod conformance_server;
mod conformance_test;
mod contract_test;
mod control_plane;
mod control_plane_test;
mod delivery_test;
mod documents_test;
// Only the conformance test uses it.
#[allow(dead_code)]
mod embedded_api;
mod eventually;
mod eventually_test;
mod faults_ground;
mod faults_operators;
mod faults_proxy;
mod faults_test;
mod handover_test;
mod hands;
mod helm;
mod helm_test;
mod installation;
mod keys;
mod kubectl;
mod kubectl_test;
mod order_test;
mod outage_test;
mod person;
mod privacy_test;
mod program;
mod rights;
mod roster_test;
// The benchmarks use the rest.
#[allow(dead_code)]
mod safety;
mod safety_test;
mod seat_ledger_test;
mod seats_test;
mod seats_tls_test;
mod starting;
mod tied;
mod years_test;

use control_plane::ControlPlane as Cluster;
