//! What is specific to each kind: defaults that no schema states, rules for the content, and the metadata that may come
//! with a status.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Map, Value, json};

use super::events;
use super::kind::Kind;
use super::names::entry_name_faults;
use super::pods;
use crate::Random;
use crate::pairs::pairs;
use crate::schema::{FieldError, Reason};
use crate::words::json_fault::object_fault;

/// The most bytes in all entries of a Secret or ConfigMap together.
const LARGEST_DATA: usize = 1 << 20;
/// The letters of generated names: no vowels, so that no words come out, and no letters that look like others.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// The API server shortens the requested stem so that the whole name fits a DNS label.
const LONGEST_STEM: usize = 58;

/// Returns a generated name that starts with `stem`.
pub fn generated_name(stem: &str, random: Random) -> String {
    let end = stem.char_indices().nth(LONGEST_STEM).map_or(stem.len(), |(at, _)| at);
    let mut bytes = [0; 5];
    random(&mut bytes);
    let letters = bytes.map(|byte| char::from(LETTERS[usize::from(byte) % 27]));
    stem[..end].chars().chain(letters).collect()
}

/// Returns a new UID (RFC 9562, version 4).
pub fn new_uid(random: Random) -> String {
    let mut bytes = [0; 16];
    random(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Fills in the defaults of the kind that no schema states.
pub fn complete(kind: &Kind, object: &mut Value) {
    match kind.plural.as_str() {
        "secrets" => {
            let given = object.as_object_mut().and_then(|object| object.shift_remove("stringData"));
            if let Some(Value::Object(given)) = given {
                let mut encoded = match object.get_mut("data").map(Value::take) {
                    Some(Value::Object(data)) => data,
                    _ => Map::new(),
                };
                for (name, text) in given {
                    encoded.insert(name, BASE64_STANDARD.encode(text.as_str().unwrap_or_default()).into());
                }
                object["data"] = encoded.into();
            }
            if object.get("type").and_then(Value::as_str).is_none_or(str::is_empty) {
                object["type"] = "Opaque".into();
            }
            drop_null(object, &["data", "immutable"]);
        }
        "configmaps" => drop_null(object, &["data", "binaryData", "immutable"]),
        "namespaces" => label_with_name(object),
        "events" => events::complete(object),
        "pods" => pods::complete(object),
        "leases" if !object.get("spec").is_some_and(Value::is_object) => object["spec"] = json!({}),
        _ => {}
    }
    // An empty metadata field means the same as an absent one, and is not shown.
    if let Some(Value::Object(meta)) = object.get_mut("metadata") {
        meta.retain(|_, value| !is_nothing(value));
    }
}

/// Fills in the first state of a new object, which no manager owns.
pub fn begin(kind: &Kind, object: &mut Value) {
    match kind.plural.as_str() {
        "namespaces" => {
            label_with_name(object);
            object["spec"] = json!({"finalizers": ["kubernetes"]});
            object["status"] = json!({"phase": "Active"});
        }
        "pods" => pods::begin(object),
        _ => {}
    }
}

/// Labels a namespace with its name, so that it can be selected by it.
fn label_with_name(namespace: &mut Value) {
    let metadata = &mut namespace["metadata"];
    let Some(name) = metadata.get("name").filter(|name| !is_nothing(name)).cloned() else { return };
    if !metadata.get("labels").is_some_and(Value::is_object) {
        metadata["labels"] = json!({});
    }
    metadata["labels"]["kubernetes.io/metadata.name"] = name;
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn drop_null(object: &mut Value, fields: &[&str]) {
    let Some(object) = object.as_object_mut() else { return };
    for field in fields {
        if object.get(*field).is_some_and(is_nothing) {
            object.shift_remove(*field);
        }
    }
}

/// Returns an error for a custom resource that states another kind.
pub fn kind_fault(kind: &Kind, object: &Value) -> Option<FieldError> {
    let given = Some(&object["kind"]).filter(|given| kind.custom && **given != kind.kind.as_str())?;
    Some(FieldError::invalid("kind", Some(given), &format!("must be {}", kind.kind)))
}

/// Returns what is wrong with the content of an object of a built-in kind. `old` is the object that it replaces, if
/// any. The rules for an Event depend on which of its two kinds it was written through.
pub fn faults(kind: &Kind, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    match kind.plural.as_str() {
        "events" => events::faults(kind, object, old),
        "secrets" => {
            let mut faults = data_faults(object, &["data"]);
            faults.extend(type_faults(object));
            if let Some(old) = old {
                faults.extend(changed(old, object, "type"));
                faults.extend(immutable_faults(old, object, &["data"]));
            }
            faults
        }
        "configmaps" => {
            let mut faults = data_faults(object, &["data", "binaryData"]);
            if let Some(old) = old {
                faults.extend(immutable_faults(old, object, &["data", "binaryData"]));
            }
            faults
        }
        "leases" => lease_faults(object),
        "pods" => pods::faults(object, old),
        _ => Vec::new(),
    }
}

fn data_faults(object: &Value, fields: &[&str]) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut bytes = 0;
    for field in fields {
        let encoded = *field == "binaryData" || object["kind"] == json!("Secret");
        for (name, value) in object[*field].as_object().into_iter().flat_map(Map::iter) {
            let at = format!("{field}[{name}]");
            faults.extend(
                entry_name_faults(name)
                    .into_iter()
                    .map(|why| FieldError::new(at.clone(), Reason::Invalid, format!("Invalid value: {name:?}: {why}"))),
            );
            if *field == "data" && object["binaryData"].get(name).is_some() {
                let why = "duplicate of key present in binaryData";
                faults.push(FieldError::invalid(at, Some(&name.as_str().into()), why));
            }
            let text = value.as_str().unwrap_or_default();
            bytes += if encoded { text.trim_end_matches('=').len() * 3 / 4 } else { text.len() };
        }
    }
    if bytes > LARGEST_DATA {
        let field = if object["kind"] == json!("Secret") { "data" } else { "" };
        let why = format!("Too long: may not be more than {LARGEST_DATA} bytes");
        faults.push(FieldError::new(field, Reason::TooLong, why));
    }
    faults
}

/// The types of Secrets that promise certain entries.
const PROMISES: [(&str, &[&str]); 4] = [
    ("kubernetes.io/dockercfg", &[".dockercfg"]),
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ("kubernetes.io/ssh-auth", &["ssh-privatekey"]),
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
];

fn type_faults(object: &Value) -> Vec<FieldError> {
    let type_ = object["type"].as_str().unwrap_or_default();
    let promised = PROMISES.iter().find(|(known, _)| *known == type_).map_or(&[] as &[&str], |(_, entries)| entries);
    let fault = |entry: &&str| {
        let field = format!("data[{entry}]");
        let Some(value) = object["data"].get(*entry) else { return Some(FieldError::required(field, "")) };
        let read = BASE64_STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
        let why = entry.starts_with(".docker").then(|| object_fault(&read))??;
        Some(FieldError::invalid(field, Some(&"<secret contents redacted>".into()), &why))
    };
    promised.iter().filter_map(fault).collect()
}

fn changed(old: &Value, new: &Value, field: &str) -> Option<FieldError> {
    let why = || format!("Invalid value: {}: field is immutable", new[field]);
    (old[field] != new[field]).then(|| FieldError::new(field, Reason::Invalid, why()))
}

fn immutable_faults(old: &Value, new: &Value, fields: &[&str]) -> Vec<FieldError> {
    if old["immutable"] != json!(true) {
        return Vec::new();
    }
    let why = "Forbidden: field is immutable when `immutable` is set";
    let forbid = |field: &str| FieldError::new(field, Reason::Forbidden, why);
    let mut faults = Vec::new();
    if new["immutable"] != json!(true) {
        faults.push(forbid("immutable"));
    }
    faults.extend(fields.iter().filter(|field| old[**field] != new[**field]).map(|field| forbid(field)));
    faults
}

fn lease_faults(object: &Value) -> Vec<FieldError> {
    let spec = &object["spec"];
    let mut faults = Vec::new();
    let least = |field: &str, least: i64, why: &str| {
        let value = spec[field].as_i64().filter(|value| *value < least)?;
        Some(FieldError::new(format!("spec.{field}"), Reason::Invalid, format!("Invalid value: {value}: {why}")))
    };
    faults.extend(least("leaseDurationSeconds", 1, "must be greater than 0"));
    faults.extend(least("leaseTransitions", 0, "must be greater than or equal to 0"));
    faults
}

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
