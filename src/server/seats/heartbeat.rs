//! `PUT /v1/seats/{id}` and `PUT /v1/seats`: a heartbeat of one seat, and of several.

use http::StatusCode;
use schemars::generate::SchemaGenerator;

use super::access::{CREATE, Seats};
use super::id;
use super::problems::{self, reasons};
use super::wire::{HeartbeatAnswer, Heartbeats, MOST_HEARTBEATS};
use crate::seats::{HeartbeatOutcome, Seat};
use crate::server::http::asked::Asked;
use crate::server::http::body::read;
use crate::server::http::operation::Operation;
use crate::server::http::problem::Problem;
use crate::server::http::reply::{Reply, json};

pub fn describe(schemas: &mut SchemaGenerator) -> Operation {
    Operation::new("keepSeat", "A heartbeat")
        .of_path(id::parameter())
        .answer::<HeartbeatAnswer>(schemas, 200, "The seat is held for `ttlSeconds` from when the request was sent.")
        .problems(schemas, reasons(&[400, 401, 403, 404, 410, 429, 503]))
}

pub async fn answer(seats: &Seats, asked: Asked<'_>) -> Result<Reply, Problem> {
    let seat = id::in_path(asked.id)?;
    seats.check(asked.caller, CREATE, &seat.license).await?;
    let HeartbeatOutcome { kept, unsure } =
        seats.desk.heartbeat([&seat]).await.map_err(|denied| Problem::from(&denied))?;
    match unsure {
        Some(denied) => Err(problems::unsure(&denied, Box::default())),
        None if kept.contains(&false) => Err(problems::lost()),
        None => Ok(kept_but_for(seats, Vec::new())),
    }
}

pub fn describe_several(schemas: &mut SchemaGenerator) -> Operation {
    Operation::new("keepSeats", "Heartbeats of several seats")
        .body::<Heartbeats>(schemas)
        .answer::<HeartbeatAnswer>(schemas, 200, "The seats are kept, except those listed as lost.")
        .problems(schemas, reasons(&[400, 401, 403, 404, 408, 413, 429, 503]))
}

pub async fn answer_several(seats: &Seats, asked: Asked<'_>) -> Result<Reply, Problem> {
    let Heartbeats { ids } = read(asked.body).await?;
    if ids.len() > MOST_HEARTBEATS {
        return Err(Problem::invalid(format!("`ids` has more than {MOST_HEARTBEATS} items")));
    }
    let at = |(number, text): (usize, &String)| id::read(text).ok_or_else(|| id::no_seat(&format!("`ids[{number}]`")));
    let named: Vec<Seat> = ids.iter().enumerate().map(at).collect::<Result<_, _>>()?;
    seats.check_each(asked.caller, CREATE, named.iter().map(|seat| &seat.license)).await?;
    let HeartbeatOutcome { kept, unsure } =
        seats.desk.heartbeat(&named).await.map_err(|denied| Problem::from(&denied))?;
    let lost: Vec<String> = ids.into_iter().zip(kept).filter(|(_, kept)| !kept).map(|(id, _)| id).collect();
    match unsure {
        Some(denied) => Err(problems::unsure(&denied, lost.into())),
        None => Ok(kept_but_for(seats, lost)),
    }
}

fn kept_but_for(seats: &Seats, lost: Vec<String>) -> Reply {
    json(StatusCode::OK, &HeartbeatAnswer { lost, ttl_seconds: seats.ttl_seconds() })
}
