//! Whom to trust, from trust Secrets.
//!
//! A `revoked.jwt` counts in any trust Secret of the cluster if a trusted key signed it. The signature makes it count,
//! so it need not be copied to each namespace. What is kept of lists that are gone counts as well.

use ed25519_dalek::VerifyingKey;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::kept_lists::KeptLists;
use super::revocation_lists::{List, RevocationLists, text_of};
use crate::domain::fault::Fault;
use crate::domain::license::jwk::read_jwks;
use crate::domain::license::name::LicenseName;
use crate::domain::license::refusal::Refusal;
use crate::domain::license::trust::{Revocations, Trust, adds_to};
use crate::domain::reason::Reason;

/// Trust built from Secrets, kept until one of these Secrets or a list of its signers changes: thousands of Licenses share
/// one.
#[derive(Default)]
pub struct BuiltTrust(Mutex<State>);

#[derive(Default)]
struct State {
    /// How often something was stated or dropped.
    generation: u64,
    /// By the versions of the Secrets.
    by_secrets: HashMap<String, Entry>,
    /// The trust that each License had last, by those versions.
    of: HashMap<LicenseName, String>,
    /// By thumbprint of a key: where that key is trusted.
    by_signer: HashMap<String, BTreeSet<String>>,
}

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
        self.lock().leave(license);
    }

    /// The Licenses that a list concerns which has come or gone: those that trust its signer, if it says anything that the
    /// other lists and what is kept do not say.
    pub fn concerned(&self, list: &List, lists: &RevocationLists, kept: &KeptLists) -> Vec<LicenseName> {
        let Some(key) = self.key_of(&list.signer) else { return Vec::new() };
        let Ok(says) = list.genuine(&key) else { return Vec::new() };
        let others = lists.of(&list.signer).into_iter().filter(|(other, _)| !std::ptr::eq(&**other, list));
        let others: Vec<Arc<Revocations>> = others.filter_map(|(other, _)| other.genuine(&key).ok()).collect();
        match adds_to(&says, &others, kept.of(&list.signer).as_deref()) {
            true => self.forget_signer(&list.signer),
            false => Vec::new(),
        }
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
        let key: String = secrets.iter().map(name).collect();
        let known = self.lock().enter(license, &key, None);
        // It is known to have this trust before any list is read, so it is looked at again if one changes.
        let entered = known.or_else(|| self.lock().enter(license, &key, Some(state(secrets))));
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
        key: &str,
        stated: Option<Stated>,
    ) -> Option<(Stated, u64, Option<Built>)> {
        if let Some(stated) = stated {
            for signer in stated.keys.signers() {
                self.by_signer.entry(signer.to_owned()).or_default().insert(key.to_owned());
            }
            self.generation += 1;
            let generation = self.generation;
            let entry = || Entry { stated, licenses: BTreeSet::new(), generation, built: None };
            self.by_secrets.entry(key.to_owned()).or_insert_with(entry);
        }
        if !self.by_secrets.contains_key(key) {
            return None;
        }
        if self.of.get(license).is_none_or(|before| before != key) {
            self.leave(license);
            self.of.insert(license.clone(), key.to_owned());
        }
        let entry = self.by_secrets.get_mut(key)?;
        entry.licenses.insert(license.clone());
        Some((entry.stated.clone(), entry.generation, entry.built.clone()))
    }

    /// Forgets what a License trusts, and the trust that no other License has.
    fn leave(&mut self, license: &LicenseName) {
        let Some(key) = self.of.remove(license) else { return };
        let Some(entry) = self.by_secrets.get_mut(&key) else { return };
        entry.licenses.remove(license);
        if entry.licenses.is_empty()
            && let Some(entry) = self.by_secrets.remove(&key)
        {
            for signer in entry.stated.keys.signers() {
                if let Some(keys) = self.by_signer.get_mut(signer) {
                    keys.remove(&key);
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
        let place = format!("Secret {}/{}", secret.namespace().unwrap_or_default(), secret.name_any());
        match secret.data.as_ref().and_then(|data| data.get("jwks.json")) {
            None => faults.push(Fault::new(
                Reason::TrustInvalid,
                place,
                "has no entry jwks.json with the vendor's public keys",
            )),
            Some(jwks) => match read_jwks(&jwks.0) {
                Ok(read) => keys.extend(read),
                Err(fault) => faults.push(Fault { field: format!("{place}, {}", fault.field), ..fault }),
            },
        }
    }
    Stated { keys: Arc::new(Trust::new(keys)), faults }
}

fn build(stated: &Stated, secrets: &[Arc<Secret>], lists: &RevocationLists, kept: &KeptLists) -> Built {
    let mut trust = Trust::clone(&stated.keys);
    let mut faults = stated.faults.clone();
    for (signer, key) in stated.keys.signers().zip(stated.keys.keys()) {
        for (list, _) in lists.of(signer) {
            if let Ok(genuine) = list.genuine(key) {
                trust.heed_genuine(signer, &genuine);
            }
        }
    }
    for secret in secrets {
        faults.extend(heed(&mut trust, secret, lists).err().map(|refusal| {
            let place = format!("Secret {}/{}, revoked.jwt", secret.namespace().unwrap_or_default(), secret.name_any());
            Fault::new(Reason::TrustInvalid, place, format!("this list of revoked keys is ignored: {refusal}"))
        }));
    }
    kept.recall(&mut trust);
    (Arc::new(trust), faults)
}

/// Adds the list in one of the Secrets that state the trust.
fn heed(trust: &mut Trust, secret: &Secret, lists: &RevocationLists) -> Result<(), Refusal> {
    let Some(text) = text_of(secret) else { return Ok(()) };
    let known = lists.in_secret(secret).and_then(|list| Some((*trust.key(&list.signer)?, list)));
    let Some((key, list)) = known else { return trust.heed(text) };
    trust.heed_genuine(&list.signer, &list.genuine(&key)?);
    Ok(())
}
