//! Secrets: their entries, and what their types promise.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Map, Value};

use super::data::{data_faults, drop_empty, entries, immutable_faults};
use super::definition::{Builtin, CORE, Names};
use crate::Instant;
use crate::kinds::columns::{Column, described, of};
use crate::kinds::strategy::{ChangeChecks, Strategy};
use crate::schema::{FieldError, Reason};

pub static SECRET: Builtin = Builtin {
    names: Names { kind: "Secret", ..CORE },
    strategy: Strategy { complete, faults, change_checks: ChangeChecks::Repeated, ..Strategy::BUILTIN },
    columns,
    selectable: &["type"],
    recorded: "io.k8s.api.core.v1.Secret",
};

/// Takes over the entries of `stringData`, and fills in the type.
fn complete(secret: &mut Value) {
    let given = secret.as_object_mut().and_then(|secret| secret.shift_remove("stringData"));
    if let Some(Value::Object(given)) = given {
        let mut encoded = match secret.get_mut("data").map(Value::take) {
            Some(Value::Object(data)) => data,
            _ => Map::new(),
        };
        for (name, text) in given {
            encoded.insert(name, BASE64_STANDARD.encode(text.as_str().unwrap_or_default()).into());
        }
        secret["data"] = encoded.into();
    }
    if secret.get("type").and_then(Value::as_str).is_none_or(str::is_empty) {
        secret["type"] = "Opaque".into();
    }
    drop_empty(secret, &["data", "immutable"]);
}

fn faults(secret: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut faults = data_faults(secret, &["data"]);
    faults.extend(type_faults(secret));
    if let Some(old) = old {
        faults.extend(changed(old, secret, "type"));
        faults.extend(immutable_faults(old, secret, &["data"]));
    }
    faults
}

/// The types of Secrets that promise certain entries.
const PROMISES: [(&str, &[&str]); 4] = [
    ("kubernetes.io/dockercfg", &[".dockercfg"]),
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ("kubernetes.io/ssh-auth", &["ssh-privatekey"]),
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
];

fn type_faults(object: &Value) -> Vec<FieldError> {
    let type_ = object["type"].as_str().unwrap_or_default();
    let promised = PROMISES.iter().find(|(known, _)| *known == type_).map_or(&[] as &[&str], |(_, entries)| entries);
    let fault = |entry: &&str| {
        let field = format!("data[{entry}]");
        let Some(value) = object["data"].get(*entry) else { return Some(FieldError::required(field, "")) };
        let read = BASE64_STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
        let why = entry
            .starts_with(".docker")
            .then(|| serde_json::from_slice::<Option<Map<String, Value>>>(&read).err())??;
        Some(FieldError::invalid(field, Some(&"<secret contents redacted>".into()), &why.to_string()))
    };
    promised.iter().filter_map(fault).collect()
}

fn changed(old: &Value, new: &Value, field: &str) -> Option<FieldError> {
    let why = || format!("Invalid value: {}: field is immutable", new[field]);
    (old[field] != new[field]).then(|| FieldError::new(field, Reason::Invalid, why()))
}

fn columns() -> Vec<Column> {
    let type_ = |object: &Value, _: Instant| object["type"].clone();
    vec![
        Column::name(),
        of("Type", &described("core.v1.Secret", "type"), type_),
        of("Data", &described("core.v1.Secret", "data"), entries),
        Column::age(),
    ]
}
