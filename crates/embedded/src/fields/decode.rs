//! Decoding the body of a patch, with the words of Go's JSON reader if it is not JSON.

use serde_json::Value;

/// Returns the value, or what is wrong with the text.
pub fn decode(text: &[u8]) -> Result<Value, String> {
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
pub fn go_json_fault(text: &[u8]) -> Option<String> {
    match decode(text) {
        Ok(Value::Object(_) | Value::Null) => None,
        Ok(other) => Some(super::json_patch::cannot(&other, "map[string]interface {}")),
        Err(why) => Some(why),
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
