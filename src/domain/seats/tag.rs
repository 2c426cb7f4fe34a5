//! The part of a seat's id that only its holder knows. Neither the ledger nor the list of holders shows it, so an id that
//! is made from them is of no use.
//!
//! It is a keyed hash of the seat (HMAC-SHA-256) rather than a random number: a caller that asks again after a lost reply must
//! get the same id, also from the next owner of the ledger.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::NaiveDate;
use ring::hmac::{HMAC_SHA256, Key, sign};
use std::fmt;

use super::hold::HeldSeat;
use super::keyed::MARK;
use super::taker::{read, write};
use crate::domain::license::name::LicenseName;

/// The bytes of the key.
pub const KEY_BYTES: usize = 32;
const BYTES: usize = 9;
/// How much of a hash stands for a user or a machine. Two of a License are never the same by accident.
const NAME_BYTES: usize = 15;
/// How much of a hash stands for a session. Each seat that is taken and given back writes it twice. The chance that two of a
/// million sessions of a License are the same is one in ten billion.
const SESSION_BYTES: usize = 9;

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

    /// What stands for a session outside of the program that chose it: a name in 12 characters of base64url. The program
    /// may have chosen something personal or secret. It is the same with each owner of the ledger, so that a session is
    /// recognised; another License has another name for it.
    pub fn session(&self, license: &LicenseName, session: &str) -> String {
        self.name_of::<SESSION_BYTES>("session", license, session)
    }

    /// What stands for a user of a License whose holders are not shown by name. It is the same with each owner of the
    /// ledger, so that a user is recognised; another License has another name for the same user.
    pub fn user(&self, license: &LicenseName, user: &str) -> String {
        let mut name = self.name_of::<NAME_BYTES>("user", license, user);
        name.insert(0, MARK);
        name
    }

    /// What stands for the machine of such a user.
    pub fn client(&self, license: &LicenseName, client: &str) -> String {
        let mut name = self.name_of::<NAME_BYTES>("client", license, client);
        name.insert(0, MARK);
        name
    }

    /// The key of one day: what it makes says nothing of another day.
    pub fn of_day(&self, day: NaiveDate) -> OfDay {
        OfDay { key: Key::new(HMAC_SHA256, sign(&self.key, &parts(["day", &day.to_string()])).as_ref()) }
    }

    fn name_of<const BYTES: usize>(&self, kind: &str, license: &LicenseName, name: &str) -> String {
        // A tag hashes more parts, so the two are never the same.
        let named = parts([kind, &*license.namespace, &*license.name, name]);
        BASE64_URL_SAFE_NO_PAD.encode(&sign(&self.key, &named).as_ref()[..BYTES])
    }

    /// Whether a caller that shows `tag` has the id of a seat that a known caller took; `made` makes the tag of that seat. A
    /// seat from before the key was made needs none: if the key is lost, holders go on working.
    pub fn admits(&self, tag: Option<Tag>, since: i64, made: impl FnOnce() -> Tag) -> bool {
        since < self.since || tag.is_some_and(|tag| tag.is(&made()))
    }
}

/// Makes the pseudonyms of one day.
pub struct OfDay {
    key: Key,
}

impl OfDay {
    /// What a user is called on this day where holders are shown by pseudonym. `user` is what stands for the user
    /// (`Tagger::user`), so each License has its own pseudonyms. Two users may have the same one by accident: there are
    /// 65,536.
    pub fn pseudonym(&self, license: &LicenseName, user: &str) -> String {
        let hash = sign(&self.key, &parts(["pseudonym", &*license.namespace, &*license.name, user]));
        let [first, second, ..] = *hash.as_ref() else { return String::new() };
        format!("agent-{first:02x}{second:02x}")
    }
}

/// Each part with its length, so that no two lists of parts give the same bytes.
fn parts<const N: usize>(parts: [&str; N]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
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
