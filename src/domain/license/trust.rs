//! Trust: the public keys of issuers, and the serials that these issuers have revoked.

use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use super::json::typed;
use super::jwk::thumbprint;
use super::refusal::Refusal;
use super::token::{open, sign};

/// The `typ` of a revocation list.
pub const REVOCATIONS_TYPE: &str = "revocations+jwt";
/// The largest list that is read, in bytes; a Secret cannot hold more.
pub const MAX_REVOCATIONS_BYTES: usize = 1024 * 1024;

/// The trusted public keys, by thumbprint, and the serials revoked by lists that were signed with these keys.
///
/// A list counts wherever it was found: its signature is what makes it count. The serials of several lists are united,
/// because a revocation is never withdrawn.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    keys: BTreeMap<String, VerifyingKey>,
    revoked: BTreeSet<String>,
}

/// The claims of a `revoked.jwt`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocations {
    /// The version never decreases: of two lists, the one with the greater version is newer.
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

    /// The thumbprints of these keys.
    pub fn signers(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    pub fn is_revoked(&self, serial: &str) -> bool {
        self.revoked.contains(serial)
    }

    pub fn revoked(&self) -> &BTreeSet<String> {
        &self.revoked
    }

    /// Adds the serials of a `revoked.jwt`. Fails, and changes nothing, if no trusted key signed it.
    pub fn heed(&mut self, list: &[u8]) -> Result<(), Refusal> {
        let list = read_revocations(list, self)?;
        self.revoked.extend(list.serials);
        Ok(())
    }
}

/// Returns the list in a `revoked.jwt`, if its signature is valid.
pub fn read_revocations(list: &[u8], trust: &Trust) -> Result<Revocations, Refusal> {
    let list = open(list, REVOCATIONS_TYPE, MAX_REVOCATIONS_BYTES, |kid| trust.key(kid))?;
    typed(list).map_err(|wrong| Refusal::Malformed(format!("its content is not that of a list: {wrong}")))
}

/// Signs a list as a `revoked.jwt`.
pub fn sign_revocations(list: &Revocations, key: &SigningKey) -> String {
    sign(REVOCATIONS_TYPE, &serde_json::to_value(list).unwrap_or_default(), key)
}
