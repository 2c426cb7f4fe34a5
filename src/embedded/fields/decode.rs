//! Reading the body of a patch, with the words of Go's JSON reader for one that is none.

use serde_json::Value;

/// The value, or what is wrong with the text.
pub fn decode(text: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(text).map_err(|error| {
        if error.is_eof() {
            return "unexpected end of JSON input".into();
        }
        let at = position(text, error.line(), error.column());
        let found = text.get(at).copied().unwrap_or_default();
        let rest = text.get(..at).unwrap_or_default();
        let after = rest.iter().rev().find(|byte| !byte.is_ascii_whitespace());
        let context = match after {
            None => "looking for beginning of value",
            Some(b'{') => "looking for beginning of object key string",
            Some(b',' | b'[' | b':') => "looking for beginning of value",
            Some(_) => "after top-level value",
        };
        format!("invalid character '{}' {context}", char::from(found))
    })
}

/// The offset of the byte that the reader stopped at.
fn position(text: &[u8], line: usize, column: usize) -> usize {
    let before: usize = text.split(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(|line| line.len() + 1).sum();
    before + column.saturating_sub(1)
}
