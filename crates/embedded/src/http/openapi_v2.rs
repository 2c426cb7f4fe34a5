//! The OpenAPI v2 document: all that the v3 documents say, in one and in the older form. kubectl asks for it where an object
//! has no kind of its own, as a List has none, and so do clients that know no other (Argo CD, Terraform).

use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::{Map, Value, json};

use super::openapi::documents;
use super::openapi_protobuf::encode;
use crate::kinds::Kinds;
use crate::kinds::version::KUBERNETES;

/// By which clients ask for the document in gnostic's Protobuf encoding, and what it is called in the answer.
const PROTOBUF: [&str; 2] = [
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
];

/// Returns the document and its media type, in the first encoding that the client accepts; `None` if it accepts neither.
pub fn answer(kinds: &Kinds, headers: &HeaderMap) -> Option<(&'static str, Bytes)> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    let accepted = accept.split(',').map(|choice| choice.split(';').next().unwrap_or_default().trim());
    let (json, protobuf) = kinds.older_document.get_or_init(|| {
        let document = make(kinds);
        (document.to_string().into(), encode(&document).into())
    });
    accepted.into_iter().find_map(|media| match media {
        "" | "*/*" | "application/*" | "application/json" => Some(("application/json", json.clone())),
        media if PROTOBUF.contains(&media) => Some((PROTOBUF[1], protobuf.clone())),
        _ => None,
    })
}

fn make(kinds: &Kinds) -> Value {
    let (mut definitions, mut paths) = (Map::new(), Map::new());
    for mut document in documents(kinds) {
        if let Value::Object(schemas) = document["components"]["schemas"].take() {
            definitions.extend(schemas.into_iter().map(|(name, of)| (name, schema(of))));
        }
        if let Value::Object(of) = document["paths"].take() {
            paths.extend(of.into_iter().map(|(path, methods)| (path, path_item(methods))));
        }
    }
    let (major_minor, _) = KUBERNETES.rsplit_once('.').unwrap_or((KUBERNETES, ""));
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": major_minor},
        "paths": paths,
        "definitions": definitions,
    })
}

/// A schema without what v2 has no words for: alternatives, null, and defaults, which the API server leaves out as well.
fn schema(v3: Value) -> Value {
    let Value::Object(v3) = v3 else { return v3 };
    let mut v2 = Map::new();
    if v3.contains_key("oneOf") && !v3.contains_key("type") {
        v2.insert("type".into(), "string".into());
    }
    for (key, value) in v3 {
        match (key.as_str(), value) {
            ("default" | "oneOf" | "anyOf" | "not" | "nullable", _) => {}
            ("$ref", Value::String(path)) => _ = v2.insert(key, reference(&path)),
            ("allOf", Value::Array(of)) => {
                // The only way in which v3 can describe what it refers to.
                let path = of.first().and_then(|first| first["$ref"].as_str());
                v2.extend(path.map(|path| ("$ref".to_owned(), reference(path))));
            }
            ("properties", Value::Object(of)) => {
                let of: Map<_, _> = of.into_iter().map(|(name, of)| (name, schema(of))).collect();
                v2.insert(key, of.into());
            }
            ("items" | "additionalProperties", of) => _ = v2.insert(key, schema(of)),
            (_, value) => _ = v2.insert(key, value),
        }
    }
    v2.into()
}

fn reference(v3: &str) -> Value {
    v3.replace("#/components/schemas/", "#/definitions/").into()
}

fn path_item(v3: Value) -> Value {
    let Value::Object(methods) = v3 else { return v3 };
    let operations = methods.into_iter().map(|(method, operation)| {
        let operation = operation_of(&method, operation);
        (method, operation)
    });
    operations.collect::<Map<_, _>>().into()
}

fn operation_of(method: &str, mut v3: Value) -> Value {
    let of = schema(v3["responses"]["200"]["content"]["application/json"]["schema"].take());
    let body = match method {
        "put" | "post" => Some(of.clone()),
        "patch" => Some(json!({"$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.Patch"})),
        _ => None,
    };
    let body = body.map(|of| json!({"name": "body", "in": "body", "required": true, "schema": of}));
    let options = v3["parameters"].as_array().into_iter().flatten().map(
        |option| json!({"name": option["name"], "in": "query", "type": option["schema"]["type"], "uniqueItems": true}),
    );
    let parameters: Vec<Value> = body.into_iter().chain(options).collect();
    v3["parameters"] = parameters.into();
    v3["produces"] = json!(["application/json", "application/yaml"]);
    v3["responses"] = json!({"200": {"description": "OK", "schema": of}});
    v3
}
