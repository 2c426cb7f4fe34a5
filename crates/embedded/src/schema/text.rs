//! Values as the API server prints them: Go's quoting, numbers and JSON.

use serde_json::Value;
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
    let mut out = String::new();
    write_json(value, &mut out);
    out
}

fn write_json(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            out.push('{');
            for (n, name) in names.into_iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write_text(name, out);
                out.push(':');
                write_json(&fields[name], out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write_json(item, out);
            }
            out.push(']');
        }
        Value::String(text) => write_text(text, out),
        Value::Number(number) if !number.is_i64() => {
            out.push_str(&number.as_f64().map_or_else(|| number.to_string(), json_float));
        }
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    let written = Value::from(text).to_string();
    for c in written.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
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
