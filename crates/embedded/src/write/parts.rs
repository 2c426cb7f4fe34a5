//! The parts of an object that a write treats differently: what counts as a new generation, and the metadata that may
//! come with a status.

use serde_json::{Map, Value};

use crate::kinds::Kind;
use crate::pairs::pairs;

/// Returns whether two versions of an object differ in more than metadata and status, which counts as a new generation.
pub fn wants_something_else(old: &Value, new: &Value) -> bool {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return old != new };
    let wanted = |name: &str| !matches!(name, "metadata" | "status");
    let count = |fields: &Map<String, Value>| fields.keys().filter(|name| wanted(name)).count();
    count(old) != count(new) || pairs(old, new).any(|(name, old, new)| wanted(name) && new != Some(old))
}

/// Keeps the live metadata when the status of a custom resource is written: of the metadata, only the field owners
/// change.
pub fn keep_metadata_on_status(kind: &Kind, live: &Value, object: &mut Map<String, Value>) {
    if !kind.custom {
        return;
    }
    let managed =
        object.get_mut("metadata").map(|meta| meta.get_mut("managedFields").map(Value::take).unwrap_or_default());
    let metadata = match (managed, &live["metadata"]) {
        (Some(managed), Value::Object(live)) => {
            // The field owners are most of the metadata: the old ones are not copied, only given a place, because the
            // new ones replace them.
            let copied = live.iter().map(|(name, value)| match name.as_str() {
                "managedFields" => (name.clone(), Value::Null),
                _ => (name.clone(), value.clone()),
            });
            let mut metadata: Map<String, Value> = copied.collect();
            metadata.insert("managedFields".into(), managed);
            Value::Object(metadata)
        }
        (_, live) => live.clone(),
    };
    object.insert("metadata".into(), metadata);
}
