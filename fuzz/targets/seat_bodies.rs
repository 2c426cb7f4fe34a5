//! Bodies of `POST` and `PUT /v1/seats`.

use seatkeeper::server::http::body::parse;
use seatkeeper::server::http::caller::Caller;
use seatkeeper::server::http::problem::Problem;
use seatkeeper::server::seats::id;
use seatkeeper::server::seats::wire::{Body, Heartbeats, LONGEST_WAIT, Wanted, ask, wait_of};

use super::shared::check_said;

pub fn run(data: &[u8]) {
    let caller = Caller::new("agent", None, Vec::new(), Default::default());
    let wait = wait_of(data).as_secs();
    assert!(wait <= u64::from(LONGEST_WAIT));
    match parse::<Body>(data).and_then(|body| body.wanted().map_err(Problem::invalid)) {
        Ok(Wanted::One(request)) => {
            assert_eq!(wait, u64::from(request.wait.unwrap_or(0)), "both readers find the same wait");
            let written = serde_json::to_vec(&request).expect("a request is JSON");
            match parse::<Body>(&written).map(Body::wanted) {
                Ok(Ok(Wanted::One(again))) => assert_eq!(again, request, "a request that is written reads as it was"),
                _ => panic!("a request that is written can be read"),
            }
            let session = request.session.clone();
            assert_eq!(ask(*request, &caller).session, session);
        }
        Ok(Wanted::Several(requests)) => requests.into_iter().for_each(|request| drop(ask(request, &caller))),
        Err(problem) => check_said(&problem),
    }
    match parse::<Heartbeats>(data) {
        Ok(heartbeats) => {
            for (number, text) in heartbeats.ids.iter().enumerate() {
                match id::read(text, caller.taker) {
                    Some(seat) => assert_eq!(id::read(&id::of(&seat), caller.taker), Some(seat)),
                    // The first that names no seat ends the request.
                    None => {
                        check_said(&id::no_seat(&format!("`ids[{number}]`")));
                        break;
                    }
                }
            }
        }
        Err(problem) => check_said(&problem),
    }
}
