//! Why there is no seat, as HTTP says it: the status of each refusal, and when to ask again.

use http::StatusCode;
use std::time::Duration;

use crate::domain::seats::refusal::Refusal;
use crate::seats::Denied;
use crate::server::http::problem::{A_MOMENT, Problem};

/// How long to wait before asking again for a seat that another holder may give back.
const SEAT_MAY_COME_FREE: Duration = Duration::from_secs(5);

/// Every reason for a refusal, by status: those of `status_of`, and those of `server/http/`, for the OpenAPI document.
const REASONS: [(u16, &[&str]); 10] = [
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
            "TakenByAnother",
            "HoldersNotNamed",
        ],
    ),
    (404, &["UnknownLicense", "UnknownPool", "NotFound"]),
    (408, &["BodyTooSlow"]),
    (
        409,
        &[
            "SeatsExhausted",
            "DemoSeatsExhausted",
            "ReservedForTeam",
            "InUseOnOtherClient",
            "TooManySessions",
            "UnlimitedPoolFull",
        ],
    ),
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
            Denied::TakenByAnother => Problem::new(StatusCode::FORBIDDEN, "TakenByAnother", detail),
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
        | Refusal::TooManySessions { .. }
        | Refusal::UnlimitedPoolFull { .. } => StatusCode::CONFLICT,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::license::name::LicenseName;
    use crate::domain::license::pool::LoginMode;

    /// The reasons that have no `Denied`: those of `server/http/` and `routes.rs`, and of single operations.
    const OTHERS: [&str; 9] = [
        "Unauthorized",
        "Forbidden",
        "NamespaceNotAllowed",
        "HoldersNotNamed",
        "NotFound",
        "SeatLost",
        "BodyTooLarge",
        "BodyTooSlow",
        "CallerUnknown",
    ];

    /// Each refusal leads to the next, so that the compiler asks for a new one here.
    fn after(refusal: &Refusal) -> Option<Refusal> {
        let pool = String::new;
        Some(match refusal {
            Refusal::NoLicense => Refusal::SeatsExhausted { pool: pool(), held: 1, limit: 1, asked: 1, elsewhere: 0 },
            Refusal::SeatsExhausted { .. } => Refusal::DemoSeatsExhausted { held: 1, demo_seats: 1 },
            Refusal::DemoSeatsExhausted { .. } => {
                Refusal::ReservedForTeam { pool: pool(), held: 1, limit: 1, reserved: 1 }
            }
            Refusal::ReservedForTeam { .. } => Refusal::VersionNotEntitled { version: 1, newest: None },
            Refusal::VersionNotEntitled { .. } => Refusal::NotAssigned { pool: pool() },
            Refusal::NotAssigned { .. } => Refusal::InUseOnOtherClient { pool: pool(), client: pool() },
            Refusal::InUseOnOtherClient { .. } => Refusal::RosterMissing,
            Refusal::RosterMissing => Refusal::NotInRoster,
            Refusal::NotInRoster => Refusal::LoginModeNone,
            Refusal::LoginModeNone => Refusal::RosterExceedsSeats { pool: pool(), members: 2, limit: 1 },
            Refusal::RosterExceedsSeats { .. } => Refusal::WrongPool { pool: pool(), wanted: pool() },
            Refusal::WrongPool { .. } => Refusal::NoPoolForLoginMode { mode: LoginMode::Active },
            Refusal::NoPoolForLoginMode { .. } => Refusal::NoPools,
            Refusal::NoPools => Refusal::PoolRequired { pools: Vec::new() },
            Refusal::PoolRequired { .. } => Refusal::UnknownPool { pool: pool(), pools: Vec::new() },
            Refusal::UnknownPool { .. } => Refusal::UserRequired { pool: pool() },
            Refusal::UserRequired { .. } => Refusal::ClientRequired { pool: pool() },
            Refusal::ClientRequired { .. } => Refusal::TooManySessions { pool: pool(), limit: 1 },
            Refusal::TooManySessions { .. } => Refusal::UnlimitedPoolFull { pool: pool(), limit: 1 },
            Refusal::UnlimitedPoolFull { .. } => Refusal::InvalidRequest(pool()),
            Refusal::InvalidRequest(_) => return None,
        })
    }

    /// The same for what else a desk answers. A queued refusal has the reason of the refusal.
    fn denied_after(denied: &Denied) -> Option<Denied> {
        Some(match denied {
            Denied::Refused(_) | Denied::Queued { .. } => Denied::UnknownLicense(LicenseName::new("", "")),
            Denied::UnknownLicense(_) => Denied::NotOwner,
            Denied::NotOwner => Denied::LedgerIncomplete { why: String::new(), wait: Duration::ZERO },
            Denied::LedgerIncomplete { .. } => Denied::LedgerUnavailable,
            Denied::LedgerUnavailable => Denied::Overloaded,
            Denied::Overloaded => Denied::TakenByAnother,
            Denied::TakenByAnother => return None,
        })
    }

    #[test]
    fn every_reason_is_documented_at_the_status_that_it_has() {
        let refusals = std::iter::successors(Some(Refusal::NoLicense), after).map(Denied::Refused);
        let others = std::iter::successors(Some(Denied::Refused(Refusal::NoLicense)), denied_after).skip(1);
        let mut answered: Vec<(u16, &str)> =
            refusals.chain(others).map(|denied| Problem::from(&denied)).map(|p| (p.status, p.reason)).collect();
        let mut documented: Vec<(u16, &str)> =
            REASONS.iter().flat_map(|(status, reasons)| reasons.iter().map(|reason| (*status, *reason))).collect();
        documented.retain(|(_, reason)| !OTHERS.contains(reason));
        answered.sort_unstable();
        documented.sort_unstable();
        assert_eq!(answered, documented);
    }
}
