//! A Subscription with its Plans, from the caches.

use kube::ResourceExt;

use crate::api::Subscription;
use crate::api::contract::{Resolved, resolve};
use crate::domain::fault::Fault;
use crate::domain::reason::Reason;
use crate::observed::Observed;

/// Returns the contract, or why there is none yet.
pub fn dereference(subscription: &Subscription, observed: &Observed) -> Result<Resolved, Vec<Fault>> {
    let namespace = subscription.namespace().unwrap_or_default();
    let mut faults = Vec::new();
    let mut found = Vec::new();
    for (n, ordered) in subscription.spec.plans.iter().enumerate() {
        let field = format!("spec.plans[{n}].name");
        match observed.plan(&namespace, &ordered.name) {
            None => {
                let message = format!("Plan {namespace}/{} does not exist; this waits for it", ordered.name);
                faults.push(Fault::new(Reason::PlanMissing, field, message));
            }
            Some(plan) => match &plan.0 {
                Ok(_) => found.push(plan),
                Err(malformed) => {
                    let message = format!("Plan {namespace}/{} cannot be read: {}", ordered.name, malformed.error);
                    faults.push(Fault::new(Reason::PlanMalformed, field, message));
                }
            },
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let plans: Vec<_> = found.iter().filter_map(|plan| plan.0.as_ref().ok().map(|plan| &plan.spec)).collect();
    resolve(&namespace, &subscription.name_any(), &subscription.spec, &plans)
}
