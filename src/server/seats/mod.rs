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
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Extension, Path, RawQuery, Request, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

use crate::cluster::seats::{Ask, Denied, Desk, Granted, Seat};
use crate::domain::seats::journal::LicenseName;
use callers::{Caller, Callers, Verb};
use forward::Forward;
use problem::Problem;
use wire::{Answer, Answers, Body, Evicted, Grant, Heartbeats, Holder, Holders, Kept, PoolUse, Query, Wanted};

/// A longer body is refused.
pub const MOST_BYTES: usize = 1024 * 1024;

const LONGEST_NAMESPACE: usize = 63;
const LONGEST_NAME: usize = 253;

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
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .layer(from_fn_with_state(seats.clone(), identify))
        .with_state(seats)
}

type Shared = State<Arc<Seats>>;
/// Who asks.
type By = Extension<Arc<Caller>>;
type Read = Result<Bytes, BytesRejection>;
type Named = Result<Path<String>, PathRejection>;

/// Nobody without a valid token is told anything, and no body of theirs is read.
async fn identify(State(seats): Shared, mut request: Request, next: Next) -> Result<Response, Problem> {
    let caller = seats.callers.identify(request.headers()).await?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

async fn no_such_path(uri: Uri) -> Problem {
    let detail = format!("there is nothing at {}; seats are at /v1/seats and /v1/seats/{{id}}", shown(uri.path()));
    Problem::new(StatusCode::NOT_FOUND, "NotFound", detail)
}

async fn no_such_method(method: Method, uri: Uri) -> Problem {
    let known = match uri.path().trim_end_matches('/') {
        "/v1/seats" => "GET lists, POST takes, PUT keeps, DELETE evicts",
        _ => "PUT keeps a seat, DELETE gives it back",
    };
    let detail = format!("{} is not known here: {known}", shown(method.as_str()));
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", detail)
}

/// The beginning of what somebody wrote.
fn shown(text: &str) -> String {
    text.chars().take(100).collect::<String>().escape_debug().to_string()
}

impl Seats {
    async fn check(&self, caller: &Caller, verb: Verb, license: &LicenseName) -> Result<(), Problem> {
        // As long as Kubernetes lets them be; a longer one is not asked for, not kept and not sent back.
        if license.namespace.len() > LONGEST_NAMESPACE || license.name.len() > LONGEST_NAME {
            let detail =
                format!("a License has a namespace of {LONGEST_NAMESPACE} bytes and a name of {LONGEST_NAME} at most");
            return Err(Problem::invalid(detail));
        }
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
async fn take(State(seats): Shared, Extension(caller): By, body: Read) -> Result<Response, Problem> {
    match read::<Body>(body)?.wanted().map_err(Problem::invalid)? {
        Wanted::One(request) => {
            let ask = Ask::from(*request);
            seats.check(&caller, Verb::Create, &ask.license).await?;
            let answer = seats.desk.acquire(std::slice::from_ref(&ask)).await.pop();
            match answer.unwrap_or(Err(Denied::NotOwner)) {
                Ok(granted) => Ok(json(StatusCode::CREATED, &Grant::of(&granted, seats.ttl()))),
                Err(denied) => Err(problem_of(&denied)),
            }
        }
        Wanted::Several(requests) => {
            if requests.len() > wire::MOST_REQUESTS {
                return Err(Problem::invalid(format!("`requests` has more than {}", wire::MOST_REQUESTS)));
            }
            let asks: Vec<Ask> = requests.into_iter().map(Ask::from).collect();
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
async fn keep(State(seats): Shared, Extension(caller): By, id: Named) -> Result<Response, Problem> {
    let seat = named_in_path(id)?;
    seats.check(&caller, Verb::Create, &seat.license).await?;
    match seats.desk.heartbeat([&seat]).map_err(|denied| problem_of(&denied))?.first() {
        Some(true) => Ok(json(StatusCode::OK, &Kept { lost: Vec::new(), ttl_seconds: seats.ttl() })),
        _ => Err(Problem::lost()),
    }
}

/// `PUT /v1/seats`: heartbeats of many.
async fn keep_many(State(seats): Shared, Extension(caller): By, body: Read) -> Result<Response, Problem> {
    let Heartbeats { ids } = read(body)?;
    if ids.len() > wire::MOST_HEARTBEATS {
        return Err(Problem::invalid(format!("`ids` has more than {}", wire::MOST_HEARTBEATS)));
    }
    let at = |(number, id): (usize, &String)| id::read(id).ok_or_else(|| no_seat(&format!("`ids[{number}]`")));
    let named: Vec<Seat> = ids.iter().enumerate().map(at).collect::<Result<_, _>>()?;
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
async fn release(State(seats): Shared, Extension(caller): By, id: Named) -> Result<Response, Problem> {
    let seat = named_in_path(id)?;
    seats.check(&caller, Verb::Delete, &seat.license).await?;
    seats.desk.release(&seat).map_err(|denied| problem_of(&denied))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET /v1/seats?namespace=…&license=…`: who holds which seat since when.
async fn list(State(seats): Shared, Extension(caller): By, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = read_query(query)?;
    let license = LicenseName::new(&query.namespace, &query.license);
    seats.check(&caller, Verb::List, &license).await?;
    let holders = seats.desk.holders(&license).map_err(|denied| problem_of(&denied))?;
    let pools = seats.desk.in_use(&license).unwrap_or_default();
    if query.limit == Some(0) {
        return Err(Problem::invalid(format!("`limit` is from 1 to {}", wire::MOST_HOLDERS)));
    }
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
async fn evict(State(seats): Shared, Extension(caller): By, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = read_query(query)?;
    let license = LicenseName::new(&query.namespace, &query.license);
    seats.check(&caller, Verb::Evict, &license).await?;
    let released = seats.desk.evict(&license, query.user.as_deref()).await.map_err(|denied| problem_of(&denied))?;
    Ok(json(StatusCode::OK, &Evicted { released }))
}

fn named_in_path(id: Named) -> Result<Seat, Problem> {
    id.ok().and_then(|Path(id)| id::read(&id)).ok_or_else(|| no_seat("the path"))
}

fn no_seat(place: &str) -> Problem {
    Problem::invalid(format!("{place} names no seat: use the `id` of a seat that was granted"))
}

/// A body as JSON. What is wrong with one is said with the field and the line.
fn read<T: DeserializeOwned>(body: Read) -> Result<T, Problem> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "BodyTooLarge",
            format!("the body has more than {MOST_BYTES} bytes: send it in several"),
        ),
        _ => Problem::invalid("the body broke off"),
    })?;
    serde_json::from_slice(&body).map_err(|error| {
        // Where it is wrong is looked for only now: that takes longer.
        let read = serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_slice(&body));
        let field = read.err().map(|error| error.path().to_string()).filter(|path| path != ".");
        let field = field.map_or(String::new(), |path| format!(" `{}`:", shown(&path)));
        Problem::invalid(format!("the body cannot be read:{field} {error}"))
    })
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
