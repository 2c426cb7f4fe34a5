//! How a seat is written in the ledger: one readable line (docs/design/seats.md).
//!
//! A base holds one line for each session on its slots, `slot user session since [client] [request]`. A journal entry
//! holds the records of a commit, in order: `=pool` names the pool of the lines after it, `+` followed by such a line
//! puts a session on a slot, `-slot session` removes one. `since` is in seconds since 1970. `!by taker` names the taker of
//! the lines after it, up to the next `=pool`; a base has the takers of its lines in a field of their own. Versions that
//! noted no taker skip both.
//!
//! Names are written as their users wrote them, except for what would break or disguise a line: white space, control
//! characters, `%`, and any character that is neither ASCII nor a letter or digit; and except for `<`, `>`, `&`, `"` and
//! `\`, which take up to six bytes in the JSON that the API server writes. Each byte of their UTF-8 is written
//! as `%` and two hexadecimal digits. A lone `-` means no name, so a name that is just `-` is written that way too.

use std::fmt::{self, Write};
use std::sync::Arc;

use super::hold::{Free, Hold, Occupant, Record};
use super::keyed;
use super::request::MAX_NAME_BYTES;
use super::taker::Taker;
use crate::domain::license::key::MAX_SEATS;

/// Begins the line with the taker of the seats after it.
pub(super) const BY: &str = "!by ";
/// Slots in a base.
pub const BASE_SLOTS: u32 = 256;
/// The most bytes of the lines of a base. An object holds 1 MiB of lines (`api::seat_ledger`), and etcd 1.5 MiB of JSON,
/// in which each character may take two bytes. A larger base could never be written, and then nobody would be granted a
/// seat any longer.
pub const MOST_BASE_BYTES: u32 = 700_000;

/// The most sessions on the slots of a base: their takers have a field of 131,072 characters (`api::seat_ledger`), each
/// twelve and a blank.
pub const MOST_ON_BASE: u32 = 10_000;
/// So each takes at least this much of the bytes of a base.
const LEAST_ROOM: u32 = MOST_BASE_BYTES.div_ceil(MOST_ON_BASE);

/// What is wrong with a line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// Counted from 1.
    pub line: usize,
    pub what: String,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// The lines of a base.
pub fn write_base<'t>(held: impl IntoIterator<Item = Occupant<'t>>) -> String {
    let mut text = String::new();
    for occupant in held {
        write_seat(&mut text, &occupant);
        text.push('\n');
    }
    text
}

/// The takers of the lines of a base, in their order, `-` for none; empty if there are none at all.
pub fn write_takers<'t>(held: impl IntoIterator<Item = Occupant<'t>>) -> String {
    let (mut text, mut any) = (String::new(), false);
    for occupant in held {
        text.push_str(if text.is_empty() { "" } else { " " });
        match occupant.taker {
            Some(taker) => _ = write!(text, "{taker}"),
            None => text.push('-'),
        }
        any |= occupant.taker.is_some();
    }
    if any { text } else { String::new() }
}

/// The sessions on the slots of a base of `pool`.
pub fn read_base(pool: &Arc<str>, text: &str, takers: &str) -> Result<Vec<Hold>, LineError> {
    let read = |(n, line)| read_seat(pool, line).map_err(|what| LineError { line: n + 1, what });
    let mut held: Vec<Hold> = text.lines().enumerate().map(read).collect::<Result<_, _>>()?;
    if takers.is_empty() {
        return Ok(held);
    }
    let mut words = takers.split(' ');
    for (n, hold) in held.iter_mut().enumerate() {
        let word = words.next().unwrap_or_default();
        hold.taker = match word {
            "-" => None,
            word => Some(
                Taker::read(word)
                    .ok_or_else(|| LineError { line: n + 1, what: "its taker cannot be read".to_owned() })?,
            ),
        };
    }
    match words.next() {
        None => Ok(held),
        Some(_) => Err(LineError { line: held.len().max(1), what: "more takers follow than lines".to_owned() }),
    }
}

/// The lines of a journal entry.
pub fn write_records<'r>(records: impl IntoIterator<Item = &'r Record>) -> String {
    let mut text = String::new();
    let mut pool: Option<&Arc<str>> = None;
    let mut taker = None;
    for record in records {
        let is_without = record.taker().is_none() && taker.is_some();
        if pool.replace(record.pool()) != Some(record.pool()) || is_without {
            text.push('=');
            write_name(&mut text, Some(record.pool()));
            text.push('\n');
            taker = None;
        }
        if let Some(by) = record.taker().filter(|by| taker.replace(*by) != Some(*by)) {
            _ = writeln!(text, "{BY}{by}");
        }
        match record {
            Record::Hold(hold) => {
                text.push('+');
                write_seat(&mut text, &hold.occupant());
            }
            Record::Free(free) => {
                _ = write!(text, "-{} ", free.slot);
                write_name(&mut text, Some(&free.session));
            }
        }
        text.push('\n');
    }
    text
}

/// The records of a journal entry.
pub fn read_records(text: &str) -> Result<Vec<Record>, LineError> {
    let mut records = Vec::new();
    let mut pool: Option<Arc<str>> = None;
    let mut taker = None;
    for (n, line) in text.lines().enumerate() {
        let fail = |what| LineError { line: n + 1, what };
        let of = || pool.as_ref().ok_or_else(|| fail("no `=pool` comes before it".to_owned()));
        match line.split_at_checked(1) {
            Some(("=", name)) => {
                let name =
                    read_name("the pool", name).map_err(fail)?.ok_or_else(|| fail("the pool is missing".into()))?;
                (pool, taker) = (Some(name.into()), None);
            }
            Some(("+", seat)) => {
                records.push(Record::Hold(Hold { taker, ..read_seat(of()?, seat).map_err(fail)? }));
            }
            Some(("-", seat)) => {
                records.push(Record::Free(Free { taker, ..read_free(of()?, seat).map_err(fail)? }));
            }
            _ => match line.strip_prefix(BY) {
                Some(by) => taker = Some(Taker::read(by).ok_or_else(|| fail("`!by` names no taker".into()))?),
                None => return Err(fail("it begins with neither `=`, `+` nor `-`".into())),
            },
        }
    }
    Ok(records)
}

/// The bytes that a seat takes in the lines of a base, as `write_base` writes them. They are counted for each decision,
/// and writing costs several times as much.
pub fn size_of_seat(held: &Occupant) -> u32 {
    let more = match (held.client, held.request) {
        (None, None) => 0,
        (client, None) => 1 + size_of_name(client),
        (client, request) => 2 + size_of_name(client) + size_of_name(request),
    };
    let since = digits(held.since.unsigned_abs()) + usize::from(held.since < 0);
    let all = digits(held.slot.into()) + size_of_name(held.user) + size_of_name(Some(held.session)) + since + more;
    // Three blanks and the end of the line.
    all as u32 + 4
}

/// The most bytes that a seat takes in the lines of a base: the License may come to say that names are not kept, and what
/// stands for a short one is longer. A short line counts for more, so that a base has at most `MOST_ON_BASE`.
pub(super) fn room_of_seat(held: &Occupant) -> u32 {
    let grows = |name: &str| keyed::CHARACTERS.saturating_sub(size_of_name(Some(name))) as u32;
    let bytes = size_of_seat(held) + [held.user, held.client].into_iter().flatten().map(grows).sum::<u32>();
    bytes.max(LEAST_ROOM)
}

/// The bytes that records take in the lines of an entry, as `write_records` writes them.
pub fn size_of_records(records: &[Record]) -> usize {
    let mut pool: Option<&Arc<str>> = None;
    let mut taker = None;
    let mut bytes = 0;
    for record in records {
        let is_without = record.taker().is_none() && taker.is_some();
        if pool.replace(record.pool()) != Some(record.pool()) || is_without {
            bytes += "=\n".len() + size_of_name(Some(record.pool()));
            taker = None;
        }
        if record.taker().is_some_and(|by| taker.replace(by) != Some(by)) {
            bytes += BY.len() + Taker::CHARACTERS + "\n".len();
        }
        bytes += match record {
            Record::Hold(hold) => "+".len() + size_of_seat(&hold.occupant()) as usize,
            Record::Free(free) => "- \n".len() + digits(free.slot.into()) + size_of_name(Some(&free.session)),
        };
    }
    bytes
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// The bytes that a name takes in a line.
pub fn size_of_name(name: Option<&str>) -> usize {
    let Some(name) = name else { return 1 };
    let written = |c: char| if is_plain(c) { c.len_utf8() } else { 3 * c.len_utf8() };
    match name {
        "-" => 3,
        name if is_all_plain(name) => name.len(),
        name => name.chars().map(written).sum(),
    }
}

/// Whether a character is written as it is.
fn is_plain(c: char) -> bool {
    !matches!(c, '%' | '<' | '>' | '&' | '"' | '\\') && (c.is_ascii_graphic() || c.is_alphanumeric())
}

/// Nearly every name is ASCII.
fn is_all_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii() && is_plain(char::from(byte)))
}

impl Hold {
    pub fn occupant(&self) -> Occupant<'_> {
        Occupant {
            slot: self.slot,
            user: self.user.as_deref(),
            session: &self.session,
            client: self.client.as_deref(),
            request: self.request.as_deref(),
            since: self.since,
            taker: self.taker,
        }
    }
}

fn write_seat(text: &mut String, held: &Occupant) {
    _ = write!(text, "{} ", held.slot);
    write_name(text, held.user);
    text.push(' ');
    write_name(text, Some(held.session));
    _ = write!(text, " {}", held.since);
    let more: &[Option<&str>] = match (held.client, held.request) {
        (None, None) => &[],
        (client, None) => &[client],
        (client, request) => &[client, request],
    };
    for name in more {
        text.push(' ');
        write_name(text, *name);
    }
}

fn read_seat(pool: &Arc<str>, line: &str) -> Result<Hold, String> {
    let parts: Vec<&str> = line.split(' ').collect();
    let ([slot, user, session, since], more) = parts
        .split_first_chunk::<4>()
        .filter(|(_, more)| more.len() <= 2)
        .ok_or_else(|| format!("`slot user session since [client] [request]` has {} parts", parts.len()))?;
    let name = |what, n: usize| more.get(n).map_or(Ok(None), |name| read_name(what, name));
    Ok(Hold {
        pool: pool.clone(),
        slot: read_slot(slot)?,
        user: read_name("the user", user)?,
        session: read_name("the session", session)?.ok_or("the session is missing")?,
        since: since.parse().map_err(|_| "`since` is not a number of seconds".to_owned())?,
        client: name("the client", 0)?,
        request: name("the request", 1)?,
        taker: None,
    })
}

fn read_free(pool: &Arc<str>, line: &str) -> Result<Free, String> {
    let (slot, session) = line.split_once(' ').ok_or("`-slot session` has one part")?;
    let session = read_name("the session", session)?.ok_or("the session is missing")?;
    Ok(Free { pool: pool.clone(), slot: read_slot(slot)?, session, taker: None })
}

/// Reads a slot number in its only spelling: without leading zeros or a sign.
fn read_slot(text: &str) -> Result<u32, String> {
    let slot = text.parse::<u32>().ok().filter(|slot| slot.to_string() == text);
    let slot = slot.ok_or_else(|| "the slot is not a number".to_owned())?;
    match slot < MAX_SEATS {
        true => Ok(slot),
        false => Err(format!("slot {slot} is beyond the {MAX_SEATS} seats that a pool can have")),
    }
}

fn write_name(text: &mut String, name: Option<&str>) {
    let Some(name) = name else { return text.push('-') };
    if is_all_plain(name) && name != "-" {
        return text.push_str(name);
    }
    for c in name.chars() {
        if is_plain(c) && name != "-" {
            text.push(c);
        } else {
            c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| _ = write!(text, "%{byte:02X}"));
        }
    }
}

fn read_name(what: &str, text: &str) -> Result<Option<Box<str>>, String> {
    if text == "-" {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let pair = digit().zip(digit()).ok_or_else(|| format!("{what} has a `%` without two digits"))?;
                (pair.0 * 16 + pair.1) as u8
            }
            0..=b' ' | 0x7f => return Err(format!("{what} contains white space or a control character")),
            byte => byte,
        });
    }
    let name = String::from_utf8(bytes).map_err(|_| format!("{what} is not UTF-8"))?;
    match (1..=MAX_NAME_BYTES).contains(&name.len()) {
        true => Ok(Some(name.into())),
        false => Err(format!("{what} has {} bytes; 1 to {MAX_NAME_BYTES} are read", name.len())),
    }
}
