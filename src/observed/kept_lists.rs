//! What is kept of the lists of revoked keys: in Secrets of the operator's own namespace, which only the operator writes
//! (`controllers/kept_lists.rs`). Nothing that any of them has shown is forgotten while the operator runs, unless the operator
//! itself gives its place to others.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

use crate::api::{mark, secret_type};
use crate::cluster::secrets::{Entries, OwnSecret};
use crate::domain::license::kept_lists::{Kept, ToKeep};
use crate::domain::license::trust::{Revocations, Trust};

/// For whom lists are kept together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    /// A signer that the installation pins.
    Pinned { signer: String },
    /// All signers that are trusted because of this namespace.
    Namespace(String),
}

impl Share {
    /// The namespace that it is for; `None` if it is for a signer that is pinned.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Share::Pinned { .. } => None,
            Share::Namespace(namespace) => Some(namespace),
        }
    }

    /// The name of the Secret that holds the share.
    pub fn secret_name(&self) -> String {
        let hash: String = Sha256::digest(self.owner()).iter().take(10).map(|byte| format!("{byte:02x}")).collect();
        format!("seatkeeper-revoked-{hash}")
    }

    /// The annotation `seatkeeper.dev/owner` of that Secret.
    pub fn owner(&self) -> String {
        match self {
            Share::Pinned { signer } => format!("Revocations of signer {signer}"),
            Share::Namespace(namespace) => format!("Revocations in namespace {namespace}"),
        }
    }
}

/// What is kept, by the name of the Secret.
#[derive(Default)]
pub struct KeptLists {
    state: Mutex<State>,
    /// Notified when what should be kept may have changed.
    pub changed: Notify,
}

#[derive(Default)]
struct State {
    shares: HashMap<String, Kept>,
    /// Trusted signers of which not everything is kept, by Secret.
    not_kept: HashMap<String, BTreeSet<String>>,
    /// The shares in which something of each signer is kept.
    of_signer: HashMap<String, BTreeSet<String>>,
    /// All that is kept of a signer, once somebody asked for it: many may trust it.
    united: HashMap<String, Arc<Revocations>>,
}

impl State {
    fn set(&mut self, secret: &str, kept: Kept) {
        for signer in self.shares.get(secret).into_iter().flat_map(BTreeMap::keys).chain(kept.keys()) {
            self.united.remove(signer);
        }
        for signer in self.shares.get(secret).into_iter().flat_map(BTreeMap::keys) {
            if let Some(secrets) = self.of_signer.get_mut(signer) {
                secrets.remove(secret);
            }
        }
        for signer in kept.keys() {
            self.of_signer.entry(signer.clone()).or_default().insert(secret.to_owned());
        }
        self.of_signer.retain(|_, secrets| !secrets.is_empty());
        self.shares.insert(secret.to_owned(), kept);
    }

    /// All that is kept of a signer; `None` if nothing is.
    fn of_signer(&mut self, signer: &str) -> Option<Arc<Revocations>> {
        if let Some(united) = self.united.get(signer) {
            return Some(united.clone());
        }
        let mut united = Revocations::default();
        for secret in self.of_signer.get(signer)? {
            if let Some(kept) = self.shares.get(secret).and_then(|kept| kept.get(signer)) {
                united.unite(kept);
            }
        }
        let united = Arc::new(united);
        self.united.insert(signer.to_owned(), united.clone());
        Some(united)
    }
}

impl KeptLists {
    /// Takes note of a Secret that holds a share. Returns whether anything in it was not known.
    pub fn note(&self, secret: &Secret) -> bool {
        let Some(read) = read(secret) else { return false };
        let name = secret.name_any();
        let mut state = self.lock();
        let mut kept = state.shares.get(&name).cloned().unwrap_or_default();
        for (signer, list) in &read {
            kept.entry(signer.clone()).or_default().unite(list);
        }
        let is_new = state.shares.get(&name) != Some(&kept);
        if is_new {
            state.set(&name, kept);
        }
        is_new
    }

    /// What is kept in a share.
    pub fn in_share(&self, share: &Share) -> Kept {
        self.lock().shares.get(&share.secret_name()).cloned().unwrap_or_default()
    }

    /// Whether anything is kept of a signer in a share.
    pub fn keeps(&self, share: &Share, signer: &str) -> bool {
        self.lock().shares.get(&share.secret_name()).is_some_and(|kept| kept.contains_key(signer))
    }

    /// Takes note of what a share is to hold. Returns the signers of which it can now keep more or less than before.
    pub fn set(&self, share: &Share, to_keep: ToKeep) -> BTreeSet<String> {
        let (mut state, name) = (self.lock(), share.secret_name());
        if state.shares.get(&name) != Some(&to_keep.kept) {
            state.set(&name, to_keep.kept);
        }
        let before = state.not_kept.insert(name, to_keep.not_kept.clone()).unwrap_or_default();
        before.symmetric_difference(&to_keep.not_kept).cloned().collect()
    }

    /// All that is kept of a signer; `None` if nothing is.
    pub fn of(&self, signer: &str) -> Option<Arc<Revocations>> {
        self.lock().of_signer(signer)
    }

    /// Adds to `trust` what is kept of its signers.
    pub fn recall(&self, trust: &mut Trust) {
        let mut state = self.lock();
        let signers: Vec<String> = trust.signers().map(str::to_owned).collect();
        for signer in &signers {
            if let Some(kept) = state.of_signer(signer) {
                trust.recall(signer, &kept);
            }
        }
        for signer in &signers {
            if state.not_kept.values().any(|not_kept| not_kept.contains(signer)) {
                trust.note_not_kept(signer);
            }
        }
    }

    /// What is kept of the lists of an issuer of that namespace, which has signed with these keys.
    pub fn of_issuer<'s>(&self, namespace: &str, signers: impl Iterator<Item = &'s str>) -> Revocations {
        let (state, name) = (self.lock(), Share::Namespace(namespace.to_owned()).secret_name());
        let mut all = Revocations::default();
        let kept = signers.filter_map(|signer| state.shares.get(&name)?.get(signer));
        kept.for_each(|kept| all.unite(kept));
        all
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The Secret that holds `share`.
pub fn secret_of<'a>(namespace: &'a str, name: &'a str, owner: &'a str) -> OwnSecret<'a> {
    OwnSecret { namespace, name, type_: secret_type::REVOCATIONS, owner, label: None }
}

/// What a Secret holds; `None` if the operator did not write it. An entry that cannot be read is as good as none, and is
/// written again.
pub fn read(secret: &Secret) -> Option<Kept> {
    secret.annotations().get(mark::OWNER)?;
    let entries = secret.data.iter().flatten();
    let read = |(signer, list): (&String, &ByteString)| {
        let list: Revocations = serde_json::from_slice(&list.0).ok()?;
        Some((signer.clone(), list))
    };
    Some(entries.filter_map(read).collect())
}

/// The entries of a Secret that holds this.
pub fn entries(kept: &Kept) -> Entries {
    let entry = |(signer, list): (&String, &Revocations)| {
        (signer.clone(), ByteString(serde_json::to_vec(list).unwrap_or_default()))
    };
    kept.iter().map(entry).collect()
}
