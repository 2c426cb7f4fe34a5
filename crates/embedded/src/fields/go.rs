//! Values as Go, the API server's language, prints them: in messages (`%v`, `%q`, `%#v`) and as JSON.

use serde_json::{Map, Value};
use std::fmt::Write;

/// Appends JSON as Go writes it: fields sorted, and `<`, `>`, `&` escaped.
pub fn json(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            text.push('{');
            for (at, (name, value)) in sorted(map).into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                json_text(name, text);
                text.push(':');
                json(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                json(item, text);
            }
            text.push(']');
        }
        Value::String(string) => json_text(string, text),
        Value::Number(number) => text.push_str(&float(number)),
        other => {
            let _ = write!(text, "{other}");
        }
    }
}

/// Appends a JSON string as Go writes it.
pub fn json_text(string: &str, text: &mut String) {
    text.push('"');
    for c in string.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

/// Returns a value as it appears in a path: texts quoted, the rest plain.
pub fn readable(value: &Value) -> String {
    match value {
        Value::String(string) => quoted(string),
        Value::Null => "null".into(),
        Value::Array(items) => format!("[{}]", items.iter().map(readable).collect::<Vec<_>>().join(",")),
        Value::Object(map) => {
            map.iter().map(|(name, value)| format!("{name}={}", readable(value))).collect::<Vec<_>>().concat()
        }
        other => plain(other),
    }
}

/// Returns a text as Go's `%q` prints it.
pub fn quoted(string: &str) -> String {
    let mut text = String::with_capacity(string.len() + 2);
    text.push('"');
    for c in string.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{7}' => text.push_str("\\a"),
            '\u{8}' => text.push_str("\\b"),
            '\u{b}' => text.push_str("\\v"),
            '\u{c}' => text.push_str("\\f"),
            '\0'..='\u{1f}' | '\u{7f}' => {
                let _ = write!(text, "\\x{:02x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

/// Returns a value as Go's `%v` prints it.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => float(number),
        Value::String(string) => string.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => plain_map(map),
    }
}

/// Returns an object as Go's `%v` prints it.
pub fn plain_map(map: &Map<String, Value>) -> String {
    let fields = sorted(map).into_iter().map(|(name, value)| format!("{name}:{}", plain(value)));
    format!("map[{}]", fields.collect::<Vec<_>>().join(" "))
}

/// Returns a value as Go's `%#v` prints it.
pub fn literal(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".into(),
        Value::String(string) => quoted(string),
        Value::Array(items) => {
            format!("[]interface {{}}{{{}}}", items.iter().map(literal).collect::<Vec<_>>().join(", "))
        }
        Value::Object(map) => {
            let fields = sorted(map).into_iter().map(|(name, value)| format!("{}:{}", quoted(name), literal(value)));
            format!("map[string]interface {{}}{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        other => plain(other),
    }
}

/// Returns a value's Go type, as `%T` prints it.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn float(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => float.to_string(),
        _ => number.to_string(),
    }
}

fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut fields: Vec<(&String, &Value)> = map.iter().collect();
    fields.sort_unstable_by_key(|(name, _)| *name);
    fields
}
