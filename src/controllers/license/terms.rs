//! What a License grants in seats, as the caches show it now.

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use std::sync::Arc;

use super::LicenseController;
use crate::api::License;
use crate::api::allowed_namespaces::admits;
use crate::domain::Instant;
use crate::domain::license::entitlement::{entitlement, granted_pools, next_wake, refuse_in_use_elsewhere};
use crate::domain::license::name::LicenseName;
use crate::domain::seats::pool::{Assignment, Reservation, Terms};
use crate::observed::holdings::Holder;
use crate::observed::reading::Reading;
use crate::seats::{Licensed, Licenses};

/// Looks Licenses up for the desk, which grants their seats.
pub struct SeatTerms(pub Arc<LicenseController>);

impl Licenses for SeatTerms {
    fn licensed(&self, license: &LicenseName, now: Instant) -> Option<Licensed> {
        self.read(license, |license| {
            let controller = &self.0;
            let mut reading = Reading::of(license, &controller.observed);
            let holder = Holder::of(license);
            refuse_in_use_elsewhere(&mut reading.keys, |grant| {
                controller.observed.holdings.older_holder(grant, &holder)
            });
            let granted = granted_pools(&reading.keys, now);
            let assignments: Vec<Assignment> = license
                .spec
                .assignments
                .iter()
                .map(|a| Assignment { pool: a.pool.clone(), users: a.users.clone() })
                .collect();
            let reservations: Vec<Reservation> = license
                .spec
                .reservations
                .iter()
                .map(|r| Reservation { pool: r.pool.clone(), team: r.team.clone(), seats: r.seats })
                .collect();
            let terms = Terms::new(&entitlement(&reading.keys, now), &granted, &assignments, &reservations);
            Licensed {
                terms: Arc::new(terms),
                people: controller.observed.enrolment.people(license),
                until: next_wake(&reading.keys, now),
                uid: license.uid().unwrap_or_default(),
            }
        })
    }

    fn admits(&self, license: &LicenseName, namespace: &str) -> bool {
        let observed = &self.0.observed;
        self.read(license, |license| admits(license, namespace, observed.labels(namespace).as_ref())).unwrap_or(false)
    }
}

impl SeatTerms {
    fn read<T>(&self, license: &LicenseName, of: impl FnOnce(&License) -> T) -> Option<T> {
        let name = ObjectRef::new(&license.name).within(&license.namespace);
        let object = self.0.observed.licenses.get(&name)?;
        object.0.as_ref().ok().map(of)
    }
}
