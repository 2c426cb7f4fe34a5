//! What each of the two groups of Events may write (`pkg/apis/core/validation/events.go`).

use serde_json::Value;

use crate::kinds::names::{qualified_name_faults, subdomain_faults};
use crate::schema::FieldError;

/// The most bytes in a name such as that of the reporter or the reason, and in the note.
const LONGEST_NAME: usize = 128;
const LONGEST_NOTE: usize = 1024;

/// Returns what is wrong with an Event that is written through the newer group if `new`. `old` is the
/// Event that it replaces; `None` if there is none.
pub fn faults(event: &Value, old: Option<&Value>, new: bool) -> Vec<FieldError> {
    let mut faults = faults_of_old(event, new);
    match (new, old) {
        (false, _) => {}
        (true, None) => faults.extend(faults_of_new(event)),
        (true, Some(old)) => {
            if event.get("series") != old.get("series") {
                faults.extend(series_faults(event));
            }
            faults.extend(changes(event, old));
        }
    }
    faults
}

fn text<'e>(event: &'e Value, field: &str) -> &'e str {
    event[field].as_str().unwrap_or_default()
}

/// Returns an error with an empty value, as in the API server's errors here: it does not repeat the bad value.
fn wrong(field: &str, why: &str) -> FieldError {
    FieldError::invalid(field, Some(&"".into()), why)
}

/// Returns what is wrong by the rules of both groups. An Event with an `eventTime` follows the new rules, whichever
/// group it is written through.
fn faults_of_old(event: &Value, new: bool) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let namespace = event["metadata"]["namespace"].as_str().unwrap_or_default();
    let about = event["involvedObject"]["namespace"].as_str().unwrap_or_default();
    let elsewhere =
        || FieldError::invalid("involvedObject.namespace", Some(&about.into()), "does not match event.namespace");
    if event["eventTime"].is_null() {
        let fits = if about.is_empty() { matches!(namespace, "" | "default") } else { about == namespace };
        if !fits {
            faults.push(elsewhere());
        }
    } else {
        if about.is_empty() && !matches!(namespace, "default" | "kube-system") {
            faults.push(elsewhere());
        }
        let controller = if new { "reportingController" } else { "reportingComponent" };
        let reporting = text(event, "reportingComponent");
        if reporting.is_empty() {
            faults.push(FieldError::required(controller, ""));
        }
        faults.extend(qualified_name_faults(controller, reporting));
        for field in ["reportingInstance", "action", "reason"] {
            match text(event, field).len() {
                0 => faults.push(FieldError::required(field, "")),
                length if length > LONGEST_NAME => {
                    faults.push(wrong(field, &format!("can have at most {LONGEST_NAME} characters")));
                }
                _ => {}
            }
        }
        if text(event, "message").len() > LONGEST_NOTE {
            faults.push(wrong("message", &format!("can have at most {LONGEST_NOTE} characters")));
        }
    }
    let namespace_faults = subdomain_faults(namespace).into_iter();
    faults.extend(namespace_faults.map(|why| FieldError::invalid("namespace", Some(&namespace.into()), &why)));
    faults
}

/// Returns what is wrong by the additional rules of the new group.
fn faults_of_new(event: &Value) -> Vec<FieldError> {
    let mut faults = series_faults(event);
    if event["eventTime"].is_null() {
        faults.push(FieldError::required("eventTime", ""));
    }
    let type_ = text(event, "type");
    if !matches!(type_, "Normal" | "Warning") {
        faults.push(wrong("type", &format!("has invalid value: {type_}")));
    }
    for field in ["firstTimestamp", "lastTimestamp", "count", "source"] {
        let unset = match &event[field] {
            Value::Null => true,
            Value::Number(number) => number.as_i64() == Some(0),
            Value::Object(source) => source.values().all(|part| part == ""),
            _ => false,
        };
        if !unset {
            faults.push(wrong(field, "needs to be unset"));
        }
    }
    faults
}

fn series_faults(event: &Value) -> Vec<FieldError> {
    let Some(series) = event.get("series").and_then(Value::as_object) else { return Vec::new() };
    let mut faults = Vec::new();
    if series.get("count").and_then(Value::as_i64).unwrap_or_default() < 2 {
        faults.push(wrong("series.count", "should be at least 2"));
    }
    if series.get("lastObservedTime").is_none_or(Value::is_null) {
        faults.push(FieldError::required("series.lastObservedTime", ""));
    }
    faults
}

/// Returns the changes that the new group forbids: only the series may change.
fn changes(event: &Value, old: &Value) -> Vec<FieldError> {
    let fixed = [
        ("involvedObject", "involvedObject"),
        ("reason", "reason"),
        ("message", "message"),
        ("source", "source"),
        ("firstTimestamp", "firstTimestamp"),
        ("lastTimestamp", "lastTimestamp"),
        ("count", "count"),
        ("type", "type"),
        ("eventTime", "eventTime"),
        ("action", "action"),
        ("related", "related"),
        ("reportingComponent", "reportingController"),
        ("reportingInstance", "reportingInstance"),
    ];
    let changed = fixed.into_iter().filter(|(field, _)| event.get(*field) != old.get(*field));
    let fault = |(field, told): (&str, &str)| FieldError::invalid(told, event.get(field), "field is immutable");
    changed.map(fault).collect()
}
