//! Which old value a new one corresponds to (`k8s.io/apiserver/pkg/cel/common`): what did not change is not validated
//! again.

use serde_json::{Map, Value};
use std::collections::HashMap;

use super::node::{ListKind, Node};
use crate::pairs::pairs;

/// Returns whether a value is unchanged, as far as the schema can match its parts: the order of a list of kind map does
/// not count.
pub fn unchanged(node: &Node, new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            new.len() == old.len()
                && pairs(new, old).all(|(name, value, old)| {
                    matches!((node.field(name), old), (Some(node), Some(old)) if unchanged(node, value, old))
                })
        }
        (Value::Array(new), Value::Array(old)) => match (&node.list, &node.items) {
            (ListKind::Map(keys), Some(items)) => {
                let twins = Twins::among(keys, old);
                new.len() == old.len()
                    && new
                        .iter()
                        .all(|item| matches!(twins.of(item), Some(before) if unchanged(items, item, before)))
            }
            _ => new == old,
        },
        (new, old) => new == old,
    }
}

/// The items of an old list of kind map, by their keys: even a list of thousands is correlated in one pass.
pub struct Twins<'l> {
    keys: &'l [String],
    items: HashMap<Vec<Option<&'l Value>>, &'l Value>,
}

impl<'l> Twins<'l> {
    pub fn among(keys: &'l [String], old: &'l [Value]) -> Self {
        let mut items = HashMap::with_capacity(old.len());
        for (object, item) in old.iter().filter_map(|item| Some((item.as_object()?, item))) {
            // Of several items with the same keys, the first one counts.
            items.entry(keys_of(keys, object)).or_insert(item);
        }
        Twins { keys, items }
    }

    /// Returns the old item with the same keys as the new item.
    pub fn of(&self, item: &Value) -> Option<&'l Value> {
        let item = item.as_object()?;
        if self.keys.is_empty() || !self.keys.iter().all(|key| item.get(key).is_some_and(is_scalar)) {
            return None;
        }
        self.items.get(&keys_of(self.keys, item)).copied()
    }
}

fn keys_of<'v>(keys: &[String], object: &'v Map<String, Value>) -> Vec<Option<&'v Value>> {
    keys.iter().map(|key| object.get(key)).collect()
}

fn is_scalar(value: &Value) -> bool {
    matches!(value, Value::Bool(_) | Value::Number(_) | Value::String(_))
}
