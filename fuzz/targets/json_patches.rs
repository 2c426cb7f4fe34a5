//! JSON patches, as the embedded API applies them.

use seatkeeper_embedded::fuzzing::json_patch;
use serde_json::{Value, json};
use std::sync::LazyLock;

static LIVE: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "metadata": {"name": "a", "labels": {"a": "b", "c/d": "e~f"}, "finalizers": ["x", "y"]},
        "spec": {"pools": [{"name": "agents", "seats": 5}, {"name": "b", "seats": null}], "on": true},
    })
});

pub fn run(data: &[u8]) {
    let Some(patched) = json_patch(&LIVE, data) else { return };
    // Copies are bounded, so a patch never makes more than its own size and that of some copies.
    let size = patched.to_string().len();
    assert!(size <= (4 << 20) + 8 * data.len(), "{} bytes made {size}", data.len());
}
