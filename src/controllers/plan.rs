//! The Plan controller: reports what is wrong with a Plan on its own, and which of its parts are not acted on yet.

use std::sync::Arc;

use super::kind::Kind;
use super::runner::{Controller, Look, Surroundings};
use crate::api::Plan;
use crate::api::conditions::{ConditionType, Conditions, find};
use crate::api::contract::plan_faults;
use crate::api::plan::{Offer, PlanSpec, PlanStatus};
use crate::cluster::client::CallError;
use crate::cluster::clock::Now;
use crate::cluster::events::Note;
use crate::domain::Instant;
use crate::domain::fault::Fault;
use crate::domain::reason::Reason;

/// Keeps the status of Plans.
pub struct PlanController;

impl Controller for PlanController {
    type Object = Plan;
    const KIND: &'static str = "Plan";

    fn new(_: &Arc<Kind<Plan>>, _: &Surroundings) -> Self {
        PlanController
    }

    async fn look(&self, plan: &Plan, before: &PlanStatus, now: Now) -> Result<Look<PlanStatus>, CallError> {
        Ok(show(plan, &plan_faults(&plan.spec), before, now))
    }

    fn leave_out(&self, plan: &Plan, why: Fault, before: &PlanStatus, now: Now) -> Look<PlanStatus> {
        show(plan, &[why], before, now)
    }
}

fn show(plan: &Plan, faults: &[Fault], before: &PlanStatus, now: Now) -> Look<PlanStatus> {
    let notes = notes_of_faults(before, faults);
    Look { status: status(plan, faults, before, now.at), notes, wake: None, only_on_this_version: false }
}

fn status(plan: &Plan, faults: &[Fault], before: &PlanStatus, now: Instant) -> PlanStatus {
    let mut list = Conditions::new(&before.conditions, plan.metadata.generation, now);
    match faults.first() {
        Some(first) => {
            let message = faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("; ");
            list.set(ConditionType::Ready, false, first.reason, message.clone());
            list.set(ConditionType::of_trouble(first.reason), true, first.reason, message);
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

/// Events of what is newly wrong: what the status says already is not told again.
fn notes_of_faults(before: &PlanStatus, faults: &[Fault]) -> Vec<Note> {
    let said = find(&before.conditions, ConditionType::Ready).map(|ready| ready.message.as_str()).unwrap_or_default();
    let texts = faults.iter().map(|fault| (fault.reason, fault.to_string()));
    let new = texts.filter(|(_, text)| !said.contains(text.as_str()));
    new.map(|(reason, text)| Note::warning(reason.as_str(), text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_an_event_once_and_not_again_at_the_next_edit() {
        let faults = [
            Fault::new(Reason::TermEmpty, "spec.terms.interval", "is empty"),
            Fault::new(Reason::UnknownTimeZone, "spec.terms.timeZone", "is not a time zone"),
        ];
        let mut list = Conditions::new(&[], Some(1), Instant::UNIX_EPOCH);
        list.set(ConditionType::Ready, false, faults[0].reason, faults[0].to_string());
        let before = PlanStatus { conditions: list.into_list(), ..PlanStatus::default() };
        assert_eq!(notes_of_faults(&PlanStatus::default(), &faults).len(), 2);
        let new: Vec<String> = notes_of_faults(&before, &faults).into_iter().map(|note| note.text).collect();
        assert_eq!(new, [faults[1].to_string()]);
    }
}
