//! A session on a slot: how it is written to the ledger, named by its holder, and read from the table.

use std::sync::Arc;

use super::taker::Taker;

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
    /// `None` if a version that noted no taker has granted it.
    pub taker: Option<Taker>,
}

/// A session no longer holds its slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Free {
    pub pool: Arc<str>,
    pub slot: u32,
    pub session: Box<str>,
    /// Whose session it is; `None` for any.
    pub taker: Option<Taker>,
}

/// A seat, as the session that holds it names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldSeat<'a> {
    pub pool: &'a str,
    pub slot: u32,
    pub user: Option<&'a str>,
    pub session: &'a str,
    /// Who names it.
    pub taker: Option<Taker>,
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
    pub taker: Option<Taker>,
}

impl Record {
    pub fn pool(&self) -> &Arc<str> {
        match self {
            Record::Hold(Hold { pool, .. }) | Record::Free(Free { pool, .. }) => pool,
        }
    }

    pub fn taker(&self) -> Option<Taker> {
        match self {
            Record::Hold(Hold { taker, .. }) | Record::Free(Free { taker, .. }) => *taker,
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
    let Occupant { slot, session, taker, .. } = *occupant;
    Record::Free(Free { pool: pool.clone(), slot, session: session.into(), taker })
}
