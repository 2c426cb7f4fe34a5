//! Objects of built-in types in the form in which they are stored: a value of the wrong type is refused, null counts as
//! absent, and times and base64 are rewritten.

use serde_json::{Map, Number, Value};

use super::node::{Node, Type};
use super::path::Path;
use super::typed_text::{base64, time};
use crate::words::plain::sort_of;

/// Brings an object of a built-in type into the form in which it is stored, and returns the fields that it has removed
/// because the type does not have them. Fails if a value does not fit.
pub fn decode(node: &Node, path: &Path, object: &mut Value) -> Result<Vec<String>, String> {
    let mut unknown = Vec::new();
    read(node, path, object, &mut unknown)?;
    Ok(unknown)
}

fn read(node: &Node, path: &Path, value: &mut Value, unknown: &mut Vec<String>) -> Result<(), String> {
    match (node.type_, &mut *value) {
        (None, _) => Ok(()),
        (Some(Type::Object), Value::Object(_)) if node.any_object => Ok(()),
        (Some(Type::Object), Value::Object(fields)) => match &node.additional {
            Some(entries) => {
                fields.iter_mut().try_for_each(|(name, value)| part(entries, &path.key(name), value, unknown))
            }
            None => read_fields(node, path, fields, unknown),
        },
        (Some(Type::Array), Value::Array(items)) => {
            let Some(schema) = &node.items else { return Ok(()) };
            let mut items = items.iter_mut().enumerate();
            items.try_for_each(|(n, item)| part(schema, &path.index(n), item, unknown))
        }
        (Some(Type::String), Value::String(text)) => {
            let written = match (node.format.as_deref(), node.go_name.as_deref()) {
                (Some("byte"), _) => base64(text),
                (Some("date-time"), name) => time(text, name == Some("v1.MicroTime")),
                _ => Ok(None),
            };
            if let Some(written) = written.map_err(|why| format!("{}: {why}", path.name()))? {
                *text = written;
            }
            Ok(())
        }
        (Some(Type::Boolean), Value::Bool(_)) | (Some(Type::Number), Value::Number(_)) => Ok(()),
        (Some(Type::Integer), Value::Number(number)) if is_whole(node, number) => Ok(()),
        (Some(wanted), value) => Err(unfit(node, wanted, path, value)),
    }
}

fn read_fields(
    node: &Node,
    path: &Path,
    fields: &mut Map<String, Value>,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let mut done = Ok(());
    fields.retain(|name, value| {
        let path = path.field(name);
        match node.properties.get(name) {
            None => unknown.push(path.name()),
            Some(_) if value.is_null() => {}
            Some(schema) => {
                if done.is_ok() {
                    done = read(schema, &path, value, unknown);
                }
                return true;
            }
        }
        false
    });
    done
}

/// Decodes an entry of a map or an item of a list, in which null leaves the empty value.
fn part(node: &Node, path: &Path, value: &mut Value, unknown: &mut Vec<String>) -> Result<(), String> {
    if value.is_null() {
        *value = match node.type_ {
            Some(Type::String) => "".into(),
            Some(Type::Integer | Type::Number) => 0.into(),
            Some(Type::Boolean) => false.into(),
            Some(Type::Object) if node.additional.is_none() => Map::new().into(),
            _ => Value::Null,
        };
        return Ok(());
    }
    read(node, path, value, unknown)
}

fn is_whole(node: &Node, number: &Number) -> bool {
    number.as_i64().is_some_and(|whole| node.format.as_deref() != Some("int32") || i32::try_from(whole).is_ok())
}

fn unfit(node: &Node, wanted: Type, path: &Path, value: &Value) -> String {
    let wanted = match wanted {
        Type::Object => "an object",
        Type::Array => "a list",
        Type::String => "a string",
        Type::Boolean => "a boolean",
        Type::Number => "a number",
        Type::Integer if node.format.as_deref() == Some("int32") => "a whole number of 32 bits",
        Type::Integer => "a whole number",
    };
    format!("{}: {} where {wanted} is expected", path.name(), sort_of(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::published;
    use serde_json::json;

    fn of(name: &str, mut object: Value) -> Result<Value, String> {
        decode(&published::node(name), &Path::Root, &mut object).map(|_| object)
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_place() {
        let lease = |spec: Value| of("io.k8s.api.coordination.v1.Lease", json!({"spec": spec})).unwrap_err();
        let whole = "spec.leaseDurationSeconds: a number where a whole number of 32 bits is expected";
        assert_eq!(lease(json!({"leaseDurationSeconds": 1.5})), whole);
        assert_eq!(lease(json!({"leaseDurationSeconds": 1_u64 << 31})), whole);
        let text = "spec.leaseDurationSeconds: a string where a whole number of 32 bits is expected";
        assert_eq!(lease(json!({"leaseDurationSeconds": "15"})), text);
        let time = lease(json!({"renewTime": "2026-01-01T00:00:07Z"}));
        assert!(time.starts_with("spec.renewTime: \"2026-01-01T00:00:07Z\" is not a time"), "{time}");
        let secret = |secret: Value| of("io.k8s.api.core.v1.Secret", secret).unwrap_err();
        assert_eq!(secret(json!({"data": {"a": 1}})), "data.a: a number where a string is expected");
        assert!(secret(json!({"data": {"a": "%%"}})).starts_with("data.a: not base64"));
        let labels = secret(json!({"metadata": {"labels": {"a": 1}}}));
        assert_eq!(labels, "metadata.labels.a: a number where a string is expected");
    }

    #[test]
    fn null_is_nothing_and_times_are_written_again() {
        let secret = of("io.k8s.api.core.v1.Secret", json!({"data": {"a": null}, "stringData": null}));
        assert_eq!(secret, Ok(json!({"data": {"a": ""}})));
        let spec = json!({"acquireTime": "2026-01-01T01:00:00.123456+01:00"});
        let lease = of("io.k8s.api.coordination.v1.Lease", json!({"spec": spec}));
        assert_eq!(lease, Ok(json!({"spec": {"acquireTime": "2026-01-01T00:00:00.123456Z"}})));
    }
}
