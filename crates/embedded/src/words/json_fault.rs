//! Reading JSON, with the words of Go's JSON reader for what is not JSON or not of the wanted type.

use serde_json::Value;

/// Returns the value, or what is wrong with the text.
pub fn read_json(text: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(text).map_err(|error| {
        if error.is_eof() {
            return "unexpected end of JSON input".into();
        }
        let at = position(text, error.line(), error.column());
        let found = text.get(at).copied().unwrap_or_default();
        let rest = text.get(..at).unwrap_or_default();
        let word = rest.iter().rposition(|byte| !byte.is_ascii_lowercase()).map_or(0, |at| at + 1);
        let after = rest.iter().rev().find(|byte| !byte.is_ascii_whitespace());
        let context = match (literal(&rest[word..]), after) {
            (Some((word, next)), _) => &format!("in literal {word} (expecting '{next}')"),
            (None, None | Some(b',' | b'[' | b':')) => "looking for beginning of value",
            (None, Some(b'{')) => "looking for beginning of object key string",
            (None, Some(_)) => "after top-level value",
        };
        format!("invalid character '{}' {context}", char::from(found))
    })
}

/// Returns what is wrong with a text that should be a JSON object; `None` if it is one.
pub fn object_fault(text: &[u8]) -> Option<String> {
    match read_json(text) {
        Ok(Value::Object(_) | Value::Null) => None,
        Ok(other) => Some(cannot(&other, "map[string]interface {}")),
        Err(why) => Some(why),
    }
}

/// Returns what the API server says about a value of the wrong type.
pub fn cannot(value: &Value, wanted: &str) -> String {
    format!("json: cannot unmarshal {} into Go value of type {wanted}", type_name(value))
}

/// Returns a value's type by the name that Go's JSON reader gives it.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Returns the literal that begins like this, and the letter that has to follow.
fn literal(beginning: &[u8]) -> Option<(&'static str, char)> {
    let literal = ["true", "false", "null"].into_iter().find(|literal| literal.as_bytes().starts_with(beginning))?;
    let next = literal.as_bytes().get(beginning.len()).filter(|_| !beginning.is_empty())?;
    Some((literal, char::from(*next)))
}

/// Returns the offset of the byte at which the reader stopped.
fn position(text: &[u8], line: usize, column: usize) -> usize {
    let before: usize = text.split(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(|line| line.len() + 1).sum();
    before + column.saturating_sub(1)
}
