//! Removing fields from a value.

use super::set::{FieldSet, Step};
use super::shape::{self, Shape};
use crate::schema::node::Node;
use serde_json::Value;
use std::borrow::Cow;

/// Returns the value without these fields and what is below them. A map or list that the set reaches into and that ends
/// up empty becomes null, as in the API server, and so does one that is owned as a whole.
pub fn remove(node: &Node, value: Value, fields: &FieldSet<'_>) -> Value {
    match (shape::shape(node, &value), value) {
        (Shape::Scalar, value) => value,
        (Shape::Map, Value::Object(mut map)) if !node.atomic_map => {
            map.retain(|name, value| {
                let step = Step::Field(Cow::Borrowed(name));
                let Some(entry) = fields.get(&step) else { return true };
                if entry.member {
                    return false;
                }
                *value = remove(shape::field_or_any(node, name), value.take(), &entry.below);
                true
            });
            if map.is_empty() { Value::Null } else { Value::Object(map) }
        }
        (Shape::List, Value::Array(list)) if !shape::atomic_list(node) => {
            let mut left = Vec::with_capacity(list.len());
            for item in list {
                let entry = shape::step(node, &item).ok().and_then(|step| fields.get(&step));
                match entry {
                    None => left.push(item),
                    Some(entry) if entry.member => {}
                    Some(entry) => left.push(remove(shape::items(node), item, &entry.below)),
                }
            }
            if left.is_empty() { Value::Null } else { Value::Array(left) }
        }
        _ => Value::Null,
    }
}
