//! What Secrets and ConfigMaps have in common: named entries, which may be immutable.

use serde_json::{Map, Value, json};

use crate::Instant;
use crate::kinds::names::entry_name_faults;
use crate::pairs::is_nothing;
use crate::schema::{FieldError, Reason};

/// The most bytes in all entries of a Secret or ConfigMap together.
const LARGEST_DATA: usize = 1 << 20;

/// Removes the fields that have no content.
pub fn drop_empty(object: &mut Value, fields: &[&str]) {
    let Some(object) = object.as_object_mut() else { return };
    for field in fields {
        if object.get(*field).is_some_and(is_nothing) {
            object.shift_remove(*field);
        }
    }
}

/// Returns what is wrong with the entries in `fields`.
pub fn data_faults(object: &Value, fields: &[&str]) -> Vec<FieldError> {
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

/// Returns an error for each of `fields` that has changed, and for `immutable` itself, if the object was immutable.
pub fn immutable_faults(old: &Value, new: &Value, fields: &[&str]) -> Vec<FieldError> {
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

/// Returns how many entries there are.
pub fn entries(object: &Value, _: Instant) -> Value {
    let count = |field: &str| object[field].as_object().map_or(0, serde_json::Map::len);
    (count("data") + count("binaryData")).into()
}
