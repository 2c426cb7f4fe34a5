//! The schema of `metadata`, which a CRD's own schema leaves out.

use crate::schema::node::Node;
use serde_json::json;

/// Returns the schema of `metadata` as the API server publishes it for every kind (`ObjectMeta`): its maps and lists
/// with the keys that identify their items, for merging and for ownership.
pub fn object_meta() -> Node {
    let text = || json!({ "type": "string" });
    let time = || json!({ "type": "string", "format": "date-time" });
    let number = || json!({ "type": "integer", "format": "int64" });
    let map = || json!({ "type": "object", "additionalProperties": { "type": "string", "default": "" } });
    let required = || json!({ "type": "string", "default": "" });
    Node::of_crd(&json!({
        "type": "object",
        "properties": {
            "annotations": map(),
            "creationTimestamp": time(),
            "deletionGracePeriodSeconds": number(),
            "deletionTimestamp": time(),
            "finalizers": {
                "type": "array",
                "items": { "type": "string", "default": "" },
                "x-kubernetes-list-type": "set",
                "x-kubernetes-patch-strategy": "merge",
            },
            "generateName": text(),
            "generation": number(),
            "labels": map(),
            "managedFields": {
                "type": "array",
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "properties": {
                        "apiVersion": text(), "fieldsType": text(), "fieldsV1": { "type": "object" },
                        "manager": text(), "operation": text(), "subresource": text(), "time": time(),
                    },
                },
            },
            "name": text(),
            "namespace": text(),
            "ownerReferences": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["uid"],
                "x-kubernetes-patch-merge-key": "uid",
                "x-kubernetes-patch-strategy": "merge",
                "items": {
                    "type": "object",
                    "x-kubernetes-map-type": "atomic",
                    "required": ["apiVersion", "kind", "name", "uid"],
                    "properties": {
                        "apiVersion": required(), "blockOwnerDeletion": { "type": "boolean" },
                        "controller": { "type": "boolean" }, "kind": required(), "name": required(), "uid": required(),
                    },
                },
            },
            "resourceVersion": text(),
            "selfLink": text(),
            "uid": text(),
        },
    }))
}
