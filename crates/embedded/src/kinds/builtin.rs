//! The built-in kinds of Kubernetes that Seatkeeper uses.

use super::columns;
use super::kind::Kind;
use super::published;

/// The number of built-in kinds.
pub const COUNT: usize = 7;
/// The positions of these kinds among all kinds.
pub const NAMESPACE: usize = 0;
pub const EVENT: usize = 4;

/// Returns the built-in kinds, in the order of the constants above.
pub fn kinds() -> Vec<Kind> {
    let kind = |id: usize, (group, version, package): (&str, &str, &str), name: &str, short: &str| {
        let singular = name.to_lowercase();
        Kind {
            group: group.into(),
            version: version.into(),
            kind: name.into(),
            plural: format!("{singular}s"),
            singular,
            short_names: if short.is_empty() { Vec::new() } else { vec![short.into()] },
            categories: Vec::new(),
            namespaced: true,
            custom: false,
            status: false,
            node: published::node(&format!("io.k8s.api.{package}.{name}")),
            published: serde_json::Value::Null,
            schema: None,
            columns: Vec::new(),
            selectable: Vec::new(),
            created_by_update: false,
            updated_unconditionally: true,
            generation: false,
            stored_as: id,
            storage_version_hash: published::storage_version_hash(group, version, name),
        }
    };
    let core = ("", "v1", "core.v1");
    let labels = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let event_labels = labels(&[
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ]);
    let of_new_group = event_labels.iter().map(|label| label.replace("involvedObject", "regarding"));
    let of_new_group: Vec<String> =
        of_new_group.map(|label| label.replace("reportingComponent", "reportingController")).collect();
    vec![
        Kind {
            namespaced: false,
            status: true,
            columns: columns::namespaces(),
            selectable: labels(&["status.phase"]),
            ..kind(NAMESPACE, core, "Namespace", "ns")
        },
        Kind { columns: columns::secrets(), selectable: labels(&["type"]), ..kind(1, core, "Secret", "") },
        Kind { columns: columns::config_maps(), ..kind(2, core, "ConfigMap", "cm") },
        Kind {
            categories: vec!["all".into()],
            status: true,
            generation: true,
            columns: columns::pods(),
            selectable: labels(&[
                "spec.nodeName",
                "spec.restartPolicy",
                "spec.schedulerName",
                "spec.serviceAccountName",
                "spec.hostNetwork",
                "status.phase",
                "status.podIP",
                "status.podIPs",
                "status.nominatedNodeName",
            ]),
            ..kind(3, core, "Pod", "po")
        },
        Kind {
            created_by_update: true,
            columns: columns::events(),
            selectable: event_labels,
            ..kind(EVENT, core, "Event", "ev")
        },
        Kind {
            created_by_update: true,
            columns: columns::events(),
            selectable: of_new_group,
            stored_as: EVENT,
            ..kind(5, ("events.k8s.io", "v1", "events.v1"), "Event", "ev")
        },
        Kind {
            created_by_update: true,
            updated_unconditionally: false,
            columns: columns::leases(),
            ..kind(6, ("coordination.k8s.io", "v1", "coordination.v1"), "Lease", "")
        },
    ]
}

/// Converts a core Event to the form of `events.k8s.io`.
pub fn to_new_event(mut object: serde_json::Value) -> serde_json::Value {
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
pub fn to_core_event(mut object: serde_json::Value) -> serde_json::Value {
    rename(&mut object, &NEW_NAMES, "v1", |(old, new)| (new, old));
    object
}

/// The fields of an Event that the two groups name differently, as pairs of the core name and the `events.k8s.io` name.
pub const NEW_NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn rename<'n>(
    object: &mut serde_json::Value,
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
