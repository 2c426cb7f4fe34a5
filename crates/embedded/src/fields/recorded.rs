//! Compares this module with what a real API server 1.36 answered, step by step. `recorded.json` has the schemas as
//! that server published them, and steps: a request, the object before it, the answer. Of a refusal the code, the
//! reason, and the causes' reasons and fields are compared, on which clients act.

use super::*;
use serde_json::Value;
use std::collections::BTreeMap;

struct Step<'r> {
    record: &'r Value,
    node: &'r Node,
    before: Option<&'r Value>,
    body: &'r str,
    answer: &'r Value,
}

fn text<'r>(value: &'r Value, name: &str) -> &'r str {
    value[name].as_str().unwrap_or_default()
}

fn sorted<'a>(causes: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(&'a str, &'a str)> {
    let mut causes: Vec<_> = causes.collect();
    causes.sort_unstable();
    causes
}

fn managed(object: &Value) -> &Value {
    object.pointer("/metadata/managedFields").unwrap_or(&Value::Null)
}

impl Step<'_> {
    fn fine(&self) -> bool {
        self.record["code"].as_u64().is_some_and(|code| code < 300)
    }

    /// Returns the object as it was stored, with the `managedFields` that the request brought.
    fn stored(&self, request: &Value) -> Value {
        let mut object = self.answer.clone();
        managed::put(&mut object, request.pointer("/metadata/managedFields").cloned());
        object
    }

    fn manager<'m>(&'m self, reset: &'m FieldSet<'static>) -> Manager<'m> {
        let kind = text(self.record, "kind");
        Manager {
            name: text(self.record, "manager"),
            api_version: match kind {
                "License" | "Plan" | "Subscription" => "seatkeeper.dev/v1alpha1",
                "Lease" => "coordination.k8s.io/v1",
                "Event" => "events.k8s.io/v1",
                _ => "v1",
            },
            other_version: None,
            kind,
            subresource: self.record["sub"].as_str(),
            reset,
            builtin: !matches!(kind, "License" | "Plan" | "Subscription"),
            now: text(self.record, "now").parse().unwrap(),
        }
    }

    /// Returns what differs from the answer, if anything.
    fn check(&self) -> Option<String> {
        let custom = matches!(text(self.record, "kind"), "License" | "Plan" | "Subscription");
        let reset = reset_fields(custom, !custom, self.record["sub"].as_str());
        let manager = self.manager(&reset);
        let force = self.record["force"] == true;
        let body: Value = serde_json::from_str(self.body).unwrap_or_default();
        let before = || self.before.unwrap_or(&Value::Null);
        let result = match text(self.record, "verb") {
            "apply" => apply(self.node, self.before, &body, &manager, force),
            "create" | "put" => Ok(body),
            "merge" => merge_patch(before(), self.body.as_bytes()),
            "json" => json_patch(before(), self.body.as_bytes()),
            _ => strategic_merge_patch(self.node, before(), self.body.as_bytes()),
        };
        match (result, self.fine()) {
            (Ok(object), true) => self.compare(object, &manager),
            (Ok(_), false) => Some("done, where the real server refuses".into()),
            (Err(refusal), _) => {
                let causes = self.answer.pointer("/details/causes").and_then(Value::as_array);
                let causes = causes.into_iter().flatten().map(|cause| (text(cause, "reason"), text(cause, "field")));
                let ours = refusal.causes.iter().map(|cause| (cause.reason, &*cause.field));
                let real = (self.answer["code"].as_u64(), self.answer["reason"].as_str(), sorted(causes));
                // Users read with whom their custom resources are in conflict.
                let words = !custom || refusal.code != 409 || refusal.message == text(self.answer, "message");
                let same = words && (Some(u64::from(refusal.code)), refusal.reason, sorted(ours)) == real;
                (!same).then(|| format!("refused: {refusal:?}"))
            }
        }
    }

    fn compare(&self, object: Value, manager: &Manager<'_>) -> Option<String> {
        let mut stored = self.stored(&object);
        if text(self.record, "verb") != "apply" {
            update(self.node, self.before, &mut stored, manager);
        }
        if let Some(before) = self.before {
            keep_times(before, &mut stored);
        }
        // Compared as text, because the order of the fields counts too.
        let printed = |object: &Value| managed(object).to_string();
        if printed(&stored) != printed(self.answer) {
            return Some(format!("managedFields: {}", managed(&stored)));
        }
        // The rest of an object also shows defaults, which this module does not set.
        let parts = ["labels", "annotations", "finalizers", "ownerReferences"].map(|name| format!("/metadata/{name}"));
        let names = ["/spec/keys", "/spec/plans", "/spec/license/pools"].into_iter().find_map(|list| {
            let names = |object: &Value| {
                let items = object.pointer(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                items.iter().map(|item| text(item, "name").to_owned()).collect::<Vec<_>>()
            };
            let ours = names(&object);
            (manager.subresource.is_none() && ours != names(self.answer)).then(|| format!("{list}: {ours:?}"))
        });
        if names.is_some() {
            return names;
        }
        let parts = parts.into_iter().chain(["/data".into()]).filter(|_| manager.subresource.is_none());
        parts.into_iter().find_map(|part| {
            let present = |object: &Value| object.pointer(&part).filter(|part| !shape::is_empty(Some(part))).cloned();
            (present(&object) != present(self.answer)).then(|| format!("{part}: {:?}", present(&object)))
        })
    }
}

#[test]
fn as_a_real_server_answers() {
    let recorded: Value = serde_json::from_str(include_str!("recorded.json")).unwrap();
    let schemas = recorded["schemas"].as_object().unwrap();
    let names = recorded["names"].as_object().unwrap();
    let node = |(kind, name): (&'_ String, &Value)| {
        let mut node = Node::of_document(schemas, name.as_str().unwrap());
        // For custom resources, `metadata` has the schema of this module instead of the published one.
        if matches!(&**kind, "License" | "Plan" | "Subscription") {
            node.properties.insert("metadata".into(), object_meta());
        }
        (kind.clone(), node)
    };
    let nodes: BTreeMap<String, Node> = names.iter().map(node).collect();
    let steps = recorded["steps"].as_array().unwrap();
    assert!(steps.len() >= 60, "{} steps", steps.len());
    for (at, record) in steps.iter().enumerate() {
        let step = Step {
            record,
            node: &nodes[text(record, "kind")],
            before: record.get("before").filter(|before| !before.is_null()),
            body: text(record, "body"),
            answer: &record["answer"],
        };
        if let Some(wrong) = step.check() {
            panic!("step {at}, {} {}: {wrong}\nanswer: {}", record["kind"], record["verb"], record["answer"]);
        }
    }
}
