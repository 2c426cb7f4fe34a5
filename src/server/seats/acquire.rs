//! `POST /v1/seats`: takes the seats of one request, or of several.

use http::StatusCode;
use schemars::generate::SchemaGenerator;
use std::time::Duration;

use super::access::{CREATE, Seats};
use super::problems::reasons;
use super::wire::{Answer, Answers, Body, Grant, MOST_REQUESTS, SeatRequest, Wanted, ask, grant};
use crate::seats::{Ask, Denied};
use crate::server::http::aside::aside;
use crate::server::http::asked::Asked;
use crate::server::http::body::read;
use crate::server::http::callers::Caller;
use crate::server::http::operation::Operation;
use crate::server::http::problem::Problem;
use crate::server::http::reply::{Reply, json};

/// An answer with more seats, or more answers, is written aside from the thread that answers everybody.
const FEW: usize = 64;

pub fn describe(schemas: &mut SchemaGenerator) -> Operation {
    Operation::new("takeSeats", "Take a seat, or several")
        .body::<Body>(schemas)
        .answer::<Grant>(
            schemas,
            201,
            "One request: its seats. If the same session asks again, it gets the same seats.",
        )
        .answer::<Answers>(schemas, 200, "Several requests: an answer for each.")
        .problems(schemas, reasons(&[400, 401, 403, 404, 408, 409, 413, 429, 503]))
}

pub async fn answer(seats: &Seats, asked: Asked<'_>) -> Result<Reply, Problem> {
    match read::<Body>(asked.body).await?.wanted().map_err(Problem::invalid)? {
        Wanted::One(request) => one(seats, asked.caller, *request).await,
        Wanted::Several(requests) => several(seats, asked.caller, requests).await,
    }
}

async fn one(seats: &Seats, caller: &Caller, request: SeatRequest) -> Result<Reply, Problem> {
    let wait = request.wait.map(|seconds| Duration::from_secs(seconds.into()));
    let mut ask = ask(request, caller);
    seats.check(caller, CREATE, &ask.license).await?;
    let hidden = seats.desk.hide_sessions(std::slice::from_mut(&mut ask));
    hidden.map_err(|denied| Problem::from(&denied))?;
    let answer = match wait {
        Some(wait) => seats.desk.acquire_in_turn(ask, wait).await,
        None => {
            let answer = seats.desk.acquire(std::slice::from_ref(&ask)).await.pop();
            answer.unwrap_or(Err(Denied::NotOwner))
        }
    };
    let granted = answer.map_err(|denied| Problem::from(&denied))?;
    let (many, ttl_seconds) = (granted.seats.len() > FEW, seats.ttl_seconds());
    let reply = move || json(StatusCode::CREATED, &grant(&granted, ttl_seconds));
    if many { aside(reply).await } else { Ok(reply()) }
}

async fn several(seats: &Seats, caller: &Caller, requests: Vec<SeatRequest>) -> Result<Reply, Problem> {
    if requests.len() > MOST_REQUESTS {
        return Err(Problem::invalid(format!("`requests` has more than {MOST_REQUESTS} items")));
    }
    let mut asks: Vec<Ask> = requests.into_iter().map(|request| ask(request, caller)).collect();
    seats.check_each(caller, CREATE, asks.iter().map(|ask| &ask.license)).await?;
    seats.desk.hide_sessions(&mut asks).map_err(|denied| Problem::from(&denied))?;
    let (answers, ttl_seconds) = (seats.desk.acquire(&asks).await, seats.ttl_seconds());
    let reply = move || {
        let answers = answers.into_iter().map(|answer| match answer {
            Ok(granted) => Answer::Granted(grant(&granted, ttl_seconds)),
            Err(denied) => Answer::Refused(Problem::from(&denied)),
        });
        json(StatusCode::OK, &Answers { answers: answers.collect() })
    };
    if asks.len() > FEW { aside(reply).await } else { Ok(reply()) }
}
