//! Answers: objects and lists, plain, as tables or as metadata only.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;

use super::builtin;
use super::failure::Failure;
use super::kind::Kind;
use super::request::{Form, Wanted};
use super::state::Object;
use crate::domain::Instant;

/// What is answered: whole, or line by line for a watch.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Where an answer is one page of a list.
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
    pub fn read(query: &super::request::Query) -> Result<Self, Failure> {
        match query.get("includeObject") {
            None | Some("Metadata") => Ok(Include::Metadata),
            Some("None") => Ok(Include::None),
            Some("Object") => Ok(Include::Object),
            Some(other) => Err(Failure::bad_request(format!("unrecognized includeObject value: {other:?}"))),
        }
    }
}

/// Shows objects of a kind as the client wants them.
pub struct Shown<'k> {
    pub kind: &'k Kind,
    pub wanted: Wanted,
    pub include: Include,
    pub now: Instant,
}

impl Shown<'_> {
    /// One object.
    pub fn object(&self, object: &Arc<Object>) -> Bytes {
        match self.wanted.form {
            Form::Plain | Form::Aggregated if !self.is_new_event() => object.json(),
            Form::Plain | Form::Aggregated => builtin::to_new_event(object.value.clone()).to_string().into(),
            Form::Metadata => metadata_of(&object.value).to_string().into(),
            Form::Table => self.table(std::slice::from_ref(object), &Value::Null, true).to_string().into(),
        }
    }

    /// An object of a watch: tables carry their columns only once.
    pub fn watched(&self, object: &Arc<Object>, first: bool) -> Bytes {
        match self.wanted.form {
            Form::Table => self.table(std::slice::from_ref(object), &Value::Null, first).to_string().into(),
            _ => self.object(object),
        }
    }

    /// A list.
    pub fn list(&self, objects: &[Arc<Object>], page: &Page) -> Bytes {
        let mut metadata = json!({"resourceVersion": page.revision.to_string()});
        if let Some(next) = &page.continue_ {
            metadata["continue"] = next.clone().into();
        }
        if let Some(remaining) = page.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
        if self.wanted.form == Form::Table {
            return self.table(objects, &metadata, true).to_string().into();
        }
        let (api_version, kind) = match self.wanted.form {
            Form::Metadata => ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList".to_owned()),
            _ => (self.kind.api_version(), format!("{}List", self.kind.kind)),
        };
        let mut text =
            format!("{{\"kind\":{kind:?},\"apiVersion\":{api_version:?},\"metadata\":{metadata},\"items\":[");
        let plain = self.wanted.form == Form::Plain && !self.is_new_event();
        let mut bytes = Vec::with_capacity(if plain { 4096 * objects.len().min(4096) } else { 0 });
        bytes.append(&mut std::mem::take(&mut text).into_bytes());
        for (n, object) in objects.iter().enumerate() {
            if n > 0 {
                bytes.push(b',');
            }
            bytes.extend_from_slice(&self.object(object));
        }
        bytes.extend_from_slice(b"]}");
        bytes.into()
    }

    fn is_new_event(&self) -> bool {
        self.kind.group == "events.k8s.io"
    }

    fn table(&self, objects: &[Arc<Object>], metadata: &Value, columns: bool) -> Value {
        let rows: Vec<Value> = objects
            .iter()
            .map(|object| {
                let cells: Vec<Value> = self.kind.columns.iter().map(|c| c.cell(&object.value, self.now)).collect();
                let carried = match self.include {
                    Include::None => Value::Null,
                    Include::Metadata => metadata_of(&object.value),
                    Include::Object => object.value.clone(),
                };
                json!({"cells": cells, "object": carried})
            })
            .collect();
        let metadata = match metadata {
            // One object: the version is its own.
            Value::Null => {
                let version = objects.first().map(|object| object.value["metadata"]["resourceVersion"].clone());
                json!({"resourceVersion": version})
            }
            list => list.clone(),
        };
        let definitions: Value = match columns {
            true => self.kind.columns.iter().map(super::columns::Column::definition).collect(),
            false => Value::Null,
        };
        json!({
            "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
            "columnDefinitions": definitions, "rows": rows,
        })
    }

    /// An answer with this body.
    pub fn respond(&self, code: StatusCode, body: Bytes) -> Response<Body> {
        if self.wanted.yaml {
            let value: Value = serde_json::from_slice(&body).unwrap_or_default();
            let text = serde_saphyr::to_string(&value).unwrap_or_default();
            return respond(code, "application/yaml", text.into());
        }
        respond(code, "application/json", body)
    }
}

fn metadata_of(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

pub fn respond(code: StatusCode, content_type: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(body).boxed_unsync());
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub fn refuse(failure: &Failure) -> Response<Body> {
    let code = StatusCode::from_u16(failure.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = respond(code, "application/json", failure.body());
    if let Some(seconds) = failure.details.as_ref().and_then(|details| details["retryAfterSeconds"].as_u64()) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Adds what the client should be warned of (RFC 9111 §5.5, as Kubernetes uses it).
pub fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}
