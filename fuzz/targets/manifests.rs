//! YAML files of objects for the commands, such as an order: its documents, their faults, and the contract in it.

use seatkeeper::api::contract::{plan_faults, resolve};
use seatkeeper::api::plan::PlanSpec;
use seatkeeper::api::subscription::SubscriptionSpec;
use seatkeeper::cli::yaml::{Document, File};
use seatkeeper::domain::Instant;
use seatkeeper::domain::contract::issuing::wanted;
use seatkeeper::domain::contract::timeline::timeline;
use seatkeeper::domain::text::is_unseen;
use serde::de::DeserializeOwned;
use std::path::Path;

/// The most documents whose faults are looked for: a command does so for those of one contract.
const MOST: usize = 8;

pub fn run(data: &[u8]) {
    let Ok(file) = File::parse(Path::new("order.yaml"), data) else { return };
    for document in file.documents.iter().take(MOST) {
        for fault in document.faults() {
            let said = file.at(document, &fault.field, &fault.message);
            assert_eq!(said.chars().find(|c| is_unseen(*c) && *c != '\n'), None, "{said:?}");
        }
    }
    let subscription = file.documents.iter().find(|document| document.kind() == "Subscription");
    let plans = file.documents.iter().filter(|document| document.kind() == "Plan");
    let plans: Vec<PlanSpec> = plans.filter_map(spec).collect();
    plans.iter().for_each(|plan| drop(plan_faults(plan)));
    let Some(spec) = subscription.and_then(spec::<SubscriptionSpec>) else { return };
    let plans: Vec<&PlanSpec> = plans.iter().take(spec.plans.len()).collect();
    if plans.len() < spec.plans.len() {
        return;
    }
    let Ok(resolved) = resolve("default", "order", &spec, &plans) else { return };
    let contract = resolved.contract;
    for seconds in [0, 1_767_225_600, 4_102_444_800] {
        let now = Instant::from_timestamp(seconds, 0).expect("it is a time");
        let standing = contract.standing(None, now);
        let (keys, _) = wanted(&contract, &standing, "example.com", now);
        assert!(keys.iter().all(|key| key.nbf >= 0 && key.exp.is_none_or(|end| end > key.nbf)), "{keys:?}");
        let moments = timeline(&contract, 1, 3, now);
        assert!(moments.is_sorted_by_key(|moment| moment.at));
    }
}

fn spec<T: DeserializeOwned>(document: &Document) -> Option<T> {
    serde_json::from_value(document.object["spec"].clone()).ok()
}
