//! Trust: the public keys of issuers, and the serials that these issuers have revoked.
//!
//! A list of revoked serials can be put back to an older one, cut short or deleted with the Secret that it is in. So
//! what was once read of a signer's lists is kept (`kept_lists.rs`) and counts together with the lists that are there.

use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::json::typed;
use super::jwk::thumbprint;
use super::refusal::Refusal;
use super::token::{self, open, sign};
use crate::domain::Instant;
use crate::domain::fault::Fault;
use crate::domain::reason::Reason;

/// The `typ` of a revocation list.
pub const REVOCATIONS_TYPE: &str = "revocations+jwt";
/// The largest list that is read, in bytes; a Secret cannot hold more.
pub const MAX_REVOCATIONS_BYTES: usize = 1024 * 1024;
/// The most serials in a list. Serials of real keys are long, so a list of 1 MiB has fewer; short ones would take many times
/// as much memory as the list itself.
pub const MAX_SERIALS: usize = 40_000;
/// The most lists of a signer that count, the newest: each of them says all that the ones before it said.
pub const MAX_LISTS: usize = 16;

/// The trusted public keys, by thumbprint, and the serials revoked by lists that were signed with these keys.
///
/// A list counts wherever it was found: its signature is what makes it count. The serials of several lists are united,
/// because a revocation is never withdrawn.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    keys: BTreeMap<String, VerifyingKey>,
    /// What is known of the lists of each signer.
    lists: BTreeMap<String, Lists>,
}

/// Serials that were revoked. The lists that say so are shared, because many may trust one signer.
#[derive(Clone, Debug, Default)]
pub struct Revoked(Vec<Arc<Revocations>>);

impl Revoked {
    pub fn contains(&self, serial: &str) -> bool {
        self.0.iter().any(|list| list.serials.contains(serial))
    }

    pub fn serials(&self) -> impl Iterator<Item = &String> {
        self.0.iter().flat_map(|list| &list.serials)
    }
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
        self.becomes(other);
        self.serials.extend(other.serials.difference(&self.serials).cloned().collect::<Vec<_>>());
    }

    /// Takes the version, time of issue and expiry of a newer list.
    fn becomes(&mut self, other: &Revocations) {
        if other.age() > self.age() {
            (self.version, self.iat, self.exp) = (other.version, other.iat, other.exp);
        }
    }

    /// Orders lists from the oldest to the newest.
    pub fn age(&self) -> (u64, i64, Option<i64>) {
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
    /// The newest lists that are there.
    read: Vec<Arc<Revocations>>,
    /// What is kept of earlier ones.
    kept: Vec<Arc<Revocations>>,
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
        Trust { keys, lists: BTreeMap::new() }
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
        self.lists.values().flat_map(Lists::all).any(|list| list.serials.contains(serial))
    }

    pub fn revoked(&self) -> Revoked {
        Revoked(self.lists.values().flat_map(Lists::all).cloned().collect())
    }

    /// Adds the serials of a `revoked.jwt`. Fails, and changes nothing, if no trusted key signed it.
    pub fn heed(&mut self, list: &[u8]) -> Result<(), Refusal> {
        let (signer, list) = read_revocations_of(list, self)?;
        self.heed_genuine(&signer, &Arc::new(list));
        Ok(())
    }

    /// Adds the serials of a list that `signer` has signed; changes nothing if that signer is not trusted.
    pub fn heed_genuine(&mut self, signer: &str, list: &Arc<Revocations>) {
        let Some(lists) = self.lists_of(signer) else { return };
        lists.there = lists.there.max(Some(list.version));
        lists.newest.becomes(list);
        if lists.read.iter().all(|read| !Arc::ptr_eq(read, list)) {
            lists.read.push(list.clone());
            lists.read.sort_by_key(|read| Reverse(read.age()));
            lists.read.truncate(MAX_LISTS);
        }
    }

    /// Adds what is kept of the lists of `signer`; changes nothing if that signer is not trusted.
    pub fn recall(&mut self, signer: &str, kept: &Arc<Revocations>) {
        let Some(lists) = self.lists_of(signer) else { return };
        lists.newest.becomes(kept);
        lists.kept.push(kept.clone());
    }

    /// What is known of the lists of a signer that is trusted.
    fn lists_of(&mut self, signer: &str) -> Option<&mut Lists> {
        self.keys.contains_key(signer).then(|| self.lists.entry(signer.to_owned()).or_default())
    }

    /// Takes note that there is no room to keep all that `signer` has revoked.
    pub fn note_not_kept(&mut self, signer: &str) {
        if let Some(lists) = self.lists_of(signer) {
            lists.is_not_kept = true;
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
    fn all(&self) -> impl Iterator<Item = &Arc<Revocations>> {
        self.read.iter().chain(&self.kept)
    }

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

/// Whether anything would be missing without a list: it is the newest of its signer, or it has a serial that neither the
/// `others` of its signer that are there nor what is `kept` of earlier ones have.
pub fn adds_to(list: &Revocations, others: &[Arc<Revocations>], kept: Option<&Revocations>) -> bool {
    let mut counting: Vec<&Revocations> = others.iter().map(Arc::as_ref).collect();
    counting.sort_by_key(|other| Reverse(other.age()));
    counting.truncate(MAX_LISTS);
    let is_newest = counting.first().is_none_or(|newest| list.age() > newest.age());
    let is_said = |serial: &String| counting.iter().copied().chain(kept).any(|other| other.serials.contains(serial));
    is_newest || !list.serials.iter().all(is_said)
}

/// Returns the list in a `revoked.jwt`, if its signature is valid.
pub fn read_revocations(list: &[u8], trust: &Trust) -> Result<Revocations, Refusal> {
    read_list(list, trust).map(|read| read.list)
}

/// Returns the list in a `revoked.jwt` with the thumbprint of its signer, if its signature is valid.
pub fn read_revocations_of(list: &[u8], trust: &Trust) -> Result<(String, Revocations), Refusal> {
    read_list(list, trust).map(|read| (read.signer, read.list))
}

/// A list, as its signer wrote it.
pub struct ReadList {
    /// The thumbprint of the key that signed it.
    pub signer: String,
    pub list: Revocations,
    /// What the signer should correct, although the rest of the list counts.
    pub trouble: Option<Fault>,
}

/// Reads a `revoked.jwt`, if its signature is valid. One serial that cannot be used spoils no other.
pub fn read_list(list: &[u8], trust: &Trust) -> Result<ReadList, Refusal> {
    let mut signer = String::new();
    let key_of = |kid: &str| {
        signer = kid.to_owned();
        trust.key(kid)
    };
    let mut list = open(list, REVOCATIONS_TYPE, MAX_REVOCATIONS_BYTES, key_of)?;
    let trouble = take_out_what_is_no_serial(&mut list);
    let list: Revocations =
        typed(list).map_err(|wrong| Refusal::Malformed(format!("its content is not that of a list: {wrong}")))?;
    if list.serials.len() > MAX_SERIALS {
        let message = format!("it revokes {} keys, and {MAX_SERIALS} are read", list.serials.len());
        return Err(Refusal::Malformed(message));
    }
    Ok(ReadList { signer, list, trouble })
}

/// A list that is refused revokes nothing, so a mistake in one serial must not have that effect.
fn take_out_what_is_no_serial(list: &mut Value) -> Option<Fault> {
    let serials = list.get_mut("serials")?.as_array_mut()?;
    let wrong: Vec<String> =
        serials.iter().enumerate().filter(|(_, serial)| !serial.is_string()).map(|(n, _)| n.to_string()).collect();
    serials.retain(Value::is_string);
    let more = wrong.len().checked_sub(SHOWN_SERIALS + 1).map(|more| format!(" and {} more", more + 1));
    let shown = wrong.iter().take(SHOWN_SERIALS).cloned().collect::<Vec<_>>().join(", ");
    let message = || format!("serials {shown}{} are not texts; the others count", more.unwrap_or_default());
    (!wrong.is_empty()).then(|| Fault::new(Reason::TrustPartUnusable, "revoked.jwt", message()))
}

/// The most unusable serials that are named; there may be more.
const SHOWN_SERIALS: usize = 3;

/// The thumbprint of the key that a `revoked.jwt` says has signed it, **without verifying it**.
pub fn claimed_signer(list: &[u8]) -> Option<String> {
    token::claimed_signer(list, MAX_REVOCATIONS_BYTES)
}

/// Signs a list as a `revoked.jwt`.
pub fn sign_revocations(list: &Revocations, key: &SigningKey) -> String {
    sign(REVOCATIONS_TYPE, &serde_json::to_value(list).unwrap_or_default(), key)
}
