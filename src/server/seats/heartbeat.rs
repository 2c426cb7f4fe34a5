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
use crate::server::http::callers::Caller;
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
    let seat = id::in_path(asked.id, asked.caller.taker)?;
    seats.check(asked.caller, CREATE, &seat.license).await?;
    let HeartbeatOutcome { kept, unsure, .. } = keep(seats, asked.caller, std::slice::from_ref(&seat)).await?;
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
    let at = |(number, text): (usize, &String)| {
        id::read(text, asked.caller.taker).ok_or_else(|| id::no_seat(&format!("`ids[{number}]`")))
    };
    let named: Vec<Seat> = ids.iter().enumerate().map(at).collect::<Result<_, _>>()?;
    seats.check_each(asked.caller, CREATE, named.iter().map(|seat| &seat.license)).await?;
    let HeartbeatOutcome { kept, unsure, .. } = keep(seats, asked.caller, &named).await?;
    let lost: Vec<String> = ids.into_iter().zip(kept).filter(|(_, kept)| !kept).map(|(id, _)| id).collect();
    match unsure {
        Some(denied) => Err(problems::unsure(&denied, lost.into())),
        None => Ok(kept_but_for(seats, lost)),
    }
}

/// Keeps the seats that the caller took, and those of others if it may evict. If it may not, it is told that they are
/// lost, as if nobody held them.
async fn keep(seats: &Seats, caller: &Caller, named: &[Seat]) -> Result<HeartbeatOutcome, Problem> {
    let mut outcome = seats.desk.heartbeat(named).await.map_err(|denied| Problem::from(&denied))?;
    let (mut evictable, mut last) = (Vec::new(), None);
    for at in std::mem::take(&mut outcome.of_others) {
        let license = &named[at].license;
        let may = match last.filter(|(before, _)| *before == license) {
            Some((_, may)) => may,
            None => seats.may_evict(caller, license).await?,
        };
        last = Some((license, may));
        evictable.extend(may.then_some(at));
    }
    if !evictable.is_empty() {
        let of_others: Vec<&Seat> = evictable.iter().map(|at| &named[*at]).collect();
        let again = seats.desk.heartbeat_of_others(of_others).await.map_err(|denied| Problem::from(&denied))?;
        evictable.into_iter().zip(again.kept).for_each(|(at, kept)| outcome.kept[at] = kept);
        outcome.unsure = outcome.unsure.or(again.unsure);
    }
    Ok(outcome)
}

fn kept_but_for(seats: &Seats, lost: Vec<String>) -> Reply {
    json(StatusCode::OK, &HeartbeatAnswer { lost, ttl_seconds: seats.ttl_seconds() })
}
