//! The Plan controller: reports what is wrong with a Plan on its own, and which of its parts are not acted on yet.

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::{Api, Resource, ResourceExt};
use std::sync::Arc;

use super::runner::{Controller, ReconcileError, Surroundings};
use crate::api::Plan;
use crate::api::conditions::{ConditionType, Conditions};
use crate::api::contract::plan_faults;
use crate::api::plan::{Offer, PlanSpec, PlanStatus};
use crate::cluster::events::Note;
use crate::cluster::status::StatusWriter;
use crate::cluster::watch::cached;
use crate::domain::Instant;
use crate::domain::fault::Fault;
use crate::domain::reason::Reason;
use crate::observed::Observed;

/// Keeps the status of Plans.
pub struct PlanController {
    pub observed: Observed,
    pub with: Surroundings,
    pub statuses: Arc<StatusWriter<PlanStatus>>,
}

impl Controller for PlanController {
    type Object = Plan;
    const KIND: &'static str = "Plan";

    fn reconcile<'a>(&'a self, plan: &'a Plan) -> BoxFuture<'a, Result<(), ReconcileError>> {
        self.look_at(plan).boxed()
    }
}

impl PlanController {
    async fn look_at(&self, plan: &Plan) -> Result<(), ReconcileError> {
        let now = self.with.clock.now().at;
        let in_cache = || cached(&self.observed.plans, plan, |now| now.status.clone());
        let before = self.statuses.latest(plan, in_cache).unwrap_or_default();
        let faults = plan_faults(&plan.spec);
        let status = status(plan, &faults, &before, now);
        let api: Api<Plan> = Api::namespaced(self.observed.client.clone(), &plan.namespace().unwrap_or_default());
        if self.statuses.write(&api, plan, Some(&before), &status).await? {
            self.with.metrics.status_written(Self::KIND);
            let told = faults.iter().map(|fault| Note::warning(fault.reason.as_str(), fault.to_string())).collect();
            self.with.events.tell(plan, told, now);
        }
        Ok(())
    }

    /// Drops what is kept of a Plan that is gone.
    pub fn forget(&self, plan: &Plan) {
        if let Some(uid) = &plan.meta().uid {
            self.statuses.forget(uid);
        }
    }
}

fn status(plan: &Plan, faults: &[Fault], before: &PlanStatus, now: Instant) -> PlanStatus {
    let mut list = Conditions::new(&before.conditions, plan.metadata.generation, now);
    match faults.first() {
        Some(first) => {
            let message = faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("; ");
            list.set(ConditionType::Ready, false, first.reason, message.clone());
            list.set(ConditionType::Stalled, true, first.reason, message);
        }
        None => list.set(ConditionType::Ready, true, Reason::Valid, "Subscriptions can order this Plan"),
    }
    let parts = not_acted_on(&plan.spec);
    match parts.is_empty() {
        true => list.set(ConditionType::FullyActedOn, true, Reason::EveryPart, "every part of this Plan is acted on"),
        false => {
            let message = format!("stored and shown, but not acted on by this version: {}", parts.join(", "));
            list.set(ConditionType::FullyActedOn, false, Reason::PartsNotActedOn, message);
        }
    }
    PlanStatus { observed_generation: plan.metadata.generation, conditions: list.into_list() }
}

/// Parts of the spec whose behaviour comes with later versions.
fn not_acted_on(spec: &PlanSpec) -> Vec<&'static str> {
    let parts = [
        ("spec.price", spec.price.is_some()),
        ("spec.meters", !spec.meters.is_empty()),
        ("spec.releases", !spec.releases.is_empty()),
        ("spec.upgrades", spec.upgrades.is_some()),
        ("spec.offer", spec.offer == Some(Offer::Bundle)),
        ("spec.terms.billingPeriod", spec.terms.as_ref().is_some_and(|terms| terms.billing_period.is_some())),
        ("spec.license.onePerOrganisation", spec.license.one_per_organisation.is_some()),
        ("spec.license.pools[].noneMembers", spec.license.pools.iter().any(|pool| pool.none_members.is_some())),
    ];
    parts.into_iter().filter(|(_, present)| *present).map(|(part, _)| part).collect()
}
