//! Under which names seats are kept: those of the request, or keyed hashes where a License does not keep names.

use std::collections::{HashMap, HashSet};

use super::asked::{Ask, Seat};
use crate::domain::license::name::LicenseName;
use crate::domain::seats::hold::{HeldSeat, Record};
use crate::domain::seats::keyed::{Keyed, is_keyed};
use crate::domain::seats::seating::Seating;
use crate::domain::seats::tag::Tagger;

/// What stands for the names of a request.
pub(super) struct KeptNames {
    user: Option<String>,
    client: Option<String>,
}

impl KeptNames {
    /// What stands for the names of a request among these seats; `None` if they are kept as they are.
    pub fn of(ask: &Ask, seating: &Seating, tagger: &Tagger) -> Option<KeptNames> {
        let user = match &ask.user {
            Some(user) => Some(kept_user(&ask.license, user, seating, tagger)?),
            None if seating.hides() && ask.client.is_some() => None,
            None => return None,
        };
        Some(KeptNames { user, client: ask.client.as_deref().map(|client| tagger.client(&ask.license, client)) })
    }

    pub fn keyed(&self) -> Keyed<'_> {
        Keyed { user: self.user.as_deref(), client: self.client.as_deref() }
    }
}

/// What stands for a user among these seats; `None` if the name is kept as it is.
pub(super) fn kept_user(license: &LicenseName, user: &str, seating: &Seating, tagger: &Tagger) -> Option<String> {
    seating.keyed_user(user, |user| tagger.user(license, user))
}

/// What stands for the user of a seat, if the id is of a time when the name was kept.
pub(super) fn replaced_since(seat: &Seat, seating: &Seating, tagger: &Tagger) -> Option<String> {
    let user = seat.user.as_deref().filter(|user| seating.has_keyed() && !is_keyed(user))?;
    kept_user(&seat.license, user, seating, tagger)
}

/// The seat under the name that its user has now.
pub(super) fn as_kept<'s>(seat: &'s Seat, replaced: Option<&'s str>) -> HeldSeat<'s> {
    let held = seat.held();
    HeldSeat { user: replaced.or(held.user), ..held }
}

/// Gives all seats of a user one form. They have two if the last owner ended while it replaced names.
pub(super) fn unite_forms(holds: &mut [(LicenseName, Record)], tagger: &Tagger) {
    let mut keyed: HashMap<LicenseName, HashSet<Box<str>>> = HashMap::new();
    for (license, record) in &*holds {
        if let Record::Hold(hold) = record
            && let Some(user) = hold.user.as_ref().filter(|user| is_keyed(user))
        {
            keyed.entry(license.clone()).or_default().insert(user.clone());
        }
    }
    for (license, record) in holds {
        if let Record::Hold(hold) = record
            && let Some(users) = keyed.get(license)
            && let Some(user) = hold.user.as_ref().filter(|user| !is_keyed(user))
            && let Some(user) = users.get(tagger.user(license, user).as_str())
        {
            hold.user = Some(user.clone());
            hold.client = hold.client.take().map(|client| tagger.client(license, &client).into());
        }
    }
}
