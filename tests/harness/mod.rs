//! What several test programs and benchmarks need: an API server, the programs that talk to it, and the siege.
//!
//! | question | file |
//! |---|---|
//! | Where do programs come from, and when is one ready? | `starting.rs` |
//! | How is a real control plane started, how the embedded API? | `control_plane.rs`, `embedded_api.rs` |
//! | What do both have? | `cluster.rs` |
//! | Which processes end with the test? | those of `tied.rs` |
//! | How are kubectl and helm run? | `kubectl.rs`, `helm.rs`, over `program.rs` |
//! | Who types the commands of the documents? | `person.rs` |
//! | How does a test wait for what must come true? | `eventually.rs` |
//! | How are thousands of requests sent to the seats? | `http.rs` |
//! | What happens to seats when replicas are killed, stopped or cut off? | `safety/` |
//! | How does `seatkeeper up` run on a folder of YAML? | `running.rs`; `tests/up` and `tests/seats` include it alone |
//!
//! A program includes all of it with one `#[path]`, and says which API server it tests on: `crate::Cluster`. The compiler
//! checks the parts that a program does not use, and generates no code for them. `tests/e2e` uses nearly everything, so
//! dead code is found there.

pub mod cluster;
pub mod control_plane;
// On the real control plane only the conformance test uses it.
#[allow(dead_code)]
pub mod embedded_api;
pub mod eventually;
pub mod helm;
// The benchmarks use the rest of these two.
#[allow(dead_code)]
pub mod http;
pub mod kubectl;
pub mod person;
pub mod program;
#[allow(dead_code)]
pub mod safety;
pub mod starting;
pub mod tied;
