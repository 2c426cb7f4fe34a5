//! The part of a seat's id that only its holder knows. Neither the ledger nor the list of holders shows it, so an id that
//! is made from them is of no use.
//!
//! It is a keyed hash of the seat (HMAC-SHA-256) rather than a random number: a caller that asks again after a lost reply must
//! get the same id, also from the next owner of the ledger.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac::{HMAC_SHA256, Key, sign};
use std::fmt;

use super::hold::HeldSeat;
use super::taker::{read, write};
use crate::domain::license::name::LicenseName;

/// The bytes of the key.
pub const KEY_BYTES: usize = 32;
const BYTES: usize = 9;
/// How much of a hash stands for a session. Two sessions of a License are never the same by accident.
const SESSION_BYTES: usize = 15;

/// The part of an id that only the holder of the seat knows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag([u8; BYTES]);

/// Makes and checks tags.
#[derive(Clone, Debug)]
pub struct Tagger {
    key: Key,
    /// Since when seats are granted with this key, in seconds since 1970.
    since: i64,
}

impl Tagger {
    /// Tags with a key that was made at `since`, in seconds since 1970.
    pub fn new(key: &[u8; KEY_BYTES], since: i64) -> Self {
        Tagger { key: Key::new(HMAC_SHA256, key), since }
    }

    /// The tag of a seat that is held since then.
    pub fn tag(&self, license: &LicenseName, seat: &HeldSeat, since: i64) -> Tag {
        let mut named = Vec::with_capacity(256);
        let (slot, since) = (seat.slot.to_be_bytes(), since.to_be_bytes());
        let names = [&*license.namespace, &*license.name, seat.pool, seat.user.unwrap_or_default(), seat.session];
        for part in names.iter().map(|name| name.as_bytes()).chain([&slot[..], &since[..]]) {
            // With its length, so that no two seats give the same bytes.
            named.extend_from_slice(&(part.len() as u64).to_be_bytes());
            named.extend_from_slice(part);
        }
        let mut tag = [0; BYTES];
        tag.copy_from_slice(&sign(&self.key, &named).as_ref()[..BYTES]);
        Tag(tag)
    }

    /// What stands for a session outside of the program that chose it: a name in 20 characters of base64url. The program
    /// may have chosen something personal or secret. It is the same with each owner of the ledger, so that a session is
    /// recognised; another License has another name for it.
    pub fn session(&self, license: &LicenseName, session: &str) -> String {
        let mut named = Vec::with_capacity(128);
        // A tag hashes more parts, so the two are never the same.
        for part in ["session", &*license.namespace, &*license.name, session] {
            named.extend_from_slice(&(part.len() as u64).to_be_bytes());
            named.extend_from_slice(part.as_bytes());
        }
        BASE64_URL_SAFE_NO_PAD.encode(&sign(&self.key, &named).as_ref()[..SESSION_BYTES])
    }

    /// Whether a caller that shows `tag` has the id of a seat that a known caller took. A seat from before the key was
    /// made needs none: if the key is lost, holders go on working.
    pub fn admits(&self, tag: Option<Tag>, license: &LicenseName, seat: &HeldSeat, since: i64) -> bool {
        since < self.since || tag.is_some_and(|tag| tag.is(&self.tag(license, seat, since)))
    }
}

impl Tag {
    /// The tag that `Display` has written like this.
    pub fn read(text: &str) -> Option<Self> {
        read(text).map(Tag)
    }

    /// Compares every byte, so that the time it takes says nothing.
    fn is(&self, other: &Tag) -> bool {
        self.0.iter().zip(other.0).fold(0, |differs, (one, other)| differs | one ^ other) == 0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0)
    }
}

/// Shows nothing: it is a secret.
impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag")
    }
}
