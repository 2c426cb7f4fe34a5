//! Bodies of requests: from bytes to the object that they describe, with the fields that the server itself sets.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use std::sync::LazyLock;

use super::doubled;
use super::failure::Failure;
use super::protobuf;
use super::request::{Query, Resource, content_type};
use super::yaml;
use crate::kinds::published;
use crate::kinds::{Kind, Kinds};
use crate::schema::{self, FieldError, Node};

/// The longest body that is accepted, in bytes (`--max-request-bytes` of the API server).
pub const LONGEST_BODY: usize = 3 << 20;

/// What happens to unknown and duplicate fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// The options that all writes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether the request only asks what would happen.
    pub dry: bool,
    pub validation: FieldValidation,
}

impl Options {
    /// Reads the options of `of`, such as `CreateOptions`. `faults` are errors found in other options; they are
    /// reported together (`apimachinery/pkg/apis/meta/v1/validation`).
    pub fn read(query: &Query, of: &str, mut faults: Vec<FieldError>) -> Result<Self, Failure> {
        faults.extend(manager_fault(query.get("fieldManager").unwrap_or_default()));
        let dry = dry(query).map_err(|fault| faults.push(fault));
        let validation = match query.get("fieldValidation") {
            None | Some("Warn") => FieldValidation::Warn,
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => {
                let supported = ["", "Ignore", "Strict", "Warn"].map(str::to_owned);
                faults.push(FieldError::not_supported("fieldValidation", &other.into(), &supported));
                FieldValidation::Ignore
            }
        };
        match (dry, faults.is_empty()) {
            (Ok(dry), true) => Ok(Options { dry, validation }),
            _ => Err(Failure::invalid("meta.k8s.io", of, "", &faults)),
        }
    }
}

fn manager_fault(manager: &str) -> Option<FieldError> {
    const LONGEST: i64 = 128;
    if i64::try_from(manager.len()).is_ok_and(|length| length > LONGEST) {
        return Some(FieldError::too_long("fieldManager", LONGEST));
    }
    let (at, odd) = manager.char_indices().find(|(_, c)| c.is_control())?;
    let why = format!("invalid character U+{:04X} (at position {at})", u32::from(odd));
    Some(FieldError::invalid("fieldManager", Some(&manager.into()), &why))
}

/// Returns whether a request with these options only asks what would happen.
pub fn dry_run(query: &Query, of: &str) -> Result<bool, Failure> {
    dry(query).map_err(|fault| Failure::invalid("meta.k8s.io", of, "", &[fault]))
}

fn dry(query: &Query) -> Result<bool, FieldError> {
    match query.get("dryRun") {
        None => Ok(false),
        Some("All") => Ok(true),
        Some(other) => Err(FieldError::not_supported("dryRun", &[other].as_slice().into(), &["All".to_owned()])),
    }
}

/// Returns the value in a body of JSON or YAML.
fn value(kind: &Kind, headers: &HeaderMap, body: &Bytes) -> Result<Value, Failure> {
    let refuse = |why: String| Err(unrecognized(kind, body, &why));
    match content_type(headers) {
        "application/json" | "" => match serde_json::from_slice(body) {
            Ok(value) => Ok(value),
            Err(error) => refuse(format!("couldn't get version/kind; json parse error: {}", json_fault(body, &error))),
        },
        "application/yaml" => yaml::read(body).or_else(refuse),
        "application/vnd.kubernetes.protobuf" => protobuf::read(body).or_else(refuse),
        _ => Err(Failure::new(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
        )),
    }
}

/// Returns the options of a delete, from a body that is not empty.
pub fn options(headers: &HeaderMap, body: &Bytes) -> Result<Value, Failure> {
    let refuse = |why: String| Err(Failure::bad_request(why));
    match content_type(headers) {
        "application/yaml" => yaml::read(body).or_else(refuse),
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

/// Returns the beginning of a body: as text if it looks like JSON, else in hexadecimal.
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

/// Returns what Go's decoder says about broken JSON, as far as it matters to a reader.
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

/// What was read, and the warnings for the client.
pub struct Incoming {
    pub object: Value,
    pub warnings: Vec<String>,
}

/// Returns the object in a body, for a create or an update: checked for its kind and place, without the fields that the
/// schema does not know.
pub fn object(
    kinds: &Kinds,
    resource: &Resource,
    headers: &HeaderMap,
    body: &Bytes,
    validation: FieldValidation,
) -> Result<Incoming, Failure> {
    let kind = kinds.get(resource.kind);
    let mut object = value(kind, headers, body)?;
    let given = of_type(kinds, kind, &mut object, body)?;
    let cannot = |why: &str| {
        let (name, version) = (given.kind.as_str(), given.version());
        let message = format!("{name} in version {version:?} cannot be handled as a {}: {why}", kind.kind);
        Failure::bad_request(message)
    };
    // An object in another version of the kind is read by that version's schema.
    let read_as = match given.api_version == kind.api_version() {
        true => Some(kind),
        false => built_in(kinds, &given.api_version, &given.kind),
    };
    let in_yaml = content_type(headers) == "application/yaml";
    let mut told = match validation {
        FieldValidation::Ignore => Vec::new(),
        _ if in_yaml => yaml::doubled(body).into_iter().collect(),
        _ => doubled::faults(body, read_as.filter(|kind| !kind.custom).map(|kind| &kind.node)),
    };
    let unknown = match &read_as {
        Some(read_as) => known(read_as, schema::Wording::Json, &mut object).map_err(|why| cannot(&why))?,
        None => schema::prune(&Node::default(), &mut object),
    };
    if validation != FieldValidation::Ignore && (kind.custom || in_yaml) {
        told.extend(unknown.into_iter().map(|field| format!("unknown field {field:?}")));
    }
    if validation == FieldValidation::Strict && !told.is_empty() {
        return Err(cannot(&format!("strict decoding error: {}", told.join(", "))));
    }
    if given.api_version != kind.api_version() {
        let why = format!(
            "the API version in the data ({}) does not match the expected API version ({})",
            given.api_version,
            kind.api_version()
        );
        return Err(Failure::bad_request(why).with_warnings(&told));
    }
    place(resource, &mut object).map_err(|failure| failure.with_warnings(&told))?;
    Ok(Incoming { object, warnings: told })
}

/// The type that an object states.
struct Given {
    api_version: String,
    kind: String,
}

impl Given {
    fn version(&self) -> &str {
        self.api_version.rsplit('/').next().unwrap_or_default()
    }
}

/// Reads the type that the object states. Only an object that the resource can hold is accepted or, for a custom
/// resource, an object of its group.
fn of_type(kinds: &Kinds, kind: &Kind, object: &mut Value, body: &[u8]) -> Result<Given, Failure> {
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
    let mut given = Given { api_version: text("apiVersion"), kind: text("kind") };
    if kind.custom {
        if given.kind.is_empty() || given.api_version.is_empty() {
            let missing = if given.kind.is_empty() { "Kind" } else { "apiVersion" };
            let why = format!("Object '{missing}' is missing in '{}'", String::from_utf8_lossy(body));
            return Err(unrecognized(kind, body, &why));
        }
        return Ok(given);
    }
    // If a built-in kind's object leaves its type out, the path supplies it.
    if given.api_version.is_empty() {
        given.api_version = kind.api_version();
        object["apiVersion"] = given.api_version.clone().into();
    }
    if given.kind.is_empty() {
        given.kind.clone_from(&kind.kind);
        object["kind"] = given.kind.clone().into();
    }
    match not_convertible(kinds, kind, &given.api_version, &given.kind) {
        None => Ok(given),
        Some(why) => Err(Failure::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: {why}",
            given.kind,
            given.version(),
            kind.kind
        ))),
    }
}

fn built_in<'k>(kinds: &'k Kinds, api_version: &str, name: &str) -> Option<&'k Kind> {
    let mut all = kinds.iter().map(|(_, kind)| kind);
    all.find(|kind| !kind.custom && kind.kind == name && kind.api_version() == api_version)
}

/// Returns why an object of the stated type cannot be converted to this built-in kind; `None` if it can.
fn not_convertible(kinds: &Kinds, kind: &Kind, api_version: &str, name: &str) -> Option<String> {
    match built_in(kinds, api_version, name) {
        None => Some(format!(
            "no kind {name:?} is registered for version {api_version:?} in scheme \"pkg/runtime/scheme.go:111\""
        )),
        Some(known) if known.stored_as == kind.stored_as => None,
        Some(known) => {
            // The name of the Go package with the kinds of a group.
            let package = match kind.group.split('.').next().unwrap_or_default() {
                "" | "events" => "core",
                group => group,
            };
            let (from, to) = (format!("{}.{name}", known.version), format!("{package}.{}", kind.kind));
            Some(format!("converting ({from}) to ({to}): unknown conversion"))
        }
    }
}

/// Drops the fields that the schema does not know, and returns their paths. Fails if a value does not fit the Go types.
fn known(kind: &Kind, wording: schema::Wording, object: &mut Value) -> Result<Vec<String>, String> {
    if !kind.custom {
        return schema::decode(&kind.node, wording, object);
    }
    static METADATA: LazyLock<Node> = LazyLock::new(|| published::node(published::OBJECT_META));
    let mut unknown = match object.get_mut("metadata") {
        Some(metadata) => schema::decode(&METADATA, wording, metadata)?,
        None => Vec::new(),
    };
    unknown.sort();
    unknown.iter_mut().for_each(|field| field.insert_str(0, "metadata."));
    unknown.append(&mut schema::prune(kind.schema.as_ref().map_or(&kind.node, |schema| &schema.root), object));
    Ok(unknown)
}

/// Returns the object that a patch has produced, without the fields that the schema does not know, and the warnings
/// about them. `shown` is the text in which the API server shows the object if it is not one of the kind.
pub fn patched(
    kinds: &Kinds,
    resource: &Resource,
    wording: schema::Wording,
    mut object: Value,
    validation: FieldValidation,
    shown: impl Fn() -> String,
) -> Result<Incoming, Failure> {
    let kind = kinds.get(resource.kind);
    let refuse = |why: String| Failure::bad_patch(&shown(), &why);
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    if !kind.custom
        && let Some(why) = not_convertible(kinds, kind, text("apiVersion"), text("kind"))
    {
        return Err(refuse(why));
    }
    let unknown = known(kind, wording, &mut object).map_err(refuse)?;
    let told = match validation {
        FieldValidation::Ignore => Vec::new(),
        _ => unknown.into_iter().map(|field| format!("unknown field {field:?}")).collect::<Vec<_>>(),
    };
    if validation == FieldValidation::Strict && !told.is_empty() {
        return Err(refuse(format!("strict decoding error: {}", told.join(", "))));
    }
    place(resource, &mut object)?;
    Ok(Incoming { object, warnings: told })
}

/// Puts the namespace and name of the path into the object. Fails if the object states others.
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
