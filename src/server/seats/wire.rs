//! What is said over HTTP: seats, as JSON.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;

use super::id;
use super::problem::Problem;
use crate::seats::{Ask, Granted, Seat};
use crate::domain::license::name::LicenseName;
use crate::domain::seats::request::{Access, MAX_COUNT, MAX_NAME_BYTES};

/// Requests in one body.
pub const MOST_REQUESTS: usize = 1_000;
/// Seconds for which a request waits in the queue at most.
pub const LONGEST_WAIT: u32 = 30;
/// Seats whose heartbeats come in one body.
pub const MOST_HEARTBEATS: usize = 10_000;
/// Holders in one answer, at most and by default.
pub const MOST_HOLDERS: usize = 1_000;

/// For how long a request wants to wait; not at all where it cannot be read.
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

/// Somebody wants a seat.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeatRequest {
    pub license: License,
    /// Who it is for. Without one a start counts by itself.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_NAME_BYTES))]
    pub user: Option<String>,
    /// Chosen by who asks, the same in every retry.
    #[schemars(length(min = 1, max = MAX_NAME_BYTES))]
    pub session: String,
    /// The computer that it is used on.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_NAME_BYTES))]
    pub client: Option<String>,
    /// Needed where the License has several and the user may choose.
    #[serde(default)]
    pub pool: Option<String>,
    /// Kept with the seat, for those who look.
    #[serde(default)]
    #[schemars(length(min = 1, max = MAX_NAME_BYTES))]
    pub request: Option<String>,
    /// The major version of what is started.
    #[serde(default)]
    pub version: Option<u32>,
    /// Seats for the session, all or none.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub count: u32,
    /// Seconds to wait in the queue where there is no seat at present. Only for a request by itself, not in `requests`.
    #[serde(default)]
    #[schemars(range(min = 1, max = LONGEST_WAIT))]
    pub wait: Option<u32>,
}

fn one() -> u32 {
    1
}

/// One request, or several in `requests`: all the fields of both, so that what is wrong with one is said of that field.
/// An untagged enum would only say that neither fits.
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

/// As it is written: one of two forms.
impl JsonSchema for Body {
    fn schema_name() -> Cow<'static, str> {
        "OneOrSeveral".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<SeatRequest>();
        let several = json_schema!({
            "type": "object",
            "description": "Several requests, each judged for itself, in their order.",
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
    /// Fails where it is neither one nor several, and says what is missing or too much.
    pub fn wanted(self) -> Result<Wanted, String> {
        let Body { requests, license, user, session, client, pool, request, version, count, wait } = self;
        let Some(requests) = requests else {
            let missing = |field: &str| format!("`{field}` is missing; a request needs `license` and `session`");
            let license = license.ok_or_else(|| missing("license"))?;
            let session = session.ok_or_else(|| missing("session"))?;
            let count = count.unwrap_or_else(one);
            if wait.is_some_and(|wait| !(1..=LONGEST_WAIT).contains(&wait)) {
                return Err(format!("`wait` is from 1 to {LONGEST_WAIT} seconds: ask again to wait for longer"));
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
            return Err(format!("{field} stands there in vain: only a request by itself can wait"));
        }
        match beside.into_iter().find(|(_, given)| *given) {
            Some((field, _)) => Err(format!("`{field}` stands beside `requests`: put it into each of them")),
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
    /// Seconds from when the request was sent for which the seats are held without a heartbeat.
    pub ttl_seconds: u64,
}

#[derive(Serialize, JsonSchema)]
pub struct GrantedSeat {
    /// Names the seat in heartbeat and release.
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

/// What became of them.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// The seats that are lost. They are never revived: ask for new ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
    pub ttl_seconds: u64,
}

/// Who holds which seat of a License.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Holders {
    pub holders: Vec<Holder>,
    pub pools: Vec<PoolUse>,
    /// Give it as `continue` to get the next ones.
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
    /// RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub since: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolUse {
    pub pool: String,
    pub in_use: u64,
    /// The most that was in use since this owner of the ledger began.
    pub peak: u64,
}

/// Which License is asked about.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Query {
    pub namespace: String,
    pub license: String,
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub limit: Option<usize>,
    #[serde(default, rename = "continue")]
    pub from: Option<usize>,
}

/// What was freed by an administrator.
#[derive(Serialize, JsonSchema)]
pub struct Evicted {
    pub released: usize,
}
