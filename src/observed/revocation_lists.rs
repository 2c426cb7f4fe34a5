//! The lists of revoked keys in trust Secrets, by the signer that each names. A text is read and verified once, however many
//! Secrets hold it.

use ed25519_dalek::VerifyingKey;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::runtime::reflector::store::Store;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::cluster::secrets;
use crate::domain::license::refusal::Refusal;
use crate::domain::license::trust::{Revocations, Trust, claimed_signer, read_revocations};

/// The most lists of a signer that are read in a namespace, the first by the names of their Secrets. Anybody can claim that a
/// list is of that signer.
const MOST_OF_A_SIGNER: usize = 16;

/// The lists of all trust Secrets.
#[derive(Default)]
pub struct RevocationLists(Mutex<State>);

type Hash = [u8; 32];

#[derive(Default)]
struct State {
    /// By the namespace and the name of the Secret.
    in_secrets: BTreeMap<(String, String), There>,
    by_text: HashMap<Hash, Held>,
    by_signer: HashMap<String, OfSigner>,
}

/// By namespace and the name of the Secret.
type OfSigner = BTreeMap<String, BTreeMap<String, Arc<List>>>;

/// The list in one version of a Secret; `None` if there is none, or if it cannot be told who signed it.
#[derive(Clone)]
struct There {
    version: Version,
    list: Option<Arc<List>>,
}

/// The UID and the resource version of a Secret.
type Version = (Option<String>, Option<String>);

/// A list, and how many Secrets hold it.
struct Held {
    list: Arc<List>,
    count: usize,
}

/// A list, which is verified once somebody trusts its signer.
#[derive(Debug)]
pub struct List {
    /// The thumbprint of the key that it says has signed it.
    pub signer: String,
    hash: Hash,
    /// Its text, until it is verified.
    text: Mutex<Vec<u8>>,
    verified: OnceLock<Result<Arc<Revocations>, Refusal>>,
}

/// The text of the list in a trust Secret.
pub fn text_of(secret: &Secret) -> Option<&[u8]> {
    secret.data.as_ref()?.get("revoked.jwt").map(|text| text.0.as_slice())
}

impl List {
    fn of(text: &[u8]) -> Option<Self> {
        let (signer, hash) = (claimed_signer(text)?, Sha256::digest(text).into());
        Some(List { signer, hash, text: Mutex::new(text.to_vec()), verified: OnceLock::new() })
    }

    /// What it says, if its signer, whose key this is, has signed it.
    pub fn genuine(&self, key: &VerifyingKey) -> Result<Arc<Revocations>, Refusal> {
        let read = || {
            let text = std::mem::take(&mut *self.text.lock().unwrap_or_else(PoisonError::into_inner));
            read_revocations(&text, &Trust::new([*key])).map(Arc::new)
        };
        self.verified.get_or_init(read).clone()
    }
}

impl RevocationLists {
    /// Takes note of what a cache has of that name now. Returns the list that is nowhere any more, and the one that is new.
    pub fn note(&self, trusts: &Store<Secret>, namespace: &str, name: &str) -> Vec<Arc<List>> {
        let key = (namespace.to_owned(), name.to_owned());
        loop {
            let secret = secrets::find(trusts, namespace, name);
            let version = |secret: &Arc<Secret>| (secret.uid(), secret.resource_version());
            let now = secret.as_ref().map(version);
            if self.lock().in_secrets.get(&key).map(|there| &there.version) == now.as_ref() {
                return Vec::new();
            }
            // A text of 1 MiB takes a while.
            let list = secret.as_ref().and_then(|secret| List::of(text_of(secret)?));
            let mut state = self.lock();
            // Another thread may have taken note of a later change meanwhile.
            if secrets::find(trusts, namespace, name).as_ref().map(version) == now {
                return state.set(key, now.map(|version| (version, list)));
            }
        }
    }

    /// Takes note of all that a cache has now.
    pub fn note_all(&self, trusts: &Store<Secret>) {
        let there =
            trusts.state().into_iter().map(|secret| (secret.namespace().unwrap_or_default(), secret.name_any()));
        let known: Vec<(String, String)> = self.lock().in_secrets.keys().cloned().collect();
        let all: BTreeSet<(String, String)> = there.chain(known).collect();
        for (namespace, name) in all {
            self.note(trusts, &namespace, &name);
        }
    }

    /// The lists that say they are of that signer, each with the namespaces that hold it.
    pub fn of(&self, signer: &str) -> Vec<(Arc<List>, BTreeSet<String>)> {
        let state = self.lock();
        let mut lists: BTreeMap<Hash, (Arc<List>, BTreeSet<String>)> = BTreeMap::new();
        for (namespace, by_name) in state.by_signer.get(signer).into_iter().flatten() {
            for list in by_name.values().take(MOST_OF_A_SIGNER) {
                let (_, places) = lists.entry(list.hash).or_insert_with(|| (list.clone(), BTreeSet::new()));
                places.insert(namespace.clone());
            }
        }
        lists.into_values().collect()
    }

    /// The list in this version of a Secret, if it is known.
    pub fn in_secret(&self, secret: &Secret) -> Option<Arc<List>> {
        let key = (secret.namespace().unwrap_or_default(), secret.name_any());
        let state = self.lock();
        let there = state.in_secrets.get(&key)?;
        (there.version == (secret.uid(), secret.resource_version())).then(|| there.list.clone())?
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Sets what a Secret holds. Returns the list that is nowhere any more, and the one that is new.
    fn set(&mut self, key: (String, String), now: Option<(Version, Option<List>)>) -> Vec<Arc<List>> {
        let mut changed = Vec::new();
        // The new one is added first, so that a list that stays is neither.
        let there = now.map(|(version, list)| There { version, list: list.map(|list| self.hold(list, &mut changed)) });
        if let Some(list) = self.in_secrets.remove(&key).and_then(|before| before.list) {
            let of_signer = self.by_signer.entry(list.signer.clone()).or_default();
            if let Some(by_name) = of_signer.get_mut(&key.0) {
                by_name.remove(&key.1);
            }
            of_signer.retain(|_, by_name| !by_name.is_empty());
            if of_signer.is_empty() {
                self.by_signer.remove(&list.signer);
            }
            self.release(list, &mut changed);
        }
        if let Some(there) = there {
            if let Some(list) = &there.list {
                let of_signer = self.by_signer.entry(list.signer.clone()).or_default();
                of_signer.entry(key.0.clone()).or_default().insert(key.1.clone(), list.clone());
            }
            self.in_secrets.insert(key, there);
        }
        changed
    }

    fn hold(&mut self, list: List, changed: &mut Vec<Arc<List>>) -> Arc<List> {
        let held = self.by_text.entry(list.hash).or_insert_with(|| {
            let list = Arc::new(list);
            changed.push(list.clone());
            Held { list, count: 0 }
        });
        held.count += 1;
        held.list.clone()
    }

    fn release(&mut self, list: Arc<List>, changed: &mut Vec<Arc<List>>) {
        let Some(held) = self.by_text.get_mut(&list.hash) else { return };
        held.count -= 1;
        if held.count == 0 {
            self.by_text.remove(&list.hash);
            changed.push(list);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::license::jwk::thumbprint;
    use crate::domain::license::trust::sign_revocations;
    use ed25519_dalek::SigningKey;
    use k8s_openapi::ByteString;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use kube::runtime::reflector;
    use kube::runtime::reflector::store::Writer;
    use kube::runtime::watcher::Event;

    const KEY: [u8; 32] = [7; 32];

    fn list(version: u64) -> String {
        let list = Revocations { version, iat: 1, exp: None, serials: [version.to_string()].into() };
        sign_revocations(&list, &SigningKey::from_bytes(&KEY))
    }

    fn secret(namespace: &str, name: &str, version: &str, text: &str) -> Secret {
        let some = |text: &str| Some(text.to_owned());
        let (uid, resource_version) = (some(name), some(version));
        let (namespace, name) = (some(namespace), some(name));
        let metadata = ObjectMeta { namespace, name, uid, resource_version, ..ObjectMeta::default() };
        let data = Some([("revoked.jwt".to_owned(), ByteString(text.into()))].into());
        Secret { metadata, data, ..Secret::default() }
    }

    /// A cache, and what is known of the lists in it.
    struct World {
        cache: Store<Secret>,
        writer: Writer<Secret>,
        lists: RevocationLists,
    }

    impl World {
        fn new() -> Self {
            let (cache, writer) = reflector::store();
            World { cache, writer, lists: RevocationLists::default() }
        }

        /// The versions of the lists that came or went.
        fn see(&mut self, event: Event<Secret>) -> Vec<u64> {
            let (Event::Apply(secret) | Event::Delete(secret)) = &event else { panic!("a change") };
            let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
            self.writer.apply_watcher_event(&event);
            versions(self.lists.note(&self.cache, &namespace, &name).iter())
        }

        fn all(&self) -> Vec<u64> {
            versions(self.lists.of(&signer()).iter().map(|(list, _)| list))
        }
    }

    fn signer() -> String {
        thumbprint(&SigningKey::from_bytes(&KEY).verifying_key())
    }

    fn versions<'l>(lists: impl Iterator<Item = &'l Arc<List>>) -> Vec<u64> {
        let key = SigningKey::from_bytes(&KEY).verifying_key();
        let mut versions: Vec<u64> = lists.map(|list| list.genuine(&key).map_or(0, |list| list.version)).collect();
        versions.sort_unstable();
        versions
    }

    /// The attack: copies of one list in many Secrets. Each had a copy of all its serials, and each change concerned everybody.
    #[test]
    fn a_list_comes_with_the_first_secret_that_holds_it_and_goes_with_the_last() {
        let mut world = World::new();
        assert_eq!(world.see(Event::Apply(secret("a", "1", "1", &list(1)))), [1]);
        assert!(world.see(Event::Apply(secret("b", "2", "1", &list(1)))).is_empty(), "a copy says nothing new");
        assert!(
            world.see(Event::Apply(secret("b", "2", "2", &list(1)))).is_empty(),
            "nor a Secret that was written again"
        );
        let found = world.lists.of(&signer());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].1, ["a", "b"].map(str::to_owned).into());
        assert_eq!(world.see(Event::Apply(secret("a", "1", "2", &list(2)))), [2]);
        assert_eq!(world.see(Event::Apply(secret("b", "2", "3", &list(2)))), [1], "it is nowhere any more");
        assert!(world.see(Event::Delete(secret("a", "1", "2", &list(2)))).is_empty());
        assert_eq!(world.see(Event::Delete(secret("b", "2", "3", &list(2)))), [2]);
        let state = world.lists.lock();
        assert!(state.in_secrets.is_empty() && state.by_text.is_empty() && state.by_signer.is_empty());
    }

    #[test]
    fn what_the_cache_shows_counts_whatever_was_noted_before() {
        let mut world = World::new();
        world.see(Event::Apply(secret("a", "gone", "1", &list(1))));
        for event in [Event::Init, Event::InitApply(secret("a", "new", "1", &list(2))), Event::InitDone] {
            world.writer.apply_watcher_event(&event);
        }
        world.lists.note_all(&world.cache);
        assert_eq!(world.all(), [2]);
        let there = secret("a", "new", "1", &list(2));
        assert!(world.lists.in_secret(&there).is_some());
        assert!(world.lists.in_secret(&secret("a", "new", "2", &list(3))).is_none(), "that version was not noted");
    }

    /// The attack: thousands of lists in the name of somebody's vendor.
    #[test]
    fn of_a_namespace_a_few_lists_of_a_signer_are_read_and_of_another_all_the_same() {
        let mut world = World::new();
        for n in 0..100 {
            world.see(Event::Apply(secret("intruder", &format!("{n:03}"), "1", &list(n))));
        }
        world.see(Event::Apply(secret("vendor", "trust", "1", &list(1_000))));
        let mut expected: Vec<u64> = (0..16).collect();
        expected.push(1_000);
        assert_eq!(world.all(), expected);
    }

    #[test]
    fn a_list_that_its_signer_has_not_signed_is_refused() {
        let key = SigningKey::from_bytes(&KEY);
        let mut forged = list(1);
        forged.truncate(forged.len() - 8);
        forged.push_str("AAAAAAAA");
        let mut world = World::new();
        world.see(Event::Apply(secret("a", "1", "1", &forged)));
        let found = world.lists.of(&signer());
        assert_eq!(found[0].0.genuine(&key.verifying_key()).err(), Some(Refusal::BadSignature));
    }
}
