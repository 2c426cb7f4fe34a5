//! Label selectors, and after a line `---` field selectors, in queries of the embedded API.

use seatkeeper_embedded::fuzzing::selects;
use serde_json::{Value, json};
use std::sync::LazyLock;

use super::shared::halves;

static POD: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "metadata": {"name": "a", "namespace": "default", "labels": {"app": "desk", "tier": "3", "example.com/x": ""}},
        "spec": {"nodeName": "n"}, "status": {"phase": "Pending"},
    })
});

pub fn run(data: &[u8]) {
    let (labels, fields) = halves(data);
    let (Ok(labels), Ok(fields)) = (str::from_utf8(labels), str::from_utf8(fields)) else { return };
    let found = selects(labels, fields, &POD);
    // Two requirements are met if each is.
    if let (Some(found), Some(true)) = (found, selects("app=desk", "", &POD)) {
        let both = format!("app=desk,{labels}");
        assert!(labels.trim().is_empty() || selects(&both, fields, &POD) == Some(found), "{both:?}");
    }
}
