//! What a read shows: objects and lists, whole, as tables or as metadata only.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;

use crate::Instant;
use crate::http::answer::{Body, encoded};
use crate::http::failure::Failure;
use crate::http::request::{Form, Query, Wanted};
use crate::kinds::Kind;
use crate::kinds::columns::Column;
use crate::state::{Object, written};

/// Which page of a list an answer is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub revision: u64,
    pub continue_: Option<String>,
    pub remaining: Option<u64>,
}

/// How much of an object a table carries with each row (`includeObject`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Include {
    None,
    Metadata,
    Object,
}

impl Include {
    pub fn read(query: &Query) -> Result<Self, Failure> {
        match query.get("includeObject") {
            None | Some("Metadata") => Ok(Include::Metadata),
            Some("None") => Ok(Include::None),
            Some("Object") => Ok(Include::Object),
            Some(other) => {
                let why = format!("Invalid value: {other:?}: must be 'Metadata', 'Object', 'None', or empty");
                Err(Failure::bad_request(format!("Unable to convert to Table as requested: includeObject: {why}")))
            }
        }
    }
}

/// Writes objects of a kind in the form that the client wants.
pub struct Shown<'k> {
    pub kind: &'k Kind,
    pub wanted: Wanted,
    pub include: Include,
    pub now: Instant,
}

impl Shown<'_> {
    /// Returns one object as the client wants it.
    pub fn object(&self, object: &Arc<Object>) -> Bytes {
        match self.wanted.form {
            Form::Plain | Form::Aggregated if self.kind.shows_what_is_stored() => object.json(),
            Form::Plain | Form::Aggregated => written(&self.kind.shown(object.value.clone())),
            Form::Metadata { .. } => written(&metadata_of(&object.value, false)),
            Form::Table { .. } => written(&self.table(std::slice::from_ref(object), &Value::Null, true)),
        }
    }

    /// Returns an object of a watch; `first` is the watch's first object, as tables carry their columns only once.
    pub fn watched(&self, object: &Arc<Object>, first: bool) -> Bytes {
        match self.wanted.form {
            Form::Table { .. } => written(&self.table(std::slice::from_ref(object), &Value::Null, first)),
            _ => self.object(object),
        }
    }

    /// Returns an object of a list: objects of built-in kinds do not repeat their `apiVersion` and `kind` there.
    fn listed(&self, object: &Arc<Object>) -> Bytes {
        if self.kind.custom || self.wanted.form != Form::Plain {
            return self.object(object);
        }
        let mut value = self.kind.shown(object.value.clone());
        if let Some(fields) = value.as_object_mut() {
            fields.shift_remove("apiVersion");
            fields.shift_remove("kind");
        }
        written(&value)
    }

    /// Refuses a form that one object, or a list if `many`, cannot be shown in.
    pub fn refuse_misfit(&self, many: bool) -> Result<(), Failure> {
        match self.wanted.form {
            Form::Metadata { list: false } if many => {
                let of = if self.kind.custom { "*unstructured.UnstructuredList" } else { "*core.List" };
                let why = format!("you requested PartialObjectMetadata, but the requested object is a list ({of})");
                Err(Failure::new(406, "NotAcceptable", why))
            }
            Form::Metadata { list: true } if !many => Err(Failure::new(500, "", "content is not a list")),
            _ => Ok(()),
        }
    }

    /// Returns a list as the client wants it.
    pub fn list(&self, objects: &[Arc<Object>], page: &Page) -> Bytes {
        let mut metadata = json!({"resourceVersion": page.revision.to_string()});
        let plain = self.wanted.form == Form::Plain;
        if let Some(next) = &page.continue_ {
            metadata["continue"] = next.clone().into();
        } else if self.kind.custom && plain {
            metadata["continue"] = "".into();
        }
        if let Some(remaining) = page.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
        let (api_version, kind) = match self.wanted.form {
            Form::Table { .. } => return written(&self.table(objects, &metadata, true)),
            Form::Metadata { .. } => ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList".to_owned()),
            _ => (self.kind.api_version(), format!("{}List", self.kind.kind)),
        };
        let head = format!("{{\"kind\":{kind:?},\"apiVersion\":{api_version:?},\"metadata\":{metadata},\"items\":[");
        let mut bytes = head.into_bytes();
        for (n, object) in objects.iter().enumerate() {
            if n > 0 {
                bytes.push(b',');
            }
            bytes.extend_from_slice(&self.listed(object));
        }
        bytes.extend_from_slice(b"]}");
        bytes.into()
    }

    fn table(&self, objects: &[Arc<Object>], metadata: &Value, columns: bool) -> Value {
        let beta = self.wanted.form == Form::Table { beta: true };
        let rows: Vec<Value> = objects
            .iter()
            .map(|object| {
                let cells: Vec<Value> = self.kind.columns.iter().map(|c| c.cell(&object.value, self.now)).collect();
                let carried = match self.include {
                    Include::None => Value::Null,
                    Include::Metadata => json!(metadata_of(&object.value, beta)),
                    Include::Object => object.value.clone(),
                };
                json!({"cells": cells, "object": carried})
            })
            .collect();
        let metadata = match metadata {
            // The answer shows one object, so the version is that of the object.
            Value::Null => {
                let version = objects.first().map(|object| object.value["metadata"]["resourceVersion"].clone());
                json!({"resourceVersion": version})
            }
            list => list.clone(),
        };
        let definitions: Value = match columns {
            true => self.kind.columns.iter().map(Column::definition).collect(),
            false => Value::Null,
        };
        json!({
            "kind": "Table", "apiVersion": meta_version(beta), "metadata": metadata,
            "columnDefinitions": definitions, "rows": rows,
        })
    }

    /// Returns an answer with this body.
    pub fn respond(&self, code: StatusCode, body: Bytes) -> Response<Body> {
        encoded(code, body, self.wanted.yaml)
    }
}

/// The fields of an object that are shown when only its metadata is wanted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Partial<'v> {
    kind: &'static str,
    api_version: &'static str,
    metadata: &'v Value,
}

fn metadata_of(object: &Value, beta: bool) -> Partial<'_> {
    Partial { kind: "PartialObjectMetadata", api_version: meta_version(beta), metadata: &object["metadata"] }
}

fn meta_version(beta: bool) -> &'static str {
    if beta { "meta.k8s.io/v1beta1" } else { "meta.k8s.io/v1" }
}
