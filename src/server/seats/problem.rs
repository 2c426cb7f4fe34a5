//! Why something was not done, as problem details (RFC 9457).

use http::{HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

use super::body::{self, Reply};
use crate::seats::Denied;
use crate::domain::seats::refusal::Refusal;

/// How long to wait before asking again for a seat that somebody else may give back.
const SEAT_MAY_COME_FREE: Duration = Duration::from_secs(5);
/// How long to wait where it is only a matter of a moment.
const A_MOMENT: Duration = Duration::from_secs(1);

/// What was wrong.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    #[serde(rename = "type")]
    kind: Box<str>,
    title: &'static str,
    pub status: u16,
    pub detail: String,
    /// One word for programs.
    pub reason: &'static str,
    /// Seconds after which it may help to ask again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The place in the queue, where the request waited in it: 1 is next. It is kept for 5 s, so ask again at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<u32>,
    /// The seats of which it cannot be said whether they are lost, where the request was about several. Without them, it
    /// is answered.
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
        let detail = "this seat is not held any more; a lost seat is never revived, ask for a new one";
        Problem::new(StatusCode::GONE, "SeatLost", detail)
    }

    /// It cannot be said whether seats are lost, and why. Of a request about several, these.
    pub fn unsure(denied: &Denied, unsure: Box<[String]>) -> Self {
        let problem = Problem::from(denied);
        let which = if unsure.is_empty() { "this seat is" } else { "the seats in `unsure` are" };
        let detail = format!("whether {which} lost cannot be said yet: {}", problem.detail);
        Problem { detail, unsure, ..problem }
    }

    /// The request asked for the impossible; `detail` says where and what is possible.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, "InvalidRequest", detail)
    }

    /// What is sent to whoever asked.
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

/// 409 where somebody else may make room, 404 where what was named is not there, 400 where the request has to change,
/// 403 where the licence or the Roster has to.
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
        _ => StatusCode::FORBIDDEN,
    }
}
