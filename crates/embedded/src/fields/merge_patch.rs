//! JSON merge patch (RFC 7386) as the API server applies it.

use super::refusal::Refusal;
use crate::words::plain::sort_of;
use serde_json::{Map, Value};

/// Returns the object after this patch.
pub fn merge_patch(live: &Value, patch: &[u8]) -> Result<Value, Refusal> {
    let mut object = live.clone();
    match (Refusal::read(patch)?, &mut object) {
        (Value::Object(patch), Value::Object(object)) => maps(object, patch),
        (Value::Object(patch), _) => object = without_nulls(Value::Object(patch)),
        (other, _) => return Err(Refusal::bad_request(format!("the patch is {}, not an object", sort_of(&other)))),
    }
    Ok(object)
}

fn maps(object: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (name, value) in patch {
        match (object.get_mut(&name), value) {
            (_, Value::Null) => {
                object.shift_remove(&name);
            }
            (Some(Value::Object(object)), Value::Object(patch)) => maps(object, patch),
            // A list that replaces an object keeps its nulls; RFC 7386 says so of every list.
            (Some(Value::Object(_)), value) => {
                object.insert(name, value);
            }
            (_, value) => {
                object.insert(name, without_nulls(value));
            }
        }
    }
}

/// Returns the value without null fields, at any depth, and without null items.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        Value::Array(list) => {
            Value::Array(list.into_iter().filter(|item| !item.is_null()).map(without_nulls).collect())
        }
        other => other,
    }
}
