//! Defaults: the values that a schema supplies (`apiextensions-apiserver/pkg/apiserver/schema/defaulting`).

use serde_json::Value;

use super::node::Node;
use super::prune::drop_nulls;

/// Fills in the defaults of the schema. A null that the schema does not allow is replaced by the default, or removed if
/// there is none.
pub fn default(node: &Node, object: &mut Value) {
    drop_nulls(Some(node), object);
    fill(node, object);
}

fn fill(node: &Node, value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, schema) in &node.properties {
                let Some(given) = &schema.default else { continue };
                if object.get(name).is_none_or(|value| value.is_null() && !schema.nullable) {
                    object.insert(name.clone(), given.clone());
                }
            }
            for (name, value) in object.iter_mut() {
                if let Some(schema) = node.properties.get(name) {
                    fill(schema, value);
                } else if let Some(schema) = &node.additional {
                    fill_null(schema, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = &node.items {
                items.iter_mut().for_each(|item| fill_null(schema, item));
            }
        }
        _ => {}
    }
}

fn fill_null(schema: &Node, value: &mut Value) {
    if value.is_null()
        && !schema.nullable
        && let Some(given) = &schema.default
    {
        *value = given.clone();
    }
    fill(schema, value);
}
