//! What a schema says about ownership: which values are owned part by part and which as a whole.
//!
//! The rules are those by which the API server converts OpenAPI into the schema of structured-merge-diff.

use super::set::Step;
use crate::schema::node::{ListKind, Node, Type};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::LazyLock;

/// The schema of values that no schema describes.
static ANY: LazyLock<Node> = LazyLock::new(Node::default);

/// How a value is treated under its schema.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    Map,
    Scalar,
    List,
}

/// The scalars that a schema admits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scalar {
    Number,
    Text,
    Truth,
    Any,
}

/// Returns how this value is treated. A null, or a value that the schema does not admit, is treated as the schema says.
pub fn shape(node: &Node, value: &Value) -> Shape {
    match node.type_ {
        Some(Type::Object) => Shape::Map,
        Some(Type::Array) => Shape::List,
        Some(_) => Shape::Scalar,
        None => match value {
            Value::Null | Value::Object(_) => Shape::Map,
            Value::Array(_) => Shape::List,
            _ => Shape::Scalar,
        },
    }
}

/// Returns the scalars of this schema. As in the API server, a text with any format except `byte` admits every scalar.
pub fn scalar(node: &Node) -> Scalar {
    match node.type_ {
        Some(Type::Integer | Type::Number) => Scalar::Number,
        Some(Type::Boolean) => Scalar::Truth,
        Some(Type::String) if matches!(node.format.as_deref(), None | Some("" | "byte")) => Scalar::Text,
        _ => Scalar::Any,
    }
}

/// Returns the schema of a field or entry; `None` if the schema does not know it.
pub fn field<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    node.properties.get(name).or_else(|| entry(node))
}

/// Returns the schema of fields that are not declared.
fn entry(node: &Node) -> Option<&Node> {
    match &node.additional {
        Some(additional) => Some(additional),
        None if node.preserve_unknown || node.properties.is_empty() => Some(&ANY),
        None => None,
    }
}

/// Like [`field`], for values already known to fit.
pub fn field_or_any<'n>(node: &'n Node, name: &str) -> &'n Node {
    field(node, name).unwrap_or(&ANY)
}

/// Returns the schema of a list's items.
pub fn items(node: &Node) -> &Node {
    node.items.as_deref().unwrap_or(&ANY)
}

/// Returns whether the list is owned as a whole.
pub fn atomic_list(node: &Node) -> bool {
    node.list == ListKind::Atomic
}

/// Returns whether this is a map or list that is owned as a whole.
pub fn is_atomic(node: &Node) -> bool {
    match shape(node, &Value::Null) {
        Shape::Map => node.atomic_map,
        Shape::List => atomic_list(node),
        Shape::Scalar => false,
    }
}

/// Returns how the item is identified in its list, or why it cannot be.
pub fn step<'a>(list: &'a Node, item: &'a Value) -> Result<Step<'a>, String> {
    match &list.list {
        ListKind::Atomic => Err("invalid indexing of non-associative list".into()),
        ListKind::Set => match item {
            Value::Object(_) => Err("associative list without keys has an element that's a map type".into()),
            Value::Array(_) => Err("not supported: associative list with lists as elements".into()),
            Value::Null => Err("associative list without keys has an element that's an explicit null".into()),
            item => Ok(Step::Item(Cow::Borrowed(item))),
        },
        ListKind::Map(keys) => {
            let item = match item {
                Value::Object(item) => item,
                Value::Null => return Err("associative list with keys may not have a null element".into()),
                _ => return Err("associative list with keys may not have non-map elements".into()),
            };
            let mut found: Vec<(Cow<'a, str>, Cow<'a, Value>)> = Vec::with_capacity(keys.len());
            for key in keys {
                let default = || items(list).properties.get(key).and_then(|node| node.default.as_ref());
                if let Some(value) = item.get(key).or_else(default) {
                    found.push((Cow::Borrowed(key), Cow::Borrowed(value)));
                }
            }
            if found.is_empty() && !keys.is_empty() {
                let keys: Vec<String> = keys.iter().map(|key| crate::words::go::quoted(key)).collect();
                return Err(format!(
                    "associative list with keys has an element that omits all key fields [{}] (and doesn't have \
                     default values for any key fields)",
                    keys.join(" ")
                ));
            }
            found.sort_by(|a, b| a.0.cmp(&b.0));
            Ok(Step::Key(found))
        }
    }
}

/// Returns whether there is nothing in the value: it is absent, null or empty.
pub fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(_) => false,
    }
}
