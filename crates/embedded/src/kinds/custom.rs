//! The kind that a CustomResourceDefinition defines.

use serde_json::{Value, json};

use super::columns::Column;
use super::kind::Kind;
use super::published;
use super::strategy::Strategy;
use crate::schema::{Node, Schema};

/// A CustomResourceDefinition that cannot be served as the API server would serve it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the schema of {kind} cannot be checked: {why}")]
pub struct Unsupported {
    /// The kind that it defines.
    pub kind: String,
    /// The part of its schema that is not supported, and where it is.
    pub why: String,
}

/// Reads a CustomResourceDefinition (`apiextensions.k8s.io/v1`); `id` is the index of the kind.
///
/// # Errors
///
/// Fails if its schema has something that the API server would check and this API would not.
pub fn kind(crd: &Value, id: usize) -> Result<Kind, Unsupported> {
    let spec = &crd["spec"];
    let (names, version) = (&spec["names"], &spec["versions"][0]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    let kind = text(&names["kind"]);
    let group = text(&spec["group"]);
    let schema = &version["schema"]["openAPIV3Schema"];
    let mut node = Node::of_crd(schema);
    node.properties.insert("apiVersion".into(), published::text_node());
    node.properties.insert("kind".into(), published::text_node());
    node.properties.insert("metadata".into(), published::node(published::OBJECT_META));
    let paths = |value: &Value| {
        let paths = value.as_array().into_iter().flatten();
        paths.map(|field| text(&field["jsonPath"]).trim_start_matches('.').to_owned()).collect::<Vec<_>>()
    };
    Ok(Kind {
        version: text(&version["name"]),
        plural: text(&names["plural"]),
        singular: text(&names["singular"]),
        short_names: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        namespaced: spec["scope"] == json!("Namespaced"),
        custom: true,
        strategy: Strategy { status: version["subresources"]["status"].is_object(), ..Strategy::CUSTOM },
        columns: Column::of_crd(&version["additionalPrinterColumns"]),
        selectable: paths(&version["selectableFields"]),
        stored_as: id,
        storage_version_hash: published::storage_version_hash(&group, &text(&version["name"]), &kind),
        schema: Some(Schema::of_crd(schema).map_err(|why| Unsupported { kind: kind.clone(), why })?),
        published: schema.clone(),
        node,
        kind,
        group,
    })
}
