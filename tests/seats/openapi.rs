//! Whether answers match the OpenAPI document.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::LazyLock;

use seatkeeper::server::routes::document;

use super::ground::Ground;
use super::http::Answer;

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

/// Fails if the document does not describe such an answer to such a request.
pub fn conforms(method: &str, path: &str, answer: &Answer) {
    let path = path.split('?').next().unwrap_or_default();
    let template = match path.strip_prefix("/v1/seats") {
        Some("") => "/v1/seats",
        Some(id) if id.starts_with('/') && id.len() > 1 && !id[1..].contains('/') => "/v1/seats/{id}",
        _ => return,
    };
    let operation = &DOCUMENT["paths"][template][method.to_lowercase()];
    if operation.is_null() {
        assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
        return;
    }
    let response = &operation["responses"][answer.status.to_string()];
    assert!(response.is_object(), "the document knows no answer {} to {method} {path}: {answer:?}", answer.status);
    let Some(contents) = response["content"].as_object() else {
        assert_eq!(answer.body, "", "{method} {path}: {answer:?}");
        return;
    };
    let schema = &contents[answer.header("content-type").expect("there is a content")]["schema"];
    let schema = json!({"components": DOCUMENT["components"], "allOf": [schema]});
    let body = answer.json();
    let faults: Vec<String> =
        jsonschema::validator_for(&schema).expect("a schema").iter_errors(&body).map(|e| e.to_string()).collect();
    assert!(faults.is_empty(), "{method} {path}: {faults:?}: {body}");
    if let Some(reason) = body["reason"].as_str() {
        let said = response["description"].as_str().unwrap_or_default();
        assert!(said.split(", ").any(|known| known == reason), "{method} {path}: {reason} is not among {said}");
    }
}

#[test]
fn the_document_is_served_and_the_one_in_docs_is_the_same() {
    let served = Ground::take().ask("GET", "/v1/openapi.json", "").json();
    assert_eq!(served, *DOCUMENT);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(kept, served, "docs/openapi.json does not match the types: run `make crds`");
}

/// Each reason with its status, such as `409 SeatsExhausted`.
#[test]
fn the_guide_and_the_document_know_the_same_reasons() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/seats.md")).unwrap();
    let (_, table) = guide.split_once("## Why a seat is refused").expect("its chapter");
    let mut said = BTreeSet::new();
    for reasons in table
        .lines()
        .filter(|line| line.starts_with("| 4") || line.starts_with("| 5"))
        .filter_map(|line| line.split('|').nth(2))
    {
        said.extend(reasons.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    let mut known = BTreeSet::new();
    let operations =
        DOCUMENT["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    for (status, response) in operations.filter_map(|operation| operation["responses"].as_object()).flatten() {
        if status.starts_with(['4', '5']) {
            known.extend(response["description"].as_str().unwrap().split(", ").map(str::to_owned));
        }
    }
    known.insert("MethodNotAllowed".to_owned());
    assert!(known.len() > 20);
    assert_eq!(said, known);
}
