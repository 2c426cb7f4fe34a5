//! Trust: the public keys of issuers, and the serials that these issuers have revoked.
//!
//! A list of revoked serials can be put back to an older one, cut short or deleted with the Secret that it is in. So
//! what was once read of a signer's lists is kept (`kept_lists.rs`) and counts together with the lists that are there.

use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use super::json::typed;
use super::jwk::thumbprint;
use super::refusal::Refusal;
use super::token::{inspect, open, sign};
use crate::domain::Instant;
use crate::domain::reason::Reason;

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
    /// What is known of the lists of each signer.
    lists: BTreeMap<String, Lists>,
}

/// The claims of a `revoked.jwt`, or what is kept of all lists of a signer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocations {
    /// The version never decreases: of two lists, the one with the greater version is newer. A list without a version is
    /// older than any that has one.
    #[serde(default)]
    pub version: u64,
    #[serde(default)]
    pub iat: i64,
    /// When a newer list should have come, in seconds since 1970. A list that is past it still counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    pub serials: BTreeSet<String>,
}

impl Revocations {
    /// Adds what another list of the same signer says. The version, time of issue and expiry become those of the newer
    /// one.
    pub fn unite(&mut self, other: &Revocations) {
        if other.age() > self.age() {
            (self.version, self.iat, self.exp) = (other.version, other.iat, other.exp);
        }
        self.serials.extend(other.serials.difference(&self.serials).cloned().collect::<Vec<_>>());
    }

    /// Orders lists from the oldest to the newest.
    fn age(&self) -> (u64, i64, Option<i64>) {
        (self.version, self.iat, self.exp)
    }
}

/// What is known of the lists of one signer.
#[derive(Clone, Debug, Default)]
struct Lists {
    /// The version of the newest list that is there; `None` if none is.
    there: Option<u64>,
    /// The newest list that was ever read, without its serials.
    newest: Revocations,
    /// There is no room to keep all of its serials.
    is_not_kept: bool,
}

/// The latest time of issue that is believed, in seconds since 1970: the end of the year 2099. A time beyond it is a
/// mistake, such as one in milliseconds, and must end no licence.
const LATEST_ISSUE: i64 = 4_102_444_800;

/// A time of issue that may bear on the clock; `None` if it is a mistake.
pub fn believed_issue(iat: i64) -> Option<Instant> {
    Instant::from_timestamp(iat, 0).filter(|_| (1..LATEST_ISSUE).contains(&iat))
}

impl Trust {
    pub fn new(keys: impl IntoIterator<Item = VerifyingKey>) -> Self {
        let keys = keys.into_iter().map(|key| (thumbprint(&key), key)).collect();
        Trust { keys, revoked: BTreeSet::new(), lists: BTreeMap::new() }
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
        let (signer, list) = read_revocations_of(list, self)?;
        let lists = self.lists.entry(signer.clone()).or_default();
        lists.there = lists.there.max(Some(list.version));
        self.recall(&signer, &list);
        Ok(())
    }

    /// Adds what is kept of the lists of `signer`; changes nothing if that signer is not trusted.
    pub fn recall(&mut self, signer: &str, kept: &Revocations) {
        if self.keys.contains_key(signer) {
            let lists = self.lists.entry(signer.to_owned()).or_default();
            lists.newest.unite(&Revocations { serials: BTreeSet::new(), ..kept.clone() });
            self.revoked.extend(kept.serials.iter().cloned());
        }
    }

    /// Takes note that there is no room to keep all that `signer` has revoked.
    pub fn note_not_kept(&mut self, signer: &str) {
        if self.keys.contains_key(signer) {
            self.lists.entry(signer.to_owned()).or_default().is_not_kept = true;
        }
    }

    /// What is wrong with the lists at `now`, in one sentence for each signer. Nothing is granted or refused because of
    /// it: what was revoked stays revoked.
    pub fn outdated_lists(&self, now: Instant) -> Option<(Reason, String)> {
        // A vendor that changes its signing key signs its next list with the new one.
        let newest_there = self.lists.values().filter_map(|lists| lists.there).max();
        let is_followed = |lists: &Lists| newest_there.is_some_and(|there| there > lists.newest.version);
        let unfollowed = self.lists.iter().filter(|(_, lists)| lists.is_not_kept || !is_followed(lists));
        let wrong = unfollowed.filter_map(|(signer, lists)| lists.wrong(signer, now));
        let (reasons, messages): (Vec<Reason>, Vec<String>) = wrong.take(SHOWN_OUTDATED).unzip();
        reasons.first().map(|first| (*first, messages.join("; ")))
    }

    /// When the first list that is in time now will have expired.
    pub fn next_expiry(&self, now: Instant) -> Option<Instant> {
        let ends = self.lists.values().filter_map(|lists| Instant::from_timestamp(lists.newest.exp?, 0));
        ends.filter(|end| *end > now).min()
    }

    /// The latest time at which a trusted signer issued its newest list. It was not earlier than that.
    pub fn latest_list(&self) -> Option<Instant> {
        self.lists.values().filter_map(|lists| believed_issue(lists.newest.iat)).max()
    }
}

/// The most signers whose lists are said to be outdated.
const SHOWN_OUTDATED: usize = 3;

impl Lists {
    fn wrong(&self, signer: &str, now: Instant) -> Option<(Reason, String)> {
        let Revocations { version, exp, .. } = self.newest;
        match self.there {
            None => {
                let message = format!(
                    "the list of revoked keys of signer {signer} is gone, and version {version} of it was read before; \
                     what it revoked stays revoked: put revoked.jwt back"
                );
                Some((Reason::RevocationsMissing, message))
            }
            Some(there) if there < version => {
                let message = format!(
                    "the list of revoked keys of signer {signer} has version {there}, and version {version} was read \
                     before; what that one revoked stays revoked: put the newer revoked.jwt back"
                );
                Some((Reason::RevocationsOlder, message))
            }
            Some(_) if self.is_not_kept => {
                let message = format!(
                    "there is no room to keep all that signer {signer} has revoked, so part of it counts only as long as \
                     its revoked.jwt is there; have the installation pin this signer"
                );
                Some((Reason::RevocationsNotKept, message))
            }
            Some(_) => {
                let end = exp.and_then(|exp| Instant::from_timestamp(exp, 0)).filter(|end| *end <= now)?;
                let message = format!(
                    "the list of revoked keys of signer {signer} should have been followed by a newer one at {end}; ask the \
                     vendor for the newest revoked.jwt"
                );
                Some((Reason::RevocationsExpired, message))
            }
        }
    }
}

/// Returns the list in a `revoked.jwt`, if its signature is valid.
pub fn read_revocations(list: &[u8], trust: &Trust) -> Result<Revocations, Refusal> {
    read_revocations_of(list, trust).map(|(_, list)| list)
}

/// Returns the list in a `revoked.jwt` with the thumbprint of its signer, if its signature is valid.
pub fn read_revocations_of(list: &[u8], trust: &Trust) -> Result<(String, Revocations), Refusal> {
    let mut signer = String::new();
    let key_of = |kid: &str| {
        signer = kid.to_owned();
        trust.key(kid)
    };
    let list = open(list, REVOCATIONS_TYPE, MAX_REVOCATIONS_BYTES, key_of)?;
    let list =
        typed(list).map_err(|wrong| Refusal::Malformed(format!("its content is not that of a list: {wrong}")))?;
    Ok((signer, list))
}

/// The thumbprint of the key that a `revoked.jwt` says has signed it, **without verifying it**.
pub fn claimed_signer(list: &[u8]) -> Option<String> {
    let (header, _) = inspect(list, MAX_REVOCATIONS_BYTES).ok()?;
    header.get("kid")?.as_str().map(str::to_owned)
}

/// Signs a list as a `revoked.jwt`.
pub fn sign_revocations(list: &Revocations, key: &SigningKey) -> String {
    sign(REVOCATIONS_TYPE, &serde_json::to_value(list).unwrap_or_default(), key)
}
