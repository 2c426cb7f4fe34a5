//! Validation of the metadata of objects (`k8s.io/apimachinery/pkg/api/validation`).

use serde_json::{Map, Value};

use crate::kinds::Kind;
use crate::kinds::names::{invalid, label_value_fault, qualified_faults};
use crate::kinds::strategy::ChangeChecks;
use crate::schema::{FieldError, Reason};

/// The most bytes in all annotations of an object together.
const ANNOTATIONS_BYTES: usize = 256 << 10;

/// Returns what is wrong with the metadata of a new object of `kind`.
pub fn faults(kind: &Kind, object: &Value) -> Vec<FieldError> {
    let meta = &object["metadata"];
    let name_faults = kind.strategy.name_faults;
    let mut faults = Vec::new();
    if let Some(generate) = meta["generateName"].as_str().filter(|generate| !generate.is_empty()) {
        // The API server appends letters to this stem, so a dash at its end is allowed.
        let stem = generate.strip_suffix('-').map_or(generate.to_owned(), |stem| format!("{stem}a"));
        faults.extend(name_faults(&stem).into_iter().map(|why| invalid("metadata.generateName", generate, why)));
    }
    match meta["name"].as_str().unwrap_or_default() {
        "" => faults.push(FieldError::required("metadata.name", "name or generateName is required")),
        name => faults.extend(name_faults(name).into_iter().map(|why| invalid("metadata.name", name, why))),
    }
    faults.extend(map_faults(meta));
    faults.extend(owner_faults(&meta["ownerReferences"]));
    faults.extend(finalizer_faults(meta));
    if !kind.custom {
        faults.extend(known_finalizer_faults(meta));
    }
    faults
}

/// Returns what is wrong with the metadata of an object of `kind` that replaces `old`. The API server checks first what
/// holds for every kind and then what holds for the kind, and repeats an error that both checks find.
pub fn change_faults(kind: &Kind, old: &Value, new: &Value) -> Vec<FieldError> {
    let (old, meta) = (&old["metadata"], &new["metadata"]);
    let changed = || {
        let mut faults = changed_faults(old, meta);
        faults.extend(map_faults(meta));
        faults.extend(owner_faults(&meta["ownerReferences"]));
        faults
    };
    let mut faults = map_faults(meta);
    faults.extend(owner_faults(&meta["ownerReferences"]));
    faults.extend(finalizer_faults(meta));
    faults.extend(changed());
    let checks = kind.strategy.change_checks;
    if checks != ChangeChecks::Once {
        faults.extend(changed());
    }
    if matches!(checks, ChangeChecks::Finalizers | ChangeChecks::Repeated) {
        faults.extend(known_finalizer_faults(meta));
    }
    if checks == ChangeChecks::Repeated {
        faults.extend(self::faults(kind, new));
    }
    faults
}

fn map_faults(meta: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    for (key, value) in entries(&meta["labels"]) {
        faults.extend(qualified_faults(key).into_iter().map(|why| invalid("metadata.labels", key, why)));
        let value = value.as_str().unwrap_or_default();
        faults.extend(label_value_fault(value).map(|why| invalid("metadata.labels", value, why)));
    }
    let mut bytes = 0;
    for (key, value) in entries(&meta["annotations"]) {
        let lower = key.to_lowercase();
        faults.extend(qualified_faults(&lower).into_iter().map(|why| invalid("metadata.annotations", key, why)));
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > ANNOTATIONS_BYTES {
        faults.push(FieldError::too_long("metadata.annotations", ANNOTATIONS_BYTES as i64));
    }
    faults
}

fn finalizers(meta: &Value) -> impl Iterator<Item = &str> {
    meta["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn finalizer_faults(meta: &Value) -> Vec<FieldError> {
    let all = finalizers(meta).flat_map(|finalizer| {
        qualified_faults(finalizer).into_iter().map(move |why| invalid("metadata.finalizers", finalizer, why))
    });
    all.collect()
}

/// Returns an error for each unknown finalizer: a finalizer without a domain has to be one of Kubernetes' own.
fn known_finalizer_faults(meta: &Value) -> Vec<FieldError> {
    let unknown = finalizers(meta).enumerate().filter(|(_, finalizer)| {
        !finalizer.contains('/') && !["orphan", "foregroundDeletion", "kubernetes"].contains(finalizer)
    });
    let why = "name is neither a standard finalizer name nor is it fully qualified";
    unknown.map(|(n, finalizer)| invalid(format!("metadata.finalizers[{n}]"), finalizer, why)).collect()
}

fn owner_faults(owners: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut controllers = Vec::new();
    for owner in owners.as_array().into_iter().flatten() {
        for (field, empty) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if owner[field].as_str().unwrap_or_default().is_empty() {
                let value = if field == "apiVersion" { "" } else { owner[field].as_str().unwrap_or_default() };
                faults.push(invalid(format!("metadata.ownerReferences.{field}"), value, empty));
            }
        }
        if owner["controller"] == Value::Bool(true) {
            let part = |field: &str| owner[field].as_str().unwrap_or_default();
            controllers.push(format!("{}/{}", part("kind"), part("name")));
        }
    }
    if let [first, second, ..] = controllers.as_slice() {
        let why = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {second}"
        );
        faults.push(FieldError::new(
            "metadata.ownerReferences",
            Reason::Invalid,
            format!("Invalid value: {owners}: {why}"),
        ));
    }
    faults
}

/// Returns the fields that have changed but may not.
fn changed_faults(old: &Value, new: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let immutable = |field: &str| {
        let value = match &new[field] {
            Value::Null => "null".to_owned(),
            value => value.to_string(),
        };
        FieldError::new(
            format!("metadata.{field}"),
            Reason::Invalid,
            format!("Invalid value: {value}: field is immutable"),
        )
    };
    for field in ["name", "namespace", "uid", "deletionTimestamp"] {
        if old[field] != new[field] {
            faults.push(immutable(field));
        }
    }
    if old["deletionTimestamp"].is_string() {
        let had: Vec<&Value> = old["finalizers"].as_array().into_iter().flatten().collect();
        let added: Vec<String> = new["finalizers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|finalizer| !had.contains(finalizer))
            .map(Value::to_string)
            .collect();
        if !added.is_empty() {
            let why = format!(
                "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            faults.push(FieldError::new("metadata.finalizers", Reason::Forbidden, why));
        }
    }
    faults
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}
