//! Requests for seats, and the seats that are held.

use serde::{Deserialize, Serialize};
use std::time::Duration;

use crate::time::{Moment, now};

/// A request for seats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Request {
    license: License,
    session: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    count: u32,
    /// Seconds to wait in the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct License {
    namespace: String,
    name: String,
}

impl Request {
    /// Asks for one seat of a License. The caller chooses `session`, for one start of one program: the same session
    /// gets the seat that it holds already.
    pub fn of(namespace: impl Into<String>, name: impl Into<String>, session: impl Into<String>) -> Self {
        Request {
            license: License { namespace: namespace.into(), name: name.into() },
            session: session.into(),
            user: None,
            client: None,
            pool: None,
            version: None,
            count: 1,
            wait: None,
        }
    }

    /// The user that the seat is for. Without a user, each start counts on its own.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// The machine that the seat is used on.
    pub fn client(mut self, client: impl Into<String>) -> Self {
        self.client = Some(client.into());
        self
    }

    /// Needed if the License has several pools and the user may choose.
    pub fn pool(mut self, pool: impl Into<String>) -> Self {
        self.pool = Some(pool.into());
        self
    }

    /// The major version of the program that is started.
    pub fn version(mut self, version: u32) -> Self {
        self.version = Some(version);
        self
    }

    /// The number of seats for the session: all are granted, or none.
    pub fn count(mut self, count: u32) -> Self {
        self.count = count;
        self
    }

    pub(super) fn waiting(&self, wait: Duration) -> Self {
        Request { wait: (!wait.is_zero()).then_some(wait.as_secs()), ..self.clone() }
    }
}

/// What a seat allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Access {
    Full,
    ReadOnly,
}

/// A numbered seat.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Seat {
    /// Names the seat to the server.
    pub id: String,
    pub pool: String,
    pub slot: u32,
}

/// The server's answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Granted {
    seats: Vec<Seat>,
    access: Access,
    ttl_seconds: u64,
}

/// Seats that are held until their time is over. Each heartbeat extends it.
#[derive(Debug, PartialEq, Eq)]
pub struct Lease {
    seats: Vec<Seat>,
    access: Access,
    ttl: Duration,
    /// The end of their time.
    until: Moment,
}

impl Lease {
    pub(super) fn of(granted: Granted, sent: Moment) -> Self {
        let ttl = Duration::from_secs(granted.ttl_seconds);
        Lease { seats: granted.seats, access: granted.access, ttl, until: sent + ttl }
    }

    pub(super) fn renew(&mut self, sent: Moment, ttl: Duration) {
        (self.ttl, self.until) = (ttl, sent + ttl);
    }

    pub fn seats(&self) -> &[Seat] {
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
