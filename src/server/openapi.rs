//! The seat port as an OpenAPI 3.1 document, for generating clients. Each handler describes itself; this is the frame.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::http::operation::Operation;

/// Describes one method of a path, and adds the schemas that it refers to.
pub type Describe = fn(&mut SchemaGenerator) -> Operation;

/// The document of these operations, each with its path and method.
pub fn document(operations: impl Iterator<Item = (&'static str, &'static str, Describe)>) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let schemas = &mut settings.into_generator();
    let mut paths = Map::new();
    for (path, method, describe) in operations {
        let Operation { description, of_path } = describe(schemas);
        let item = paths.entry(path).or_insert_with(|| json!({}));
        if !of_path.is_null() {
            item["parameters"] = of_path;
        }
        item[method.to_lowercase()] = description;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Seatkeeper: seats",
            "version": "v1",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Concurrent seats of a License: taken, kept by heartbeats, given back. docs/seats.md explains how to use them.",
        },
        "servers": [{"url": "http://127.0.0.1:6441", "description": "seatkeeper up"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {
                "type": "http", "scheme": "bearer",
                "description": "A ServiceAccount token for audience `seatkeeper`; with `seatkeeper up`, the token in its data folder.",
            }},
            "schemas": schemas.take_definitions(true),
        },
    })
}
