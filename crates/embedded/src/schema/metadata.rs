//! The fields that the metadata of every object may have (`metav1.ObjectMeta`).

use serde_json::json;
use std::sync::LazyLock;

use super::node::Node;

/// Returns the schema of `metadata`, as far as it distinguishes known fields from unknown ones.
pub fn schema() -> &'static Node {
    &SCHEMA
}

static SCHEMA: LazyLock<Node> = LazyLock::new(|| {
    let any = json!({"x-kubernetes-preserve-unknown-fields": true});
    let object = |names: &[&str]| {
        let fields: serde_json::Map<_, _> = names.iter().map(|name| ((*name).to_owned(), any.clone())).collect();
        json!({"type": "object", "properties": fields})
    };
    let mut metadata = object(&[
        "name",
        "generateName",
        "namespace",
        "selfLink",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "labels",
        "annotations",
        "finalizers",
    ]);
    let owner = object(&["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"]);
    let manager = object(&["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource"]);
    metadata["properties"]["ownerReferences"] = json!({"type": "array", "items": owner});
    metadata["properties"]["managedFields"] = json!({"type": "array", "items": manager});
    Node::of_crd(&metadata)
});
