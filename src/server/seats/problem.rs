//! Why a request was not fulfilled, as problem details (RFC 9457).

use http::{HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

use super::body::{self, Reply};
use crate::domain::seats::refusal::Refusal;
use crate::seats::Denied;

/// How long to wait before asking again for a seat that another holder may give back.
const SEAT_MAY_COME_FREE: Duration = Duration::from_secs(5);
/// How long to wait if the trouble passes in a moment.
const A_MOMENT: Duration = Duration::from_secs(1);

/// Why a request was not fulfilled.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    #[serde(rename = "type")]
    kind: Box<str>,
    title: &'static str,
    pub status: u16,
    pub detail: String,
    /// The reason in one word, for programs.
    pub reason: &'static str,
    /// Seconds after which asking again may help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The place in the queue if the request waited there: 1 is next. The place is kept for 5 s, so ask again at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<u32>,
    /// If the request was about several seats: those of which it is not yet known whether they are lost. A request
    /// about the others is answered.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    #[schemars(default)]
    pub unsure: Box<[String]>,
}

impl Problem {
    pub fn new(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Self {
        Problem {
            kind: format!("https://seatkeeper.dev/problems/{reason}").into(),
            title: status.canonical_reason().unwrap_or("Problem"),
            status: status.as_u16(),
            detail: detail.into(),
            reason,
            retry_after: None,
            place: None,
            unsure: Box::default(),
        }
    }

    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait.as_secs().max(1));
        self
    }

    pub fn lost() -> Self {
        let detail = "this seat is no longer held; a lost seat is never revived: ask for a new one";
        Problem::new(StatusCode::GONE, "SeatLost", detail)
    }

    /// It is not yet known whether seats are lost, and `denied` says why. `unsure` names the seats, and is empty if the
    /// request was about a single one.
    pub fn unsure(denied: &Denied, unsure: Box<[String]>) -> Self {
        let problem = Problem::from(denied);
        let which = if unsure.is_empty() { "this seat is" } else { "the seats in `unsure` are" };
        let detail = format!("it is not yet known whether {which} lost: {}", problem.detail);
        Problem { detail, unsure, ..problem }
    }

    /// The request itself is wrong; `detail` says where, and what is possible.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, "InvalidRequest", detail)
    }

    /// The response to the caller.
    pub fn reply(&self) -> Reply {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let text = serde_json::to_vec(self).unwrap_or_default();
        let mut reply = body::of(status, "application/problem+json", text);
        if let Some(seconds) = self.retry_after {
            reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            reply.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        reply
    }
}

impl From<&Denied> for Problem {
    fn from(denied: &Denied) -> Self {
        let detail = denied.to_string();
        match denied {
            Denied::Refused(refusal) => {
                let problem = Problem::new(status_of(refusal), refusal.reason(), detail);
                if refusal.may_pass() { problem.retry_after(SEAT_MAY_COME_FREE) } else { problem }
            }
            Denied::Queued { refusal, place } => {
                let problem = Problem::new(status_of(refusal), refusal.reason(), detail);
                Problem { retry_after: Some(0), place: u32::try_from(*place).ok(), ..problem }
            }
            Denied::UnknownLicense(_) => Problem::new(StatusCode::NOT_FOUND, "UnknownLicense", detail),
            Denied::NotOwner => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "NotOwner", detail).retry_after(A_MOMENT),
            Denied::LedgerIncomplete { wait, .. } => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "LedgerIncomplete", detail).retry_after(*wait)
            }
            Denied::LedgerUnavailable => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "LedgerUnavailable", detail).retry_after(A_MOMENT)
            }
            Denied::Overloaded => {
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "Overloaded", detail).retry_after(A_MOMENT)
            }
        }
    }
}

/// 409 if another holder may make room, 404 if what was named does not exist, 400 if the request has to change, 403 if
/// the licence or the Roster has to.
fn status_of(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::SeatsExhausted { .. }
        | Refusal::DemoSeatsExhausted { .. }
        | Refusal::ReservedForTeam { .. }
        | Refusal::InUseOnOtherClient { .. }
        | Refusal::TooManySessions { .. } => StatusCode::CONFLICT,
        Refusal::UnknownPool { .. } => StatusCode::NOT_FOUND,
        Refusal::InvalidRequest(_)
        | Refusal::PoolRequired { .. }
        | Refusal::UserRequired { .. }
        | Refusal::ClientRequired { .. } => StatusCode::BAD_REQUEST,
        Refusal::NoLicense
        | Refusal::NoPools
        | Refusal::NotAssigned { .. }
        | Refusal::NotInRoster
        | Refusal::RosterMissing
        | Refusal::RosterExceedsSeats { .. }
        | Refusal::LoginModeNone
        | Refusal::NoPoolForLoginMode { .. }
        | Refusal::WrongPool { .. }
        | Refusal::VersionNotEntitled { .. } => StatusCode::FORBIDDEN,
    }
}
