//! The JSON bodies of `/v1/seats` that a holder sends and receives. The server uses the same types.
//!
//! Requests with an unknown field are refused, so that a misspelt one is noticed; answers may get new fields.

use serde::{Deserialize, Serialize};

/// The most bytes in a user, session, client or request.
pub const MOST_NAME_BYTES: usize = 256;
/// The most seats in one request.
pub const MOST_SEATS: u32 = 1_000;
/// The longest that one request waits in the queue, in seconds.
pub const LONGEST_WAIT: u32 = 30;
/// The most seats whose heartbeats come in one body.
pub const MOST_HEARTBEATS: usize = 10_000;

/// A License by name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct License {
    pub namespace: String,
    pub name: String,
}

/// A request for seats.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeatRequest {
    pub license: License,
    /// The user that the seat is for. Without a user, each start counts on its own. Names are compared as people see them
    /// (RFC 8265, UsernameCasePreserved): upper and lower case differ, and how `é` is typed makes no difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MOST_NAME_BYTES)))]
    pub user: Option<String>,
    /// Chosen by the caller, for one start of one program; the same in every retry.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MOST_NAME_BYTES)))]
    pub session: String,
    /// The machine that the seat is used on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MOST_NAME_BYTES)))]
    pub client: Option<String>,
    /// Needed if the License has several pools and the user may choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// A name for this request, kept with the seat so that it can be recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MOST_NAME_BYTES)))]
    pub request: Option<String>,
    /// The major version of the program that is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The number of seats for the session: all are granted, or none.
    #[serde(default = "one")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = MOST_SEATS)))]
    pub count: u32,
    /// Seconds to wait in the queue if no seat is free. Only for a request on its own, not in `requests`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = LONGEST_WAIT)))]
    pub wait: Option<u32>,
}

fn one() -> u32 {
    1
}

/// Seats that were granted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    pub seats: Vec<GrantedSeat>,
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("enum" = ["Full", "ReadOnly"])))]
    pub access: Access,
    /// How long the seats are held without a heartbeat, in seconds from when the request was sent.
    pub ttl_seconds: u64,
}

/// What a seat allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Access {
    Full,
    ReadOnly,
}

/// A numbered seat.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GrantedSeat {
    /// Names the seat in heartbeats and in its release.
    pub id: String,
    pub pool: String,
    pub slot: u32,
}

/// Heartbeats of several seats.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Heartbeats {
    /// The ids of the seats.
    #[cfg_attr(feature = "schema", schemars(length(max = MOST_HEARTBEATS)))]
    pub ids: Vec<String>,
}

/// The result of heartbeats.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Kept"))]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatAnswer {
    /// The seats that are lost. They are never revived: ask for new ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
    pub ttl_seconds: u64,
}
