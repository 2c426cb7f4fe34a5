//! Whom to trust, from trust Secrets.
//!
//! A `revoked.jwt` counts in any trust Secret of the cluster if a trusted key signed it. The signature makes it count,
//! so it need not be copied to each namespace. What is kept of lists that are gone counts as well.

use ed25519_dalek::VerifyingKey;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::kept_lists::KeptLists;
use super::revocation_lists::{RevocationLists, text_of};
use crate::domain::fault::Fault;
use crate::domain::license::jwk::read_jwks;
use crate::domain::license::name::LicenseName;
use crate::domain::license::refusal::Refusal;
use crate::domain::license::trust::{Revocations, Trust, adds_to, read_list};
use crate::domain::reason::Reason;

/// Trust built from Secrets, kept until one of these Secrets or a list of its signers changes: thousands of Licenses share
/// one.
#[derive(Default)]
pub struct BuiltTrust(Mutex<State>);

#[derive(Default)]
struct State {
    /// How often something was stated or dropped.
    generation: u64,
    /// By a hash of the versions of the Secrets.
    by_secrets: HashMap<Versions, Entry>,
    /// The trust that each License had in the last readings, the newest last. Several threads read a License, and one of them
    /// may have begun with an older version of it.
    of: HashMap<LicenseName, VecDeque<Versions>>,
    /// By thumbprint of a key: where that key is trusted.
    by_signer: HashMap<String, BTreeSet<Versions>>,
}

type Versions = [u8; 32];

/// How many readings of a License are remembered.
const READINGS: usize = 3;

/// The trust that some Secrets state, and the Licenses that have it.
struct Entry {
    stated: Stated,
    licenses: BTreeSet<LicenseName>,
    /// That of the state when it was stated, or when what was built was dropped last.
    generation: u64,
    /// With the lists.
    built: Option<Built>,
}

/// The keys in some Secrets, without any list, and what is wrong with the Secrets.
#[derive(Clone)]
struct Stated {
    keys: Arc<Trust>,
    faults: Vec<Fault>,
}

/// The trust, and what is wrong with its Secrets.
pub type Built = (Arc<Trust>, Vec<Fault>);

impl BuiltTrust {
    /// Drops all that was built: any list may have changed.
    pub fn forget(&self) {
        let mut state = self.lock();
        state.generation += 1;
        let generation = state.generation;
        state.by_secrets.values_mut().for_each(|entry| entry.forget(generation));
    }

    /// Drops what was built with the lists of a signer. Returns the Licenses that trust it.
    pub fn forget_signer(&self, signer: &str) -> Vec<LicenseName> {
        let mut state = self.lock();
        let State { by_secrets, by_signer, generation, .. } = &mut *state;
        *generation += 1;
        let mut licenses = Vec::new();
        for key in by_signer.get(signer).into_iter().flatten() {
            if let Some(entry) = by_secrets.get_mut(key) {
                entry.forget(*generation);
                licenses.extend(entry.licenses.iter().cloned());
            }
        }
        licenses
    }

    pub fn forget_license(&self, license: &LicenseName) {
        let mut state = self.lock();
        for key in state.of.remove(license).unwrap_or_default() {
            state.leave(license, &key);
        }
    }

    /// The Licenses that a change of the lists of a signer concerns: those that trust the signer, if a list has come or gone
    /// that says something which the others do not.
    pub fn concerned(&self, signer: &str, lists: &RevocationLists, kept: &KeptLists) -> Vec<LicenseName> {
        let Some(key) = self.key_of(signer) else {
            lists.forget_count(signer);
            return Vec::new();
        };
        let (before, now) = lists.recount(signer, &key);
        let is_among = |list: &Arc<Revocations>, lists: &[Arc<Revocations>]| lists.iter().any(|l| Arc::ptr_eq(l, list));
        let stay: Vec<_> = now.iter().filter(|list| is_among(list, &before)).cloned().collect();
        // A list that has come is not compared with what is kept: that may have been noted only after the trust was built,
        // which then lacks it.
        let has_come = now.iter().any(|list| !is_among(list, &before) && adds_to(list, &stay, None));
        let has_gone = || {
            let kept = kept.of(signer);
            before.iter().any(|list| !is_among(list, &now) && adds_to(list, &now, kept.as_deref()))
        };
        if has_come || has_gone() { self.forget_signer(signer) } else { Vec::new() }
    }

    /// The key of that thumbprint, if any License trusts it.
    fn key_of(&self, signer: &str) -> Option<VerifyingKey> {
        let state = self.lock();
        let entry = state.by_secrets.get(state.by_signer.get(signer)?.first()?)?;
        entry.stated.keys.key(signer).copied()
    }

    /// The trust that `secrets` state for a License, with the lists of its signers, wherever they are, and what is `kept`
    /// of earlier ones.
    pub fn of(
        &self,
        license: &LicenseName,
        secrets: &[Arc<Secret>],
        lists: &RevocationLists,
        kept: &KeptLists,
    ) -> Built {
        let name = |secret: &Arc<Secret>| format!("{:?}", (secret.uid(), secret.resource_version()));
        let key: Versions = Sha256::digest(secrets.iter().map(name).collect::<String>()).into();
        let known = self.lock().enter(license, key, None);
        // It is known to have this trust before any list is read, so it is looked at again if one changes.
        let entered = match known {
            Some(known) => Some(known),
            None => {
                let stated = state(secrets);
                self.lock().enter(license, key, Some(stated))
            }
        };
        let Some((stated, generation, built)) = entered else { return Built::default() };
        if let Some(built) = built {
            return built;
        }
        let built = build(&stated, secrets, lists, kept);
        let mut state = self.lock();
        // A list that changed while this was built may be missing from it, with what it revokes.
        if let Some(entry) = state.by_secrets.get_mut(&key).filter(|entry| entry.generation == generation) {
            entry.built = Some(built.clone());
        }
        built
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn forget(&mut self, generation: u64) {
        self.generation = generation;
        self.built = None;
    }
}

impl State {
    /// Takes note that a License has the trust of that key, and returns it; `None` if it is not known and not stated.
    fn enter(
        &mut self,
        license: &LicenseName,
        key: Versions,
        stated: Option<Stated>,
    ) -> Option<(Stated, u64, Option<Built>)> {
        if let Some(stated) = stated {
            for signer in stated.keys.signers() {
                self.by_signer.entry(signer.to_owned()).or_default().insert(key);
            }
            self.generation += 1;
            let generation = self.generation;
            let entry = || Entry { stated, licenses: BTreeSet::new(), generation, built: None };
            self.by_secrets.entry(key).or_insert_with(entry);
        }
        let entry = self.by_secrets.get_mut(&key)?;
        entry.licenses.insert(license.clone());
        let entered = (entry.stated.clone(), entry.generation, entry.built.clone());
        let readings = self.of.entry(license.clone()).or_default();
        if readings.back() != Some(&key) {
            readings.retain(|other| *other != key);
            readings.push_back(key);
        }
        if readings.len() > READINGS
            && let Some(oldest) = readings.pop_front()
        {
            self.leave(license, &oldest);
        }
        Some(entered)
    }

    /// Forgets that a License has this trust, and the trust if no other has it.
    fn leave(&mut self, license: &LicenseName, key: &Versions) {
        let Some(entry) = self.by_secrets.get_mut(key) else { return };
        entry.licenses.remove(license);
        if entry.licenses.is_empty()
            && let Some(entry) = self.by_secrets.remove(key)
        {
            for signer in entry.stated.keys.signers() {
                if let Some(keys) = self.by_signer.get_mut(signer) {
                    keys.remove(key);
                    if keys.is_empty() {
                        self.by_signer.remove(signer);
                    }
                }
            }
        }
    }
}

/// Reads the keys in `secrets`.
fn state(secrets: &[Arc<Secret>]) -> Stated {
    let mut faults = Vec::new();
    let mut keys = Vec::new();
    for secret in secrets {
        let place = place(secret);
        match secret.data.as_ref().and_then(|data| data.get("jwks.json")) {
            None => faults.push(Fault::new(
                Reason::TrustInvalid,
                place,
                "has no entry jwks.json with the vendor's public keys",
            )),
            Some(jwks) => match read_jwks(&jwks.0) {
                Ok(read) => {
                    faults.extend(read.trouble().map(|fault| fault.within(&place)));
                    keys.extend(read.keys);
                }
                Err(fault) => faults.push(fault.within(&place)),
            },
        }
    }
    Stated { keys: Arc::new(Trust::new(keys)), faults }
}

fn place(secret: &Secret) -> String {
    format!("Secret {}/{}", secret.namespace().unwrap_or_default(), secret.name_any())
}

fn build(stated: &Stated, secrets: &[Arc<Secret>], lists: &RevocationLists, kept: &KeptLists) -> Built {
    let mut trust = Trust::clone(&stated.keys);
    let mut faults = stated.faults.clone();
    for (signer, key) in stated.keys.signers().zip(stated.keys.keys()) {
        lists.of(signer, key).iter().for_each(|list| trust.heed_genuine(signer, list));
    }
    for secret in secrets {
        let trouble = heed(&mut trust, secret, lists).unwrap_or_else(|refusal| {
            let message = format!("this list of revoked keys is ignored: {refusal}");
            Some(Fault::new(Reason::TrustInvalid, "revoked.jwt", message))
        });
        faults.extend(trouble.map(|fault| fault.within(&place(secret))));
    }
    kept.recall(&mut trust);
    (Arc::new(trust), faults)
}

/// Adds the list in one of the Secrets that state the trust. Returns what is wrong with a part of it.
fn heed(trust: &mut Trust, secret: &Secret, lists: &RevocationLists) -> Result<Option<Fault>, Refusal> {
    let Some(text) = text_of(secret) else { return Ok(None) };
    let known = lists.in_secret(secret).and_then(|list| Some((*trust.key(&list.signer)?, list)));
    let Some((key, list)) = known else {
        let read = read_list(text, trust)?;
        trust.heed_genuine(&read.signer, &Arc::new(read.list));
        return Ok(read.trouble);
    };
    let (signer, genuine) = (&list.signer, list.genuine(&key)?);
    trust.heed_genuine(signer, &genuine);
    // It counts even if others of its signer are newer: one key may sign in several namespaces, each with versions of its own.
    trust.recall(signer, &genuine);
    Ok(list.trouble())
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use k8s_openapi::ByteString;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use kube::runtime::reflector;
    use kube::runtime::reflector::store::{Store, Writer};
    use kube::runtime::watcher::Event;

    use super::*;
    use crate::domain::license::jwk::{publish, thumbprint};
    use crate::domain::license::trust::sign_revocations;

    fn key(n: u8) -> SigningKey {
        SigningKey::from_bytes(&[n; 32])
    }

    fn list(signer: u8, version: u64, serials: &[&str]) -> String {
        let serials = serials.iter().map(|serial| (*serial).to_owned()).collect();
        sign_revocations(&Revocations { version, iat: 1, exp: None, serials }, &key(signer))
    }

    fn secret(name: &str, version: &str, entry: &str, text: &str) -> Secret {
        let some = |text: &str| Some(text.to_owned());
        let metadata = ObjectMeta {
            namespace: some("there"),
            name: some(name),
            uid: some(name),
            resource_version: some(version),
            ..ObjectMeta::default()
        };
        let data = Some([(entry.to_owned(), ByteString(text.into()))].into());
        Secret { metadata, data, ..Secret::default() }
    }

    struct World {
        cache: Store<Secret>,
        writer: Writer<Secret>,
        lists: RevocationLists,
        kept: KeptLists,
        trust: BuiltTrust,
        stated: Arc<Secret>,
    }

    impl World {
        /// Licenses may trust the first signer.
        fn new() -> Self {
            let (cache, writer) = reflector::store();
            let jwks = serde_json::to_string(&publish([&key(1).verifying_key()])).expect("JSON");
            World {
                cache,
                writer,
                lists: RevocationLists::default(),
                kept: KeptLists::default(),
                trust: BuiltTrust::default(),
                stated: Arc::new(secret("jwks", "1", "jwks.json", &jwks)),
            }
        }

        fn revokes(&self, license: &LicenseName, serial: &str) -> bool {
            self.trust.of(license, std::slice::from_ref(&self.stated), &self.lists, &self.kept).0.is_revoked(serial)
        }

        /// The Licenses that a change of a Secret concerns.
        fn see(&mut self, event: Event<Secret>) -> Vec<LicenseName> {
            let (Event::Apply(secret) | Event::Delete(secret)) = &event else { panic!("a change") };
            let name = secret.name_any();
            self.writer.apply_watcher_event(&event);
            let signers = self.lists.note(&self.cache, "there", &name);
            signers.iter().flat_map(|signer| self.trust.concerned(signer, &self.lists, &self.kept)).collect()
        }
    }

    #[test]
    fn a_list_concerns_those_who_trust_its_signer_if_it_says_anything_new() {
        let (mut world, license) = (World::new(), LicenseName::new("there", "license"));
        let concerned = std::slice::from_ref(&license);
        assert!(!world.revokes(&license, "a"));
        let with = |name: &str, version: &str, text: &str| Event::Apply(secret(name, version, "revoked.jwt", text));
        let mut forged = list(1, 9, &["a"]);
        forged.truncate(forged.len() - 8);
        assert!(world.see(with("forged", "1", &forged)).is_empty());
        assert!(world.see(with("foreign", "1", &list(2, 1, &["a"]))).is_empty());
        assert!(!world.revokes(&license, "a"));
        assert_eq!(world.see(with("list", "1", &list(1, 1, &["a"]))), concerned);
        assert!(world.revokes(&license, "a"));
        assert!(world.see(with("copy", "1", &list(1, 1, &["a"]))).is_empty(), "a copy says nothing new");
        assert_eq!(world.see(with("list", "2", &list(1, 2, &["a", "b"]))), concerned);
        assert!(world.revokes(&license, "b"));
        let copy = secret("copy", "1", "revoked.jwt", &list(1, 1, &["a"]));
        assert!(world.see(Event::Delete(copy)).is_empty(), "an older one that goes takes nothing along");
        let newest = secret("list", "2", "revoked.jwt", &list(1, 2, &["a", "b"]));
        assert_eq!(world.see(Event::Delete(newest)), concerned);
        assert!(!world.revokes(&license, "b"), "nothing was kept");
    }

    #[test]
    fn a_list_that_came_and_went_while_nobody_trusted_its_signer_concerns_the_next_who_does() {
        let (mut world, license) = (World::new(), LicenseName::new("there", "license"));
        let concerned = std::slice::from_ref(&license);
        let there = secret("list", "1", "revoked.jwt", &list(1, 1, &["a"]));
        world.revokes(&license, "a");
        assert_eq!(world.see(Event::Apply(there.clone())), concerned);
        world.trust.forget_license(&license);
        assert!(world.see(Event::Delete(there.clone())).is_empty());
        assert!(!world.revokes(&license, "a"));
        assert_eq!(world.see(Event::Apply(there)), concerned);
        assert!(world.revokes(&license, "a"));
    }

    /// Several threads read a License. One that began with an older version of it does not end what the newer one trusts.
    #[test]
    fn the_last_readings_of_a_license_are_remembered_and_nothing_of_one_that_is_gone() {
        let (mut world, license) = (World::new(), LicenseName::new("there", "license"));
        let concerned = std::slice::from_ref(&license);
        world.revokes(&license, "a");
        let older = secret("older", "1", "jwks.json", "{\"keys\": []}");
        world.trust.of(&license, &[Arc::new(older)], &world.lists, &world.kept);
        let there = secret("list", "1", "revoked.jwt", &list(1, 1, &["a"]));
        assert_eq!(world.see(Event::Apply(there)), concerned);
        for version in 0..9 {
            let other = secret("other", &version.to_string(), "jwks.json", "{\"keys\": []}");
            world.trust.of(&license, &[Arc::new(other)], &world.lists, &world.kept);
        }
        assert_eq!(world.trust.lock().by_secrets.len(), READINGS);
        assert!(world.trust.key_of(&thumbprint(&key(1).verifying_key())).is_none(), "it trusts that signer no longer");
        world.trust.forget_license(&license);
        let state = world.trust.lock();
        assert!(state.by_secrets.is_empty() && state.by_signer.is_empty() && state.of.is_empty());
    }

    /// One key may sign in several namespaces, each with versions of its own: the list beside the keys that a License trusts counts,
    /// however many newer ones there are.
    #[test]
    fn the_list_in_a_secret_that_states_the_trust_counts_beside_any_number_of_newer_ones() {
        let (mut world, license) = (World::new(), LicenseName::new("there", "license"));
        for n in 0..40 {
            let text = list(1, 100 + n, &["b"]);
            world.see(Event::Apply(secret(&format!("newer-{n}"), "1", "revoked.jwt", &text)));
        }
        let mut stated = Secret::clone(&world.stated);
        let own = ByteString(list(1, 1, &["a"]).into());
        stated.data.get_or_insert_default().insert("revoked.jwt".to_owned(), own);
        world.see(Event::Apply(stated.clone()));
        world.stated = Arc::new(stated);
        assert!(world.revokes(&license, "a") && world.revokes(&license, "b"));
    }
}
