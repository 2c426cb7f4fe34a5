//! Seats, as programs and people get them: the real binary serves a licence of two agents, and `seatkeeper hold`, the
//! client and plain HTTP ask for them.

mod api_test;
mod bad_input_test;
mod client_test;
mod documents_test;
mod ground;
mod hold_test;
mod http;
mod lost_test;
mod openapi;
mod queue_test;
// What serves the tests of `seatkeeper up` alone is not used here.
#[allow(dead_code)]
#[path = "../up/running.rs"]
mod running;
