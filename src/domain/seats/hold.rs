//! A session on a slot: how it is written to the ledger, named by its holder, and read from the table.

use std::sync::Arc;

/// One change of the table, as it is written to the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Hold(Hold),
    Free(Free),
}

/// A session holds a slot from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub pool: Arc<str>,
    pub slot: u32,
    pub user: Option<Box<str>>,
    pub session: Box<str>,
    /// In seconds since 1970.
    pub since: i64,
    pub client: Option<Box<str>>,
    pub request: Option<Box<str>>,
}

/// A session no longer holds its slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Free {
    pub pool: Arc<str>,
    pub slot: u32,
    pub session: Box<str>,
}

/// A seat, as the session that holds it names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldSeat<'a> {
    pub pool: &'a str,
    pub slot: u32,
    pub user: Option<&'a str>,
    pub session: &'a str,
}

/// Who holds a seat, and since when. Borrowed from the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Occupant<'t> {
    pub slot: u32,
    pub user: Option<&'t str>,
    pub session: &'t str,
    pub client: Option<&'t str>,
    pub request: Option<&'t str>,
    /// In seconds since 1970.
    pub since: i64,
}

impl Record {
    pub fn pool(&self) -> &Arc<str> {
        match self {
            Record::Hold(Hold { pool, .. }) | Record::Free(Free { pool, .. }) => pool,
        }
    }

    pub fn slot(&self) -> u32 {
        match self {
            Record::Hold(Hold { slot, .. }) | Record::Free(Free { slot, .. }) => *slot,
        }
    }
}

/// The record that takes the session off its slot.
pub(super) fn free(pool: &Arc<str>, occupant: &Occupant) -> Record {
    Record::Free(Free { pool: pool.clone(), slot: occupant.slot, session: occupant.session.into() })
}
