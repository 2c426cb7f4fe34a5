//! Method, path and query of a request to the seat port, and the id of a seat in the path.

use http::Method;
use seatkeeper::domain::seats::taker::Taker;
use seatkeeper::server::routes::{find, not_found};
use seatkeeper::server::seats::{id, query};

use super::shared::check_said;

pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let taker = Taker::of("a", None, None);
    let (method, target) = text.split_once(' ').unwrap_or(("GET", &text));
    let (path, asked) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::PUT);
    match find(&method, path) {
        Some((_, "")) => {}
        Some((_, part)) => match id::in_path(part, taker) {
            Ok(seat) => {
                assert_eq!(id::read(&id::of(&seat), taker), Some(seat), "an id that is written reads as it was")
            }
            Err(problem) => check_said(&problem),
        },
        None => assert!(not_found(&method, path).status().is_client_error()),
    }
    match query::read(asked) {
        Ok(query) => assert_eq!(*query.license().name, *query.license),
        Err(problem) => check_said(&problem),
    }
    if let Some(seat) = id::read(&text, taker) {
        assert_eq!(id::read(&id::of(&seat), taker), Some(seat), "an id that is written reads as it was");
    }
}
