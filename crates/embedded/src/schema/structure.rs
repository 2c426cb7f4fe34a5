//! Types, bounds and the shape of values (`kube-openapi/pkg/validation/validate`). What did not change is not validated
//! (`apiextensions-apiserver/pkg/apiserver/validation/ratcheting.go`).

use serde_json::{Map, Value};

use super::bounds;
use super::combined;
use super::correlate::{Twins, unchanged};
use super::error::FieldError;
use super::node::{ListKind, Node, Type};
use super::path::Path;
use crate::words::go::quoted;

/// The result of checking one value.
#[derive(Debug, Default)]
pub struct Found {
    pub errors: Vec<Raised>,
    /// How much of a schema the value met: if no alternative fits, the errors of the closest one are shown.
    pub met: u32,
}

/// An error, and the text by which repetitions of it are recognised.
#[derive(Debug)]
pub struct Raised {
    pub text: String,
    pub error: FieldError,
}

/// What a value is checked against, besides its schema.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Precedes the path in the fields of errors, but not in their messages: `status` if only the status is checked.
    pub prefix: &'a str,
    pub path: &'a Path<'a>,
    /// The old value that corresponds to this one; `None` if there is none.
    pub old: Option<&'a Value>,
}

impl Found {
    pub fn raise(&mut self, text: String, error: FieldError) {
        if self.errors.iter().all(|raised| raised.text != text) {
            self.errors.push(Raised { text, error });
        }
    }

    pub fn merge(&mut self, other: Found) {
        self.met += other.met;
        for raised in other.errors {
            self.raise(raised.text, raised.error);
        }
    }

    fn of(raised: Option<(String, FieldError)>) -> Self {
        let mut found = Found { errors: Vec::new(), met: u32::from(raised.is_none()) };
        if let Some((text, error)) = raised {
            found.raise(text, error);
        }
        found
    }
}

impl<'a> Place<'a> {
    /// Returns the field as an error names it.
    pub fn field(&self) -> String {
        self.under(self.path.name())
    }

    /// Returns the field `name`, a name of `kube-openapi`, as an error names it.
    pub fn under(&self, name: String) -> String {
        match (self.prefix.is_empty(), name.is_empty()) {
            (true, true) => "<nil>".into(),
            (true, false) => name,
            (false, true) => self.prefix.into(),
            (false, false) => format!("{}.{name}", self.prefix),
        }
    }

    /// Returns the field of an error that `kube-openapi` does not attribute to a field.
    pub fn nowhere(&self) -> String {
        self.under(String::new())
    }
}

/// Checks a value against its schema.
pub fn check(node: &Node, value: &Value, place: Place) -> Found {
    if place.old.is_some_and(|old| unchanged(node, value, old)) {
        return Found::default();
    }
    let mut found = Found::default();
    if value.is_null() {
        found.merge(of_type(node, value, place));
        found.merge(bounds::of_enumeration(&node.checks, value, place));
        return found;
    }
    let mut add = |other: Found| {
        found.merge(other);
        found.met += 1;
    };
    if node.type_.is_some() || node.int_or_string || node.checks.format.is_some() {
        add(of_type(node, value, place));
    }
    add(combined::check(node, value, place));
    match value {
        Value::String(text) => {
            add(bounds::of_text(&node.checks, text, value, place));
            if node.checks.format.is_some_and(|format| !format.is_numeric()) {
                add(bounds::of_format(node, text, place));
            }
        }
        Value::Number(number) => add(bounds::of_number(node, number, value, place)),
        Value::Array(items) => add(of_items(node, items, place)),
        _ => {}
    }
    add(bounds::of_enumeration(&node.checks, value, place));
    if let Value::Object(object) = value {
        add(of_fields(node, object, place));
    }
    found.met += 1;
    found
}

/// Returns the types of a schema as messages list them.
fn types(node: &Node) -> String {
    if node.int_or_string {
        return "integer,string".into();
    }
    node.type_.map(Type::name).unwrap_or_default().into()
}

fn of_type(node: &Node, value: &Value, place: Place) -> Found {
    let allows = |type_: Type| match type_ {
        Type::Integer | Type::String if node.int_or_string => true,
        type_ => node.type_ == Some(type_),
    };
    let number = allows(Type::Integer) || allows(Type::Number);
    let fraction = matches!(value, Value::Number(n) if n.as_i64().is_none());
    let (is, format) = match value {
        Value::Null if node.nullable || (node.type_.is_none() && !node.int_or_string) => return Found::of(None),
        Value::Null => return Found::of(Some(wrong_type(&types(node), "null", place))),
        Value::Bool(_) => (Type::Boolean, ""),
        Value::String(_) => (Type::String, ""),
        Value::Array(_) => (Type::Array, ""),
        Value::Object(_) => (Type::Object, ""),
        Value::Number(_) if fraction => (Type::Number, "float64"),
        Value::Number(_) => (Type::Integer, "int64"),
    };
    let whole = fraction && value.as_f64().is_some_and(is_whole) && allows(Type::Integer);
    let widened = is == Type::Integer && allows(Type::Number);
    let fits = allows(is) || whole || widened;
    let formatted = node.checks.format.is_some().then_some(node.format.as_deref()).flatten();
    if let Some(wanted) = formatted {
        match value {
            Value::String(_) | Value::Array(_) if !number => return Found::of(None),
            Value::String(_) | Value::Array(_) => {}
            _ if !(fits || format == wanted) => return Found::of(Some(wrong_type(wanted, format, place))),
            _ => {}
        }
    }
    Found::of((!fits).then(|| wrong_type(&types(node), is.name(), place)))
}

/// Returns whether Go takes this number, written with a point, for an integer.
pub fn is_whole(number: f64) -> bool {
    number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0
}

/// Returns the text and the error for a value of the wrong type: `spec.x in body must be of type integer: "string"`.
pub fn wrong_type(wanted: &str, found: &str, place: Place) -> (String, FieldError) {
    let text = format!("{} in body must be of type {wanted}: {}", place.path.name(), quoted(found));
    let error = FieldError::wrong_type(place.field(), found, &text);
    (text, error)
}

fn of_items(node: &Node, items: &[Value], place: Place) -> Found {
    let mut found = Found::default();
    if let Some(schema) = &node.items {
        let twins = match (&node.list, place.old) {
            (ListKind::Map(keys), Some(Value::Array(old))) => Some(Twins::among(keys, old)),
            _ => None,
        };
        for (index, item) in items.iter().enumerate() {
            let old = twins.as_ref().and_then(|twins| twins.of(item));
            found.merge(check(schema, item, Place { path: &place.path.index(index), old, ..place }));
        }
    }
    found.merge(bounds::of_length(&node.checks, items, place));
    found.met += 1;
    found
}

fn of_fields(node: &Node, object: &Map<String, Value>, place: Place) -> Found {
    let mut found = bounds::of_size(&node.checks, object.len(), place);
    // Old and new `apiVersion` and `kind` are those of the requested version, so they are always validated.
    let root = matches!(place.path, Path::Root) && place.prefix.is_empty();
    let old_of = |name: &str| place.old?.get(name).filter(|_| !(root && matches!(name, "apiVersion" | "kind")));
    if let Some(schema) = &node.additional {
        for (name, value) in object.iter().filter(|(name, _)| !node.properties.contains_key(*name)) {
            let path = place.path.key(name);
            found.merge(check(schema, value, Place { path: &path, old: old_of(name), ..place }));
        }
    }
    for (name, schema) in &node.properties {
        if let Some(value) = object.get(name) {
            let path = place.path.field(name);
            found.merge(check(schema, value, Place { path: &path, old: old_of(name), ..place }));
        }
    }
    for name in node.checks.required.iter().filter(|name| !object.contains_key(*name)) {
        let path = place.path.field(name);
        let text = format!("{} in body is required", path.name());
        found.raise(text, FieldError::required(place.under(path.name()), ""));
    }
    found
}
