//! What a License grants, judged once for each look at it.

use kube::ResourceExt;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::caches::Observed;
use super::holdings::Claimant;
use super::reading::Reading;
use crate::api::License;
use crate::api::license::{self, HoldersShown, LicenseSpec};
use crate::domain::Instant;
use crate::domain::license::entitlement::{Entitlement, entitlement, grants_of, next_wake, refuse_in_use_elsewhere};
use crate::domain::license::grant::{GrantId, product_id};
use crate::domain::license::name::LicenseName;
use crate::domain::seats::roster::Members;
use crate::domain::seats::terms::{Assignment, Reservation, SeatTerms};

/// What a License grants at an instant, and from what.
pub struct Judged {
    pub uid: String,
    /// The time at which it was judged (`Reading::time`).
    pub at: Instant,
    pub reading: Reading,
    /// Its product, as in the grants.
    pub product: Arc<str>,
    /// The grants that it has.
    pub grants: BTreeSet<GrantId>,
    pub entitlement: Entitlement,
    /// What is granted in seats.
    pub terms: Arc<SeatTerms>,
    /// The people on the Rosters that count for the License.
    pub people: Arc<Members>,
    /// How holders are to be shown.
    pub holders: HoldersShown,
    /// When to judge again even if no object changes; `None` if never.
    pub next: Option<Instant>,
}

impl Judged {
    /// Judges the keys that were read for `license`. Keys whose grant another License had first are refused, so the
    /// claims of this one must have been made.
    pub fn of(license: &License, mut reading: Reading, observed: &Observed, now: Instant) -> Self {
        let me = Claimant::of(license, &reading.trust);
        refuse_in_use_elsewhere(&mut reading.keys, |grant| observed.holdings.earlier_claimant(grant, &me));
        let at = reading.time(now);
        let entitlement = entitlement(&reading.keys, at);
        let clock_catches_up = Some(at).filter(|at| *at > now);
        let next = [next_wake(&reading.keys, at), reading.trust.next_expiry(at), clock_catches_up];
        Judged {
            uid: license.uid().unwrap_or_default(),
            terms: Arc::new(terms(license, &entitlement)),
            people: observed.enrolment.people(license),
            holders: license.spec.holders,
            next: next.into_iter().flatten().min(),
            at,
            product: product_id(&license.spec.product),
            grants: grants_of(&reading.keys),
            entitlement,
            reading,
        }
    }
}

impl Observed {
    /// What the License of that name grants at `now`; `None` if there is none that can be read.
    pub fn judge(&self, name: &LicenseName, now: Instant) -> Option<Judged> {
        let judged = self.with_license(name, |license| {
            let reading = Reading::of(license, self);
            // Two Licenses that were just created with the same key may both be asked for seats before either is looked
            // at.
            self.holdings.claim_too(&Claimant::of(license, &reading.trust), &grants_of(&reading.keys));
            Judged::of(license, reading, self, now)
        })?;
        // If it was deleted meanwhile, its claims were taken back before this one.
        if self.with_license(name, |license| license.uid()).flatten().as_deref() != Some(&judged.uid) {
            self.holdings.note_gone(&judged.uid);
            if !self.has_license(name) {
                self.forget_trust_of(name);
            }
            return None;
        }
        Some(judged)
    }
}

fn terms(license: &License, entitlement: &Entitlement) -> SeatTerms {
    SeatTerms::new(entitlement, &assignments(&license.spec), &reservations(&license.spec))
}

/// The assignments of a License, for the domain.
pub fn assignments(spec: &LicenseSpec) -> Vec<Assignment> {
    spec.assignments.iter().map(|a| Assignment { pool: a.pool.clone(), users: a.users.clone() }).collect()
}

/// The reservations of a License, for the domain.
pub fn reservations(spec: &LicenseSpec) -> Vec<Reservation> {
    let reservation =
        |r: &license::Reservation| Reservation { pool: r.pool.clone(), team: r.team.clone(), seats: r.seats };
    spec.reservations.iter().map(reservation).collect()
}
