//! The Subscription controller: judges a contract, issues, delivers and revokes its keys, and shows its state.
//!
//! dereference (`read.rs`) -> judge (`domain::contract`) -> carry out (`delivery.rs`) -> show (`status.rs`).

mod delivery;
mod issuer;
mod read;
mod status;

use chrono::TimeDelta;
use futures::FutureExt;
use futures::future::BoxFuture;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource, ResourceExt};
use std::sync::Arc;

use super::queue::Wakes;
use super::runner::{Controller, ReconcileError, Surroundings};
use crate::api::Subscription;
use crate::api::subscription::SubscriptionStatus;
use crate::cluster::status::StatusWriter;
use crate::cluster::watch::{Guarded, cached};
use crate::domain::contract::timeline::{next_event, next_wake};
use crate::observed::Observed;
use crate::observed::references::target;

/// A Secret of another type is not watched: whether it is still in the way is found out by trying again after this
/// long.
const LOOK_AGAIN: TimeDelta = TimeDelta::seconds(15);

/// Keeps Subscriptions.
pub struct SubscriptionController {
    pub observed: Observed,
    pub with: Surroundings,
    pub statuses: Arc<StatusWriter<SubscriptionStatus>>,
    pub wakes: Arc<Wakes<Guarded<Subscription>>>,
}

/// The objects a Subscription refers to.
pub fn references(subscription: &Subscription) -> Vec<String> {
    let namespace = subscription.namespace().unwrap_or_default();
    let spec = &subscription.spec;
    let plans = spec.plans.iter().map(|plan| target("Plan", &namespace, &plan.name));
    let issuer = spec.issuer.iter().flat_map(|issuer| {
        let name = &issuer.secret_ref.name;
        [target("Secret", &namespace, name), target("Secret", &namespace, &issuer::trust_secret_name(name))]
    });
    let license = delivery::license_of(subscription).map(|(namespace, name)| target("License", &namespace, &name));
    plans.chain(issuer).chain(license).chain(delivery::secrets_of(subscription)).collect()
}

impl Controller for SubscriptionController {
    type Object = Subscription;
    const KIND: &'static str = "Subscription";

    fn reconcile<'a>(&'a self, subscription: &'a Subscription) -> BoxFuture<'a, Result<(), ReconcileError>> {
        self.look_at(subscription).boxed()
    }
}

impl SubscriptionController {
    async fn look_at(&self, subscription: &Subscription) -> Result<(), ReconcileError> {
        let object = ObjectRef::<Guarded<Subscription>>::new(&subscription.name_any())
            .within(&subscription.namespace().unwrap_or_default());
        let now = self.with.clock.now().at;
        let in_cache = || cached(&self.observed.subscriptions, subscription, |now| now.status.clone());
        let before = self.statuses.latest(subscription, in_cache).unwrap_or_default();
        let (status, notes) = match read::dereference(subscription, &self.observed) {
            Err(faults) => {
                self.wakes.set(&object, None);
                (status::of_faults(subscription, &faults, &before, now), Vec::new())
            }
            Ok(resolved) => {
                let contract = &resolved.contract;
                let standing = contract.standing(before.closed_as_of.map(|at| at.0), now);
                let done = delivery::carry_out(subscription, contract, &standing, &self.observed, now).await?;
                self.with.metrics.keys_issued(done.newly_issued, done.newly_revoked);
                let next = next_event(contract, now).filter(|_| !standing.closed);
                let next_wake = next_wake(contract, next, now).filter(|_| !standing.closed);
                let again = done.in_the_way().then(|| now + LOOK_AGAIN);
                self.wakes.set(&object, next_wake.into_iter().chain(again).min());
                let status = status::of(subscription, &resolved, &standing, next, &done, &before, now);
                let keys = status::notes_of_keys(&done, &before);
                (status, [keys, status::notes_of_standing(&before, contract, &standing)].concat())
            }
        };
        let api: Api<Subscription> =
            Api::namespaced(self.observed.client.clone(), &subscription.namespace().unwrap_or_default());
        let told = notes.into_iter().chain(status::notes_of_faults(&before, &status)).collect();
        // That a contract has ended for good is never undone, so it is written only on the version that was read: an
        // old cache may not show that the contract goes on.
        let ends_for_good = status.closed_as_of.is_some() && before.closed_as_of.is_none();
        let only_on = subscription.metadata.resource_version.as_deref().filter(|_| ends_for_good);
        if self.statuses.write_on(only_on, &api, subscription, Some(&before), &status).await? {
            self.with.metrics.status_written(Self::KIND);
            self.with.events.tell(subscription, told, now);
        }
        Ok(())
    }

    /// Drops what is kept of a Subscription that is gone. What the customer has stays: keys, trust and the License.
    pub fn forget(&self, subscription: &Subscription) {
        let object = ObjectRef::<Guarded<Subscription>>::new(&subscription.name_any())
            .within(&subscription.namespace().unwrap_or_default());
        self.wakes.set(&object, None);
        if let Some(uid) = &subscription.meta().uid {
            self.statuses.forget(uid);
        }
    }
}
