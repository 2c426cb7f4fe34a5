//! YAML as the API server reads and writes it.

use serde_json::{Map, Value};
use serde_saphyr::{DuplicateKeyPolicy, Error};
use std::fmt::Write;

/// Returns the value in a text of YAML; the last of duplicate fields counts. JSON is also YAML, and faster to read as
/// JSON.
pub fn read(body: &[u8]) -> Result<Value, String> {
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| format!("yaml: {}", error.without_snippet()))
}

/// Returns what strict reading says about the first duplicate field.
pub fn doubled(body: &[u8]) -> Option<String> {
    let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::Error };
    let read = serde_saphyr::from_str_with_options::<Value>(std::str::from_utf8(body).ok()?, options);
    let error = read.err()?;
    let Error::DuplicateMappingKey { key, location } = error.without_snippet() else { return None };
    let key = key.as_deref().unwrap_or_default();
    Some(format!("yaml: unmarshal errors:\n  line {}: key {key:?} already set in map", location.line()))
}

/// Returns a value as YAML as the API server writes it: fields sorted, texts plain where possible.
pub fn write(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(_) | Value::Array(_) if !is_empty(value) => write_parts(value, 0, &mut out),
        _ => {
            write_scalar(value, 0, &mut out);
            out.push('\n');
        }
    }
    out
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

/// The longest name of a field, in bytes, that is written before a colon on the same line. Readers take no line of more than
/// 1,024 characters for a name.
const LONGEST_SIMPLE_NAME: usize = 128;

/// Writes the fields or items, each on its own line; the first one continues the present line.
fn write_parts(value: &Value, indent: usize, out: &mut String) {
    let start = |n: usize, out: &mut String| {
        if n > 0 {
            out.push_str(&" ".repeat(indent));
        }
    };
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            for (n, (name, value)) in fields.into_iter().enumerate() {
                start(n, out);
                let is_long = name.len() > LONGEST_SIMPLE_NAME;
                out.push_str(if is_long { "? " } else { "" });
                write_name(name, out);
                if is_long {
                    out.push('\n');
                    out.push_str(&" ".repeat(indent));
                }
                out.push(':');
                match value {
                    Value::Object(_) | Value::Array(_) if is_long && !is_empty(value) => {
                        out.push(' ');
                        write_parts(value, indent + 2, out);
                    }
                    Value::Object(_) if !is_empty(value) => {
                        out.push('\n');
                        out.push_str(&" ".repeat(indent + 2));
                        write_parts(value, indent + 2, out);
                    }
                    Value::Array(_) if !is_empty(value) => {
                        out.push('\n');
                        out.push_str(&" ".repeat(indent));
                        write_parts(value, indent, out);
                    }
                    _ => {
                        out.push(' ');
                        write_scalar(value, indent + 2, out);
                        out.push('\n');
                    }
                }
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                start(n, out);
                out.push_str("- ");
                match item {
                    Value::Object(_) | Value::Array(_) if !is_empty(item) => write_parts(item, indent + 2, out),
                    _ => {
                        write_scalar(item, indent + 2, out);
                        out.push('\n');
                    }
                }
            }
        }
        _ => {}
    }
}

fn write_scalar(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::String(text) => write_text(text, indent, out),
        // Empty objects and lists, numbers and booleans are written as in JSON.
        other => out.push_str(&other.to_string()),
    }
}

fn write_text(text: &str, indent: usize, out: &mut String) {
    if is_block(text) {
        // One line break at the end is implied; none or several have to be marked.
        out.push_str(match text.strip_suffix('\n') {
            None => "|-",
            Some(rest) if rest.ends_with('\n') => "|+",
            Some(_) => "|",
        });
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            out.push('\n');
            if !line.is_empty() {
                out.push_str(&" ".repeat(indent));
                out.push_str(line);
            }
        }
    } else {
        write_name(text, out);
    }
}

/// Writes a text on one line, as the name of a field has to be.
fn write_name(text: &str, out: &mut String) {
    if text.contains(is_escaped) || means_something_else(text) {
        write_escaped(text, out);
    } else if is_plain(text) {
        out.push_str(text);
    } else {
        out.push('\'');
        out.push_str(&text.replace('\'', "\'\'"));
        out.push('\'');
    }
}

/// Returns whether a text is written line by line. Blanks at the end of a line would not be seen, so they are not.
fn is_block(text: &str) -> bool {
    let is_odd = |c: char| c != '\n' && is_escaped(c);
    let blanks = text.starts_with([' ', '\n']) || text.ends_with(' ') || text.contains(" \n");
    text.contains('\n') && !text.contains(is_odd) && !blanks
}

/// Returns whether the API server's writer takes a character for one that cannot be printed.
fn is_escaped(c: char) -> bool {
    c.is_control() || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}'..)
}

fn write_escaped(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        let short = match c {
            '"' | '\\' => Some(c),
            '\0' => Some('0'),
            '\u{7}' => Some('a'),
            '\u{8}' => Some('b'),
            '\t' => Some('t'),
            '\n' => Some('n'),
            '\u{b}' => Some('v'),
            '\u{c}' => Some('f'),
            '\r' => Some('r'),
            '\u{1b}' => Some('e'),
            '\u{85}' => Some('N'),
            _ => None,
        };
        let _ = match (short, u32::from(c)) {
            (Some(letter), _) => write!(out, "\\{letter}"),
            (None, _) if !is_escaped(c) => write!(out, "{c}"),
            (None, code @ 0..0x100) => write!(out, "\\x{code:02X}"),
            (None, code @ 0..0x1_0000) => write!(out, "\\u{code:04X}"),
            (None, code) => write!(out, "\\U{code:08X}"),
        };
    }
    out.push('"');
}

/// Returns whether a plain text would be read as a number, a boolean, a time or null.
fn means_something_else(text: &str) -> bool {
    const WORDS: [&str; 11] = ["", "~", "null", "true", "false", "y", "n", "yes", "no", "on", "off"];
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = number.replace('_', "");
    let date = |c: char| c.is_ascii_digit() || matches!(c, '-' | ':' | 'T' | 't' | 'Z' | 'z' | '.' | '+' | ' ');
    WORDS.contains(&text.to_ascii_lowercase().as_str())
        || digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && digits.contains(|c: char| c.is_ascii_digit())
            && (digits.parse::<f64>().is_ok() || is_in_base(&digits))
        || matches!(number.to_ascii_lowercase().as_str(), ".inf" | ".nan")
        || text.len() >= 8 && text.get(4..5) == Some("-") && text.chars().all(date)
}

fn is_in_base(digits: &str) -> bool {
    let in_base =
        |prefix: &str, base| digits.strip_prefix(prefix).is_some_and(|d| u64::from_str_radix(d, base).is_ok());
    in_base("0x", 16) || in_base("0b", 2) || in_base("0o", 8)
}

fn is_plain(text: &str) -> bool {
    let second_is_space = text.chars().nth(1).is_none_or(|c| c == ' ');
    let starts_odd = match text.chars().next() {
        Some('-' | '?' | ':') => second_is_space,
        Some(c) => " #,[]{}&*!|>'\"%@`".contains(c),
        None => true,
    };
    !(starts_odd
        || text.starts_with("---")
        || text.starts_with("...")
        || text.ends_with([' ', ':'])
        || text.contains(": ")
        || text.contains(" #"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fuzzing found a name that was too long to be read again.
    #[test]
    fn a_long_name_has_a_line_of_its_own() {
        let name = "n".repeat(2_000);
        for (value, written) in [
            (serde_json::json!("text"), "text\n".to_owned()),
            (serde_json::json!({"a": 1, "b": [2]}), "a: 1\n  b:\n  - 2\n".to_owned()),
            (serde_json::json!([1, {"a": 2}]), "- 1\n  - a: 2\n".to_owned()),
            (serde_json::json!({&name: {}}), format!("? {name}\n  : {{}}\n")),
        ] {
            let object = serde_json::json!({&name: value, "z": 3});
            assert_eq!(write(&object), format!("? {name}\n: {written}z: 3\n"));
            assert_eq!(read(write(&object).as_bytes()), Ok(object));
        }
        let simple = serde_json::json!({"n".repeat(128): 1});
        assert!(write(&simple).ends_with("n: 1\n"));
    }

    #[test]
    fn texts_are_plain_where_they_can_be() {
        for (text, written) in [
            ("f:data", "f:data"),
            (".", "."),
            ("a: b", "'a: b'"),
            (":", "':'"),
            ("- x", "'- x'"),
            ("=", "="),
            ("true", "\"true\""),
            ("1e3", "\"1e3\""),
            ("0x1F", "\"0x1F\""),
            ("1_000", "\"1_000\""),
            ("", "\"\""),
            ("2026-11-22T05:45:27Z", "\"2026-11-22T05:45:27Z\""),
            ("a\tb", "\"a\\tb\""),
            ("it's", "it's"),
            ("@x", "'@x'"),
            ("a\nb\n", "|\n  a\n  b"),
            ("a\nb", "|-\n  a\n  b"),
            ("<<", "<<"),
            ("a,b", "a,b"),
            ("---", "'---'"),
        ] {
            let object = serde_json::json!({"x": text});
            assert_eq!(write(&object), format!("x: {written}\n"));
            assert_eq!(read(write(&object).as_bytes()), Ok(object));
        }
        let nested = serde_json::json!({"b": [{"d": 1, "c": [[], {}]}], "a": {"n": null}});
        assert_eq!(write(&nested), "a:\n  \"n\": null\nb:\n- c:\n  - []\n  - {}\n  d: 1\n");
    }

    #[test]
    fn broken_yaml_and_duplicate_fields_are_told_with_their_line() {
        let broken = read(b"a: 1\nb: [").unwrap_err();
        assert!(broken.starts_with("yaml: ") && broken.contains("line 2"), "{broken}");
        let twice = "a: 1\nb: {c: 1, c: 2}";
        assert_eq!(
            doubled(twice.as_bytes()).as_deref(),
            Some("yaml: unmarshal errors:\n  line 2: key \"c\" already set in map")
        );
        assert_eq!(read(twice.as_bytes()), Ok(serde_json::json!({"a": 1, "b": {"c": 2}})));
    }

    /// Found by fuzzing: a field whose name has a line break, and a name or text with what YAML does not print.
    #[test]
    fn what_is_written_reads_as_it_was() {
        for text in
            ["a\nb", "a\n", "\u{feff}a", "a\u{ffff}", "a \nb", "a\n ", "\u{1f600}", "a\u{85}\u{1b}\0", "\u{2028}"]
        {
            for value in
                [serde_json::json!({"x": text}), serde_json::json!({text: 1}), serde_json::json!([{text: [text]}])]
            {
                let written = write(&value);
                assert_eq!(read(written.as_bytes()), Ok(value), "{written}");
            }
        }
    }
}
