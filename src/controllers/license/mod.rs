//! The License controller: reads the keys a License points at and shows what they grant now.

mod audit;
mod metrics;
mod notes;
mod parts;
mod seats_in_use;
mod status;
mod sufficiency;
mod summary;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::fresh::Youth;
use super::kind::{Kind, name_of};
use super::runner::{Controller, Look, Surroundings};
use super::unseen::look_again;
use crate::api::License;
use crate::api::license::{KeyStateName, LicenseStatus};
use crate::cluster::client::CallError;
use crate::cluster::clock::Now;
use crate::cluster::watch::{Guarded, all};
use crate::domain::fault::Fault;
use crate::domain::license::entitlement::{Presented, grants_of, next_transition};
use crate::domain::license::grant::GrantId;
use crate::domain::license::name::LicenseName;
use crate::observed::Judged;
use crate::observed::holdings::Claimant;
use crate::observed::reading::{ClaimedGrant, ClaimedGrants, Reading};
use crate::observed::references::target;
use crate::wrong::{self, Variant::DeletedStillGrants};
use audit::TrustAudit;
use metrics::LicenseMetrics;
use status::{SHOWN_CONTESTING, Shown};
use sufficiency::OnRosters;

/// The most Licenses of a namespace that claim grants before the first is judged, beside those whose status shows that they have
/// one. The rest of a tenant's Licenses claim theirs as they are looked at.
const MOST_CONTESTING: usize = 256;

/// Keeps the status of Licenses.
pub struct LicenseController {
    kind: Arc<Kind<License>>,
    with: Surroundings,
    metrics: LicenseMetrics,
    audit: TrustAudit,
}

impl Controller for LicenseController {
    type Object = License;
    const KIND: &'static str = "License";

    fn new(kind: &Arc<Kind<License>>, with: &Surroundings) -> Self {
        let metrics = LicenseMetrics::default();
        with.metrics.export(|registry| metrics.register(registry));
        LicenseController { kind: kind.clone(), with: with.clone(), metrics, audit: TrustAudit::default() }
    }

    /// The Secrets with its keys and its trust.
    fn references(license: &License) -> Vec<String> {
        let namespace = license.namespace().unwrap_or_default();
        let keys = license.spec.keys.iter().map(|source| &source.secret_ref.name);
        let trust = license.spec.trust.iter().map(|source| &source.secret_ref.name);
        keys.chain(trust).map(|name| target("Secret", &namespace, name)).collect()
    }

    async fn look(
        &self,
        license: &License,
        before: &LicenseStatus,
        now: Now,
    ) -> Result<Look<LicenseStatus>, CallError> {
        let (observed, desk) = (&self.with.observed, &self.with.desk);
        let name = LicenseName::new(&license.namespace().unwrap_or_default(), &license.name_any());
        // 1. Read the keys and the trust.
        observed.note_issuers(license);
        let mut reading = Reading::of(license, observed);
        // 2. Have the desk look this License up before its next grant, on keys no older than these: the next step may take
        //    grants from it. Its people are united before: all seats wait while the desk looks.
        observed.enrolment.people(license);
        desk.look_again(&name);
        // 3. Claim the grants of the keys. Licenses that gain a grant because this one no longer claims it are looked at
        //    again.
        for other in observed.holdings.claim(&Claimant::of(license, &reading.trust), &grants_of(&reading.keys)) {
            self.kind.queue.add(other);
        }
        // 4. Find out why Secrets are missing.
        reading.explain_missing(observed).await?;
        let youth = Youth::of(license, &self.with.clock, now.at);
        let softened = youth.soften(&mut reading.faults);
        let trouble = reading.faults.iter();
        let again =
            trouble.filter_map(|fault| look_again(fault.reason, &before.conditions, &self.with.clock, now.at)).min();
        // 5. Judge.
        let judged = Judged::of(license, reading, observed, now.at);
        // 6. Show.
        let on_rosters = OnRosters::of(&judged, now.at);
        let next = next_transition(&judged.reading.keys, judged.at);
        let (uses, held_under) = (desk.in_use(&name), desk.held_under(&name));
        let me = Claimant::of(license, &judged.reading.trust);
        let contested_by = observed.holdings.contesting(&judged.grants, &me, SHOWN_CONTESTING);
        let shown = Shown { judged: &judged, next, on_rosters: on_rosters.as_ref(), uses, held_under, contested_by };
        let status = status::of(license, &shown, before, now);
        self.metrics.show(license, &status);
        self.audit.note(&name, &judged);
        let membership = on_rosters.and_then(|on_rosters| on_rosters.next_change);
        Ok(Look {
            notes: notes::of(before, &status, &youth),
            wake: judged.next.into_iter().chain(membership).chain(softened).chain(again).min(),
            status,
            only_on_this_version: false,
        })
    }

    /// Its grants are given back, as if the License were gone. So nothing depends on when it was left out: the next leader
    /// does not read it either.
    fn leave_out(&self, license: &License, why: Fault, before: &LicenseStatus, now: Now) -> Look<LicenseStatus> {
        self.let_go(license, Some(before));
        let status = status::of_fault(license, &why, before, now);
        self.metrics.show(license, &status);
        let notes = notes::of(before, &status, &Youth::of(license, &self.with.clock, now.at));
        Look { notes, wake: None, status, only_on_this_version: false }
    }

    fn forget(&self, license: &Guarded<License>) {
        self.let_go(license, license.0.as_ref().ok().and_then(|license| license.status.as_ref()));
    }
}

impl LicenseController {
    /// Drops what is kept of a License that is gone or cannot be read. `shown` is what its status shows.
    fn let_go(&self, license: &impl ResourceExt, shown: Option<&LicenseStatus>) {
        let name = LicenseName::new(&license.namespace().unwrap_or_default(), &license.name_any());
        // The desk takes the grants away from the seats before another License can have them.
        if !wrong::is(DeletedStillGrants) {
            self.with.desk.forget(&name);
        }
        self.metrics.forget(&name, shown);
        self.with.observed.enrolment.forget(&name);
        self.with.observed.forget_trust_of(&name);
        license.uid().iter().for_each(|uid| self.audit.forget(uid));
        for other in license.uid().iter().flat_map(|uid| self.with.observed.holdings.release(uid)) {
            self.kind.queue.add(other);
        }
    }

    /// Finds out which License has each grant that several claim, before the first License is judged: the one whose
    /// status shows a key of it that counts, as a previous leader found; if none does, the one created first. Keys are
    /// not verified to find these grants: a forged one costs only a closer look.
    pub async fn take_stock(&self) {
        let licenses = all(&self.kind.cache);
        let mut readable: Vec<&License> = licenses.iter().filter_map(|object| object.0.as_ref().ok()).collect();
        readable.sort_by_cached_key(|license| {
            let created = license.metadata.creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0);
            (created, license.uid())
        });
        let contesting = self.contesting(readable).await;
        let observed = &self.with.observed;
        for only_shown in [true, false] {
            for (license, may_claim) in &contesting {
                let shown = shown_grants(license);
                if if only_shown { shown.is_empty() } else { !may_claim } {
                    continue;
                }
                let reading = Reading::of(license, observed);
                let is_shown = |key: &&Presented| key.grant.as_ref().is_some_and(|grant| shown.contains(grant));
                let keys: Vec<Presented> =
                    reading.keys.iter().filter(|key| !only_shown || is_shown(key)).cloned().collect();
                observed.holdings.claim(&Claimant::of(license, &reading.trust), &grants_of(&keys));
                tokio::task::yield_now().await;
            }
        }
        // One that was deleted meanwhile may have been forgotten before it claimed anything here.
        for (license, _) in contesting {
            let there = self.kind.cache.get(&name_of(license));
            if there.as_ref().is_none_or(|there| there.uid() != license.uid()) {
                license.uid().iter().for_each(|uid| drop(observed.holdings.release(uid)));
            }
            if there.is_none() {
                let namespace = license.namespace().unwrap_or_default();
                observed.forget_trust_of(&LicenseName::new(&namespace, &license.name_any()));
            }
        }
    }

    /// Those of these Licenses that claim a grant which another one claims too. Each comes with whether it is among the first
    /// of its namespace, which may claim what their status does not show.
    async fn contesting<'l>(&self, licenses: Vec<&'l License>) -> Vec<(&'l License, bool)> {
        let mut claimed = ClaimedGrants::default();
        let mut claims = Vec::with_capacity(licenses.len());
        let mut claimants: HashMap<ClaimedGrant, u32> = HashMap::new();
        for license in &licenses {
            let grants = claimed.of(license, &self.with.observed);
            for grant in &grants {
                *claimants.entry(*grant).or_default() += 1;
            }
            claims.push(grants);
            // The lead is kept meanwhile.
            tokio::task::yield_now().await;
        }
        let is_contested = |grant: &ClaimedGrant| claimants.get(grant).is_some_and(|count| *count > 1);
        let mut of_namespace: HashMap<Option<String>, usize> = HashMap::new();
        let contesting = licenses.into_iter().zip(&claims).filter(|(_, grants)| grants.iter().any(is_contested));
        let with_turn = contesting.map(|(license, _)| {
            let count = of_namespace.entry(license.namespace()).or_default();
            *count += 1;
            (license, *count <= MOST_CONTESTING)
        });
        with_turn.collect()
    }
}

/// The grants of the keys that the status of a License shows as not refused. The name of a grant would not do: a License
/// could show its own key of that name, and now present a copy of another's.
fn shown_grants(license: &License) -> BTreeSet<GrantId> {
    let shown = license.status.iter().flat_map(|status| &status.keys);
    let counting = shown.filter(|key| key.state != KeyStateName::Refused);
    let grants = counting.filter_map(|key| key.grant.as_deref().zip(key.signer.as_deref()));
    grants.map(|(grant, signer)| GrantId::of(&license.spec.product, grant, signer)).collect()
}
