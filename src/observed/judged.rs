//! What a License grants, judged once for each look at it.

use kube::ResourceExt;
use std::sync::Arc;

use super::caches::Observed;
use super::holdings::Claimant;
use super::reading::Reading;
use crate::api::License;
use crate::domain::Instant;
use crate::domain::license::entitlement::{Entitlement, entitlement, next_wake, refuse_in_use_elsewhere};
use crate::domain::license::name::LicenseName;
use crate::domain::seats::roster::Members;
use crate::domain::seats::terms::{Assignment, Reservation, SeatTerms};

/// What a License grants at an instant, and from what.
pub struct Judged {
    pub uid: String,
    pub reading: Reading,
    pub entitlement: Entitlement,
    /// What is granted in seats.
    pub terms: Arc<SeatTerms>,
    /// The people on the Rosters that count for the License.
    pub people: Arc<Members>,
    /// When to judge again even if no object changes; `None` if never.
    pub next: Option<Instant>,
}

impl Judged {
    /// Judges the keys that were read for `license`. Keys whose grant an older License uses are refused.
    pub fn of(license: &License, mut reading: Reading, observed: &Observed, now: Instant) -> Self {
        let claimant = Claimant::of(license);
        refuse_in_use_elsewhere(&mut reading.keys, |grant| observed.holdings.older_claimant(grant, &claimant));
        let entitlement = entitlement(&reading.keys, now);
        Judged {
            uid: license.uid().unwrap_or_default(),
            terms: Arc::new(terms(license, &entitlement)),
            people: observed.enrolment.people(license),
            next: next_wake(&reading.keys, now),
            entitlement,
            reading,
        }
    }
}

impl Observed {
    /// What the License of that name grants at `now`; `None` if there is none that can be read.
    pub fn judge(&self, name: &LicenseName, now: Instant) -> Option<Judged> {
        self.with_license(name, |license| Judged::of(license, Reading::of(license, self), self, now))
    }
}

fn terms(license: &License, entitlement: &Entitlement) -> SeatTerms {
    let spec = &license.spec;
    let assignments: Vec<Assignment> =
        spec.assignments.iter().map(|a| Assignment { pool: a.pool.clone(), users: a.users.clone() }).collect();
    let reservations: Vec<Reservation> = spec
        .reservations
        .iter()
        .map(|r| Reservation { pool: r.pool.clone(), team: r.team.clone(), seats: r.seats })
        .collect();
    SeatTerms::new(entitlement, &assignments, &reservations)
}
