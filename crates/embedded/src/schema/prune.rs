//! Removing the fields that a schema does not know (`apiextensions-apiserver/pkg/apiserver/schema/pruning`).

use serde_json::{Map, Value};

use super::metadata;
use super::node::Node;
use super::path::Path;

const OF_EVERY_OBJECT: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Removes the fields that the schema does not know. Returns their paths as strict decoding spells them
/// (`spec.plans[0].name`): first those in the metadata, then the others by name. If the schema does not describe the
/// metadata (a custom resource), `apiVersion`, `kind` and `metadata` stay, and metadata may have the fields of every
/// object's metadata.
pub fn prune(node: &Node, object: &mut Value) -> Vec<String> {
    let mut removed = Vec::new();
    let custom = !node.properties.contains_key("metadata");
    if custom && let Some(metadata) = object.get_mut("metadata") {
        fields(metadata::schema(), false, metadata, &Path::Root.field("metadata"), &mut removed);
    }
    let mut others = Vec::new();
    fields(node, custom, object, &Path::Root, &mut others);
    // The API server decodes a built-in kind's object in the order in which it is written, and walks a custom resource
    // as a map.
    if custom {
        others.sort();
    }
    removed.append(&mut others);
    removed
}

fn fields(node: &Node, resource: bool, value: &mut Value, path: &Path, removed: &mut Vec<String>) {
    match value {
        Value::Object(object) => of_object(node, resource, object, path, removed),
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                match &node.items {
                    Some(schema) => fields(schema, schema.embedded_resource, item, &path.index(index), removed),
                    None if node.preserve_unknown || node.any_object => {}
                    None => fields(&Node::default(), false, item, &path.index(index), removed),
                }
            }
        }
        _ => {}
    }
}

fn of_object(node: &Node, resource: bool, object: &mut Map<String, Value>, path: &Path, removed: &mut Vec<String>) {
    let resource = resource || node.embedded_resource;
    object.retain(|name, value| {
        if resource && OF_EVERY_OBJECT.contains(&name.as_str()) {
            if name == "metadata" && !matches!(path, Path::Root) {
                fields(metadata::schema(), false, value, &path.field(name), removed);
            }
            return true;
        }
        match (node.properties.get(name), &node.additional) {
            (Some(schema), _) => fields(schema, false, value, &path.field(name), removed),
            (None, Some(schema)) => fields(schema, false, value, &path.field(name), removed),
            (None, None) if node.preserve_unknown || node.any_object => {}
            (None, None) => {
                removed.push(path.field(name).text());
                return false;
            }
        }
        true
    });
}

/// Removes each null that the schema neither allows nor replaces by a default.
pub fn drop_nulls(node: Option<&Node>, value: &mut Value) {
    match value {
        Value::Object(object) => object.retain(|name, value| {
            let schema = node.and_then(|node| node.field(name));
            if value.is_null() && schema.is_some_and(|schema| !schema.nullable && schema.default.is_none()) {
                return false;
            }
            drop_nulls(schema, value);
            true
        }),
        Value::Array(items) => {
            let schema = node.and_then(|node| node.items.as_deref());
            items.iter_mut().for_each(|item| drop_nulls(schema, item));
        }
        _ => {}
    }
}
