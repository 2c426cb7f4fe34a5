//! What a new object is compared with.
//!
//! For a custom resource that is an object without fields. For a built-in kind the API server compares with the empty
//! value of its Go type, which already has the structs, lists and texts that are not optional, so nobody owns their
//! first appearance.

use crate::schema::node::{Node, Type};
use serde_json::{Map, Value};

/// Returns the empty value of this kind, limited to the fields that the object has.
pub fn zero(node: &Node, object: &Value, builtin: bool) -> Value {
    let mut empty = if builtin { fields(node, object) } else { Map::new() };
    for name in ["apiVersion", "kind"] {
        if let Some(value) = object.get(name) {
            empty.insert(name.into(), value.clone());
        }
    }
    Value::Object(empty)
}

fn fields(node: &Node, object: &Value) -> Map<String, Value> {
    let required = node.says.get("required").and_then(Value::as_array);
    let mut empty = Map::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        let Some(child) = node.properties.get(name) else { continue };
        let always = required.is_some_and(|names| names.iter().any(|required| required == name));
        let is_struct = !child.properties.is_empty() && child.default.as_ref().is_some_and(Value::is_object);
        let there = match child.type_ {
            _ if value.is_null() => Some(Value::Null),
            Some(Type::Object) if is_struct => Some(Value::Object(fields(child, value))),
            Some(Type::Array) if always => Some(Value::Null),
            _ if always => child.default.clone(),
            // A text that is always written has an empty default.
            Some(Type::String) => child.default.clone().filter(|default| default == ""),
            _ => None,
        };
        if let Some(there) = there {
            empty.insert(name.clone(), there);
        }
    }
    empty
}
