//! The JSON bodies of the seat server. Those that a holder sends and receives are the client's.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use seatkeeper_client::wire;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;

pub use seatkeeper_client::wire::{
    Grant, GrantedSeat, HeartbeatAnswer, Heartbeats, LONGEST_WAIT, License, MOST_HEARTBEATS, SeatRequest,
};

use super::id;
use crate::api::license::HoldersShown;
use crate::domain::license::name::LicenseName;
use crate::domain::names::into_normal;
use crate::domain::seats::request::{Access, MAX_COUNT, MAX_NAME_BYTES};
use crate::seats::{Ask, Granted, Seat};
use crate::server::http::callers::Caller;
use crate::server::http::problem::Problem;

// What the client is told of the limits is what the domain checks.
const _: () = assert!(wire::MOST_NAME_BYTES == MAX_NAME_BYTES && wire::MOST_SEATS == MAX_COUNT);

/// The most requests in one body.
pub const MOST_REQUESTS: usize = 1_000;
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
            let count = count.unwrap_or(1);
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
            Some((field, _)) => Err(format!("`{field}` stands beside `requests`: put it into each request instead")),
            None => Ok(Wanted::Several(requests)),
        }
    }
}

/// What a caller asks the desk for, with the names of people and machines as they are compared.
pub fn ask(request: SeatRequest, caller: &Caller) -> Ask {
    let SeatRequest { license, user, session, client, pool, request, version, count, wait: _ } = request;
    let (user, client) = (user.map(into_normal), client.map(into_normal));
    let license = LicenseName::new(&license.namespace, &license.name);
    let (taker, namespace) = (caller.taker, caller.namespace().map(Into::into));
    Ask { license, user, session, client, pool, request, version, count, taker, namespace }
}

/// Returns the answer to a request whose seats were granted.
pub fn grant(granted: &Granted, ttl_seconds: u64) -> Grant {
    let seat = |seat: &Seat| GrantedSeat { id: id::of(seat), pool: seat.pool.clone(), slot: seat.slot };
    let access = match granted.access {
        Access::Full => wire::Access::Full,
        Access::ReadOnly => wire::Access::ReadOnly,
    };
    Grant { seats: granted.seats.iter().map(seat).collect(), access, ttl_seconds }
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

/// The holders of a License's seats, and the use of its pools.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Holders {
    /// How the License says that holders are shown (`spec.holders`).
    pub shown: HoldersShown,
    /// Empty if `shown` is Hidden.
    pub holders: Vec<Holder>,
    pub pools: Vec<PoolUse>,
    /// The Licenses, as `namespace/name`, under which other seats of these pools are still held.
    pub held_under: Vec<String>,
    /// Present if there are more holders: send it as `continue` to get the next ones.
    #[serde(skip_serializing_if = "Option::is_none", rename = "continue")]
    pub more: Option<u64>,
}

#[derive(Serialize, JsonSchema)]
pub struct Holder {
    /// The id without the part that only the holder knows: it serves callers with the right `evict`. Only where the user is
    /// shown by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub pool: String,
    pub slot: u32,
    /// The name of the user, or the pseudonym of today (UTC): `agent-` and four hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Stands for the session: a keyed hash of what the program chose, which is shown nowhere. Of a seat that an
    /// earlier version granted, it is the session itself. Only where the user is shown by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The machine. Only where the user is shown by name.
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
    /// Seats that are still held under other Licenses, which had the same keys before. They count against the limit.
    pub held_elsewhere: u64,
}

/// How many seats an eviction freed.
#[derive(Serialize, JsonSchema)]
pub struct Evicted {
    pub released: usize,
}
