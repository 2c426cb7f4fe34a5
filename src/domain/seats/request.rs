//! Requests for seats, and what they are granted (docs/design/domain.md, Seats).

use std::sync::Arc;

use super::hold::Record;
use super::keyed::Keyed;
use super::refusal::Refusal;
use super::taker::Taker;

/// The most seats that one request may ask for.
pub const MAX_COUNT: u32 = 1000;
/// The longest name of a user, session, client or request, in bytes. A longer one is refused.
pub const MAX_NAME_BYTES: usize = 256;
/// The most bytes of all these names together. Each seat has them in the ledger, where a byte may take three.
pub const MAX_NAMES_BYTES: usize = 512;

/// A request for one or more seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'r> {
    pub user: Option<&'r str>,
    /// Chosen by the caller, and the same in every retry: a session that holds a seat is granted that seat again.
    /// Sessions of different users, or of different takers, are different even if they have the same name.
    pub session: &'r str,
    pub client: Option<&'r str>,
    pub pool: Option<&'r str>,
    /// Kept with the seat, so that the holder can recognise it after a lost reply.
    pub request: Option<&'r str>,
    /// The major version of the workload, if known.
    pub version: Option<u32>,
    /// How many seats the session is to hold: all of them or none.
    pub count: u32,
    /// Who asks.
    pub taker: Option<Taker>,
    /// The namespace from which it is asked; `None` if from none. What a guest's Rosters say counts for the guest.
    pub namespace: Option<&'r str>,
    /// What is kept in the place of `user` and `client`; `None` if these are.
    pub keyed: Option<Keyed<'r>>,
}

impl<'r> Request<'r> {
    /// Requests one seat of the only pool, for a session without a user.
    pub fn of(session: &'r str) -> Self {
        Request {
            user: None,
            session,
            client: None,
            pool: None,
            request: None,
            version: None,
            count: 1,
            taker: None,
            namespace: None,
            keyed: None,
        }
    }

    /// The user, as the seat is kept.
    pub fn kept_user(&self) -> Option<&'r str> {
        self.keyed.map_or(self.user, |keyed| keyed.user)
    }

    /// The client, as it is kept with the seat.
    pub(super) fn kept_client(&self) -> Option<&'r str> {
        self.keyed.map_or(self.client, |keyed| keyed.client)
    }

    pub(super) fn check(&self) -> Result<(), Refusal> {
        let names = [
            ("user", self.user),
            ("session", Some(self.session)),
            ("client", self.client),
            ("pool", self.pool),
            ("request", self.request),
        ];
        for (what, name) in names {
            if name.is_some_and(|name| name.is_empty() || name.len() > MAX_NAME_BYTES) {
                return Err(Refusal::InvalidRequest(format!("`{what}` must be 1 to {MAX_NAME_BYTES} bytes long")));
            }
        }
        for (what, name) in [("user", self.user), ("client", self.client)] {
            if name.is_some_and(|name| name.trim() != name) {
                return Err(Refusal::InvalidRequest(format!("`{what}` begins or ends with a blank: leave it out")));
            }
        }
        let together: usize =
            [self.user, Some(self.session), self.client, self.request].into_iter().flatten().map(str::len).sum();
        if together > MAX_NAMES_BYTES {
            return Err(Refusal::InvalidRequest(format!(
                "`user`, `session`, `client` and `request` have {together} bytes together, and {MAX_NAMES_BYTES} are the \
                 most: use shorter ones"
            )));
        }
        match (1..=MAX_COUNT).contains(&self.count) {
            true => Ok(()),
            false => Err(Refusal::InvalidRequest(format!("`count` must be from 1 to {MAX_COUNT}"))),
        }
    }
}

/// What a session may do on its seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    Full,
    ReadOnly,
}

/// A numbered seat.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seat {
    pub pool: Arc<str>,
    pub slot: u32,
}

/// The seats granted to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub seats: Vec<Seat>,
    pub access: Access,
    /// What the grant changes, in order and in one commit. Empty if the session already had its seats.
    pub records: Vec<Record>,
}
