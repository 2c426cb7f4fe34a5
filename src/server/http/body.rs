//! The bodies of requests.

use bytes::{Bytes, BytesMut};
use futures::future::poll_immediate;
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::pin::pin;
use std::time::Duration;

use super::aside::aside;
use super::caller::Caller;
use super::problem::{A_MOMENT, Problem};
use super::reply::shown;
use super::share::{Held, Share};
use super::turns::Turns;
use crate::domain::transit::{text_of, what_it_is};

/// The longest body that is accepted.
pub const MOST_BYTES: usize = 1024 * 1024;

/// A body has this long to arrive: nobody may fill the memory with bodies that never end.
const DEADLINE: Duration = Duration::from_secs(10);

/// A body that is longer than this, in bytes, is read aside from the thread that answers everybody.
const LARGE: usize = 16 * 1024;
/// How many of them are read at once, and how many of one group.
const LARGE_AT_ONCE: (usize, usize) = (2, 1);
/// How long a body waits for its turn to be read.
const PATIENCE: Duration = Duration::from_secs(5);

/// Room for the bodies that are arriving, over all connections: callers that were found to have a right do not share it
/// with those that were not.
pub struct Room {
    with_right: Share,
    without: Share,
    /// Turns at reading a large body.
    large: Turns,
}

impl Default for Room {
    fn default() -> Self {
        let share = |all, each| Share::new(all * MOST_BYTES, each * MOST_BYTES);
        Room { with_right: share(32, 8), without: share(8, 1), large: Turns::new(LARGE_AT_ONCE.0, LARGE_AT_ONCE.1) }
    }
}

/// A body of which nothing has been read.
pub struct Arriving<'r> {
    pub body: Incoming,
    pub room: &'r Room,
    pub caller: &'r Caller,
}

impl Arriving<'_> {
    /// Reads the whole body. Fails if it breaks off, has more than `MOST_BYTES`, takes longer than `DEADLINE`, or finds
    /// no room.
    pub async fn whole(self) -> Result<Bytes, Problem> {
        self.held().await.map(|(body, _)| body)
    }

    /// The same, with the room that it takes until it is dropped.
    async fn held(self) -> Result<(Bytes, Held), Problem> {
        let too_slow = || {
            let detail = format!("the body took longer than {} s: send it at once", DEADLINE.as_secs());
            Problem::new(StatusCode::REQUEST_TIMEOUT, "BodyTooSlow", detail)
        };
        let mut whole = pin!(self.collect());
        // Most bodies come with their heads, and need no timer.
        if let Some(whole) = poll_immediate(whole.as_mut()).await {
            return whole;
        }
        tokio::time::timeout(DEADLINE, whole).await.map_err(|_| too_slow())?
    }

    async fn collect(mut self) -> Result<(Bytes, Held), Problem> {
        let mut all = BytesMut::new();
        let share = if self.caller.has_right() { &self.room.with_right } else { &self.room.without };
        let mut held = share.of(&self.caller.group);
        while let Some(frame) = self.body.frame().await {
            let Ok(part) = frame.map_err(|_| Problem::invalid("the body broke off"))?.into_data() else { continue };
            if part.len() > MOST_BYTES - all.len() {
                let detail = format!("the body has more than {MOST_BYTES} bytes: split it into several requests");
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "BodyTooLarge", detail));
            }
            // Most bodies come in one piece.
            if all.is_empty() && self.body.is_end_stream() {
                return Ok((part, held));
            }
            if !held.take(part.len()) {
                return Err(too_many());
            }
            all.extend_from_slice(&part);
        }
        Ok((all.freeze(), held))
    }
}

fn too_many() -> Problem {
    let detail = "too many large bodies are arriving at once: ask again, or send smaller ones";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "Overloaded", detail).retry_after(A_MOMENT)
}

/// Reads a body that is arriving, as `parse` does.
pub async fn read<T: DeserializeOwned + Send + 'static>(body: Arriving<'_>) -> Result<T, Problem> {
    let (room, caller) = (body.room, body.caller);
    let (body, _held) = body.held().await?;
    if body.len() <= LARGE {
        return parse(&body);
    }
    let _turn = room.large.take(&caller.group, PATIENCE).await.ok_or_else(too_many)?;
    aside(move || parse(&body)).await?
}

/// Reads bytes as JSON. An error names the field and the line.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        // The field is looked for only after an error, because reading with paths is slower.
        let read = serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_slice(body));
        let field = read.err().map(|error| error.path().to_string()).filter(|path| path != ".");
        let field = field.map_or(String::new(), |path| format!(" `{}`:", shown(&path)));
        let found = found(body).map_or(String::new(), |found| format!("; it {found}"));
        Problem::invalid(format!("the body cannot be read:{field} {}{found}", in_words_of_json(&error.to_string())))
    })
}

/// What a reader says of a type, in the words of JSON instead of Rust.
fn in_words_of_json(error: &str) -> String {
    let Some((before, expected)) = error.split_once("expected ") else { return error.to_owned() };
    let end = |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    match expected.strip_prefix("struct ") {
        Some(name) => format!("{before}expected an object{}", &name[end(name)..]),
        None if ["u8", "u16", "u32", "u64", "i64"].contains(&&expected[..end(expected)]) => {
            format!("{before}expected a whole number{}", &expected[end(expected)..])
        }
        None => error.to_owned(),
    }
}

/// What a body is instead of JSON in UTF-8, if that is recognisable. A program sent it, so the program has to be corrected.
fn found(body: &[u8]) -> Option<&'static str> {
    match text_of(body) {
        // The first bytes of gzip (RFC 1952).
        Err(_) if body.starts_with(&[0x1f, 0x8b]) => Some("is compressed: send it as it is"),
        Err(_) => Some("is not text in UTF-8"),
        Ok(_) if body.starts_with(BYTE_ORDER_MARK) => Some("begins with a byte order mark: send it without one"),
        Ok(Cow::Owned(_)) => Some("is in UTF-16: send JSON in UTF-8"),
        Ok(text) => what_it_is(&text).filter(|_| !text.trim_start().starts_with('{')),
    }
}

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::http::group::Group;

    #[test]
    fn a_wrong_type_is_told_in_words_of_json() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wish {
            #[expect(dead_code, reason = "it is only read")]
            license: Named,
            #[expect(dead_code, reason = "it is only read")]
            count: u32,
        }
        #[derive(Debug, serde::Deserialize)]
        struct Named {
            #[expect(dead_code, reason = "it is only read")]
            name: String,
        }
        for (body, says) in [
            (r#"{"license":"a/b","count":1}"#, "invalid type: string \"a/b\", expected an object at line 1"),
            (
                r#"{"license":{"name":"b"},"count":"1"}"#,
                "invalid type: string \"1\", expected a whole number at line 1",
            ),
        ] {
            let problem = parse::<Wish>(body.as_bytes()).expect_err("a type is wrong");
            assert!(problem.detail.contains(says), "{}", problem.detail);
        }
    }

    #[test]
    fn a_body_that_is_no_json_in_utf_8_is_told_what_was_found() {
        let utf_16: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (body, says) in [
            (b"\xef\xbb\xbf{}".as_slice(), "it begins with a byte order mark: send it without one"),
            (&utf_16, "it is in UTF-16: send JSON in UTF-8"),
            (b"\xff\xff", "it is not text in UTF-8"),
            (b"\x1f\x8b\x08", "it is compressed: send it as it is"),
            (b"", "it is empty"),
            (b"<html>", "it is a web page"),
            (b"license=a&session=b", "expected value at line 1 column 1"),
        ] {
            let problem = parse::<serde_json::Value>(body).expect_err("it is not JSON");
            assert!(problem.detail.contains(says), "{}", problem.detail);
        }
    }

    #[test]
    fn bodies_share_what_there_is_and_leave_nothing_behind() {
        let room = Room::default();
        let groups: Vec<_> = (0..10).map(|n| Group::of(&format!("user-{n}"))).collect();
        let hold = |share: &Share, group: usize| share.of(&groups[group]);
        let mut held: Vec<_> = (0..10).map(|group| hold(&room.without, group)).collect();
        assert!(held[0].take(MOST_BYTES), "a group may send one body, however large");
        assert!(!held[0].take(1) && !hold(&room.without, 0).take(1));
        let all = held[1..].iter_mut().filter_map(|held| held.take(MOST_BYTES).then_some(())).count();
        assert_eq!(all, 7, "eight groups at a time");
        assert!(hold(&room.with_right, 0).take(MOST_BYTES), "who has a right does not share with them");
        drop(held);
        let mut held: Vec<_> = (0..8).map(|group| hold(&room.without, group)).collect();
        assert!(held.iter_mut().all(|held| held.take(MOST_BYTES)), "what was taken is given back");
    }
}
