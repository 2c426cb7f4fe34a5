//! Seats, as programs and people get them: the real binary serves a licence for two agents, and `seatkeeper hold`, the
//! client and plain HTTP ask for its seats.

mod api_test;
mod bad_input_test;
mod client_test;
mod documents_test;
mod ground;
mod hold_test;
mod holders_test;
mod http;
mod lost_test;
mod names_test;
mod openapi;
mod queue_test;
// Some helpers serve only the tests of `seatkeeper up`.
#[allow(dead_code)]
#[path = "../harness/running.rs"]
mod running;
mod unread_test;
