//! The seat server: `/v1/seats` (`design.md` §5, §6).
//!
//! Every replica answers. One that does not own the ledger passes the request on to the one that does.

pub mod callers;
pub mod forward;
pub mod id;
pub mod problem;
pub mod serve;
pub mod wire;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use serde::Serialize;
use std::sync::Arc;

use crate::cluster::seats::{Ask, Denied, Desk, Granted, Seat};
use crate::domain::seats::journal::LicenseName;
use callers::{Caller, Callers, Verb};
use forward::Forward;
use problem::Problem;
use wire::{Answer, Answers, Body, Evicted, Grant, Heartbeats, Holder, Holders, Kept, PoolUse, Query};

/// A longer body is refused.
pub const MOST_BYTES: usize = 1024 * 1024;

/// What answers.
pub struct Seats {
    pub desk: Desk,
    pub callers: Callers,
    /// None: there are no other replicas.
    pub forward: Option<Forward>,
}

/// The routes of the seat server.
pub fn routes(seats: Arc<Seats>) -> Router {
    Router::new()
        .route("/v1/seats", get(list).post(take).put(keep_many).delete(evict))
        .route("/v1/seats/{id}", put(keep).delete(release))
        .layer(from_fn_with_state(seats.clone(), forward::forward))
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .with_state(seats)
}

type Shared = State<Arc<Seats>>;

impl Seats {
    async fn check(&self, caller: &Caller, verb: Verb, license: &LicenseName) -> Result<(), Problem> {
        self.callers.check(caller, verb, license).await?;
        match caller.namespace().filter(|namespace| *namespace != &*license.namespace) {
            Some(namespace) if !self.desk.admits(license, namespace) => {
                let detail = format!(
                    "License {license} may not be used from namespace {namespace}: name it in its spec.allowedNamespaces"
                );
                Err(Problem::new(StatusCode::FORBIDDEN, "NamespaceNotAllowed", detail))
            }
            _ => Ok(()),
        }
    }

    fn ttl(&self) -> u64 {
        self.desk.ttl().as_secs()
    }
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let body = serde_json::to_vec(body).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn problem_of(denied: &Denied) -> Problem {
    Problem::from(denied)
}

/// `POST /v1/seats`: takes one or several.
async fn take(State(seats): Shared, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    let caller = seats.callers.identify(&headers).await?;
    let body: Body = read(&body)?;
    match body {
        Body::One(request) => {
            let ask = Ask::from(request);
            seats.check(&caller, Verb::Create, &ask.license).await?;
            let answer = seats.desk.acquire(std::slice::from_ref(&ask)).await.pop();
            match answer.unwrap_or(Err(Denied::NotOwner)) {
                Ok(granted) => Ok(json(StatusCode::CREATED, &Grant::of(&granted, seats.ttl()))),
                Err(denied) => Err(problem_of(&denied)),
            }
        }
        Body::Several(several) => {
            if several.requests.len() > wire::MOST_REQUESTS {
                return Err(Problem::invalid(format!("`requests` has more than {}", wire::MOST_REQUESTS)));
            }
            let asks: Vec<Ask> = several.requests.into_iter().map(Ask::from).collect();
            let mut last: Option<&LicenseName> = None;
            for ask in &asks {
                if last.replace(&ask.license) != Some(&ask.license) {
                    seats.check(&caller, Verb::Create, &ask.license).await?;
                }
            }
            let answer = |answer: Result<Granted, Denied>| match answer {
                Ok(granted) => Answer::Granted(Grant::of(&granted, seats.ttl())),
                Err(denied) => Answer::Refused(problem_of(&denied)),
            };
            let answers = seats.desk.acquire(&asks).await.into_iter().map(answer).collect();
            Ok(json(StatusCode::OK, &Answers { answers }))
        }
    }
}

/// `PUT /v1/seats/{id}`: a heartbeat.
async fn keep(State(seats): Shared, Path(id): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let caller = seats.callers.identify(&headers).await?;
    let seat = named(&id)?;
    seats.check(&caller, Verb::Create, &seat.license).await?;
    match seats.desk.heartbeat([&seat]).map_err(|denied| problem_of(&denied))?.first() {
        Some(true) => Ok(json(StatusCode::OK, &Kept { lost: Vec::new(), ttl_seconds: seats.ttl() })),
        _ => Err(Problem::lost()),
    }
}

/// `PUT /v1/seats`: heartbeats of many.
async fn keep_many(State(seats): Shared, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    let caller = seats.callers.identify(&headers).await?;
    let Heartbeats { ids } = read(&body)?;
    if ids.len() > wire::MOST_HEARTBEATS {
        return Err(Problem::invalid(format!("`ids` has more than {}", wire::MOST_HEARTBEATS)));
    }
    let named: Vec<Seat> = ids.iter().map(|id| named(id)).collect::<Result<_, _>>()?;
    let mut last: Option<&LicenseName> = None;
    for seat in &named {
        if last.replace(&seat.license) != Some(&seat.license) {
            seats.check(&caller, Verb::Create, &seat.license).await?;
        }
    }
    let kept = seats.desk.heartbeat(&named).map_err(|denied| problem_of(&denied))?;
    let lost = ids.iter().zip(kept).filter(|(_, kept)| !kept).map(|(id, _)| id.to_string()).collect();
    Ok(json(StatusCode::OK, &Kept { lost, ttl_seconds: seats.ttl() }))
}

/// `DELETE /v1/seats/{id}`: gives a seat back. One that is not held any more is none to give back: that is as well.
async fn release(State(seats): Shared, Path(id): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let caller = seats.callers.identify(&headers).await?;
    let seat = named(&id)?;
    seats.check(&caller, Verb::Delete, &seat.license).await?;
    seats.desk.release(&seat).map_err(|denied| problem_of(&denied))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET /v1/seats?namespace=…&license=…`: who holds which seat since when.
async fn list(State(seats): Shared, headers: HeaderMap, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let caller = seats.callers.identify(&headers).await?;
    let query = read_query(query)?;
    let license = LicenseName::new(&query.namespace, &query.license);
    seats.check(&caller, Verb::List, &license).await?;
    let holders = seats.desk.holders(&license).map_err(|denied| problem_of(&denied))?;
    let pools = seats.desk.in_use(&license).unwrap_or_default();
    let (from, limit) = (query.from.unwrap_or(0), query.limit.unwrap_or(wire::MOST_HOLDERS).min(wire::MOST_HOLDERS));
    let wanted = |seat: &Seat| query.user.is_none() || seat.user == query.user;
    let mut of_user = holders.into_iter().filter(|(seat, _, _)| wanted(seat)).skip(from);
    let shown: Vec<Holder> =
        of_user.by_ref().take(limit).map(|(seat, client, since)| holder(seat, client, since)).collect();
    let more = of_user.next().map(|_| from + shown.len());
    let pools = pools.into_iter().map(|(pool, u)| PoolUse { pool, in_use: u.in_use, peak: u.peak }).collect();
    Ok(json(StatusCode::OK, &Holders { holders: shown, pools, more }))
}

fn holder(seat: Seat, client: Option<String>, since: i64) -> Holder {
    let since =
        chrono::DateTime::from_timestamp(since, 0).map(|at| crate::api::common::Timestamp::from(at).to_string());
    let id = id::of(&seat);
    let Seat { pool, slot, user, session, .. } = seat;
    Holder { id, pool, slot, user, session, client, since: since.unwrap_or_default() }
}

/// `DELETE /v1/seats?namespace=…&license=…[&user=…]`: an administrator frees the seats of a user, or all.
async fn evict(State(seats): Shared, headers: HeaderMap, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let caller = seats.callers.identify(&headers).await?;
    let query = read_query(query)?;
    let license = LicenseName::new(&query.namespace, &query.license);
    seats.check(&caller, Verb::Evict, &license).await?;
    let released = seats.desk.evict(&license, query.user.as_deref()).map_err(|denied| problem_of(&denied))?;
    Ok(json(StatusCode::OK, &Evicted { released }))
}

fn named(id: &str) -> Result<Seat, Problem> {
    id::read(id).ok_or_else(|| Problem::invalid("that names no seat: use the `id` of a seat that was granted"))
}

fn read<'b, T: serde::Deserialize<'b>>(body: &'b Bytes) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::invalid(format!("the body cannot be read: {error}")))
}

fn read_query(query: Option<String>) -> Result<Query, Problem> {
    let pairs = form_urlencoded::parse(query.as_deref().unwrap_or_default().as_bytes());
    let number = |key: &str, value: &str| match value.parse::<u64>() {
        Ok(number) => Ok(serde_json::json!(number)),
        Err(_) => Err(Problem::invalid(format!("`{key}` is no number"))),
    };
    let mut fields = serde_json::Map::new();
    for (key, value) in pairs {
        let value = match key.as_ref() {
            "limit" | "continue" => number(&key, &value)?,
            _ => serde_json::Value::from(value.into_owned()),
        };
        fields.insert(key.into_owned(), value);
    }
    serde_json::from_value(fields.into())
        .map_err(|error| Problem::invalid(format!("the query cannot be read: {error}")))
}
