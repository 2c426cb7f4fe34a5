//! Who took a seat, as the ledger notes it: a hash of what stays the same about a caller.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::fmt;

const BYTES: usize = 9;

/// Who takes or holds a seat. For a ServiceAccount it is its UID, and that of the pod if its token is bound to one.
///
/// A hash serves as well as what it stands for, because nobody can choose a UID, and it takes only twelve characters in the
/// ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Taker([u8; BYTES]);

impl Taker {
    /// How many characters `Display` writes.
    pub(super) const CHARACTERS: usize = 12;

    /// The caller with this name and UID, in this pod.
    pub fn of(user: &str, uid: Option<&str>, pod: Option<&str>) -> Self {
        let mut hash = Sha256::new();
        for part in [user, uid.unwrap_or_default(), pod.unwrap_or_default()] {
            // With its length, so that no two callers give the same bytes.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let hash: [u8; 32] = hash.finalize().into();
        let mut taker = [0; BYTES];
        taker.copy_from_slice(&hash[..BYTES]);
        Taker(taker)
    }

    /// The taker that `Display` has written like this.
    pub fn read(text: &str) -> Option<Self> {
        read(text).map(Taker)
    }
}

impl fmt::Display for Taker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0)
    }
}

/// Whether a seat that `held` took may be named by `taker`. A seat of a version that noted no taker belongs to everybody
/// with the right, as it did then.
pub(super) fn belongs(held: Option<Taker>, taker: Option<Taker>) -> bool {
    held.is_none() || held == taker
}

/// Writes nine bytes as twelve characters of base64url.
pub(super) fn write(f: &mut fmt::Formatter<'_>, bytes: [u8; BYTES]) -> fmt::Result {
    let mut characters = [0; Taker::CHARACTERS];
    let written = BASE64_URL_SAFE_NO_PAD.encode_slice(bytes, &mut characters).unwrap_or(0);
    f.write_str(std::str::from_utf8(&characters[..written]).map_err(|_| fmt::Error)?)
}

/// Nine bytes in twelve characters of base64url.
pub(super) fn read(text: &str) -> Option<[u8; BYTES]> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}
