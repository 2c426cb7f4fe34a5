//! Checks objects from files against the schema of their kind. The API server refuses the same faults in applied
//! objects.

use chrono::{DateTime, NaiveDate};
use regex::Regex;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::api::crds;
use crate::domain::contract::term::{FIRST_DATE, LAST_DATE};
use crate::domain::fault::Fault;
use crate::domain::reason::Reason;

/// The most faults of one object that are reported.
const MOST_FAULTS: usize = 100;

/// Returns everything in `object` that the schema of its `kind` does not allow: unknown and missing fields, wrong
/// types, values out of bounds. `None` if there is no such kind. Rules between fields are not checked here;
/// `api::contract` checks those that matter.
pub fn faults(kind: &str, object: &Value) -> Option<Vec<Fault>> {
    let mut faults = Vec::new();
    check(SCHEMAS.get(kind)?, "", object, &mut faults);
    if faults.len() > MOST_FAULTS {
        faults.truncate(MOST_FAULTS);
        let more = format!("has more faults; the first {MOST_FAULTS} are told");
        faults.push(Fault::new(Reason::SchemaViolation, "", more));
    }
    Some(faults)
}

/// The schema of each kind. To make them takes milliseconds, and a file may hold thousands of objects.
static SCHEMAS: LazyLock<HashMap<String, Value>> = LazyLock::new(|| crds::all().iter().map(schema_of).collect());

fn schema_of(crd: &Value) -> (String, Value) {
    let mut schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
    // The API server adds the fields that every object has.
    for (name, kind) in [("apiVersion", "string"), ("kind", "string"), ("metadata", "object")] {
        schema["properties"][name] = json!({"type": kind});
    }
    // A status in a file may be anything: it is never acted on.
    schema["properties"]["status"] = json!({});
    (crd["spec"]["names"]["kind"].as_str().unwrap_or_default().to_owned(), schema)
}

/// Whether `text` matches a pattern of a schema. A pattern takes longer to read than most texts to match.
fn matches(pattern: &str, text: &str) -> bool {
    static READ: LazyLock<Mutex<HashMap<String, Option<Regex>>>> = LazyLock::new(Mutex::default);
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let pattern = read.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).ok());
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

fn check(schema: &Value, field: &str, value: &Value, faults: &mut Vec<Fault>) {
    if faults.len() > MOST_FAULTS {
        return;
    }
    let mut refuse = |message: String| faults.push(Fault::new(Reason::SchemaViolation, field, message));
    let wanted = schema["type"].as_str().unwrap_or_default();
    match (wanted, value) {
        (_, Value::Null) => refuse("has no value: write one, or remove the field".into()),
        ("object", Value::Object(fields)) => check_fields(schema, field, fields, faults),
        ("array", Value::Array(items)) => check_items(schema, field, items, faults),
        ("string", Value::String(text)) => check_text(schema, text).into_iter().for_each(refuse),
        ("integer", Value::Number(number)) => check_number(schema, number).into_iter().for_each(refuse),
        ("boolean", Value::Bool(_)) | ("", _) => {}
        ("string", Value::Number(_) | Value::Bool(_)) => {
            refuse("must be text; put quotes around it, just as it stands".into())
        }
        ("object", _) => refuse("must be an object with fields".into()),
        ("array", _) => refuse("must be a list".into()),
        ("string", _) => refuse("must be text".into()),
        ("integer", _) => refuse("must be a whole number, without quotes".into()),
        _ => refuse("must be true or false".into()),
    }
}

fn check_fields(schema: &Value, field: &str, fields: &Map<String, Value>, faults: &mut Vec<Fault>) {
    let path = |name: &str| if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            faults.push(Fault::new(Reason::FieldMissing, path(name), "is missing"));
        }
    }
    // An object without declared fields, such as metadata, is not checked here.
    let Some(known) = schema["properties"].as_object() else { return };
    for (name, value) in fields {
        match known.get(name) {
            Some(schema) => check(schema, &path(name), value, faults),
            None if faults.len() > MOST_FAULTS => return,
            None => {
                let names: Vec<&str> = known.keys().map(String::as_str).filter(|name| *name != "true").collect();
                let message = format!("is not a known field; known fields are {}", names.join(", "));
                faults.push(Fault::new(Reason::UnknownField, path(name), message));
            }
        }
    }
}

fn check_items(schema: &Value, field: &str, items: &[Value], faults: &mut Vec<Fault>) {
    let mut refuse = |message: String| faults.push(Fault::new(Reason::SchemaViolation, field, message));
    if let Some(most) = schema["maxItems"].as_u64().filter(|most| items.len() as u64 > *most) {
        refuse(format!("has {} entries; at most {most} are allowed", items.len()));
        return;
    }
    if let Some(least) = schema["minItems"].as_u64().filter(|least| (items.len() as u64) < *least) {
        refuse(format!("needs at least {least} {}", if least == 1 { "entry" } else { "entries" }));
    }
    let keys: Vec<&str> =
        schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let key_of = |item: &Value| keys.iter().map(|key| item.get(key).cloned()).collect::<Option<Vec<Value>>>();
    for (n, item) in items.iter().enumerate() {
        let path = format!("{field}[{n}]");
        let key = key_of(item).filter(|key| !key.is_empty());
        if let Some(key) = key.filter(|key| items[..n].iter().any(|other| key_of(other).as_ref() == Some(key))) {
            let key: Vec<String> = key.iter().map(Value::to_string).collect();
            faults.push(Fault::new(
                Reason::Duplicate,
                &path,
                format!("an earlier entry is also {}; keep one of them", key.join(", ")),
            ));
        }
        check(&schema["items"], &path, item, faults);
    }
}

/// The longest text that a message repeats, in characters.
const LONGEST_SHOWN: u64 = 64;

fn check_text(schema: &Value, text: &str) -> Option<String> {
    let length = text.chars().count() as u64;
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        return (!words.contains(&text)).then(|| format!("{text:?} must be one of {}", words.join(", ")));
    }
    let is_date = schema["format"] == "date" && length <= LONGEST_SHOWN;
    if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most && !is_date) {
        return Some(format!("has {length} characters; at most {most} are allowed"));
    }
    if let Some(least) = schema["minLength"].as_u64().filter(|least| length < *least) {
        return Some(format!("has {length} characters; it needs at least {least}"));
    }
    if let Some(pattern) = schema["pattern"].as_str().filter(|pattern| !matches(pattern, text)) {
        return Some(format!("{text:?} does not match {pattern}"));
    }
    match schema["format"].as_str() {
        // chrono accepts 2026-1-1 and +2026-01-01 as dates; the API server does not.
        Some("date") => {
            let date = text.parse::<NaiveDate>().ok().filter(|date| date.to_string() == text);
            let held = date.is_some_and(|date| (FIRST_DATE..=LAST_DATE).contains(&date));
            (!held).then(|| format!("{text:?} must be a civil date YYYY-MM-DD from {FIRST_DATE} to {LAST_DATE}"))
        }
        Some("date-time") => DateTime::parse_from_rfc3339(text)
            .is_err()
            .then(|| format!("{text:?} must be a time in RFC 3339, such as 2026-01-01T00:00:00Z")),
        // Money is the only text whose shape is a CEL rule rather than a pattern: a rule can have a message.
        _ => schema["x-kubernetes-validations"].as_array().into_iter().flatten().find_map(|rule| {
            let pattern = rule["rule"].as_str()?.strip_prefix("self.matches('")?.strip_suffix("')")?;
            (!matches(pattern, text))
                .then(|| format!("{text:?} {}", rule["message"].as_str().unwrap_or("does not have the expected shape")))
        }),
    }
}

fn check_number(schema: &Value, number: &serde_json::Number) -> Option<String> {
    let Some(value) = number.as_i64() else {
        // YAML 1.2 reads 012 as a number with a fraction.
        if let Some(whole) = number.as_f64().filter(|n| number.is_f64() && n.fract() == 0.0 && n.abs() < 1e15) {
            return Some(format!("must be written as {whole}, without a leading zero, a decimal point or an exponent"));
        }
        return Some(format!(
            "{number} must be a whole number{}",
            if number.is_f64() { "" } else { " of at most 9223372036854775807" }
        ));
    };
    let bound = |name: &str| schema[name].as_i64().or_else(|| schema[name].as_f64().map(|bound| bound as i64));
    if let Some(least) = bound("minimum").filter(|least| value < *least) {
        return Some(format!("{value} must be at least {least}"));
    }
    bound("maximum").filter(|most| value > *most).map(|most| format!("{value} must be at most {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: &str, object: Value) -> Vec<String> {
        faults(kind, &object).unwrap().iter().map(ToString::to_string).collect()
    }

    fn subscription(spec: Value) -> Value {
        let mut whole = json!({"customer": {"organisation": "A"}, "startsOn": "2026-01-01", "plans": [{"name": "p"}]});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        json!({"apiVersion": "seatkeeper.dev/v1alpha1", "kind": "Subscription", "metadata": {"name": "a"}, "spec": whole})
    }

    #[test]
    fn a_sound_object_has_no_faults_whatever_its_status_and_an_unknown_kind_no_schema() {
        assert_eq!(said("Subscription", subscription(json!({}))), Vec::<String>::new());
        let mut with_status = subscription(json!({}));
        with_status["status"] = json!({"state": "Whatever", "other": 1});
        assert_eq!(said("Subscription", with_status), Vec::<String>::new());
        assert_eq!(faults("Plann", &json!({})), None);
    }

    #[test]
    fn every_kind_of_fault_names_its_field_and_says_what_to_write() {
        let seats = |seats: Value| json!({"plans": [{"name": "p", "pools": [{"name": "a", "seats": seats}]}]});
        let cases = [
            (json!({"statsOn": "2026-01-01"}), "spec.statsOn: is not a known field; known fields are "),
            (json!({"startsOn": null}), "spec.startsOn: has no value"),
            (
                json!({"startsOn": "0000-01-01"}),
                "spec.startsOn: \"0000-01-01\" must be a civil date YYYY-MM-DD from 1970",
            ),
            (json!({"startsOn": "2026-1-1"}), "spec.startsOn: \"2026-1-1\" must be a civil date"),
            (
                json!({"startsOn": "2026-01-01T00:00:00Z"}),
                "spec.startsOn: \"2026-01-01T00:00:00Z\" must be a civil date",
            ),
            (json!({"startsOn": "x".repeat(65)}), "spec.startsOn: has 65 characters; at most 10 are allowed"),
            (json!({"startsOn": 2026}), "spec.startsOn: must be text; put quotes around it, just as it stands"),
            (json!({"plans": []}), "spec.plans: needs at least 1 entry"),
            (json!({"plans": {}}), "spec.plans: must be a list"),
            (json!({"plans": [{"name": "p"}, {"name": "p"}]}), "spec.plans[1]: an earlier entry is also \"p\""),
            (json!({"plans": [{}]}), "spec.plans[0].name: is missing"),
            (json!({"customer": []}), "spec.customer: must be an object"),
            (
                json!({"customer": {"organisation": ""}}),
                "spec.customer.organisation: has 0 characters; it needs at least 1",
            ),
            (
                json!({"customer": {"organisation": "A", "legalForm": "Ltd"}}),
                "\"Ltd\" must be one of LegalEntity, Person",
            ),
            (json!({"timeZone": "x".repeat(65)}), "spec.timeZone: has 65 characters; at most 64"),
            (seats(json!(-1)), "spec.plans[0].pools[0].seats: -1 must be at least 0"),
            (seats(json!(1_000_001)), "spec.plans[0].pools[0].seats: 1000001 must be at most 1000000"),
            (
                seats(json!(12.0)),
                "spec.plans[0].pools[0].seats: must be written as 12, without a leading zero, a decimal point or an exponent",
            ),
            (seats(json!(1.5)), "spec.plans[0].pools[0].seats: 1.5 must be a whole number"),
            (seats(json!("5")), "spec.plans[0].pools[0].seats: must be a whole number, without quotes"),
            (json!({"plans": [{"name": "p", "acceptedOffer": "1,00"}]}), "\"1,00\" must be an amount"),
        ];
        for (spec, expected) in cases {
            let said = said("Subscription", subscription(spec));
            assert!(matches!(&said[..], [one] if one.contains(expected)), "{expected}: {said:?}");
        }
    }

    /// Found by fuzzing: each object took milliseconds, and each of 100,000 unknown fields was told with all known ones.
    #[test]
    fn many_objects_take_no_time_and_many_faults_no_memory() {
        let began = crate::machine::monotonic();
        for _ in 0..2_000 {
            assert_eq!(said("Subscription", subscription(json!({}))), Vec::<String>::new());
        }
        let took = crate::machine::monotonic() - began;
        assert!(took.as_secs() < 5, "{took:?}");
        let unknown: Map<String, Value> = (0..100_000).map(|n| (n.to_string(), json!(1))).collect();
        for said in [said("Subscription", subscription(unknown.clone().into())), said("Plan", json!({"spec": unknown}))]
        {
            assert_eq!(said.len(), MOST_FAULTS + 1);
            assert_eq!(said.last().map(String::as_str), Some("has more faults; the first 100 are told"));
        }
    }
}
