//! The suite: what holds on every API server. `tests/e2e` runs it on a real control plane, `tests/embedded` on the
//! embedded API. Both include this whole folder, so a test that is here runs on both.
//!
//! | question | file |
//! |---|---|
//! | What do people do and see in the namespace of a test? | `case.rs` |
//! | Who makes keys by hand? | `keys.rs` |
//! | How is Seatkeeper installed? | `installation.rs` |
//! | Which operators can be killed, or have clocks of their own? | `faults_operators.rs`, on `faults_ground.rs` |
//! | What goes wrong between an operator and the API server? | `faults_proxy.rs` |
//! | Who moves the clock of an operator? | `hands.rs` |

mod bad_keys_test;
mod bad_orders_test;
pub mod case;
mod clock_test;
mod contract_test;
mod delivery_test;
mod eventually_test;
pub mod faults_ground;
pub mod faults_operators;
pub mod faults_proxy;
mod faults_test;
mod handover_test;
mod hands;
mod helm_test;
mod hostile_keys_test;
mod hostile_revocations_test;
mod hostile_test;
pub mod installation;
pub mod keys;
mod kubectl_test;
mod order_test;
mod privacy_test;
mod refused_writes_test;
mod roster_test;
mod seat_ledger_test;
mod unused_test;
mod years_test;
