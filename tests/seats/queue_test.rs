//! Waiting for a seat, over HTTP. `tests/simulation/queue_test.rs` has the turns in every order of events.

use serde_json::json;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::channel;
use std::time::Duration;

use super::ground::{Ground, Running, request, until};
use super::http::Answer;

const FOR_LONG: &str = "exec sleep 600";

/// Starts two holders, who keep all the seats.
fn full(ground: &Ground) -> [Running; 2] {
    let holders = ["a", "b"].map(|user| Running::start(&mut ground.hold(&format!("--user {user}"), FOR_LONG)));
    until("both hold a seat", || ground.holders().len() == 2);
    holders
}

fn gives_back(ground: &Ground, granted: &Answer) {
    assert_eq!(granted.status, 201, "{granted:?}");
    let id = granted.json()["seats"][0]["id"].as_str().expect("a seat has an id").to_owned();
    assert_eq!(ground.ask("DELETE", &format!("/v1/seats/{id}"), "").status, 204);
}

#[test]
fn i2_waiters_are_served_first_come_first_served_before_those_who_only_ask() {
    let ground = Ground::take();
    let [mut a, _b] = full(&ground);
    let (tell, told) = channel();
    for (number, user) in (1..).zip(["c", "d", "e"]) {
        let (tell, caller) = (tell.clone(), ground.caller());
        std::thread::spawn(move || tell.send((user, caller.asks(user, json!({"wait": 30})))));
        until("it waits", || ground.queued() == number);
    }
    let caller = ground.caller();
    std::thread::spawn(move || {
        loop {
            let answer = caller.asks("x", json!({}));
            if answer.status != 409 {
                return tell.send(("x", answer));
            }
        }
    });
    a.signal("TERM");
    for expected in ["c", "d", "e", "x"] {
        let (user, answer) = told.recv_timeout(Duration::from_secs(20)).expect("a waiter gets the seat");
        assert_eq!((user, answer.status), (expected, 201), "{answer:?}");
        gives_back(&ground, &answer);
    }
}

#[test]
fn a_waiter_that_gets_no_seat_is_told_why_and_its_place() {
    let ground = Ground::take();
    let _full = full(&ground);
    for (user, place) in [("c", 1), ("d", 2), ("c", 1)] {
        let answer = ground.asks(user, json!({"wait": 1}));
        answer.is_problem(409, "SeatsExhausted", &["wait until one is released, or order more"]);
        assert_eq!((answer.retry_after(), &answer.json()["place"]), (Some(0), &place.into()), "{answer:?}");
    }
    // A refusal that does not pass by itself is answered without waiting.
    ground.asks("e", json!({"wait": 30, "pool": "desks"})).is_problem(404, "UnknownPool", &[]);
    ground.asks("a", json!({"wait": 30, "count": 3})).is_problem(400, "InvalidRequest", &[]);
    assert_eq!(ground.asks("a", json!({"wait": 30})).status, 201, "a holder does not have to wait");
    until("they are forgotten", || ground.queued() == 0);
}

#[test]
fn a_waiter_that_hangs_up_loses_its_turn() {
    let ground = Ground::take();
    let [mut a, _b] = full(&ground);
    let body = request("c", json!({"wait": 30})).to_string();
    let mut gone = TcpStream::connect(&ground.address).expect("the server listens");
    let (token, length) = (&ground.token, body.len());
    write!(
        gone,
        "POST /v1/seats HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .expect("it is sent");
    until("it waits", || ground.queued() == 1);
    let caller = ground.caller();
    let next = std::thread::spawn(move || caller.asks("d", json!({"wait": 30})));
    until("both wait", || ground.queued() == 2);
    gone.shutdown(Shutdown::Both).expect("it is open");
    a.signal("TERM");
    gives_back(&ground, &next.join().expect("no panic"));
    assert_eq!(ground.holders(), ["b"]);
}
