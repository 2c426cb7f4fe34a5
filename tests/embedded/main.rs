//! The end-to-end suite on the embedded API: the same tests as in `tests/e2e`, offline. What the embedded API does not
//! have is not tested here; `exceptions_test.rs` lists it with the reasons, and checks that nothing else is left out.

// Some helpers of the suite serve only tests on the real control plane; dead code among them is found there.
#![allow(dead_code)]

#[path = "../e2e/bad_keys_test.rs"]
mod bad_keys_test;
#[path = "../e2e/bad_orders_test.rs"]
mod bad_orders_test;
#[path = "../e2e/case.rs"]
mod case;
#[path = "../e2e/clock_test.rs"]
mod clock_test;
#[path = "../e2e/cluster.rs"]
mod cluster;
#[path = "../e2e/contract_test.rs"]
mod contract_test;
#[path = "../e2e/delivery_test.rs"]
mod delivery_test;
#[path = "../e2e/embedded_api.rs"]
mod embedded_api;
#[path = "../e2e/eventually.rs"]
mod eventually;
#[path = "../e2e/eventually_test.rs"]
mod eventually_test;
mod exceptions_test;
#[path = "../e2e/faults_ground.rs"]
mod faults_ground;
#[path = "../e2e/faults_operators.rs"]
mod faults_operators;
#[path = "../e2e/faults_proxy.rs"]
mod faults_proxy;
#[path = "../e2e/faults_test.rs"]
mod faults_test;
#[path = "../e2e/handover_test.rs"]
mod handover_test;
#[path = "../e2e/hands.rs"]
mod hands;
#[path = "../e2e/helm.rs"]
mod helm;
#[path = "../e2e/helm_test.rs"]
mod helm_test;
#[path = "../e2e/installation.rs"]
mod installation;
#[path = "../e2e/keys.rs"]
mod keys;
#[path = "../e2e/kubectl.rs"]
mod kubectl;
#[path = "../e2e/kubectl_test.rs"]
mod kubectl_test;
mod one_machine_test;
#[path = "../e2e/order_test.rs"]
mod order_test;
#[path = "../e2e/person.rs"]
mod person;
#[path = "../e2e/privacy_test.rs"]
mod privacy_test;
#[path = "../e2e/program.rs"]
mod program;
mod restart_test;
mod rights;
#[path = "../e2e/roster_test.rs"]
mod roster_test;
#[path = "../e2e/seat_ledger_test.rs"]
mod seat_ledger_test;
#[path = "../e2e/starting.rs"]
mod starting;
#[path = "../e2e/tied.rs"]
mod tied;
#[path = "../e2e/years_test.rs"]
mod years_test;

use embedded_api::EmbeddedApi as Cluster;
