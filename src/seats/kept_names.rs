//! Under which names seats are kept: those of the request, or keyed hashes where a License does not keep names.
//!
//! Earlier versions kept, and hashed, names as they were written. Their seats stay held, under the form in which names are
//! compared now (`domain/names.rs`) where that is possible. Where it is not, a seat counts as another user's until its
//! session ends: a hash does not give the name back.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::asked::{Ask, Seat};
use crate::domain::license::name::LicenseName;
use crate::domain::names::normal;
use crate::domain::seats::hold::{HeldSeat, Record};
use crate::domain::seats::keyed::{Keyed, is_keyed};
use crate::domain::seats::line::size_of_name;
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

/// The name under which the seats of a user are kept now, if the id says another one: the id was made when the name was
/// kept, or by an earlier version, which named the user as the caller wrote it.
pub(super) fn replaced_since(seat: &Seat, seating: &Seating, tagger: &Tagger) -> Option<String> {
    let written = seat.user.as_deref().filter(|user| !is_keyed(user))?;
    let keyed = |user: &str| seating.has_keyed().then(|| kept_user(&seat.license, user, seating, tagger)).flatten();
    let is_kept = |name: &str| seating.table().has_user(name);
    match normal(written) {
        Cow::Borrowed(user) => keyed(user),
        Cow::Owned(_) if is_kept(written) => None,
        Cow::Owned(user) => keyed(written).filter(|hash| is_kept(hash)).or_else(|| keyed(&user)).or(Some(user)),
    }
}

/// The seat under the name that its user has now.
pub(super) fn as_kept<'s>(seat: &'s Seat, replaced: Option<&'s str>) -> HeldSeat<'s> {
    let held = seat.held();
    HeldSeat { user: replaced.or(held.user), ..held }
}

/// Gives all seats of a user one form, as far as the ledger has several: an earlier version kept the names as they were
/// written, or the last owner ended while it replaced names.
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
        let Record::Hold(hold) = record else { continue };
        let users = keyed.get(license);
        let written = hold.user.clone().filter(|user| users.is_some() && !is_keyed(user));
        [&mut hold.user, &mut hold.client].into_iter().flatten().for_each(take_form);
        let hash_of = |user: &str| users?.get(tagger.user(license, user).as_str()).cloned();
        let hash = written.and_then(|written| hash_of(hold.user.as_deref()?).or_else(|| hash_of(&written)));
        if hash.is_some() {
            hold.user = hash;
            hold.client = hold.client.take().map(|client| tagger.client(license, &client).into());
        }
    }
}

/// Gives a name of the ledger the form in which names are compared, unless its line would become longer, because the base
/// may be full, or the form would be taken for the hash of another user.
fn take_form(name: &mut Box<str>) {
    let form = match normal(name) {
        Cow::Owned(form) if size_of_name(Some(&form)) <= size_of_name(Some(name)) && !is_keyed(&form) => form,
        _ => return,
    };
    *name = form.into();
}
