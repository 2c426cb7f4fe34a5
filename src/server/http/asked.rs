//! A request as it reaches its handler.

use super::body::Arriving;
use super::caller::Caller;

/// A request for a path that there is, from a caller that is known.
pub struct Asked<'r> {
    pub caller: &'r Caller,
    /// The part of the path that its route leaves open, percent-encoded; empty if there is none.
    pub id: &'r str,
    pub query: Option<&'r str>,
    pub body: Arriving<'r>,
}
