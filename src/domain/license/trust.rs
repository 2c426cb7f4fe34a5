//! Whom to trust: public keys, and the serials their owners have taken back.

use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use super::jwk::thumbprint;
use super::key::{Refusal, open, sign};

/// `typ` of a revocation list.
pub const REVOCATIONS_TYPE: &str = "revocations+jwt";
/// The largest list that is read; a Secret holds no more.
pub const MAX_REVOCATIONS_BYTES: usize = 1024 * 1024;

/// The keys that are trusted, by thumbprint, and the serials revoked by lists that these keys signed.
///
/// A list counts wherever it was found: its signature is what makes it count. Serials of several lists are united, for a
/// revocation is never taken back.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    keys: BTreeMap<String, VerifyingKey>,
    revoked: BTreeSet<String>,
}

/// The claims of a `revoked.jwt`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocations {
    /// Only grows: the list with the greater version is the newer one.
    pub version: u64,
    pub iat: i64,
    pub serials: BTreeSet<String>,
}

impl Trust {
    pub fn new(keys: impl IntoIterator<Item = VerifyingKey>) -> Self {
        Trust { keys: keys.into_iter().map(|key| (thumbprint(&key), key)).collect(), revoked: BTreeSet::new() }
    }

    pub fn key(&self, kid: &str) -> Option<&VerifyingKey> {
        self.keys.get(kid)
    }

    pub fn keys(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.keys.values()
    }

    pub fn is_revoked(&self, serial: &str) -> bool {
        self.revoked.contains(serial)
    }

    pub fn revoked(&self) -> &BTreeSet<String> {
        &self.revoked
    }

    /// Takes up a `revoked.jwt`. One that no trusted key signed changes nothing and is the error.
    pub fn heed(&mut self, list: &[u8]) -> Result<(), Refusal> {
        let list = read_revocations(list, self)?;
        self.revoked.extend(list.serials);
        Ok(())
    }
}

/// The list in a `revoked.jwt`, once its signature holds.
pub fn read_revocations(list: &[u8], trust: &Trust) -> Result<Revocations, Refusal> {
    open(list, REVOCATIONS_TYPE, MAX_REVOCATIONS_BYTES, trust)
}

/// Signs a list as `revoked.jwt`.
pub fn sign_revocations(list: &Revocations, key: &SigningKey) -> String {
    sign(REVOCATIONS_TYPE, &serde_json::to_value(list).unwrap_or_default(), key)
}
