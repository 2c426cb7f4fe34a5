//! The formats of values that the API server checks (`kube-openapi/pkg/validation/strfmt`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::NaiveDate;
use regex::Regex;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use super::node::Type;

/// A format that is checked in values of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Int32,
    Int64,
    Float,
    Double,
    Date,
    DateTime,
    Byte,
    Uuid,
    Ipv4,
    Ipv6,
    Cidr,
    ShortName,
    LongName,
    Password,
}

/// The formats that the API server checks and this module does not. A CRD with one of them is refused rather than
/// checked in part.
const UNCHECKED: [&str; 14] = [
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "mac",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "duration",
];
const UNCHECKED_COLOURS: [&str; 2] = ["hexcolor", "rgbcolor"];

impl Format {
    /// Returns the format of a schema; `None` if the API server ignores it for that type.
    pub fn of(name: &str, type_: Option<Type>) -> Option<Self> {
        let text = matches!(type_, None | Some(Type::String));
        Some(match (name, type_) {
            ("int32", Some(Type::Integer)) => Format::Int32,
            ("int64", Some(Type::Integer)) => Format::Int64,
            ("float", Some(Type::Number)) => Format::Float,
            ("double", Some(Type::Number)) => Format::Double,
            (name, _) if text => match name.replace('-', "").as_str() {
                "date" => Format::Date,
                "datetime" => Format::DateTime,
                "byte" => Format::Byte,
                "uuid" => Format::Uuid,
                "ipv4" => Format::Ipv4,
                "ipv6" => Format::Ipv6,
                "cidr" => Format::Cidr,
                "k8sshortname" => Format::ShortName,
                "k8slongname" => Format::LongName,
                "password" => Format::Password,
                _ => return None,
            },
            _ => return None,
        })
    }

    /// Returns whether the API server would check a format that is not checked here.
    pub fn is_missing(name: &str, type_: Option<Type>) -> bool {
        let name = name.replace('-', "");
        matches!(type_, None | Some(Type::String))
            && (UNCHECKED.contains(&name.as_str()) || UNCHECKED_COLOURS.contains(&name.as_str()))
    }

    /// Returns whether this is a format of numbers.
    pub fn is_numeric(self) -> bool {
        matches!(self, Format::Int32 | Format::Int64 | Format::Float | Format::Double)
    }

    /// Returns whether a text has the format. Formats of numbers accept every text.
    pub fn holds(self, text: &str) -> bool {
        match self {
            Format::Int32 | Format::Int64 | Format::Float | Format::Double | Format::Password => true,
            Format::Date => date(text).is_some(),
            Format::DateTime => is_time(text),
            Format::Byte => !text.is_empty() && STANDARD.decode(text).is_ok(),
            Format::Uuid => UUID.as_ref().is_some_and(|uuid| uuid.is_match(text)),
            Format::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Format::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Format::Cidr => is_cidr(text),
            Format::ShortName => text.len() <= 63 && is_label(text),
            Format::LongName => text.len() <= 253 && text.split('.').all(is_label),
        }
    }
}

static UUID: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new("^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$").ok()
});

/// Parses `YYYY-MM-DD`, with every digit written.
pub fn date(text: &str) -> Option<NaiveDate> {
    let bytes = text.as_bytes();
    let shaped = bytes.len() == 10
        && bytes
            .iter()
            .enumerate()
            .all(|(n, byte)| if n == 4 || n == 7 { *byte == b'-' } else { byte.is_ascii_digit() });
    shaped.then(|| text.parse().ok()).flatten()
}

/// Returns whether a text is a time of RFC 3339, also with a small `t` and `z`. Only the shape of the zone is checked.
fn is_time(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let Some((day, time)) = text.split_once('t') else { return false };
    let bytes = time.as_bytes();
    let clock = bytes.get(..8).is_some_and(|clock| {
        clock.iter().enumerate().all(|(n, b)| if n == 2 || n == 5 { *b == b':' } else { b.is_ascii_digit() })
    });
    if date(day).is_none() || !clock {
        return false;
    }
    let in_range = time.get(..2).is_some_and(|h| h <= "23")
        && time.get(3..5).is_some_and(|m| m <= "59")
        && time.get(6..8).is_some_and(|s| s <= "59");
    let rest = time.get(8..).unwrap_or_default();
    in_range && ZONE.as_ref().is_some_and(|zone| zone.is_match(rest))
}

/// What follows the seconds: for a fraction any one character and digits, then a zone.
static ZONE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$").ok());

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
    digits && (length.len() == 1 || !length.starts_with('0')) && length.parse::<u32>().is_ok_and(|bits| bits <= most)
}

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().copied().is_some_and(inner)
        && bytes.last().copied().is_some_and(inner)
        && bytes.iter().all(|b| inner(*b) || *b == b'-')
}
