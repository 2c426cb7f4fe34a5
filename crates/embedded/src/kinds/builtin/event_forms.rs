//! The two forms of Events: that of the core group, in which they are stored, and that of `events.k8s.io`.

use serde_json::Value;

use crate::kinds::strategy::Versions;

/// The newer group of Events.
pub const NEW_GROUP: &str = "events.k8s.io";
const NEW_VERSION: &str = "events.k8s.io/v1";
const CORE_VERSION: &str = "v1";

/// Of Events that are written through the core group.
pub const CORE_FORM: Versions = Versions {
    other: NEW_VERSION,
    shown: None,
    as_written: |stored| renamed_owned(stored, NEW_VERSION, |(core, new)| (new, core)),
    as_stored: |written| renamed_owned(written, NEW_VERSION, |(core, new)| (core, new)),
};

/// Of Events that are written through `events.k8s.io`.
pub const NEW_FORM: Versions = Versions {
    other: CORE_VERSION,
    shown: Some(to_new_event),
    as_written: |stored| renamed_owned(to_new_event(stored), CORE_VERSION, |(core, new)| (core, new)),
    as_stored: |written| to_core_event(renamed_owned(written, CORE_VERSION, |(core, new)| (new, core))),
};

/// Renames the fields that are owned in the version `other`.
fn renamed_owned<'n>(
    mut object: Value,
    other: &str,
    order: impl Fn((&'n str, &'n str)) -> (&'n str, &'n str) + Copy,
) -> Value {
    let entries = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut);
    let others = entries.into_iter().flatten().filter(|entry| entry["apiVersion"] == other);
    for owned in others.filter_map(|entry| entry.get_mut("fieldsV1")?.as_object_mut()) {
        for (from, to) in NEW_NAMES.iter().copied().map(order) {
            if let Some(below) = owned.shift_remove(&format!("f:{from}")) {
                owned.insert(format!("f:{to}"), below);
            }
        }
        owned.sort_keys();
    }
    object
}

/// Converts a core Event to the form of `events.k8s.io`.
fn to_new_event(mut object: Value) -> Value {
    rename(&mut object, &NEW_NAMES, "events.k8s.io/v1", |(old, new)| (old, new));
    if let Some(fields) = object.as_object_mut() {
        // `events.k8s.io` leaves out the reporting controller and instance when they are empty.
        for field in ["reportingController", "reportingInstance"] {
            if fields.get(field).is_some_and(|text| text == "") {
                fields.shift_remove(field);
            }
        }
    }
    object
}

/// Converts an Event of `events.k8s.io` to the core form, in which Events are stored.
fn to_core_event(mut object: Value) -> Value {
    rename(&mut object, &NEW_NAMES, "v1", |(old, new)| (new, old));
    object
}

/// The fields of an Event that the two groups name differently, as pairs of the core name and the `events.k8s.io` name.
const NEW_NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn rename<'n>(
    object: &mut Value,
    names: &[(&'n str, &'n str)],
    api_version: &str,
    order: impl Fn((&'n str, &'n str)) -> (&'n str, &'n str),
) {
    let Some(fields) = object.as_object_mut() else { return };
    fields.insert("apiVersion".into(), api_version.into());
    for (from, to) in names.iter().copied().map(order) {
        if let Some(value) = fields.shift_remove(from) {
            fields.insert(to.into(), value);
        }
    }
}
