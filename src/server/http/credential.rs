//! Bearer tokens, and the one that an installation on one machine expects.

use http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

/// The longest token that is looked at, in bytes.
const LONGEST_TOKEN: usize = 8 * 1024;

/// The token of the header `Authorization: Bearer TOKEN`; `None` if there is none, or it is too long.
pub fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value: &HeaderValue| value.to_str().ok())
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && token.len() <= LONGEST_TOKEN)
        .map(|(_, token)| token.trim())
}

/// Stands for a token, from which it cannot be found out.
pub type TokenHash = [u8; 32];

/// The SHA-256 of a token.
pub fn hash_of(token: &str) -> TokenHash {
    Sha256::digest(token).into()
}

/// The one token that may do everything. Only its hash is kept: comparing hashes takes the same time whatever is wrong.
#[derive(Clone)]
pub struct Credential(TokenHash);

impl Credential {
    pub fn of(token: &str) -> Self {
        Credential(hash_of(token))
    }

    /// Whether the token with this hash is the one.
    pub fn has(&self, hash: &TokenHash) -> bool {
        self.0 == *hash
    }

    /// Whether a request with these headers shows it.
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        bearer_token(headers).is_some_and(|token| self.has(&hash_of(token)))
    }
}
