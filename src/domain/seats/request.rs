//! What is asked and what is granted (`design.md` §4 "Seats").

use std::sync::Arc;

use super::refusal::Refusal;
use super::table::Record;

/// More seats than this are not asked for at once.
pub const MAX_COUNT: u32 = 1000;
/// A longer name of a user, session, client or request is refused.
pub const MAX_NAME_BYTES: usize = 256;

/// Somebody wants a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'r> {
    pub user: Option<&'r str>,
    /// Chosen by who asks, the same in every retry: a session that holds a seat gets that seat again. Sessions of
    /// different users are different, whatever they are called.
    pub session: &'r str,
    pub client: Option<&'r str>,
    pub pool: Option<&'r str>,
    /// Kept with the seat, so that a lost reply can be recognised.
    pub request: Option<&'r str>,
    /// The major version of the workload, where it is known.
    pub version: Option<u32>,
    /// How many seats the session is to hold, all or none.
    pub count: u32,
}

impl<'r> Request<'r> {
    /// One seat for a session of nobody in particular, in the only pool.
    pub fn of(session: &'r str) -> Self {
        Request { user: None, session, client: None, pool: None, request: None, version: None, count: 1 }
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
                return Err(Refusal::InvalidRequest(format!("`{what}` needs 1 to {MAX_NAME_BYTES} bytes")));
            }
        }
        match (1..=MAX_COUNT).contains(&self.count) {
            true => Ok(()),
            false => Err(Refusal::InvalidRequest(format!("`count` is from 1 to {MAX_COUNT}"))),
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

/// A seat, or as many as were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub seats: Vec<Seat>,
    pub access: Access,
    /// What it changes, in order and in one commit; nothing where the session had its seats already.
    pub records: Vec<Record>,
}
