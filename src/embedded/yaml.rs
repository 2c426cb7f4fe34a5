//! YAML as the API server reads it, with the words of its reader for the usual slips.

use serde_json::Value;
use serde_saphyr::{DuplicateKeyPolicy, Error};

/// The value in a text of YAML; the last of doubled fields counts. JSON is YAML, too, and faster read as what it is.
pub fn read(body: &[u8]) -> Result<Value, String> {
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| format!("yaml: {}", fault(text, &error)))
}

/// What strict reading says of the first doubled field.
pub fn doubled(body: &[u8]) -> Option<String> {
    let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::Error };
    let read = serde_saphyr::from_str_with_options::<Value>(std::str::from_utf8(body).ok()?, options);
    let error = read.err()?;
    let Error::DuplicateMappingKey { key, location } = error.without_snippet() else { return None };
    let key = key.as_deref().unwrap_or_default();
    Some(format!("yaml: unmarshal errors:\n  line {}: key {key:?} already set in map", location.line()))
}

fn fault(text: &str, error: &Error) -> String {
    let error = error.without_snippet();
    let line = error.location().map_or(1, |location| location.line());
    let read = text.trim_end();
    let what = match read.rfind(['[', '{']).map(|at| (&read[at..=at], read[at + 1..].trim_end())) {
        Some((_, rest)) if !error.to_string().contains("unclosed") || rest.contains([']', '}']) => error.to_string(),
        Some((_, rest)) if rest.is_empty() || rest.ends_with(',') => "did not find expected node content".into(),
        Some(("[", _)) => "did not find expected ',' or ']'".into(),
        Some(_) => "did not find expected ',' or '}'".into(),
        None => error.to_string(),
    };
    format!("line {line}: {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_slips_are_told_as_by_the_api_server() {
        for (text, why) in [
            ("a: [", "yaml: line 1: did not find expected node content"),
            ("a: [b", "yaml: line 1: did not find expected ',' or ']'"),
            ("a: {b", "yaml: line 1: did not find expected ',' or '}'"),
        ] {
            assert_eq!(read(text.as_bytes()), Err(why.into()));
        }
        let twice = "a: 1\nb: {c: 1, c: 2}";
        assert_eq!(
            doubled(twice.as_bytes()).as_deref(),
            Some("yaml: unmarshal errors:\n  line 2: key \"c\" already set in map")
        );
        assert_eq!(read(twice.as_bytes()), Ok(serde_json::json!({"a": 1, "b": {"c": 2}})));
    }
}
