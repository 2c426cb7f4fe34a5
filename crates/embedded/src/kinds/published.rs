//! The schemas that a real API server of Kubernetes publishes of its own types, as recorded in `published.json`: one
//! schema a line, each with the OpenAPI documents that hold it. `make record` makes it. They are recorded because no
//! library has the list types and merge keys that apply and strategic merge patch need.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::sync::OnceLock;

use crate::schema::{Node, Type};

pub const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// Returns every published schema of Kubernetes' own types, by name.
pub fn schemas() -> &'static Map<String, Value> {
    static SCHEMAS: OnceLock<Map<String, Value>> = OnceLock::new();
    SCHEMAS.get_or_init(|| {
        let read: Map<String, Value> = serde_json::from_str(include_str!("published.json")).unwrap_or_default();
        read.into_iter().map(|(name, mut entry)| (name, entry["schema"].take())).collect()
    })
}

/// Returns the schema of one of Kubernetes' own types, including the types that it refers to.
pub fn node(name: &str) -> Node {
    Node::of_document(schemas(), name)
}

/// Returns the description of `field` in the type `name`; empty if there is none. Table columns take their descriptions
/// from here.
pub fn description(name: &str, field: &str) -> String {
    let schema = schemas().get(name).map(|schema| &schema["properties"][field]["description"]);
    schema.and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub fn text_node() -> Node {
    Node { type_: Some(Type::String), ..Node::default() }
}

/// Returns the hash by which clients notice that a kind is stored in another version.
pub fn storage_version_hash(group: &str, version: &str, kind: &str) -> String {
    let digest = Sha256::digest(format!("{group}/{version}/{kind}"));
    BASE64_STANDARD.encode(&digest[..8])
}
