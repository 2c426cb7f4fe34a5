//! Requests to a desk, and its answers.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::license::name::LicenseName;
use crate::domain::seats::hold::HeldSeat;
use crate::domain::seats::keyed::Keyed;
use crate::domain::seats::queue::Session;
use crate::domain::seats::refusal::Refusal;
use crate::domain::seats::request::{self, Access, Grant, Request};
use crate::domain::seats::seating::Seating;
use crate::domain::seats::tag::{Tag, Tagger};
use crate::domain::seats::taker::Taker;

/// A request for seats of one License.
#[derive(Clone, Debug)]
pub struct Ask {
    pub license: LicenseName,
    pub user: Option<String>,
    pub session: String,
    pub client: Option<String>,
    pub pool: Option<String>,
    pub request: Option<String>,
    pub version: Option<u32>,
    pub count: u32,
    /// Who asks.
    pub taker: Taker,
    /// The namespace from which it is asked; `None` if the caller has none. Its places in a queue count together.
    pub namespace: Option<Arc<str>>,
}

impl Ask {
    /// The request. `keyed` is what is kept in the place of its names.
    pub(super) fn request<'a>(&'a self, keyed: Option<Keyed<'a>>) -> Request<'a> {
        Request {
            user: self.user.as_deref(),
            session: &self.session,
            client: self.client.as_deref(),
            pool: self.pool.as_deref(),
            request: self.request.as_deref(),
            version: self.version,
            count: self.count,
            taker: Some(self.taker),
            namespace: self.namespace.as_deref(),
            keyed,
        }
    }

    /// Who waits in the queue with this request.
    pub(super) fn who(&self) -> Session {
        Session::of(self.user.as_deref(), &self.session, Some(self.taker))
    }

    /// The answer to a grant, once the records of the grant are in the table. `user` is the name under which they are kept.
    pub(super) fn granted(&self, grant: &Grant, user: Option<&str>, seating: &mut Seating, tagger: &Tagger) -> Granted {
        let seat = |seat: &request::Seat| {
            let mut held = Seat {
                license: self.license.clone(),
                pool: seat.pool.to_string(),
                slot: seat.slot,
                user: user.map(str::to_owned),
                session: self.session.clone(),
                since: 0,
                taker: Some(self.taker),
                tag: None,
            };
            held.since = seating.holding(&held.held()).map_or(0, |holding| holding.since);
            let tag = tagger.tag(&held.license, &held.held(), held.since);
            seating.note_tag(&held.held(), tag);
            held.tag = Some(tag);
            held
        };
        Granted { seats: grant.seats.iter().map(seat).collect(), access: grant.access }
    }
}

/// A held seat, as its holder names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    pub license: LicenseName,
    pub pool: String,
    pub slot: u32,
    /// The name under which it is kept, or was when it was granted.
    pub user: Option<String>,
    pub session: String,
    /// When this holding began, in seconds since 1970. It distinguishes this holding from an earlier one of the same
    /// session.
    pub since: i64,
    /// Who names it.
    pub taker: Option<Taker>,
    /// The secret part of its id, which only the holder knows. The list of holders does not show it.
    pub tag: Option<Tag>,
}

impl Seat {
    pub(super) fn held(&self) -> HeldSeat<'_> {
        let Seat { pool, slot, user, session, taker, .. } = self;
        HeldSeat { pool, slot: *slot, user: user.as_deref(), session, taker: *taker }
    }
}

/// What was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    pub seats: Vec<Seat>,
    pub access: Access,
}

/// Why there is no seat.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("{0}")]
    Refused(Refusal),
    /// The same refusal, after the caller has waited in the queue for as long as it wanted. Place 1 is next.
    #[error("{refusal}")]
    Queued { refusal: Refusal, place: usize },
    #[error("there is no License {0}")]
    UnknownLicense(LicenseName),
    /// Another replica owns the ledger.
    #[error("this replica does not own the seats")]
    NotOwner,
    /// The ledger may not show every seat that is held.
    #[error("the ledger may lack seats that are still held: {why}; new seats are granted in {} s", wait.as_secs() + 1)]
    LedgerIncomplete { why: String, wait: Duration },
    #[error("the ledger cannot be written at present, so no new seat can be granted; try again")]
    LedgerUnavailable,
    #[error("too many requests are waiting for seats; try again later")]
    Overloaded,
    #[error(
        "this seat was taken by another caller; to free the seats of others takes the right `evict` on licenses/seats"
    )]
    TakenByAnother,
}

impl Denied {
    /// The reason as it appears in answers, metrics and Events.
    pub fn reason(&self) -> &'static str {
        match self {
            Denied::Refused(refusal) | Denied::Queued { refusal, .. } => refusal.reason(),
            Denied::UnknownLicense(_) => "UnknownLicense",
            Denied::NotOwner => "NotOwner",
            Denied::LedgerIncomplete { .. } => "LedgerIncomplete",
            Denied::LedgerUnavailable => "LedgerUnavailable",
            Denied::Overloaded => "Overloaded",
            Denied::TakenByAnother => "TakenByAnother",
        }
    }
}

/// The outcome of a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatOutcome {
    /// For each seat, in the order of the request, whether it is kept. A seat that is not kept is lost for good.
    pub kept: Vec<bool>,
    /// Why the seats that are not kept cannot be reported lost yet.
    pub unsure: Option<Denied>,
    /// The places, in the request, of those seats among the ones not kept that others hold. The caller gets the answer that
    /// they are lost, as for any seat that it names and does not hold.
    pub of_others: Vec<usize>,
}

/// How many seats of a pool are in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    pub in_use: u64,
    /// How many seats are held under other Licenses on the grants of this one. They are not in `in_use`.
    pub elsewhere: u64,
    /// The most seats in use at once since this owner began.
    pub peak: u64,
}
