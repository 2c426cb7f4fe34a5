//! Requests for seats, and the seats that are held.

use std::time::Duration;

use crate::time::{Moment, now};
use crate::wire::{Access, Grant, GrantedSeat, LONGEST_WAIT, License, SeatRequest};

/// A request for seats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request(SeatRequest);

impl Request {
    /// Asks for one seat of a License. The caller chooses `session`, for one start of one program: the same session
    /// gets the seat that it holds already.
    pub fn of(namespace: impl Into<String>, name: impl Into<String>, session: impl Into<String>) -> Self {
        Request(SeatRequest {
            license: License { namespace: namespace.into(), name: name.into() },
            session: session.into(),
            user: None,
            client: None,
            pool: None,
            request: None,
            version: None,
            count: 1,
            wait: None,
        })
    }

    /// The user that the seat is for. Without a user, each start counts on its own.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.0.user = Some(user.into());
        self
    }

    /// The machine that the seat is used on.
    pub fn client(mut self, client: impl Into<String>) -> Self {
        self.0.client = Some(client.into());
        self
    }

    /// Needed if the License has several pools and the user may choose.
    pub fn pool(mut self, pool: impl Into<String>) -> Self {
        self.0.pool = Some(pool.into());
        self
    }

    /// The major version of the program that is started.
    pub fn version(mut self, version: u32) -> Self {
        self.0.version = Some(version);
        self
    }

    /// The number of seats for the session: all are granted, or none.
    pub fn count(mut self, count: u32) -> Self {
        self.0.count = count;
        self
    }

    /// Returns the body of the request; with `wait`, it waits in the queue.
    pub(super) fn waiting(&self, wait: Duration) -> SeatRequest {
        let seconds = u32::try_from(wait.as_secs()).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        SeatRequest { wait: (!wait.is_zero()).then_some(seconds), ..self.0.clone() }
    }
}

/// Seats that are held until their time is over. Each heartbeat extends it.
#[derive(Debug, PartialEq, Eq)]
pub struct Lease {
    seats: Vec<GrantedSeat>,
    access: Access,
    ttl: Duration,
    /// The end of their time.
    until: Moment,
}

impl Lease {
    pub(super) fn of(granted: Grant, sent: Moment) -> Self {
        let ttl = Duration::from_secs(granted.ttl_seconds);
        Lease { seats: granted.seats, access: granted.access, ttl, until: sent + ttl }
    }

    pub(super) fn renew(&mut self, sent: Moment, ttl: Duration) {
        (self.ttl, self.until) = (ttl, sent + ttl);
    }

    pub fn seats(&self) -> &[GrantedSeat] {
        &self.seats
    }

    pub fn access(&self) -> Access {
        self.access
    }

    /// How long the seats are held, from when a request was sent.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// How long the seats are still held if no further heartbeat is answered.
    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(now())
    }
}
