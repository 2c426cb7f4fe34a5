//! The JSON bodies of the seat server.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;

use super::id;
use crate::domain::license::name::LicenseName;
use crate::domain::seats::request::{Access, MAX_COUNT, MAX_NAME_BYTES};
use crate::seats::{Ask, Granted, Seat};
use crate::server::http::problem::Problem;

/// The most requests in one body.
pub const MOST_REQUESTS: usize = 1_000;
/// The longest that one request waits in the queue, in seconds.
pub const LONGEST_WAIT: u32 = 30;
/// The most seats whose heartbeats come in one body.
pub const MOST_HEARTBEATS: usize = 10_000;
/// The most holders in one answer, and the default.
pub const MOST_HOLDERS: usize = 1_000;

/// How long a request wants to wait in the queue: zero if it does not say, or cannot be read.
pub fn wait_of(body: &[u8]) -> Duration {
    #[derive(Deserialize)]
    struct Waits {
        wait: Option<u32>,
    }
    let wait = serde_json::from_slice(body).ok().and_then(|waits: Waits| waits.wait);
    Duration::from_secs(wait.map_or(0, |wait| wait.min(LONGEST_WAIT).into()))
}

/// A License by name.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct License {
    pub namespace: String,
    pub name: String,
}

/// A request for seats.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeatRequest {
    pub license: License,
    /// The user that the seat is for. Without a user, each start counts on its own.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_NAME_BYTES))]
    pub user: Option<String>,
    /// Chosen by the caller, for one start of one program; the same in every retry.
    #[schemars(length(min = 1, max = MAX_NAME_BYTES))]
    pub session: String,
    /// The machine that the seat is used on.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_NAME_BYTES))]
    pub client: Option<String>,
    /// Needed if the License has several pools and the user may choose.
    #[serde(default)]
    pub pool: Option<String>,
    /// A name for this request, kept with the seat so that it can be recognised.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_NAME_BYTES))]
    pub request: Option<String>,
    /// The major version of the program that is started.
    #[serde(default)]
    pub version: Option<u32>,
    /// The number of seats for the session: all are granted, or none.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub count: u32,
    /// Seconds to wait in the queue if no seat is free. Only for a request on its own, not in `requests`.
    #[serde(default)]
    #[schemars(range(min = 1, max = LONGEST_WAIT))]
    pub wait: Option<u32>,
}

fn one() -> u32 {
    1
}

/// One request, or several in `requests`: the fields of both forms, so that an error names the field that is wrong. An
/// untagged enum would only say that neither form fits.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Body {
    requests: Option<Vec<SeatRequest>>,
    license: Option<License>,
    user: Option<String>,
    session: Option<String>,
    client: Option<String>,
    pool: Option<String>,
    request: Option<String>,
    version: Option<u32>,
    count: Option<u32>,
    wait: Option<u32>,
}

/// Describes the body as it is sent: one of two forms.
impl JsonSchema for Body {
    fn schema_name() -> Cow<'static, str> {
        "OneOrSeveral".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<SeatRequest>();
        let several = json_schema!({
            "type": "object",
            "description": "Several requests, each decided on its own, in their order.",
            "properties": {"requests": {"type": "array", "items": one, "maxItems": MOST_REQUESTS}},
            "required": ["requests"],
            "additionalProperties": false,
        });
        json_schema!({"oneOf": [one, several]})
    }
}

/// What a body asks for.
pub enum Wanted {
    One(Box<SeatRequest>),
    Several(Vec<SeatRequest>),
}

impl Body {
    /// Returns what the body asks for. If it has neither form, the error says which field is missing or to be removed.
    pub fn wanted(self) -> Result<Wanted, String> {
        let Body { requests, license, user, session, client, pool, request, version, count, wait } = self;
        let Some(requests) = requests else {
            let missing = |field: &str| format!("`{field}` is missing; a request needs `license` and `session`");
            let license = license.ok_or_else(|| missing("license"))?;
            let session = session.ok_or_else(|| missing("session"))?;
            let count = count.unwrap_or_else(one);
            if wait.is_some_and(|wait| !(1..=LONGEST_WAIT).contains(&wait)) {
                return Err(format!("`wait` must be from 1 to {LONGEST_WAIT} seconds: ask again to wait longer"));
            }
            let request = SeatRequest { license, user, session, client, pool, request, version, count, wait };
            return Ok(Wanted::One(Box::new(request)));
        };
        let beside = [
            ("license", license.is_some()),
            ("user", user.is_some()),
            ("session", session.is_some()),
            ("client", client.is_some()),
            ("pool", pool.is_some()),
            ("request", request.is_some()),
            ("version", version.is_some()),
            ("count", count.is_some()),
        ];
        let inside = requests.iter().position(|request| request.wait.is_some());
        let inside = inside.map(|number| format!("`requests[{number}].wait`"));
        if let Some(field) = inside.or(wait.map(|_| "`wait`".to_owned())) {
            return Err(format!("{field}: remove it; only a request on its own can wait, not one of several"));
        }
        match beside.into_iter().find(|(_, given)| *given) {
            Some((field, _)) => Err(format!("`{field}` is outside of `requests`: move it into each of them")),
            None => Ok(Wanted::Several(requests)),
        }
    }
}

impl From<SeatRequest> for Ask {
    fn from(request: SeatRequest) -> Self {
        let SeatRequest { license, user, session, client, pool, request, version, count, wait: _ } = request;
        let license = LicenseName::new(&license.namespace, &license.name);
        Ask { license, user, session, client, pool, request, version, count }
    }
}

/// Seats that were granted.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    pub seats: Vec<GrantedSeat>,
    #[schemars(extend("enum" = ["Full", "ReadOnly"]))]
    pub access: &'static str,
    /// How long the seats are held without a heartbeat, in seconds from when the request was sent.
    pub ttl_seconds: u64,
}

#[derive(Serialize, JsonSchema)]
pub struct GrantedSeat {
    /// Names the seat in heartbeats and in its release.
    pub id: String,
    pub pool: String,
    pub slot: u32,
}

impl Grant {
    pub fn of(granted: &Granted, ttl_seconds: u64) -> Self {
        let seat = |seat: &Seat| GrantedSeat { id: id::of(seat), pool: seat.pool.clone(), slot: seat.slot };
        let access = match granted.access {
            Access::Full => "Full",
            Access::ReadOnly => "ReadOnly",
        };
        Grant { seats: granted.seats.iter().map(seat).collect(), access, ttl_seconds }
    }
}

/// The answers to several requests, in their order.
#[derive(Serialize, JsonSchema)]
pub struct Answers {
    pub answers: Vec<Answer>,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Answer {
    Granted(Grant),
    Refused(Problem),
}

/// Heartbeats of several seats.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeats {
    /// The ids of the seats.
    #[schemars(length(max = MOST_HEARTBEATS))]
    pub ids: Vec<String>,
}

/// The result of heartbeats.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Kept")]
pub struct HeartbeatAnswer {
    /// The seats that are lost. They are never revived: ask for new ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
    pub ttl_seconds: u64,
}

/// The holders of a License's seats, and the use of its pools.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Holders {
    pub holders: Vec<Holder>,
    pub pools: Vec<PoolUse>,
    /// Present if there are more holders: send it as `continue` to get the next ones.
    #[serde(skip_serializing_if = "Option::is_none", rename = "continue")]
    pub more: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
pub struct Holder {
    pub id: String,
    pub pool: String,
    pub slot: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    pub session: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Since when the seat is held, as RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub since: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolUse {
    pub pool: String,
    pub in_use: u64,
    /// The most seats in use at a time since the present owner took over the ledger.
    pub peak: u64,
}

/// How many seats an eviction freed.
#[derive(Serialize, JsonSchema)]
pub struct Evicted {
    pub released: usize,
}
