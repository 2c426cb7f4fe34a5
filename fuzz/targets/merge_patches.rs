//! Merge patches and strategic merge patches, as the embedded API applies them.

use seatkeeper_embedded::fuzzing::{merge_patch, strategic_merge_patch};
use serde_json::{Value, json};
use std::sync::LazyLock;

static POD: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "a", "namespace": "default", "labels": {"a": "b"}, "finalizers": ["x", "y"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "b", "uid": "1"}]},
        "spec": {"containers": [
            {"name": "one", "image": "a", "args": ["x"], "ports": [{"containerPort": 80, "protocol": "TCP"}]},
            {"name": "two", "image": "b", "env": [{"name": "A", "value": "1"}]},
        ], "tolerations": [{"key": "k"}]},
    })
});

pub fn run(data: &[u8]) {
    if let Some(once) = merge_patch(&POD, data) {
        // A null in a list counts only where the list replaces an object, so it may vanish the second time.
        if !once.to_string().contains("null") {
            assert_eq!(merge_patch(&once, data), Some(once), "a second time changes nothing");
        }
    }
    if let Some(patched) = strategic_merge_patch(&POD, data) {
        assert!(patched.is_object());
    }
}
