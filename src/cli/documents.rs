//! The contract in a YAML file of several documents, among them a Subscription and its Plans. Every message names the
//! document, the field and the line.

use std::path::Path;

use super::failure::Failure;
use super::output::warn;
use super::schema;
use super::yaml::{Document, File};
use crate::api::contract::{Resolved, plan_faults, resolve};
use crate::api::plan::PlanSpec;
use crate::api::subscription::SubscriptionSpec;
use crate::domain::contract::Contract;
use crate::domain::fault::Fault;
use crate::domain::reason::Reason;

const API_VERSION: &str = "seatkeeper.dev/v1alpha1";
/// The namespace of a Subscription that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// Reads the contract of `subscription`, or of the only Subscription in the file. Skipped documents, and parts of the
/// contract that cannot be followed, are reported on standard error.
pub fn read_contract(path: &Path, subscription: Option<&str>) -> Result<Contract, Failure> {
    let file = ContractFile(File::read(path)?);
    let subscription = file.subscription(subscription)?;
    let plans = file.plans_of(subscription)?;
    for document in &file.0.documents {
        let used = std::ptr::eq(document, subscription) || plans.iter().any(|plan| std::ptr::eq(*plan, document));
        if let Some(note) = document.skipped().filter(|_| !used) {
            warn(&file.at(document, "", &note));
        }
    }
    let specs = plans.iter().map(|plan| file.spec::<PlanSpec>(plan)).collect::<Result<Vec<_>, _>>()?;
    for (plan, spec) in plans.iter().zip(&specs) {
        file.refuse(plan, &plan_faults(spec))?;
    }
    let spec: SubscriptionSpec = file.spec(subscription)?;
    let namespace = subscription.namespace().unwrap_or(DEFAULT_NAMESPACE);
    let specs: Vec<&PlanSpec> = specs.iter().collect();
    match resolve(namespace, subscription.name(), &spec, &specs) {
        Ok(Resolved { contract, refused }) => {
            refused.iter().for_each(|fault| warn(&file.fault(subscription, fault)));
            Ok(contract)
        }
        Err(faults) => file.refuse(subscription, &faults).and(Err(Failure::new("the contract cannot be acted on"))),
    }
}

struct ContractFile(File);

impl ContractFile {
    /// The Subscription of this name, or the only one.
    fn subscription(&self, name: Option<&str>) -> Result<&Document, Failure> {
        let all: Vec<&Document> = self.0.documents.iter().filter(|d| d.is("Subscription")).collect();
        let names = all.iter().map(|d| d.name()).collect::<Vec<_>>().join(", ");
        let file = self.0.path.display();
        let named: Vec<&Document> = all.iter().copied().filter(|d| name.is_none_or(|name| name == d.name())).collect();
        match (named[..].as_ref(), name) {
            ([one], _) => Ok(one),
            (_, _) if all.is_empty() => {
                let kinds: Vec<String> = self.0.documents.iter().map(Document::title).collect();
                let kinds = if kinds.is_empty() { "no document".to_owned() } else { kinds.join(", ") };
                Err(Failure::new(format!("{file}: has no Subscription ({API_VERSION}); it has {kinds}")))
            }
            ([], Some(name)) => Err(Failure::usage(format!(
                "{file}: has no Subscription {name}; it has {names}: name one with --subscription"
            ))),
            ([], None) | ([_, ..], None) => Err(Failure::usage(format!(
                "{file}: has {} Subscriptions, {names}: name one with --subscription",
                all.len()
            ))),
            ([first, second, ..], Some(_)) => Err(Failure::new(format!(
                "{}: there is another one on line {}; remove one",
                self.at(second, "metadata.name", "the same Subscription twice"),
                first.line("")
            ))),
        }
    }

    /// The Plans that a Subscription names, in its order.
    fn plans_of(&self, subscription: &Document) -> Result<Vec<&Document>, Failure> {
        let namespace = subscription.namespace().unwrap_or(DEFAULT_NAMESPACE);
        self.refuse(subscription, &subscription.faults())?;
        let plans: Vec<&Document> = self.0.documents.iter().filter(|d| d.is("Plan")).collect();
        let mut found = Vec::new();
        let mut faults = Vec::new();
        let ordered = subscription.object["spec"]["plans"].as_array();
        for (n, name) in ordered.into_iter().flatten().filter_map(|plan| plan["name"].as_str()).enumerate() {
            // A Plan that names no namespace is applied in that of the Subscription.
            let matching = |plan: &&&Document| plan.name() == name && plan.namespace().is_none_or(|n| n == namespace);
            match plans.iter().filter(matching).collect::<Vec<_>>()[..] {
                [plan] => found.push(*plan),
                [first, second, ..] => {
                    let message = format!(
                        "Plan {name} is defined twice, on lines {} and {}; remove one",
                        first.line(""),
                        second.line("")
                    );
                    faults.push(Fault::new(Reason::PlanAmbiguous, format!("spec.plans[{n}].name"), message));
                }
                [] => {
                    let there: Vec<String> = plans.iter().map(|plan| plan.full_name(namespace)).collect();
                    let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
                    let message = format!("the file has no Plan {name} in namespace {namespace}; Plans in it: {there}");
                    faults.push(Fault::new(Reason::PlanMissing, format!("spec.plans[{n}].name"), message));
                }
            }
        }
        self.refuse(subscription, &faults)?;
        found.iter().try_for_each(|plan| self.refuse(plan, &plan.faults()))?;
        Ok(found)
    }

    fn spec<T: serde::de::DeserializeOwned>(&self, document: &Document) -> Result<T, Failure> {
        serde_json::from_value(document.object["spec"].clone())
            .map_err(|e| Failure::new(self.at(document, "spec", &e.to_string())))
    }

    fn refuse(&self, document: &Document, faults: &[Fault]) -> Result<(), Failure> {
        match faults.is_empty() {
            true => Ok(()),
            false => {
                let lines: Vec<String> = faults.iter().map(|fault| self.fault(document, fault)).collect();
                Err(Failure::new(lines.join("\n")))
            }
        }
    }

    fn fault(&self, document: &Document, fault: &Fault) -> String {
        self.at(document, &fault.field, &fault.message)
    }

    fn at(&self, document: &Document, field: &str, message: &str) -> String {
        self.0.at(document, field, message)
    }
}

impl Document {
    fn full_name(&self, default: &str) -> String {
        format!("{}/{}", self.namespace().unwrap_or(default), self.name())
    }

    fn is(&self, kind: &str) -> bool {
        self.kind() == kind && self.text("/apiVersion") == Some(API_VERSION)
    }

    /// Why the document is skipped.
    fn skipped(&self) -> Option<String> {
        let version = self.text("/apiVersion").unwrap_or_default();
        Some(match self.kind() {
            _ if !self.object.is_object() => "skipped: it is not an object with apiVersion and kind".to_owned(),
            "" => "skipped: it has no kind".to_owned(),
            _ if !version.starts_with("seatkeeper.dev/") => format!("skipped: {version:?} is not {API_VERSION}"),
            _ if version != API_VERSION => format!("skipped: this Seatkeeper reads {API_VERSION}, not {version}"),
            "Plan" | "Subscription" => "skipped: the contract does not name it".to_owned(),
            _ => "skipped: it is not part of a contract".to_owned(),
        })
    }

    /// How the document violates the schema of its kind.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = schema::faults(self.kind(), &self.object).unwrap_or_default();
        if self.text("/metadata/name").is_none_or(str::is_empty) {
            faults.push(Fault::new(Reason::FieldMissing, "metadata.name", "is missing"));
        }
        faults
    }
}
