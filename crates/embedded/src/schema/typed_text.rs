//! Texts that represent other values: the API server accepts the same times and base64.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use regex::Regex;
use std::sync::LazyLock;

/// Go's reader of base64 ignores surplus bits at the end.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// The times that Go accepts as RFC 3339, which are fewer than chrono's.
static TIME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9]([.,][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$";
    Regex::new(pattern).ok()
});

/// Returns base64 in the form in which it is stored; `None` if `text` has that form already. Line breaks may be
/// anywhere.
pub fn base64(text: &str) -> Result<Option<String>, String> {
    if BASE64_STANDARD.decode(text).is_ok() {
        return Ok(None);
    }
    let bytes = LENIENT.decode(text.replace(['\r', '\n'], "")).map_err(|why| format!("not base64: {why}"))?;
    Ok(Some(BASE64_STANDARD.encode(bytes)))
}

/// Returns a time in the form in which it is stored: in UTC and whole seconds or, with `micro`, microseconds. `None` if
/// `text` has that form already.
pub fn time(text: &str, micro: bool) -> Result<Option<String>, String> {
    let (format, example) = match micro {
        true => (SecondsFormat::Micros, "2026-01-31T12:00:00.000000Z"),
        false => (SecondsFormat::Secs, "2026-01-31T12:00:00Z"),
    };
    let parts = TIME.as_ref().and_then(|time| time.captures(text));
    let fits =
        parts.is_some_and(|parts| !micro || parts.get(1).is_some_and(|fraction| fraction.len() == ".000000".len()));
    let read = DateTime::parse_from_rfc3339(&text.replace(',', ".")).ok().filter(|_| fits);
    let read = read.ok_or_else(|| format!("{text:?} is not a time such as {example}"))?;
    let written = read.with_timezone(&Utc).to_rfc3339_opts(format, true);
    Ok((written != text).then_some(written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_go_reads_it() {
        for text in ["%%", "ZA=", "ZA", "ZAB", "ZA=x", "ZA==x", "Z===", "=", "Z", "ZA==ZA==", "Z A="] {
            assert!(base64(text).is_err(), "{text}");
        }
        assert_eq!(base64("ZA=="), Ok(None));
        assert_eq!(base64("Z\nA=="), Ok(Some("ZA==".into())));
        assert_eq!(base64("ZB=="), Ok(Some("ZA==".into())));
        assert_eq!(base64(""), Ok(None));
    }

    #[test]
    fn times_are_read_as_go_reads_them() {
        for text in [
            "soon",
            "2026-13-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-01-01 00:00:00Z",
            "2026-01-01t00:00:00z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00Zx",
        ] {
            assert!(time(text, false).is_err(), "{text}");
        }
        assert_eq!(time("2026-01-01T00:00:00.9+01:00", false), Ok(Some("2025-12-31T23:00:00Z".into())));
        assert_eq!(time("2026-01-01T00:00:00,9Z", false), Ok(Some("2026-01-01T00:00:00Z".into())));
        assert_eq!(time("2026-01-01T00:00:00.000009Z", true), Ok(None));
        assert!(time("2026-01-01T00:00:00.0000091Z", true).is_err());
    }
}
