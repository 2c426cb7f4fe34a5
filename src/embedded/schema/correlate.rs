//! Which old value a new one goes on from (`k8s.io/apiserver/pkg/cel/common`): what did not change is not judged anew.

use serde_json::{Map, Value};

use super::node::{ListKind, Node};

/// Whether a value is as it was, as far as the schema can tell its parts apart: lists of kind map regardless of order.
pub fn unchanged(node: &Node, new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            new.len() == old.len()
                && new.iter().all(|(name, value)| {
                    matches!((node.field(name), old.get(name)), (Some(node), Some(old)) if unchanged(node, value, old))
                })
        }
        (Value::Array(new), Value::Array(old)) => match (&node.list, &node.items) {
            (ListKind::Map(keys), Some(items)) => {
                new.len() == old.len()
                    && new.iter().all(|item| {
                        matches!(of_item(keys, item, old), Some(before) if unchanged(items, item, before))
                    })
            }
            _ => new == old,
        },
        (new, old) => new == old,
    }
}

/// The item of an old list of kind map that has the keys of a new one.
pub fn of_item<'a>(keys: &[String], item: &Value, old: &'a [Value]) -> Option<&'a Value> {
    let item = item.as_object()?;
    if keys.is_empty() || !keys.iter().all(|key| item.get(key).is_some_and(is_scalar)) {
        return None;
    }
    old.iter().find(|other| other.as_object().is_some_and(|other| same_keys(keys, item, other)))
}

fn same_keys(keys: &[String], one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    keys.iter().all(|key| one.get(key) == other.get(key))
}

fn is_scalar(value: &Value) -> bool {
    matches!(value, Value::Bool(_) | Value::Number(_) | Value::String(_))
}
