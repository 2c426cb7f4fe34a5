//! What the fuzz targets call, because a whole request would take many times as long. Only with the feature `fuzzing`.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use serde_json::Value;
use std::sync::LazyLock;

use crate::fields;
use crate::http::{decode, doubled, yaml};
use crate::kinds::{Kind, Kinds};
use crate::read::selector::Selector;

static KINDS: LazyLock<Kinds> = LazyLock::new(Kinds::default);

/// The object in a body of Protobuf.
pub fn protobuf(body: &[u8]) -> Option<Value> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.kubernetes.protobuf"));
    decode::options(&headers, &Bytes::copy_from_slice(body)).ok()
}

/// The value in a text of JSON, and what is said of its duplicate fields.
pub fn json(text: &[u8]) -> Option<(Value, Vec<String>)> {
    doubled::read(text).ok()
}

/// The value in a text of YAML.
pub fn read_yaml(text: &[u8]) -> Option<Value> {
    let _ = yaml::doubled(text);
    yaml::read(text).ok()
}

/// A value as a text of YAML.
pub fn write_yaml(value: &Value) -> String {
    yaml::write(value)
}

/// The object after a JSON patch.
pub fn json_patch(live: &Value, patch: &[u8]) -> Option<Value> {
    fields::json_patch(live, patch).ok()
}

/// The object after a JSON merge patch.
pub fn merge_patch(live: &Value, patch: &[u8]) -> Option<Value> {
    fields::merge_patch(live, patch).ok()
}

/// The Pod after a strategic merge patch.
pub fn strategic_merge_patch(live: &Value, patch: &[u8]) -> Option<Value> {
    fields::strategic_merge_patch(&pods()?.node, live, patch).ok()
}

/// Whether a Pod is one of those that the selectors choose; `None` if they cannot be read.
pub fn selects(labels: &str, of_fields: &str, pod: &Value) -> Option<bool> {
    let pods = pods()?;
    Selector::read(pods, Some(labels), Some(of_fields)).ok().map(|selector| selector.meets(pods, pod))
}

fn pods() -> Option<&'static Kind> {
    KINDS.find("", "v1", "pods").map(|pods| KINDS.get(pods))
}
