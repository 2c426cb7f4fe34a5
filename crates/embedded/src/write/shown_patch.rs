//! The result of a patch as the API server shows it if the result is not an object of the kind.

use serde_json::Value;

use crate::kinds::Kind;
use crate::schema::Wording;
use crate::words::go::{json, plain_map};
use crate::words::json_fault::read_json;

/// The fields of metadata, in the order of the Go type.
const METADATA: [&str; 15] = [
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];
const MANAGER: [&str; 7] = ["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource"];

/// Returns the text: for a strategic merge patch the patch itself; for other patches the object with its fields sorted,
/// except that metadata of a built-in kind is in the order of its Go type if the patch leaves it alone.
pub fn text(kind: &Kind, wording: Wording, patch: &[u8], object: &Value) -> String {
    let patch = read_json(patch).unwrap_or_default();
    match (wording, &patch) {
        (Wording::Map, Value::Object(patch)) => return plain_map(patch),
        _ if kind.custom || patch.get("metadata").is_some() => return json(object),
        _ => {}
    }
    let mut fields: Vec<(&String, &Value)> = object.as_object().into_iter().flatten().collect();
    fields.sort_by_key(|(name, _)| *name);
    let fields = fields.into_iter().map(|(name, value)| {
        let value = if name == "metadata" { metadata(value) } else { json(value) };
        format!("{}:{value}", json(&name.as_str().into()))
    });
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

fn metadata(value: &Value) -> String {
    ordered(value, &METADATA, |name, value| match (name, value) {
        ("managedFields", Value::Array(entries)) => {
            let entries = entries.iter().map(|entry| ordered(entry, &MANAGER, |_, value| json(value)));
            format!("[{}]", entries.collect::<Vec<_>>().join(","))
        }
        _ => json(value),
    })
}

fn ordered(value: &Value, order: &[&str], write: impl Fn(&str, &Value) -> String) -> String {
    let fields = order.iter().filter_map(|name| Some(format!("\"{name}\":{}", write(name, value.get(name)?))));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}
