//! The seat server: `/v1/seats` (docs/design/seats.md).
//!
//! Every replica answers. One that does not own the ledger passes the request on to the owner.

pub mod id;
pub mod openapi;
mod problems;
pub mod serve;
pub mod wire;

use http::{HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use std::time::Duration;

use crate::domain::license::name::LicenseName;
use crate::seats::{Ask, Denied, Desk, Granted, HeartbeatOutcome, Seat};
use crate::server::http::body::read;
use crate::server::http::callers::{Caller, Callers, Object, Right, Shown};
use crate::server::http::forward::Forward;
use crate::server::http::problem::Problem;
use crate::server::http::reply::{Reply, empty, json, shown};
use wire::{Answer, Answers, Body, Evicted, Grant, Heartbeats, Holder, Holders, Kept, PoolUse, Query, Wanted, wait_of};

/// The path of all seats. A slash and an id after it name one seat.
const PATH: &str = "/v1/seats";
const LONGEST_NAMESPACE: usize = 63;
const LONGEST_NAME: usize = 253;

/// Rights on the seats of a License, in terms of RBAC: those to take and keep seats, to show the holders, to release one's
/// own seats, and to free those of others.
const CREATE: Right = Right { verb: "create", group: "seatkeeper.dev", resource: "licenses", subresource: "seats" };
const LIST: Right = Right { verb: "list", ..CREATE };
const DELETE: Right = Right { verb: "delete", ..CREATE };
const EVICT: Right = Right { verb: "evict", ..CREATE };

/// Answers requests for seats.
pub struct Seats {
    pub desk: Desk,
    pub callers: Callers,
    /// `None` if there are no other replicas.
    pub forward: Option<Forward>,
}

/// Which seats a path names.
enum Place<'p> {
    All,
    /// The id as written in the path, percent-encoded.
    One(&'p str),
}

impl<'p> Place<'p> {
    fn of(path: &'p str) -> Option<Self> {
        match path.strip_prefix(PATH)?.strip_prefix('/') {
            None if path == PATH => Some(Place::All),
            Some(id) if !id.is_empty() && !id.contains('/') => Some(Place::One(id)),
            _ => None,
        }
    }

    fn allows(&self, method: &Method) -> bool {
        self.methods().0.split(',').any(|allowed| allowed == method.as_str())
    }

    /// The methods that are allowed there, and what each does.
    fn methods(&self) -> (&'static str, &'static str) {
        match self {
            Place::All => ("GET,HEAD,POST,PUT,DELETE", "GET lists, POST takes, PUT keeps, DELETE evicts"),
            Place::One(_) => ("PUT,DELETE", "PUT keeps a seat, DELETE gives it back"),
        }
    }
}

fn no_such_path(path: &str) -> Problem {
    let detail = format!("there is nothing at {}; seats are at {PATH} and {PATH}/{{id}}", shown(path));
    Problem::new(StatusCode::NOT_FOUND, "NotFound", detail)
}

fn no_such_method(method: &Method, place: &Place) -> Reply {
    let (allowed, known) = place.methods();
    let detail = format!("{} is not allowed here: {known}", shown(method.as_str()));
    let mut reply = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", detail).reply();
    reply.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    reply
}

impl Seats {
    /// Answers a request. A caller without a valid token learns nothing, and its body is not read.
    /// `shown` is what the same connection showed before.
    pub async fn answer(&self, request: Request<Incoming>, shown: &Shown) -> Reply {
        self.act(request, shown).await.unwrap_or_else(|problem| problem.reply())
    }

    async fn act(&self, request: Request<Incoming>, shown: &Shown) -> Result<Reply, Problem> {
        let caller = &*self.callers.identify(request.headers(), shown).await?;
        let (head, body) = request.into_parts();
        let (path, query) = (head.uri.path(), head.uri.query());
        if path == openapi::PATH && head.method == Method::GET {
            return Ok(json(StatusCode::OK, &openapi::document()));
        }
        let place = Place::of(path).ok_or_else(|| no_such_path(path))?;
        if let Some(forward) = &self.forward
            && !self.desk.owns()
            && place.allows(&head.method)
        {
            let takes = head.method == Method::POST;
            return forward.pass_on(head, body, |body| if takes { wait_of(body) } else { Duration::ZERO }).await;
        }
        match (place, &head.method) {
            (Place::All, &Method::GET | &Method::HEAD) => self.list(caller, query).await,
            (Place::All, &Method::POST) => self.take(caller, body).await,
            (Place::All, &Method::PUT) => self.keep_many(caller, body).await,
            (Place::All, &Method::DELETE) => self.evict(caller, query).await,
            (Place::One(id), &Method::PUT) => self.keep(caller, id).await,
            (Place::One(id), &Method::DELETE) => self.release(caller, id).await,
            (place, method) => Ok(no_such_method(method, &place)),
        }
    }

    async fn check(&self, caller: &Caller, right: Right, license: &LicenseName) -> Result<(), Problem> {
        // The limits of Kubernetes. A longer name is not asked about, not cached and not sent back.
        if license.namespace.len() > LONGEST_NAMESPACE || license.name.len() > LONGEST_NAME {
            let detail =
                format!("a License's namespace has at most {LONGEST_NAMESPACE} bytes, and its name {LONGEST_NAME}");
            return Err(Problem::invalid(detail));
        }
        let object = Object { namespace: license.namespace.clone(), name: license.name.clone() };
        self.callers.check(caller, right, &object).await?;
        match caller.namespace().filter(|namespace| *namespace != &*license.namespace) {
            Some(namespace) if !self.desk.admits(license, namespace) => {
                let detail = format!(
                    "License {license} may not be used from namespace {namespace}: allow it in spec.allowedNamespaces"
                );
                Err(Problem::new(StatusCode::FORBIDDEN, "NamespaceNotAllowed", detail))
            }
            _ => Ok(()),
        }
    }

    fn ttl(&self) -> u64 {
        self.desk.ttl().as_secs()
    }

    /// `POST /v1/seats`: takes the seats of one request, or of several.
    async fn take(&self, caller: &Caller, body: Incoming) -> Result<Reply, Problem> {
        match read::<Body>(body).await?.wanted().map_err(Problem::invalid)? {
            Wanted::One(request) => {
                let wait = request.wait.map(|seconds| Duration::from_secs(seconds.into()));
                let ask = Ask::from(*request);
                self.check(caller, CREATE, &ask.license).await?;
                let answer = match wait {
                    Some(wait) => self.desk.acquire_in_turn(ask, wait).await,
                    None => {
                        let answer = self.desk.acquire(std::slice::from_ref(&ask)).await.pop();
                        answer.unwrap_or(Err(Denied::NotOwner))
                    }
                };
                match answer {
                    Ok(granted) => Ok(json(StatusCode::CREATED, &Grant::of(&granted, self.ttl()))),
                    Err(denied) => Err(Problem::from(&denied)),
                }
            }
            Wanted::Several(requests) => {
                if requests.len() > wire::MOST_REQUESTS {
                    return Err(Problem::invalid(format!("`requests` has more than {} items", wire::MOST_REQUESTS)));
                }
                let asks: Vec<Ask> = requests.into_iter().map(Ask::from).collect();
                let mut last: Option<&LicenseName> = None;
                for ask in &asks {
                    if last.replace(&ask.license) != Some(&ask.license) {
                        self.check(caller, CREATE, &ask.license).await?;
                    }
                }
                let answer = |answer: Result<Granted, Denied>| match answer {
                    Ok(granted) => Answer::Granted(Grant::of(&granted, self.ttl())),
                    Err(denied) => Answer::Refused(Problem::from(&denied)),
                };
                let answers = self.desk.acquire(&asks).await.into_iter().map(answer).collect();
                Ok(json(StatusCode::OK, &Answers { answers }))
            }
        }
    }

    /// `PUT /v1/seats/{id}`: a heartbeat.
    async fn keep(&self, caller: &Caller, id: &str) -> Result<Reply, Problem> {
        let seat = named_in_path(id)?;
        self.check(caller, CREATE, &seat.license).await?;
        let HeartbeatOutcome { kept, unsure } =
            self.desk.heartbeat([&seat]).await.map_err(|denied| Problem::from(&denied))?;
        match unsure {
            Some(denied) => Err(problems::unsure(&denied, Box::default())),
            None if kept.contains(&false) => Err(problems::lost()),
            None => Ok(json(StatusCode::OK, &Kept { lost: Vec::new(), ttl_seconds: self.ttl() })),
        }
    }

    /// `PUT /v1/seats`: heartbeats of several seats.
    async fn keep_many(&self, caller: &Caller, body: Incoming) -> Result<Reply, Problem> {
        let Heartbeats { ids } = read(body).await?;
        if ids.len() > wire::MOST_HEARTBEATS {
            return Err(Problem::invalid(format!("`ids` has more than {} items", wire::MOST_HEARTBEATS)));
        }
        let at = |(number, id): (usize, &String)| id::read(id).ok_or_else(|| no_seat(&format!("`ids[{number}]`")));
        let named: Vec<Seat> = ids.iter().enumerate().map(at).collect::<Result<_, _>>()?;
        let mut last: Option<&LicenseName> = None;
        for seat in &named {
            if last.replace(&seat.license) != Some(&seat.license) {
                self.check(caller, CREATE, &seat.license).await?;
            }
        }
        let HeartbeatOutcome { kept, unsure } =
            self.desk.heartbeat(&named).await.map_err(|denied| Problem::from(&denied))?;
        let lost: Vec<String> = ids.into_iter().zip(kept).filter(|(_, kept)| !kept).map(|(id, _)| id).collect();
        match unsure {
            Some(denied) => Err(problems::unsure(&denied, lost.into())),
            None => Ok(json(StatusCode::OK, &Kept { lost, ttl_seconds: self.ttl() })),
        }
    }

    /// `DELETE /v1/seats/{id}`: gives a seat back. Releasing a seat that is no longer held succeeds.
    async fn release(&self, caller: &Caller, id: &str) -> Result<Reply, Problem> {
        let seat = named_in_path(id)?;
        self.check(caller, DELETE, &seat.license).await?;
        self.desk.release(&seat).map_err(|denied| Problem::from(&denied))?;
        Ok(empty(StatusCode::NO_CONTENT))
    }

    /// `GET /v1/seats?namespace=…&license=…`: lists the holders, and since when each holds its seat.
    async fn list(&self, caller: &Caller, query: Option<&str>) -> Result<Reply, Problem> {
        let query = read_query(query)?;
        let license = LicenseName::new(&query.namespace, &query.license);
        self.check(caller, LIST, &license).await?;
        let holders = self.desk.holders(&license).map_err(|denied| Problem::from(&denied))?;
        let pools = self.desk.in_use(&license).unwrap_or_default();
        if query.limit == Some(0) {
            return Err(Problem::invalid(format!("`limit` must be from 1 to {}", wire::MOST_HOLDERS)));
        }
        let (from, limit) =
            (query.from.unwrap_or(0), query.limit.unwrap_or(wire::MOST_HOLDERS).min(wire::MOST_HOLDERS));
        let wanted = |seat: &Seat| query.user.is_none() || seat.user == query.user;
        let mut of_user = holders.into_iter().filter(|(seat, _)| wanted(seat)).skip(from);
        let shown: Vec<Holder> = of_user.by_ref().take(limit).map(|(seat, client)| holder(seat, client)).collect();
        let more = of_user.next().map(|_| from + shown.len());
        let pools = pools.into_iter().map(|(pool, u)| PoolUse { pool, in_use: u.in_use, peak: u.peak }).collect();
        Ok(json(StatusCode::OK, &Holders { holders: shown, pools, more }))
    }

    /// `DELETE /v1/seats?namespace=…&license=…[&user=…]`: an administrator frees the seats of a user, or all of the
    /// License.
    async fn evict(&self, caller: &Caller, query: Option<&str>) -> Result<Reply, Problem> {
        let query = read_query(query)?;
        let license = LicenseName::new(&query.namespace, &query.license);
        self.check(caller, EVICT, &license).await?;
        let released =
            self.desk.evict(&license, query.user.as_deref()).await.map_err(|denied| Problem::from(&denied))?;
        Ok(json(StatusCode::OK, &Evicted { released }))
    }
}

fn holder(seat: Seat, client: Option<String>) -> Holder {
    let since =
        chrono::DateTime::from_timestamp(seat.since, 0).map(|at| crate::api::common::Timestamp::from(at).to_string());
    let id = id::of(&seat);
    let Seat { pool, slot, user, session, .. } = seat;
    Holder { id, pool, slot, user, session, client, since: since.unwrap_or_default() }
}

fn named_in_path(id: &str) -> Result<Seat, Problem> {
    let id = percent_decode_str(id).decode_utf8().ok();
    id.and_then(|id| id::read(&id)).ok_or_else(|| no_seat("the path"))
}

fn no_seat(place: &str) -> Problem {
    Problem::invalid(format!("{place} names no seat: use the `id` of a seat that was granted"))
}

fn read_query(query: Option<&str>) -> Result<Query, Problem> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let number = |key: &str, value: &str| match value.parse::<u64>() {
        Ok(number) => Ok(serde_json::json!(number)),
        Err(_) => Err(Problem::invalid(format!("`{key}` is not a number"))),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_all_seats_or_one_or_nothing() {
        assert!(matches!(Place::of("/v1/seats"), Some(Place::All)));
        assert!(matches!(Place::of("/v1/seats/a~b"), Some(Place::One("a~b"))));
        for path in ["", "/", "*", "/v1", "/v1/seat", "/v1/seatsx", "/v1/seats/", "/v1/seats/a/", "/v1/seats/a/b"] {
            assert!(Place::of(path).is_none(), "{path}");
        }
    }
}
