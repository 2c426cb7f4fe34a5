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
use crate::schema::{self, FieldError, Node, Path};
use crate::words::plain::sort_of;

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

/// Returns the value in a body, and what is said of its duplicate fields.
fn value(kind: &Kind, headers: &HeaderMap, body: &Bytes) -> Result<(Value, Vec<String>), Failure> {
    match content_type(headers) {
        "application/json" | "" => doubled::read(body).map_err(|error| error.to_string()),
        "application/yaml" => yaml::read(body).map(|value| (value, yaml::doubled(body).into_iter().collect())),
        "application/vnd.kubernetes.protobuf" => protobuf::read(body).map(|value| (value, Vec::new())),
        _ => return Err(Failure::new(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
        )),
    }
    .map_err(|why| unrecognized(kind, &why))
}

/// Returns the options of a delete, from a body that is not empty.
pub fn options(headers: &HeaderMap, body: &Bytes) -> Result<Value, Failure> {
    let refuse = |why: String| Err(Failure::bad_request(why));
    match content_type(headers) {
        "application/yaml" => yaml::read(body).or_else(refuse),
        "application/vnd.kubernetes.protobuf" => protobuf::read(body).or_else(refuse),
        _ => serde_json::from_slice(body).or_else(|error| refuse(error.to_string())),
    }
}

fn unrecognized(kind: &Kind, why: &str) -> Failure {
    Failure::bad_request(format!("the object provided is unrecognized (must be of type {}): {why}", kind.kind))
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
    let (mut object, mut told) = value(kind, headers, body)?;
    let given = of_type(kinds, kind, &mut object)?;
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
    let unknown = match &read_as {
        Some(read_as) => known(read_as, &mut object).map_err(|why| cannot(&why))?,
        None => schema::prune(&Node::default(), &mut object),
    };
    match validation {
        FieldValidation::Ignore => told.clear(),
        _ => told.extend(unknown.into_iter().map(|field| format!("unknown field {field:?}"))),
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
fn of_type(kinds: &Kinds, kind: &Kind, object: &mut Value) -> Result<Given, Failure> {
    if !object.is_object() {
        return Err(unrecognized(kind, &format!("it is {}, not an object", sort_of(object))));
    }
    let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
    let mut given = Given { api_version: text("apiVersion"), kind: text("kind") };
    if kind.custom {
        if given.kind.is_empty() || given.api_version.is_empty() {
            let missing = if given.kind.is_empty() { "kind" } else { "apiVersion" };
            return Err(unrecognized(kind, &format!("its {missing} is missing")));
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
    refuse_other_kind(kinds, kind, &given.api_version, &given.kind).map_err(Failure::bad_request)?;
    Ok(given)
}

fn built_in<'k>(kinds: &'k Kinds, api_version: &str, name: &str) -> Option<&'k Kind> {
    let mut all = kinds.iter().map(|(_, kind)| kind);
    all.find(|kind| !kind.custom && kind.kind == name && kind.api_version() == api_version)
}

/// Fails if an object of the stated type cannot be one of this built-in kind.
fn refuse_other_kind(kinds: &Kinds, kind: &Kind, api_version: &str, name: &str) -> Result<(), String> {
    match built_in(kinds, api_version, name).is_some_and(|known| known.stored_as == kind.stored_as) {
        true => Ok(()),
        false => Err(format!("{name} in version {api_version:?} cannot be handled as a {}", kind.kind)),
    }
}

/// Drops the fields that the schema does not know, and returns their paths. Fails if a value is of another type.
fn known(kind: &Kind, object: &mut Value) -> Result<Vec<String>, String> {
    if !kind.custom {
        return schema::decode(&kind.node, &Path::Root, object);
    }
    static METADATA: LazyLock<Node> = LazyLock::new(|| published::node(published::OBJECT_META));
    let mut unknown = match object.get_mut("metadata") {
        Some(metadata) => schema::decode(&METADATA, &Path::Root.field("metadata"), metadata)?,
        None => Vec::new(),
    };
    unknown.sort();
    unknown.append(&mut schema::prune(kind.schema.as_ref().map_or(&kind.node, |schema| &schema.root), object));
    Ok(unknown)
}

/// Returns the object that a patch has produced, without the fields that the schema does not know, and the warnings
/// about them.
pub fn patched(
    kinds: &Kinds,
    resource: &Resource,
    mut object: Value,
    validation: FieldValidation,
) -> Result<Incoming, Failure> {
    let kind = kinds.get(resource.kind);
    let refuse = |why: String| Failure::bad_patch(&why);
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    if !kind.custom {
        refuse_other_kind(kinds, kind, text("apiVersion"), text("kind")).map_err(refuse)?;
    }
    let unknown = known(kind, &mut object).map_err(refuse)?;
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
