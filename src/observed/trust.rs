//! Whom to trust, from trust Secrets.
//!
//! A `revoked.jwt` counts in any trust Secret of the cluster if a trusted key signed it. The signature makes it count,
//! so it need not be copied to each namespace. What is kept of lists that are gone counts as well.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::runtime::reflector::store::Store;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::kept_lists::KeptLists;
use super::revocation_lists::{RevocationLists, text_of};
use crate::cluster::watch::all;
use crate::domain::fault::Fault;
use crate::domain::license::jwk::read_jwks;
use crate::domain::license::trust::Trust;
use crate::domain::reason::Reason;

/// Trust built from Secrets, kept until any of them changes: thousands of Licenses share one.
#[derive(Default)]
pub struct BuiltTrust(Mutex<State>);

#[derive(Default)]
struct State {
    /// How often all of it was dropped.
    generation: u64,
    built: HashMap<String, Built>,
}

/// The trust, and what is wrong with its Secrets.
pub type Built = (Arc<Trust>, Vec<Fault>);

impl BuiltTrust {
    /// Drops all of it: a trust Secret has changed.
    pub fn forget(&self) {
        let mut state = self.lock();
        state.generation += 1;
        state.built.clear();
    }

    /// The trust that `secrets` state, with the lists of revoked keys in `all_trusts` that it signed, and what is
    /// `kept` of earlier ones.
    pub fn of(
        &self,
        secrets: &[Arc<Secret>],
        all_trusts: &Store<Secret>,
        lists: &RevocationLists,
        kept: &KeptLists,
    ) -> Built {
        let name = |secret: &Arc<Secret>| format!("{:?}", (secret.uid(), secret.resource_version()));
        let key: String = secrets.iter().map(name).collect();
        let generation = {
            let state = self.lock();
            if let Some(known) = state.built.get(&key) {
                return known.clone();
            }
            state.generation
        };
        let (mut trust, faults) = build(secrets, all_trusts, lists);
        kept.recall(&mut trust);
        let built = (Arc::new(trust), faults);
        let mut state = self.lock();
        // A Secret that changed while this was built may be missing from it, with what it revokes.
        if state.generation == generation {
            state.built.insert(key, built.clone());
        }
        built
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn build(secrets: &[Arc<Secret>], all_trusts: &Store<Secret>, lists: &RevocationLists) -> (Trust, Vec<Fault>) {
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
    let mut trust = Trust::new(keys);
    // A list signed by a trusted key counts wherever it is, so it need not be copied to every place where a key is
    // used.
    for secret in all(all_trusts) {
        let Some(text) = text_of(&secret) else { continue };
        let known = lists.of(&secret);
        let known = known.as_ref().and_then(|list| Some((list, *trust.key(&list.signer)?)));
        if let Some((list, key)) = known
            && let Ok(genuine) = list.genuine(text, &key)
        {
            trust.heed_genuine(&list.signer, &genuine);
        } else if secrets.iter().any(|chosen| chosen.uid() == secret.uid())
            && let Err(refusal) = trust.heed(text)
        {
            let place = format!("Secret {}/{}, revoked.jwt", secret.namespace().unwrap_or_default(), secret.name_any());
            faults.push(Fault::new(
                Reason::TrustInvalid,
                place,
                format!("this list of revoked keys is ignored: {refusal}"),
            ));
        }
    }
    (trust, faults)
}
