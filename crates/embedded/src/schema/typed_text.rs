//! Texts that represent other values: times and bytes, read as Go reads them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};

use crate::words::go::quoted;

/// Returns base64 in the form in which it is stored; `None` if `text` has that form already. The error is that of Go's
/// reader.
pub fn base64(text: &str) -> Result<Option<String>, String> {
    if BASE64_STANDARD.decode(text).is_ok() {
        return Ok(None);
    }
    let bytes = loose_base64(text.as_bytes()).map_err(|at| format!("illegal base64 data at input byte {at}"))?;
    Ok(Some(BASE64_STANDARD.encode(bytes)))
}

/// Decodes base64 that may have line breaks anywhere, and surplus bits at its end. The error is the offset at which it
/// breaks off.
fn loose_base64(text: &[u8]) -> Result<Vec<u8>, usize> {
    let mut bytes = Vec::new();
    let mut group = Vec::with_capacity(4);
    let mut rest = text.iter().enumerate().filter(|(_, byte)| !matches!(byte, b'\r' | b'\n'));
    while let Some((at, byte)) = rest.next() {
        let bits = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' if group.len() >= 2 => {
                if group.len() == 2 && rest.next().ok_or(text.len())?.1 != &b'=' {
                    return Err(at);
                }
                take(&group, &mut bytes);
                return rest.next().map_or(Ok(bytes), |(at, _)| Err(at));
            }
            _ => return Err(at),
        };
        group.push(bits);
        if group.len() == 4 {
            take(&group, &mut bytes);
            group.clear();
        }
    }
    if group.is_empty() { Ok(bytes) } else { Err(text.len() - group.len()) }
}

/// Appends the whole bytes of a group of six-bit digits.
fn take(group: &[u8], bytes: &mut Vec<u8>) {
    let all = group.iter().enumerate().fold(0_u32, |all, (n, bits)| all | u32::from(*bits) << (18 - 6 * n));
    let whole = group.len() * 6 / 8;
    bytes.extend_from_slice(&all.to_be_bytes()[1..=whole]);
}

/// The parts of Go's layout of RFC 3339: what precedes a number, how the layout writes the number, its name in errors,
/// and its maximum.
const PARTS: [(&str, &str, &str, u32); 6] = [
    ("", "2006", "", 9999),
    ("-", "01", "month", 12),
    ("-", "02", "", 99),
    ("T", "15", "hour", 23),
    (":", "04", "minute", 59),
    (":", "05", "second", 59),
];
const FRACTION: &str = ".000000";
const ZONE: &str = "Z07:00";

/// Returns a time in the form in which it is stored: in UTC and whole seconds or, with `micro`, microseconds. `None` if
/// `text` has that form already. The error is that of Go's `time.Parse`.
pub fn time(text: &str, micro: bool) -> Result<Option<String>, String> {
    let layout = format!("2006-01-02T15:04:05{}{ZONE}", if micro { FRACTION } else { "" });
    let cannot = |rest: &str, part: &str| {
        format!(
            "parsing time {} as {}: cannot parse {} as {}",
            quoted(text),
            quoted(&layout),
            quoted(rest),
            quoted(part)
        )
    };
    let wrong = |what: &str| format!("parsing time {}{what}", quoted(text));
    let mut rest = text;
    for (before, part, name, most) in PARTS {
        rest = rest.strip_prefix(before).ok_or_else(|| cannot(rest, before))?;
        let number = digits(rest, part.len()).ok_or_else(|| cannot(rest, part))?;
        if !name.is_empty() && (number > most || name == "month" && number == 0) {
            return Err(wrong(&format!(": {name} out of range")));
        }
        rest = &rest[part.len()..];
    }
    if micro {
        let fraction = rest.strip_prefix(['.', ',']).filter(|rest| digits(rest, FRACTION.len() - 1).is_some());
        rest = &fraction.ok_or_else(|| cannot(rest, FRACTION))?[FRACTION.len() - 1..];
    } else if let Some(fraction) = rest.strip_prefix(['.', ',']).filter(|rest| digits(rest, 1).is_some()) {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    let zone = rest.strip_prefix('Z').or_else(|| {
        let offset = rest.strip_prefix(['+', '-'])?;
        (digits(offset, 2).is_some() && offset.get(2..3) == Some(":") && digits(&offset[3..], 2).is_some())
            .then(|| &offset[5..])
    });
    match zone {
        None => return Err(cannot(rest, ZONE)),
        Some("") => {}
        Some(more) => return Err(wrong(&format!(": extra text: {}", quoted(more)))),
    }
    let read = DateTime::parse_from_rfc3339(&text.replace(',', ".")).map_err(|_| wrong(": day out of range"))?;
    let format = if micro { SecondsFormat::Micros } else { SecondsFormat::Secs };
    let written = read.with_timezone(&Utc).to_rfc3339_opts(format, true);
    Ok((written != text).then_some(written))
}

/// Returns the number in the first `count` characters; `None` if they are not all digits.
fn digits(text: &str, count: usize) -> Option<u32> {
    let digits = text.get(..count)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_breaks_off_where_go_says() {
        for (text, at) in [("%%", 0), ("ZA=", 3), ("ZA", 0), ("ZAB", 0), ("ZA=x", 2), ("ZA==x", 4), ("Z===", 1)] {
            assert_eq!(base64(text), Err(format!("illegal base64 data at input byte {at}")), "{text}");
        }
        assert_eq!(base64("ZA=="), Ok(None));
        assert_eq!(base64("Z\nA=="), Ok(Some("ZA==".into())));
        assert_eq!(base64("ZB=="), Ok(Some("ZA==".into())));
    }

    #[test]
    fn times_are_refused_in_the_words_of_go() {
        for (text, why) in [
            ("soon", " as \"2006-01-02T15:04:05Z07:00\": cannot parse \"soon\" as \"2006\""),
            ("2026-13-01T00:00:00Z", ": month out of range"),
            ("2026-02-30T00:00:00Z", ": day out of range"),
            ("2026-01-01 00:00:00Z", " as \"2006-01-02T15:04:05Z07:00\": cannot parse \" 00:00:00Z\" as \"T\""),
            ("2026-01-01T00:00:00", " as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"Z07:00\""),
            ("2026-01-01T00:00:00Zx", ": extra text: \"x\""),
        ] {
            assert_eq!(time(text, false), Err(format!("parsing time \"{text}\"{why}")));
        }
        assert_eq!(time("2026-01-01T00:00:00.9+01:00", false), Ok(Some("2025-12-31T23:00:00Z".into())));
        assert_eq!(time("2026-01-01T00:00:00.000009Z", true), Ok(None));
    }
}
