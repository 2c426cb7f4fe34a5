//! Values as Go, the API server's language, prints them: in messages (`%q`, `%v`) and as JSON.

use serde_json::{Map, Value};
use std::fmt::Write;

/// Returns a text as Go's `%q` prints it.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if is_printed(c) => out.push(c),
            c => {
                let code = u32::from(c);
                let _ = match code {
                    0..0x80 => write!(out, "\\x{code:02x}"),
                    0x80..0x1_0000 => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push('"');
    out
}

/// Returns whether Go prints a character as it is. Rust's own quoting uses the same Unicode tables; like Go, it leaves
/// combining marks alone behind another character.
fn is_printed(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    let pair: String = ['a', c].iter().collect();
    pair.escape_debug().eq(pair.chars())
}

/// Returns a number with a fraction as Go's `%v` prints it: `1e+06`, `2.5`.
pub fn float(number: f64) -> String {
    written(number, -4..6)
}

/// Returns a number with a fraction as Go's JSON writes it: `1000000`, `1e+21`.
fn json_float(number: f64) -> String {
    let plain = written(number, -6..21);
    // JSON writes e-9, not e-09.
    plain.replace("e-0", "e-")
}

/// Writes a number plainly if its exponent is in `plain`, else with an exponent of at least two digits.
fn written(number: f64, plain: std::ops::Range<i32>) -> String {
    let text = format!("{number:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number == 0.0 || plain.contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// Returns a value as Go's `encoding/json` writes it: fields sorted by name, `<`, `>` and `&` escaped.
pub fn json(value: &Value) -> String {
    let mut text = String::new();
    write_json(value, &mut text);
    text
}

/// Appends a value as [`json`] returns it.
pub fn write_json(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            text.push('{');
            for (at, (name, value)) in sorted(map).into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write_text(name, text);
                text.push(':');
                write_json(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write_json(item, text);
            }
            text.push(']');
        }
        Value::String(string) => write_text(string, text),
        Value::Number(number) if !number.is_i64() => {
            text.push_str(&number.as_f64().map_or_else(|| number.to_string(), json_float));
        }
        other => {
            let _ = write!(text, "{other}");
        }
    }
}

/// Appends a JSON string as Go writes it.
pub fn write_text(string: &str, text: &mut String) {
    text.push('"');
    for c in string.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
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

/// Returns the bad value of an error about a field: numbers and booleans plain, texts quoted, anything else as JSON.
pub fn bad_value(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => whole.to_string(),
            None => number.as_f64().map_or_else(|| number.to_string(), float),
        },
        other => json(other),
    }
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
        Value::Number(number) => number_text(number),
        Value::Bool(truth) => truth.to_string(),
    }
}

fn number_text(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(fraction) if number.is_f64() => float(fraction),
        _ => number.to_string(),
    }
}

fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut fields: Vec<(&String, &Value)> = map.iter().collect();
    fields.sort_unstable_by_key(|(name, _)| *name);
    fields
}
