//! The end-to-end suite on the embedded API: the same tests as in `tests/e2e/suite`, offline, and what only one machine
//! can show. `tests/e2e/real/mod.rs` lists what the embedded API cannot run, with the reasons.

// Some of the harness and of the suite serves only tests on the real control plane; dead code among it is found there.
#[allow(dead_code)]
#[path = "../harness/mod.rs"]
mod harness;
mod one_machine_test;
mod restart_test;
mod rights;
#[allow(dead_code)]
#[path = "../e2e/suite/mod.rs"]
mod suite;

use harness::embedded_api::EmbeddedApi as Cluster;
