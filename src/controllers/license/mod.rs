//! The License controller: reads the keys a License points at and shows what they grant now.

mod notes;
mod seats_in_use;
mod status;
mod sufficiency;

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource, ResourceExt};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::queue::{Queue, Wakes};
use super::runner::{Controller, ReconcileError, Surroundings};
use crate::api::License;
use crate::api::license::LicenseStatus;
use crate::cluster::status::StatusWriter;
use crate::cluster::watch::{Guarded, all, cached};
use crate::domain::license::entitlement::{grants_of, next_transition};
use crate::domain::license::name::LicenseName;
use crate::observed::holdings::Holder;
use crate::observed::reading::{Reading, claimed_grants};
use crate::observed::references::target;
use crate::observed::{Judged, Observed};
use status::Shown;
use sufficiency::OnRosters;

/// Keeps the status of Licenses.
pub struct LicenseController {
    pub observed: Observed,
    pub with: Surroundings,
    pub statuses: Arc<StatusWriter<LicenseStatus>>,
    pub wakes: Arc<Wakes<Guarded<License>>>,
    pub queue: Queue<Guarded<License>>,
}

/// The objects a License refers to.
pub fn references(license: &License) -> Vec<String> {
    let namespace = license.namespace().unwrap_or_default();
    let keys = license.spec.keys.iter().map(|source| &source.secret_ref.name);
    let trust = license.spec.trust.iter().map(|source| &source.secret_ref.name);
    keys.chain(trust).map(|name| target("Secret", &namespace, name)).collect()
}

impl Controller for LicenseController {
    type Object = License;
    const KIND: &'static str = "License";

    fn reconcile<'a>(&'a self, license: &'a License) -> BoxFuture<'a, Result<(), ReconcileError>> {
        self.look_at(license).boxed()
    }
}

impl LicenseController {
    /// Finds out which License holds each grant that several claim, before the first License is judged: of two Licenses
    /// with the same key the older one counts, in whatever order they are looked at. A forged key only causes a closer
    /// look.
    pub fn take_stock(&self) {
        let licenses = all(&self.observed.licenses);
        let readable: Vec<&License> = licenses.iter().filter_map(|object| object.0.as_ref().ok()).collect();
        let claims: Vec<BTreeSet<String>> = readable.iter().map(|l| claimed_grants(l, &self.observed)).collect();
        let mut claimants: HashMap<&str, u32> = HashMap::new();
        for grant in claims.iter().flatten() {
            *claimants.entry(grant).or_default() += 1;
        }
        for (license, grants) in readable.into_iter().zip(&claims) {
            if grants.iter().any(|grant| claimants.get(grant.as_str()).is_some_and(|count| *count > 1)) {
                let reading = Reading::of(license, &self.observed);
                self.observed.holdings.claim(Holder::of(license), grants_of(&reading.keys));
            }
        }
    }

    async fn look_at(&self, license: &License) -> Result<(), ReconcileError> {
        let object = ObjectRef::from_obj(license);
        let named = (license.namespace().unwrap_or_default(), license.name_any());
        let named = LicenseName::new(&named.0, &named.1);
        self.with.desk.look_again(&named);
        let mut reading = Reading::of(license, &self.observed);
        for other in self.observed.holdings.claim(Holder::of(license), grants_of(&reading.keys)) {
            self.queue.add(other);
        }
        reading.explain_missing(&self.observed).await?;

        let now = self.with.clock.now();
        let in_cache = || cached(&self.observed.licenses, license, |now| now.status.clone());
        let before = self.statuses.latest(license, in_cache).unwrap_or_default();
        let judged = Judged::of(license, reading, &self.observed, now.at);
        let next = next_transition(&judged.reading.keys, now.at);
        let on_rosters = OnRosters::of(license, &judged, &self.observed, now.at);
        let uses = self.with.desk.in_use(&named);
        let shown = Shown { judged: &judged, next, on_rosters: on_rosters.as_ref(), uses };
        let status = status::of(license, &shown, &before, now);
        let membership = on_rosters.and_then(|on_rosters| on_rosters.next_change);
        self.wakes.set(&guarded(&object), judged.next.into_iter().chain(membership).min());
        self.with.metrics.licensed(license, &status);

        let api: Api<License> = Api::namespaced(self.observed.client.clone(), &license.namespace().unwrap_or_default());
        if self.statuses.write(&api, license, Some(&before), &status).await? {
            self.with.metrics.status_written(Self::KIND);
            self.with.events.tell(license, notes::of(&before, &status), now.at);
        }
        Ok(())
    }

    /// Drops what is kept of a License that is gone.
    pub fn forget(&self, license: &License) {
        let object = ObjectRef::from_obj(license);
        self.wakes.set(&guarded(&object), None);
        self.with.metrics.forget_license(license);
        self.observed.enrolment.forget(license);
        if let Some(uid) = &license.meta().uid {
            self.statuses.forget(uid);
            for other in self.observed.holdings.release(uid) {
                self.queue.add(other);
            }
        }
    }
}

/// The reference by which the caches name the object.
pub fn guarded(object: &ObjectRef<License>) -> ObjectRef<Guarded<License>> {
    ObjectRef::new(&object.name).within(object.namespace.as_deref().unwrap_or_default())
}
