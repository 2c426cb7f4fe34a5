//! The Subscription controller: judges a contract, issues, delivers and revokes its keys, and shows its state.
//!
//! dereference (`read.rs`) -> judge (`domain::contract`) -> carry out (`delivery.rs`) -> show (`status.rs`).

mod delivery;
mod issued;
mod issuer;
mod metrics;
mod names;
mod read;
mod status;

use kube::ResourceExt;
use std::sync::Arc;

use super::fresh::Youth;
use super::kind::Kind;
use super::runner::{Controller, Look, Surroundings};
use super::unseen::look_again;
use crate::api::Subscription;
use crate::api::delivery::license_of;
use crate::api::subscription::SubscriptionStatus;
use crate::cluster::client::CallError;
use crate::cluster::clock::{Clock, Now};
use crate::domain::Instant;
use crate::domain::contract::timeline::{next_event, next_wake};
use crate::domain::fault::Fault;
use crate::observed::Observed;
use crate::observed::issuers::trust_secret_name;
use crate::observed::references::target;
use metrics::KeyMetrics;

/// Keeps Subscriptions. What the customer has outlives them: keys, trust and the License.
pub struct SubscriptionController {
    observed: Observed,
    clock: Clock,
    metrics: KeyMetrics,
}

impl Controller for SubscriptionController {
    type Object = Subscription;
    const KIND: &'static str = "Subscription";

    fn new(_: &Arc<Kind<Subscription>>, with: &Surroundings) -> Self {
        let metrics = KeyMetrics::default();
        with.metrics.export(|registry| metrics.register(registry));
        SubscriptionController { observed: with.observed.clone(), clock: with.clock.clone(), metrics }
    }

    /// Its Plans, the Secrets of its issuer, the License that its keys are for, and the Secrets that they go to.
    fn references(subscription: &Subscription) -> Vec<String> {
        let namespace = subscription.namespace().unwrap_or_default();
        let spec = &subscription.spec;
        let plans = spec.plans.iter().map(|plan| target("Plan", &namespace, &plan.name));
        let issuer = spec.issuer.iter().flat_map(|issuer| {
            let name = &issuer.secret_ref.name;
            [target("Secret", &namespace, name), target("Secret", &namespace, &trust_secret_name(name))]
        });
        let license = license_of(subscription).map(|(namespace, name)| target("License", &namespace, &name));
        plans.chain(issuer).chain(license).chain(delivery::secrets_of(subscription)).collect()
    }

    async fn look(
        &self,
        subscription: &Subscription,
        before: &SubscriptionStatus,
        now: Now,
    ) -> Result<Look<SubscriptionStatus>, CallError> {
        let (observed, now) = (&self.observed, now.at);
        let youth = Youth::of(subscription, &self.clock, now);
        // 1. Read it with its Plans.
        let resolved = match read::dereference(subscription, observed) {
            Ok(resolved) => resolved,
            Err(mut faults) => {
                let wake = youth.soften(&mut faults);
                return Ok(Look { wake, ..self.show_faults(subscription, &faults, before, now) });
            }
        };
        let contract = &resolved.contract;
        // 2. Judge.
        let standing = contract.standing(before.closed_as_of.map(|at| at.0), now);
        // 3. Issue, deliver and revoke keys.
        let mut done = delivery::carry_out(subscription, contract, &standing, observed, now).await?;
        let softened = youth.soften(done.not_issued.iter_mut().chain(&mut done.not_delivered));
        self.metrics.count(done.newly_issued, done.newly_revoked);
        // 4. Show.
        let next = next_event(contract, now).filter(|_| !standing.closed);
        let status = status::of(subscription, &resolved, &standing, next, &done, before, now);
        let notes = [
            status::notes_of_keys(&done, before),
            status::notes_of_standing(before, contract, &standing),
            status::notes_of_faults(before, &status, &youth),
        ];
        let next_wake = next_wake(contract, next, now).filter(|_| !standing.closed);
        let trouble = done.not_issued.iter().chain(&done.not_delivered);
        let again = trouble.filter_map(|fault| look_again(fault.reason, &before.conditions, &self.clock, now)).min();
        Ok(Look {
            notes: notes.concat(),
            wake: next_wake.into_iter().chain(again).chain(softened).min(),
            // An old cache may not show that a contract goes on which seems to have ended for good.
            only_on_this_version: status.closed_as_of.is_some() && before.closed_as_of.is_none(),
            status,
        })
    }

    fn leave_out(
        &self,
        subscription: &Subscription,
        why: Fault,
        before: &SubscriptionStatus,
        now: Now,
    ) -> Look<SubscriptionStatus> {
        self.show_faults(subscription, &[why], before, now.at)
    }
}

impl SubscriptionController {
    /// Shows why a Subscription is not acted on.
    fn show_faults(
        &self,
        subscription: &Subscription,
        faults: &[Fault],
        before: &SubscriptionStatus,
        now: Instant,
    ) -> Look<SubscriptionStatus> {
        let status = status::of_faults(subscription, faults, before, now);
        let notes = status::notes_of_faults(before, &status, &Youth::of(subscription, &self.clock, now));
        Look { status, notes, wake: None, only_on_this_version: false }
    }
}
