//! `seatkeeper up`, as a person uses it: the real binary, a folder of YAML, its lines, its API.

mod api_test;
mod bad_input_test;
mod folder_test;
mod life_test;
mod operator_test;
mod private_test;
// Some helpers serve only the tests of seats.
#[allow(dead_code)]
#[path = "../harness/running.rs"]
mod running;
