//! Bodies of requests: from bytes to the object that is meant, with what the server knows better.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use super::failure::Failure;
use super::kind::Kind;
use super::request::{Query, Resource, content_type};
use super::schema::{self, FieldError, Reason};
use super::{doubled, protobuf};

/// A longer body is refused (`--max-request-bytes` of the API server).
pub const LONGEST_BODY: usize = 3 << 20;

/// How unknown and doubled fields are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

impl FieldValidation {
    pub fn read(query: &Query, options: &str) -> Result<Self, Failure> {
        match query.get("fieldValidation") {
            None | Some("Warn") => Ok(FieldValidation::Warn),
            Some("Ignore") => Ok(FieldValidation::Ignore),
            Some("Strict") => Ok(FieldValidation::Strict),
            Some(other) => {
                let supported = "supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"";
                let why = format!("Unsupported value: {other:?}: {supported}");
                let fault = FieldError::new("fieldValidation", Reason::NotSupported, why);
                Err(Failure::invalid("meta.k8s.io", options, "", &[fault]))
            }
        }
    }
}

/// Whether the request only asks what would happen.
pub fn dry_run(query: &Query, options: &str) -> Result<bool, Failure> {
    match query.get("dryRun") {
        None => Ok(false),
        Some("All") => Ok(true),
        Some(other) => {
            let why = format!("Unsupported value: {other:?}: supported values: \"All\"");
            let fault = FieldError::new("dryRun", Reason::NotSupported, why);
            Err(Failure::invalid("meta.k8s.io", options, "", &[fault]))
        }
    }
}

/// The value in a body of JSON or YAML.
fn value(kind: &Kind, headers: &HeaderMap, body: &Bytes) -> Result<Value, Failure> {
    let refuse = |why: String| Err(unrecognized(kind, body, &why));
    match content_type(headers) {
        "application/json" | "" => match serde_json::from_slice(body) {
            Ok(value) => Ok(value),
            Err(error) => refuse(format!("couldn't get version/kind; json parse error: {}", json_fault(body, &error))),
        },
        "application/yaml" => yaml(body).or_else(refuse),
        "application/vnd.kubernetes.protobuf" => protobuf::read(body).or_else(refuse),
        _ => Err(Failure::new(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
        )),
    }
}

/// The options of a delete, in a body that is there.
pub fn options(headers: &HeaderMap, body: &Bytes) -> Result<Value, Failure> {
    let refuse = |why: String| Err(Failure::bad_request(why));
    match content_type(headers) {
        "application/yaml" => yaml(body).or_else(refuse),
        "application/vnd.kubernetes.protobuf" => protobuf::read(body).or_else(refuse),
        _ => serde_json::from_slice(body).or_else(|error| {
            refuse(format!("couldn't get version/kind; json parse error: {}", json_fault(body, &error)))
        }),
    }
}

fn unrecognized(kind: &Kind, body: &[u8], why: &str) -> Failure {
    let message =
        format!("the object provided is unrecognized (must be of type {}): {why} ({})", kind.kind, summary(body));
    Failure::bad_request(message)
}

/// The beginning of a body: as text where it looks like JSON, else in hexadecimal.
fn summary(body: &[u8]) -> String {
    const LONGEST: usize = 30;
    let start = &body[..body.len().min(LONGEST)];
    let more = if body.len() > LONGEST { " ..." } else { "" };
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(start)),
        Some(_) => start.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + more,
    }
}

/// YAML as a value. JSON is YAML, too, and faster read as what it is.
pub fn yaml(body: &Bytes) -> Result<Value, String> {
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

/// What Go's decoder says of broken JSON, where it matters to a reader.
pub fn json_fault(body: &[u8], error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Eof => "unexpected end of JSON input".to_owned(),
        _ => {
            let line = body.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
            let letter = line.get(error.column().saturating_sub(1)).copied().map_or(' ', char::from);
            let letter = match letter.is_control() {
                true => format!("\\u{:04x}", u32::from(letter)),
                false => letter.to_string(),
            };
            match error.line() == 1 && error.column() <= 1 {
                true => format!("invalid character '{letter}' looking for beginning of value"),
                false => format!("invalid character '{letter}' at line {}, column {}", error.line(), error.column()),
            }
        }
    }
}

/// What was read, and what the client should hear of it.
pub struct Incoming {
    pub object: Value,
    pub warnings: Vec<String>,
}

/// The object in a body, for a create or an update: of the right kind and place, without what the schema does not know.
pub fn object(
    kind: &Kind,
    resource: &Resource,
    headers: &HeaderMap,
    body: &Bytes,
    validation: FieldValidation,
) -> Result<Incoming, Failure> {
    let mut object = value(kind, headers, body)?;
    check_type(kind, &mut object, body)?;
    let doubled = if validation == FieldValidation::Ignore { Vec::new() } else { doubled::fields(body) };
    let warnings = known_fields(kind, &mut object, validation, doubled)?;
    place(resource, &mut object)?;
    Ok(Incoming { object, warnings })
}

fn check_type(kind: &Kind, object: &mut Value, body: &[u8]) -> Result<(), Failure> {
    let found = match object {
        Value::Object(_) => None,
        Value::Array(_) => Some("array"),
        Value::String(_) => Some("string"),
        Value::Number(_) => Some("number"),
        Value::Bool(_) => Some("bool"),
        Value::Null => Some("null"),
    };
    if let Some(found) = found {
        const TYPE: &str =
            r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
        let why = format!("json: cannot unmarshal {found} into Go value of type {TYPE}");
        return Err(unrecognized(kind, body, &format!("couldn't get version/kind; json parse error: {why}")));
    }
    let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
    let (api_version, name) = (text("apiVersion"), text("kind"));
    if !kind.custom {
        // What a built-in kind leaves out is taken from the path.
        let own = |given: &str, own: String| if given.is_empty() { own } else { given.to_owned() };
        object["apiVersion"] = own(&api_version, kind.api_version()).into();
        object["kind"] = own(&name, kind.kind.clone()).into();
    }
    let (api_version, name) = (object["apiVersion"].as_str(), object["kind"].as_str());
    let (api_version, name) = (api_version.unwrap_or_default(), name.unwrap_or_default());
    if name.is_empty() || api_version.is_empty() {
        let missing = if name.is_empty() { "Kind" } else { "apiVersion" };
        let why = format!("Object '{missing}' is missing in '{}'", String::from_utf8_lossy(body));
        return Err(unrecognized(kind, body, &why));
    }
    if api_version != kind.api_version() {
        return Err(Failure::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({})",
            kind.api_version()
        )));
    }
    match name == kind.kind {
        true => Ok(()),
        false if kind.custom => {
            let field =
                FieldError::new("kind", Reason::Invalid, format!("Invalid value: {name:?}: must be {}", kind.kind));
            let called = object["metadata"]["name"].as_str().unwrap_or_default();
            Err(Failure::invalid(&kind.group, name, called, &[field]))
        }
        false => Err(Failure::bad_request(format!(
            "{name} in version {:?} cannot be handled as a {}: converting ({name}) to ({}): unknown conversion",
            kind.version, kind.kind, kind.kind
        ))),
    }
}

/// Drops the fields that the schema does not know, and tells of them as the client wants.
pub fn known_fields(
    kind: &Kind,
    object: &mut Value,
    validation: FieldValidation,
    doubled: Vec<String>,
) -> Result<Vec<String>, Failure> {
    let unknown = schema::prune(&kind.node, object);
    let mut faults: Vec<String> = doubled.into_iter().map(|field| format!("duplicate field {field:?}")).collect();
    faults.extend(unknown.into_iter().map(|field| format!("unknown field {field:?}")));
    match validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(faults),
        FieldValidation::Strict if faults.is_empty() => Ok(Vec::new()),
        FieldValidation::Strict => Err(Failure::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
            kind.kind,
            kind.version,
            kind.kind,
            faults.join(", ")
        ))),
    }
}

/// Namespace and name of the path go into the object, unless it says others.
fn place(resource: &Resource, object: &mut Value) -> Result<(), Failure> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    let metadata = &mut object["metadata"];
    match (&resource.namespace, metadata["namespace"].as_str().unwrap_or_default()) {
        (Some(namespace), "") => metadata["namespace"] = namespace.clone().into(),
        (Some(namespace), own) if namespace != own => {
            let why = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Failure::bad_request(why));
        }
        _ => {}
    }
    let Some(name) = &resource.name else { return Ok(()) };
    match metadata["name"].as_str().unwrap_or_default() {
        "" => {
            let why = format!("the name of the object ({name} based on URL) was undeterminable: name must be provided");
            Err(Failure::bad_request(why))
        }
        own if own != name => {
            let why = format!("the name of the object ({own}) does not match the name on the URL ({name})");
            Err(Failure::bad_request(why))
        }
        _ => Ok(()),
    }
}
