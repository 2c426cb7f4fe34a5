//! Events, as the core group has them.

use serde_json::{Value, json};

use super::definition::{Builtin, CORE, Names};
use super::event_forms::CORE_FORM;
use super::event_rules;
use crate::Instant;
use crate::kinds::columns::{Column, age, described, of, text_of, wide};
use crate::kinds::strategy::{ChangeChecks, Strategy};

pub static EVENT: Builtin = Builtin {
    names: Names { kind: "Event", short: &["ev"], ..CORE },
    strategy: Strategy {
        faults: |event, old| event_rules::faults(event, old, false),
        // They have older checks of their own.
        change_checks: ChangeChecks::Once,
        versions: Some(CORE_FORM),
        ..STRATEGY
    },
    columns,
    selectable: &[
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
    ],
    recorded: "io.k8s.api.core.v1.Event",
};

/// What Events of both groups have in common.
pub const STRATEGY: Strategy = Strategy {
    created_by_update: true,
    // Nobody deletes Events. A cluster forgets them after an hour, but here a calendar may run fast, so the newest are
    // kept, whatever their age.
    most_kept: Some(5_000),
    complete,
    field_value,
    ..Strategy::BUILTIN
};

/// Events are selected by the component that reported them, whichever field names it.
fn field_value(event: &Value, label: &str) -> Option<String> {
    let named = || event["source"]["component"].as_str().filter(|source| !source.is_empty());
    let source = || named().or(event["reportingComponent"].as_str()).unwrap_or_default().to_owned();
    (label == "source").then(source)
}

fn complete(event: &mut Value) {
    let Some(fields) = event.as_object_mut() else { return };
    for field in ["firstTimestamp", "lastTimestamp", "eventTime"] {
        fields.entry(field).or_insert(Value::Null);
    }
    for field in ["source", "involvedObject"] {
        if !fields.get(field).is_some_and(Value::is_object) {
            fields.insert(field.into(), json!({}));
        }
    }
    for field in ["reportingComponent", "reportingInstance"] {
        if !fields.get(field).is_some_and(Value::is_string) {
            fields.insert(field.into(), "".into());
        }
    }
}

/// Returns the columns of Events, of both groups.
pub fn columns() -> Vec<Column> {
    let reporter = |object: &Value, _: Instant| {
        let part = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (component, host) = match part(&object["source"]["component"]) {
            none if none.is_empty() => (part(&object["reportingComponent"]), part(&object["reportingInstance"])),
            component => (component, part(&object["source"]["host"])),
        };
        let parts: Vec<String> = [component, host].into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(", ").into()
    };
    let regarded = |object: &Value, _: Instant| {
        let regarded = &object["involvedObject"];
        let part = |field: &str| regarded[field].as_str().unwrap_or_default();
        match part("name") {
            "" => part("kind").to_lowercase().into(),
            name => format!("{}/{name}", part("kind").to_lowercase()).into(),
        }
    };
    let count = |object: &Value, _: Instant| match object["series"]["count"].as_i64().or(object["count"].as_i64()) {
        Some(count) if count > 0 => count.into(),
        _ if object["firstTimestamp"].is_null() => 1.into(),
        _ => 0.into(),
    };
    let message = |object: &Value, _: Instant| object["message"].as_str().unwrap_or_default().trim().into();
    vec![
        of("Last Seen", "The time at which the most recent occurrence of this event was recorded.", last_seen),
        of("Type", &described("core.v1.Event", "type"), |object, _| text_of(&object["type"])),
        of("Reason", &described("core.v1.Event", "reason"), |object, _| text_of(&object["reason"])),
        of("Object", &described("core.v1.Event", "involvedObject"), regarded),
        wide(of("Subobject", &described("core.v1.ObjectReference", "fieldPath"), |object, _| {
            text_of(&object["involvedObject"]["fieldPath"])
        })),
        wide(of("Source", &described("core.v1.Event", "source"), reporter)),
        of("Message", &described("core.v1.Event", "message"), message),
        wide(of("First Seen", &described("core.v1.Event", "firstTimestamp"), first_seen)),
        wide(of("Count", &described("core.v1.Event", "count"), count)),
        wide(Column::name()),
    ]
}

fn first_seen(object: &Value, now: Instant) -> Value {
    match &object["firstTimestamp"] {
        Value::Null => age(&object["eventTime"], now),
        first => age(first, now),
    }
}

fn last_seen(object: &Value, now: Instant) -> Value {
    let first = first_seen(object, now);
    let series = &object["series"];
    if let Some(count) = series["count"].as_i64() {
        let last = age(&series["lastObservedTime"], now);
        return over(&last, count, &first);
    }
    match object["count"].as_i64() {
        Some(count) if count > 1 => over(&age(&object["lastTimestamp"], now), count, &first),
        _ => first,
    }
}

fn over(last: &Value, count: i64, first: &Value) -> Value {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{} (x{count} over {})", text(last), text(first)).into()
}
