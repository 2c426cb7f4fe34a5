//! Standard output, and standard error.

use chrono::SecondsFormat;
use std::io::Write;

use super::failure::Failure;
use crate::domain::Instant;

/// Writes to standard output. A reader that has read enough (`| head`) is not a failure.
pub fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(format!("standard output: {e}"))),
        _ => Ok(()),
    }
}

/// Writes a line to standard error.
pub fn warn(line: &str) {
    // If standard error is gone, there is nobody left to notify.
    let _ = writeln!(std::io::stderr(), "seatkeeper: {line}");
}

/// Makes text that somebody else wrote safe to show on a terminal: control characters are escaped.
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let spelt = (c.is_control() && c != '\n').then(|| c.escape_default());
            let plain = spelt.is_none().then_some(c);
            spelt.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// A moment as commands show it: RFC 3339 in UTC, to the second.
pub fn utc(at: Instant) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
