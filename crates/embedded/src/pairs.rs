//! Comparing two objects field by field.

use serde_json::{Map, Value};

/// Yields each field of `one` with the value that `other` has under the same name. Usually both were written in the
/// same order, so the next field is tried first: that costs less than looking it up by its hash.
pub fn pairs<'v>(
    one: &'v Map<String, Value>,
    other: &'v Map<String, Value>,
) -> impl Iterator<Item = (&'v String, &'v Value, Option<&'v Value>)> {
    let mut next = other.iter();
    one.iter().map(move |(name, value)| match next.next() {
        Some((known, twin)) if known == name => (name, value, Some(twin)),
        _ => (name, value, other.get(name)),
    })
}

/// Returns whether both values are written the same way, including the order of fields.
pub fn identical(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let fields = |((name, one), (twin, other)): ((&String, &Value), _)| name == twin && identical(one, other);
            one.len() == other.len() && one.iter().zip(other).all(fields)
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| identical(one, other))
        }
        _ => one == other,
    }
}

/// Returns whether a value has no content. An empty field means the same as an absent one.
pub fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_field_meets_the_one_of_its_name_in_whatever_order() {
        let one = json!({"a": 1, "b": 2, "c": 3, "d": 4});
        for other in [json!({"a": 1, "b": 2, "d": 4}), json!({"d": 4, "b": 2, "a": 1, "x": 0}), json!({})] {
            let (one, other) = (one.as_object().unwrap(), other.as_object().unwrap());
            let found: Vec<_> = pairs(one, other).collect();
            let expected: Vec<_> = one.iter().map(|(name, value)| (name, value, other.get(name))).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_is_written_the_same_is_identical() {
        let text = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
        let one = text(r#"{"a": [{"b": 1, "c": {}}]}"#);
        assert!(identical(&one, &one.clone()));
        for other in [r#"{"a": [{"c": {}, "b": 1}]}"#, r#"{"a": [{"b": 1.0, "c": {}}]}"#, r#"{"a": []}"#, "{}"] {
            assert!(!identical(&one, &text(other)), "{other}");
        }
    }
}
