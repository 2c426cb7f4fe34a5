//! Bodies of the embedded API in YAML and JSON.

use seatkeeper_embedded::fuzzing::{json, read_yaml, write_yaml};
use serde_json::Value;

pub fn run(data: &[u8]) {
    if let Some((value, _)) = json(data) {
        assert_eq!(serde_json::from_slice(data).ok(), Some(value), "with and without notice of duplicates");
    }
    let Some(mut value) = read_yaml(data) else { return };
    take_out(&mut value);
    // Bodies are objects.
    let value = serde_json::json!({ "x": value });
    let written = write_yaml(&value);
    assert_eq!(read_yaml(written.as_bytes()), Some(value), "what is written reads as it was:\n{written}");
}

/// Takes out what does not read as it was written, with the API server neither: fractions, of which the last digit is
/// not certain, and fields that are called as the merge of YAML is written.
fn take_out(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => *value = Value::Null,
        Value::Array(items) => items.iter_mut().for_each(take_out),
        Value::Object(fields) => {
            fields.shift_remove("<<");
            fields.values_mut().for_each(take_out);
        }
        _ => {}
    }
}
