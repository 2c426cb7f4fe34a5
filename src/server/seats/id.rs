//! The id of a held seat: readable, fit for a URL, and all that is needed to find the seat.
//!
//! `namespace~license~pool~slot~user~session~since~tag`, where every byte other than an ASCII letter, a digit or one of
//! `.-_` is written as `=` and two hexadecimal digits. If a seat has no user, that part is empty.
//! `since` tells two holdings of a slot by the same session apart: a release that is delayed must not free the newer one.
//! Only the holder knows the `tag`: ids in lists have none, nor had those of earlier versions.

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::fmt::Write;

use crate::domain::license::name::LicenseName;
use crate::domain::seats::tag::Tag;
use crate::domain::seats::taker::Taker;
use crate::seats::Seat;
use crate::server::http::problem::Problem;

/// The longest id: eight parts of at most 256 bytes, each of which may have to be written as three.
const LONGEST: usize = 8 * 3 * 256;

/// The id of a seat.
pub fn of(seat: &Seat) -> String {
    let mut id = String::with_capacity(96);
    write_part(&mut id, &seat.license.namespace);
    id.push('~');
    write_part(&mut id, &seat.license.name);
    id.push('~');
    write_part(&mut id, &seat.pool);
    let _ = write!(id, "~{}~", seat.slot);
    write_part(&mut id, seat.user.as_deref().unwrap_or_default());
    id.push('~');
    write_part(&mut id, &seat.session);
    let _ = write!(id, "~{}", seat.since);
    if let Some(tag) = seat.tag {
        let _ = write!(id, "~{tag}");
    }
    id
}

/// The seat that a caller names by its id; `None` if the id names none.
pub fn read(id: &str, taker: Taker) -> Option<Seat> {
    if id.len() > LONGEST {
        return None;
    }
    let mut parts = id.split('~');
    let mut part = || read_part(parts.next()?);
    let (namespace, name, pool, slot) = (part()?, part()?, part()?, part()?);
    let (user, session, since) = (part()?, part()?, part()?);
    let tag = match parts.next() {
        Some(tag) => Some(Tag::read(tag)?),
        None => None,
    };
    if parts.next().is_some() || session.is_empty() {
        return None;
    }
    Some(Seat {
        license: LicenseName::new(&namespace, &name),
        pool,
        slot: slot.parse().ok()?,
        user: Some(user).filter(|user| !user.is_empty()),
        session,
        since: since.parse().ok()?,
        taker: Some(taker),
        tag,
    })
}

/// The seat that a path names by its percent-encoded id.
pub fn in_path(id: &str, taker: Taker) -> Result<Seat, Problem> {
    let id = percent_decode_str(id).decode_utf8().ok();
    id.and_then(|id| read(&id, taker)).ok_or_else(|| no_seat("the path"))
}

/// The answer if `place` in a request should name a seat and does not.
pub fn no_seat(place: &str) -> Problem {
    Problem::invalid(format!("{place} names no seat: use the `id` of a seat that was granted"))
}

/// The description of an id in a path.
pub fn parameter() -> Value {
    json!({
        "name": "id", "in": "path", "required": true, "schema": {"type": "string"},
        "description": "The `id` of a seat that was granted, percent-encoded.",
    })
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

fn write_part(id: &mut String, part: &str) {
    for byte in part.bytes() {
        match is_plain(byte) {
            true => id.push(char::from(byte)),
            false => _ = write!(id, "={byte:02X}"),
        }
    }
}

fn read_part(part: &str) -> Option<String> {
    if part.bytes().all(is_plain) {
        return Some(part.to_owned());
    }
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'=' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte if is_plain(byte) => byte,
            _ => return None,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_seat_is_found_again_by_its_name(
            (namespace, name, pool, session) in ("[a-z]{1,8}", "[a-z.-]{1,8}", ".{1,8}", ".{1,16}"),
            user in proptest::option::of(".{1,16}"), slot: u32, since: i64, tag in proptest::option::of("[A-Za-z0-9_-]{12}"),
        ) {
            let (taker, tag) = (Taker::of("a", None, None), tag.and_then(|tag| Tag::read(&tag)));
            let license = LicenseName::new(&namespace, &name);
            let seat = Seat { license, pool, slot, user, session, since, taker: Some(taker), tag };
            let id = of(&seat);
            prop_assert!(id.bytes().all(|byte| is_plain(byte) || matches!(byte, b'=' | b'~')));
            prop_assert_eq!(read(&id, taker), Some(seat));
        }

        #[test]
        fn no_text_does_harm(text in ".{0,64}") {
            let taker = Taker::of("a", None, None);
            if let Some(seat) = read(&text, taker) {
                prop_assert_eq!(read(&of(&seat), taker), Some(seat));
            }
        }
    }
}
