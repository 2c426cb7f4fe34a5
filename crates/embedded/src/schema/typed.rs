//! Objects as the API server's Go types decode them (`encoding/json`, and `runtime.FromUnstructured` for strategic
//! merge patches): what does not fit is refused in their words, null counts as absent, times and base64 are rewritten.

use serde_json::{Map, Value};

use super::node::{Node, Type};
use super::path::Path;
use super::typed_text::{base64, time};

/// Whose words describe a value that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wording {
    /// Go's JSON reader.
    Json,
    /// The converter from maps to Go types.
    Map,
}

/// Texts that have their own type in Go: the type that holds the text, the field, and the name of the type.
const NAMED_TEXTS: [(&str, &str, &str); 13] = [
    ("Secret", "type", "v1.SecretType"),
    ("ObjectMeta", "uid", "types.UID"),
    ("OwnerReference", "uid", "types.UID"),
    ("ObjectReference", "uid", "types.UID"),
    ("ManagedFieldsEntry", "operation", "v1.ManagedFieldsOperationType"),
    ("NamespaceSpec", "finalizers", "v1.FinalizerName"),
    ("NamespaceStatus", "phase", "v1.NamespacePhase"),
    ("PodSpec", "restartPolicy", "v1.RestartPolicy"),
    ("PodSpec", "dnsPolicy", "v1.DNSPolicy"),
    ("PodStatus", "phase", "v1.PodPhase"),
    ("Container", "imagePullPolicy", "v1.PullPolicy"),
    ("Container", "terminationMessagePolicy", "v1.TerminationMessagePolicy"),
    ("ContainerPort", "protocol", "v1.Protocol"),
];

/// Brings an object of a built-in type into the form in which it is stored, and returns the fields that it has removed
/// because the type does not have them. Fails if a value does not fit.
pub fn decode(node: &Node, wording: Wording, object: &mut Value) -> Result<Vec<String>, String> {
    let mut reader = Reader { wording, unfit: None, unknown: Vec::new() };
    reader.value(node, Holder { type_: "", path: &Path::Root }, object)?;
    match reader.unfit {
        Some(unfit) => Err(unfit),
        None => Ok(reader.unknown),
    }
}

struct Reader {
    wording: Wording,
    /// The first value of the wrong type. The JSON reader reports it only at the end, but a malformed text at once.
    unfit: Option<String>,
    unknown: Vec<String>,
}

/// The struct that holds a value, and the path.
#[derive(Clone, Copy)]
struct Holder<'a> {
    type_: &'a str,
    path: &'a Path<'a>,
}

impl Reader {
    fn value(&mut self, node: &Node, at: Holder, value: &mut Value) -> Result<(), String> {
        match (node.type_, &mut *value) {
            (None, _) => Ok(()),
            (Some(Type::Object), Value::Object(_)) if node.any_object => Ok(()),
            (Some(Type::Object), Value::Object(fields)) => match &node.additional {
                Some(entries) => fields
                    .iter_mut()
                    .try_for_each(|(name, value)| self.part(entries, Holder { path: &at.path.key(name), ..at }, value)),
                None => self.fields(node, at, fields),
            },
            (Some(Type::Array), Value::Array(items)) => {
                let Some(schema) = &node.items else { return Ok(()) };
                let mut items = items.iter_mut().enumerate();
                items.try_for_each(|(n, item)| self.part(schema, Holder { path: &at.path.index(n), ..at }, item))
            }
            (Some(Type::String), Value::String(text)) => self.text(node, text),
            (Some(Type::Boolean), Value::Bool(_)) | (Some(Type::Number), Value::Number(_)) => Ok(()),
            (Some(Type::Integer), Value::Number(number)) if is_whole(node, number) => Ok(()),
            _ => self.unfit(node, at, value),
        }
    }

    fn fields(&mut self, node: &Node, at: Holder, fields: &mut Map<String, Value>) -> Result<(), String> {
        let type_ = node.go_name.as_deref().and_then(|name| name.rsplit('.').next()).unwrap_or_default();
        let mut read = Ok(());
        fields.retain(|name, value| {
            let path = at.path.field(name);
            match node.properties.get(name) {
                None => self.unknown.push(path.name()),
                Some(_) if value.is_null() => {}
                Some(schema) => {
                    if read.is_ok() {
                        read = self.value(schema, Holder { type_, path: &path }, value);
                    }
                    return true;
                }
            }
            false
        });
        read
    }

    /// Decodes an entry of a map or an item of a list, in which null leaves the empty value.
    fn part(&mut self, node: &Node, at: Holder, value: &mut Value) -> Result<(), String> {
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
        self.value(node, at, value)
    }

    fn text(&mut self, node: &Node, text: &mut String) -> Result<(), String> {
        let written = match (node.format.as_deref(), node.go_name.as_deref()) {
            (Some("byte"), _) => match base64(text) {
                Err(why) if self.wording == Wording::Json => {
                    self.unfit.get_or_insert(why);
                    return Ok(());
                }
                written => written?,
            },
            (Some("date-time"), name) => time(text, name == Some("v1.MicroTime"))?,
            _ => None,
        };
        if let Some(written) = written {
            *text = written;
        }
        Ok(())
    }

    fn unfit(&mut self, node: &Node, at: Holder, value: &Value) -> Result<(), String> {
        let wanted = go_type(node, at);
        if self.wording == Wording::Map {
            return Err(not_converted(node, value, &wanted));
        }
        let found = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Number(number) if matches!(node.type_, Some(Type::Integer)) => format!("number {number}"),
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
        };
        let into = match at.path {
            Path::Root => format!("value of type {wanted}"),
            path => format!("struct field {}.{} of type {wanted}", at.type_, path.fields()),
        };
        self.unfit.get_or_insert_with(|| format!("json: cannot unmarshal {found} into Go {into}"));
        Ok(())
    }
}

fn is_whole(node: &Node, number: &serde_json::Number) -> bool {
    number.as_i64().is_some_and(|whole| node.format.as_deref() != Some("int32") || i32::try_from(whole).is_ok())
}

/// Returns Go's name of the type of a value.
fn go_type(node: &Node, at: Holder) -> String {
    let format = node.format.as_deref();
    match node.type_ {
        // Times are first read as texts.
        Some(Type::String) if format == Some("date-time") => "string".into(),
        Some(Type::String) if format == Some("byte") => "[]uint8".into(),
        Some(Type::String) => {
            let field = at.path.last_field();
            let named = NAMED_TEXTS.iter().find(|(holder, name, _)| (*holder, *name) == (at.type_, field));
            named.map_or("string", |(_, _, named)| named).into()
        }
        Some(Type::Integer) => format.unwrap_or("int64").into(),
        Some(Type::Number) => "float64".into(),
        Some(Type::Boolean) => "bool".into(),
        Some(Type::Array) => match &node.items {
            Some(items) => format!("[]{}", go_type(items, at)),
            None => "[]interface {}".into(),
        },
        Some(Type::Object) | None => match (&node.go_name, &node.additional) {
            (_, Some(entries)) => format!("map[string]{}", go_type(entries, at)),
            (Some(name), None) => name.clone(),
            (None, None) => "map[string]interface {}".into(),
        },
    }
}

/// Returns the error of `runtime.FromUnstructured`. Unlike JSON, it converts numbers into other numbers and into texts;
/// it does not attempt any other conversion.
fn not_converted(node: &Node, value: &Value, wanted: &str) -> String {
    let (found, kind) = match value {
        Value::Number(number) if number.is_i64() => ("int64", "int64"),
        Value::Number(_) => ("float64", "float64"),
        Value::Bool(_) => ("bool", "bool"),
        Value::Array(_) => ("[]interface {}", "slice"),
        Value::Object(_) => ("map[string]interface {}", "map"),
        Value::String(_) | Value::Null => ("string", "string"),
    };
    let simple = |type_: Type| match type_ {
        Type::String => "string",
        Type::Boolean => "bool",
        Type::Number => "float64",
        _ => "int64",
    };
    match node.type_ {
        Some(Type::Object) if node.additional.is_none() => format!("cannot restore struct from: {kind}"),
        Some(Type::Object) => format!("cannot restore map from {kind}"),
        Some(Type::Array) => format!("cannot restore slice from {kind}"),
        Some(Type::String | Type::Integer | Type::Number) if value.is_number() => {
            format!("cannot convert {found} to {wanted}")
        }
        type_ => format!("unrecognized type: {}", type_.map_or("interface", simple)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::published;
    use serde_json::json;

    fn of(name: &str, mut object: Value) -> Result<Value, String> {
        decode(&published::node(name), Wording::Json, &mut object).map(|_| object)
    }

    #[test]
    fn what_does_not_fit_is_refused_as_go_does() {
        let lease = |spec: Value| of("io.k8s.api.coordination.v1.Lease", json!({"spec": spec})).unwrap_err();
        for (spec, why) in [
            (
                json!({"leaseDurationSeconds": 1.5}),
                "json: cannot unmarshal number 1.5 into Go struct field LeaseSpec.spec.leaseDurationSeconds of type int32",
            ),
            (
                json!({"leaseDurationSeconds": "15"}),
                "json: cannot unmarshal string into Go struct field LeaseSpec.spec.leaseDurationSeconds of type int32",
            ),
            (
                json!({"renewTime": "2026-01-01T00:00:07Z"}),
                "parsing time \"2026-01-01T00:00:07Z\" as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"Z\" as \".000000\"",
            ),
        ] {
            assert_eq!(lease(spec), why);
        }
        let secret = |secret: Value| of("io.k8s.api.core.v1.Secret", secret).unwrap_err();
        let number = json!({"data": {"a": 1}});
        assert_eq!(secret(number), "json: cannot unmarshal number into Go struct field Secret.data of type []uint8");
        assert_eq!(secret(json!({"data": {"a": "%%"}})), "illegal base64 data at input byte 0");
        let labels = json!({"metadata": {"labels": {"a": 1}}});
        assert_eq!(
            secret(labels),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string"
        );
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
