//! The status of a namespace that is being deleted: what content is left, and which finalizers hold it (as the
//! namespace controller of Kubernetes writes it).

use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::received::{Write, time_text};
use crate::fields;
use crate::kinds::{Kind, Kinds};
use crate::state::Draft;

/// The content left in a namespace.
#[derive(Default)]
pub struct Remaining {
    /// The number of objects of each resource.
    objects: BTreeMap<String, usize>,
    /// The number of objects that each finalizer holds.
    finalizers: BTreeMap<String, usize>,
}

impl Remaining {
    /// Counts everything in the namespace.
    pub fn of(kinds: &Kinds, draft: &Draft<'_>, namespace: &str) -> Self {
        let mut remaining = Remaining::default();
        for (id, kind) in kinds.iter().filter(|(id, kind)| kind.namespaced && kind.stored_as == *id) {
            let objects = draft.range(id, &format!("{namespace}/"));
            if !objects.is_empty() {
                *remaining.objects.entry(kind.qualified_resource()).or_default() += objects.len();
            }
            for (_, object) in &objects {
                let finalizers = object.value["metadata"]["finalizers"].as_array().into_iter().flatten();
                for finalizer in finalizers.filter_map(Value::as_str) {
                    *remaining.finalizers.entry(finalizer.to_owned()).or_default() += 1;
                }
            }
        }
        remaining
    }

    /// Returns the namespace with the remaining content in its status.
    pub fn tell(&self, write: &Write, live: &Value) -> Value {
        let list = |counts: &BTreeMap<String, usize>, verb: &str| {
            let all: Vec<String> =
                counts.iter().map(|(name, count)| format!("{name} {verb} {count} resource instances")).collect();
            all.join(", ")
        };
        let (objects, finalizers) = (list(&self.objects, "has"), list(&self.finalizers, "in"));
        let condition = |type_: &str, status: bool, reason: &str, message: String| {
            let status = if status { "True" } else { "False" };
            let time = live["status"]["conditions"].as_array().into_iter().flatten();
            let before = time.into_iter().find(|c| c["type"] == json!(type_) && c["status"] == json!(status));
            let since = before.map_or_else(|| time_text(write.now).into(), |c| c["lastTransitionTime"].clone());
            json!({"type": type_, "status": status, "lastTransitionTime": since, "reason": reason, "message": message})
        };
        let no = |type_: &str, reason: &str, message: &str| condition(type_, false, reason, message.to_owned());
        let conditions = [
            no("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
            no(
                "NamespaceDeletionGroupVersionParsingFailure",
                "ParsedGroupVersions",
                "All legacy kube types successfully parsed",
            ),
            no(
                "NamespaceDeletionContentFailure",
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization",
            ),
            condition(
                "NamespaceContentRemaining",
                true,
                "SomeResourcesRemain",
                format!("Some resources are remaining: {objects}"),
            ),
            match finalizers.is_empty() {
                true => no(
                    "NamespaceFinalizersRemaining",
                    "ContentHasNoFinalizers",
                    "All content-preserving finalizers finished",
                ),
                false => condition(
                    "NamespaceFinalizersRemaining",
                    true,
                    "SomeFinalizersRemain",
                    format!("Some content in the namespace has finalizers remaining: {finalizers}"),
                ),
            },
        ];
        let mut value = live.clone();
        value["status"]["conditions"] = conditions.into_iter().collect();
        let kind: &Kind = write.kinds.get(write.kinds.namespaces());
        write.as_manager_of(kind, "kube-controller-manager", Some("status"), |manager| {
            fields::update(&kind.node, Some(live), &mut value, manager);
        });
        fields::keep_times(live, &mut value);
        value
    }
}
