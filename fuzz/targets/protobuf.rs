//! Bodies of the embedded API in Protobuf.

use seatkeeper_embedded::fuzzing::protobuf;

pub fn run(data: &[u8]) {
    let Some(object) = protobuf(data) else { return };
    assert!(data.starts_with(b"k8s\0"));
    assert!(object["kind"].is_string() && object["apiVersion"].is_string());
    // Each byte becomes at most six characters of JSON, and names of fields come on top.
    let size = object.to_string().len();
    assert!(size <= 1024 + 64 * data.len(), "{} bytes made {size}", data.len());
}
