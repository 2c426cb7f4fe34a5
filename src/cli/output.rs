//! Standard output, and standard error.

use chrono::{Offset, SecondsFormat, TimeZone, Utc};
use serde::Serialize;
use std::io::Write;

use super::failure::Failure;
use crate::domain::Instant;
use crate::domain::text::{is_unseen, spelt_out};
use crate::domain::zone::Zone;

/// Writes to standard output. A reader that has read enough (`| head`) is not a failure.
pub fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(format!("standard output: {e}"))),
        _ => Ok(()),
    }
}

/// Writes a line to standard error, safe to show on a terminal.
pub fn warn(line: &str) {
    // If standard error is gone, there is nobody left to notify.
    let _ = writeln!(std::io::stderr(), "seatkeeper: {}", printable(line));
}

/// Makes text that somebody else wrote, of one line or more, safe to show on a terminal. Text that must not end its line
/// goes through `spelt_out`.
pub fn printable(text: &str) -> String {
    text.split('\n').map(spelt_out).collect::<Vec<_>>().join("\n")
}

/// JSON for programs and terminals: what a reader would not see is escaped as JSON escapes it.
pub fn json(value: &impl Serialize) -> String {
    let mut escaped = String::new();
    for c in serde_json::to_string_pretty(value).unwrap_or_default().chars() {
        match is_unseen(c) && c != '\n' {
            true => escaped.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}"))),
            false => escaped.push(c),
        }
    }
    escaped
}

/// A moment as commands show it: RFC 3339 with the offset of the zone, to the second. An offset in RFC 3339 has no seconds; that
/// of Monrovia had some until 1972.
pub fn local(at: Instant, zone: &Zone) -> String {
    let offset = zone.offset_from_utc_datetime(&at.naive_utc()).fix();
    let offset = if offset.local_minus_utc() % 60 == 0 { offset } else { Utc.fix() };
    at.with_timezone(&offset).to_rfc3339_opts(SecondsFormat::Secs, false)
}
