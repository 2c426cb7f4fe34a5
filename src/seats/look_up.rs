//! Looks up what a License grants, and what is held under other Licenses on the same grants. This is step 1 (see
//! `mod.rs`).

use std::collections::BTreeSet;

use super::asked::Denied;
use super::ownership::{LicenseSeats, SeatsOf};
use super::shared::Shared;
use crate::domain::Instant;
use crate::domain::license::grant::GrantId;
use crate::domain::license::name::LicenseName;
use crate::domain::seats::elsewhere::{Draws, Elsewhere};
use crate::domain::seats::seating::Seating;
use crate::domain::seats::tag::Tagger;
use crate::wrong::{self, Variant::CountedByName};

/// How often the seats held elsewhere are counted again before every seat counts.
const ROUNDS: usize = 16;

/// Looks up what the License grants if that may have changed. Returns whether it did so; an error if there is no such
/// License.
pub(super) fn look_up(
    shared: &Shared,
    seats_of: &mut SeatsOf,
    license: &LicenseName,
    at: Instant,
    tagger: &Tagger,
) -> Result<bool, Denied> {
    // Nearly always, there is nothing to do.
    if seats_of.get(license).is_some_and(|seats| seats.uid.is_some() && !seats.is_outdated(at)) {
        return Ok(false);
    }
    if !seats_of.contains_key(license) {
        // Only for a License that exists: nobody can fill the memory with names.
        shared.known(license)?;
        seats_of.insert(license.clone(), LicenseSeats::new(Seating::empty(at)));
    }
    let is_outdated = seats_of.get(license).is_some_and(|seats| seats.is_outdated(at));
    if is_outdated {
        look_up_together(shared, seats_of, license, at, tagger);
    }
    match seats_of.get(license) {
        Some(seats) if seats.uid.is_some() => Ok(is_outdated),
        _ => Err(Denied::UnknownLicense(license.clone())),
    }
}

/// Counts the uncovered seats of each License again. If their number has changed, the Licenses that have its former
/// grants are looked up before the next decision about them.
pub(super) fn count_uncovered(seats_of: &mut SeatsOf) {
    let owing: Vec<LicenseName> =
        seats_of.iter().filter(|(_, seats)| !seats.draws.owes().is_empty()).map(|(name, _)| name.clone()).collect();
    for license in owing {
        count_uncovered_of(seats_of, &license);
    }
}

/// Call when seats of a License were freed: they may be had at once under the License that has its former grants.
pub(super) fn count_after_freeing(seats_of: &mut SeatsOf, license: &LicenseName) {
    if seats_of.get(license).is_some_and(|seats| !seats.draws.owes().is_empty()) {
        count_uncovered_of(seats_of, license);
    }
}

/// Looks up a License, and all outdated ones that may have drawn on its grants before: they must no longer have these
/// grants when it gives out seats.
fn look_up_together(shared: &Shared, seats_of: &mut SeatsOf, license: &LicenseName, at: Instant, tagger: &Tagger) {
    let mut outdated = vec![license.clone()];
    let mut looked_up = BTreeSet::new();
    while let Some(name) = outdated.pop() {
        if !seats_of.get(&name).is_some_and(|seats| seats.is_outdated(at)) {
            continue;
        }
        let judged = shared.judge(&name, at).ok();
        seats_of.set_judged(&name, judged, at, tagger);
        outdated.extend(seats_of.drawing_on_the_grants_of(&name));
        looked_up.insert(name);
    }
    count_elsewhere(seats_of, &looked_up);
    looked_up.iter().for_each(|name| count_uncovered_of(seats_of, name));
    // The counts above include this License, so what marked it as stale has been counted.
    if let Some(seats) = seats_of.get_mut(license) {
        seats.stale = false;
    }
}

/// Counts the seats held elsewhere for each of these Licenses. They depend on one another, so all begin at zero and are
/// counted until nothing changes. That ends: the counts only rise, and never above what is held. Two Licenses that
/// swapped keys may raise each other's counts by one a round, so after some rounds every seat counts.
fn count_elsewhere(seats_of: &mut SeatsOf, licenses: &BTreeSet<LicenseName>) {
    let set = |seats_of: &mut SeatsOf, name: &LicenseName, elsewhere: Elsewhere| {
        let Some(seats) = seats_of.get_mut(name).filter(|seats| *seats.seating.elsewhere() != elsewhere) else {
            return false;
        };
        seats.seating.set_elsewhere(elsewhere);
        true
    };
    for name in licenses {
        set(seats_of, name, Elsewhere::default());
    }
    let (mut agree, mut rounds) = (false, 0);
    while !agree {
        agree = true;
        rounds += 1;
        for name in licenses {
            let counted = elsewhere(seats_of, name, rounds > ROUNDS);
            agree &= !set(seats_of, name, counted);
        }
    }
}

/// What other Licenses hold on the grants of this one: the uncovered seats, or `all`.
fn elsewhere(seats_of: &SeatsOf, license: &LicenseName, all: bool) -> Elsewhere {
    let mut elsewhere = Elsewhere::default();
    let Some(seats) = seats_of.get(license).filter(|seats| !seats.draws.has().is_empty()) else { return elsewhere };
    for name in seats_of.drawing_on_the_grants_of(license) {
        let Some(other) = seats_of.get(&name) else { continue };
        let concerns = |owed: &GrantId| seats.trust.key(&owed.signer).is_some() && seats.draws.has_one_named(owed);
        if other.draws.owes().iter().any(concerns) && !wrong::is(CountedByName) {
            let seats = if all { other.seating.in_use() } else { other.beyond() };
            elsewhere.add(&name, &seats);
        }
    }
    elsewhere
}

fn count_uncovered_of(seats_of: &mut SeatsOf, license: &LicenseName) {
    let Some(seats) = seats_of.get_mut(license) else { return };
    let (uncovered, product) = (seats.beyond(), seats.product.clone());
    let (is_new, is_covered) = (uncovered != seats.uncovered, seats.seating.uncovered().is_empty());
    let owed = seats.draws.owes().clone();
    seats.uncovered = uncovered;
    if seats.uncovered.is_empty() {
        seats_of.draw(license, Draws::owes_nothing);
    } else if is_covered {
        seats_of.draw(license, |draws| draws.are_covered(&product));
    }
    if is_new {
        seats_of.mark_stale(&owed, license);
    }
}
