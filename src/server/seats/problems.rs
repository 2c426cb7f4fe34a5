//! Why there is no seat, as HTTP says it: the status of each refusal, and when to ask again.

use http::StatusCode;
use std::time::Duration;

use crate::domain::seats::refusal::Refusal;
use crate::seats::Denied;
use crate::server::http::problem::{A_MOMENT, Problem};

/// How long to wait before asking again for a seat that another holder may give back.
const SEAT_MAY_COME_FREE: Duration = Duration::from_secs(5);

/// Every reason for a refusal, by status: those of `status_of`, and those of `server/http/`, for the OpenAPI document.
const REASONS: [(u16, &[&str]); 9] = [
    (400, &["InvalidRequest", "PoolRequired", "UserRequired", "ClientRequired"]),
    (401, &["Unauthorized"]),
    (
        403,
        &[
            "NoLicense",
            "NoPools",
            "NotAssigned",
            "NotInRoster",
            "RosterMissing",
            "RosterExceedsSeats",
            "LoginModeNone",
            "NoPoolForLoginMode",
            "WrongPool",
            "VersionNotEntitled",
            "Forbidden",
            "NamespaceNotAllowed",
        ],
    ),
    (404, &["UnknownLicense", "UnknownPool", "NotFound"]),
    (409, &["SeatsExhausted", "DemoSeatsExhausted", "ReservedForTeam", "InUseOnOtherClient", "TooManySessions"]),
    (410, &["SeatLost"]),
    (413, &["BodyTooLarge"]),
    (429, &["Overloaded"]),
    (503, &["NotOwner", "LedgerUnavailable", "LedgerIncomplete", "CallerUnknown"]),
];

/// The reasons of those statuses which an operation may answer with.
pub fn reasons(of: &[u16]) -> impl Iterator<Item = (u16, &'static [&'static str])> {
    REASONS.into_iter().filter(|(status, _)| of.contains(status))
}

/// A heartbeat of a seat that is no longer held.
pub fn lost() -> Problem {
    let detail = "this seat is no longer held; a lost seat is never revived: ask for a new one";
    Problem::new(StatusCode::GONE, "SeatLost", detail)
}

/// It is not yet known whether seats are lost, and `denied` says why. `unsure` names the seats, and is empty if the
/// request was about a single one.
pub fn unsure(denied: &Denied, unsure: Box<[String]>) -> Problem {
    let mut problem = Problem::from(denied);
    let which = if unsure.is_empty() { "this seat is" } else { "the seats in `unsure` are" };
    problem.detail = format!("it is not yet known whether {which} lost: {}", problem.detail);
    problem.unsure = unsure;
    problem
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
                let mut problem = Problem::new(status_of(refusal), refusal.reason(), detail);
                problem.retry_after = Some(0);
                problem.place = u32::try_from(*place).ok();
                problem
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
