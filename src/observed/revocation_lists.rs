//! The lists of revoked keys in trust Secrets, by the signer that each names. A genuine text is read and verified once, however
//! many Secrets hold it.

use ed25519_dalek::VerifyingKey;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::runtime::reflector::store::Store;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::cluster::secrets;
use crate::domain::fault::Fault;
use crate::domain::license::refusal::Refusal;
use crate::domain::license::trust::{MAX_LISTS, Revocations, Trust, claimed_signer, read_list};
use crate::domain::transit::token_in;

/// The lists of all trust Secrets.
#[derive(Default)]
pub struct RevocationLists(Mutex<State>);

type Hash = [u8; 32];

#[derive(Default)]
struct State {
    /// By the namespace and the name of the Secret.
    in_secrets: BTreeMap<(String, String), There>,
    by_signer: HashMap<String, OfSigner>,
}

/// The lists that say they are of one signer.
#[derive(Default)]
struct OfSigner {
    /// Those that are not known to be forged, by their text.
    by_text: BTreeMap<Hash, Held>,
    /// Those that counted when it was last asked what has changed.
    counted: Vec<Arc<Revocations>>,
}

/// The list in one version of a Secret; `None` if there is none, or if it cannot be told who signed it.
struct There {
    version: Version,
    list: Option<Arc<List>>,
}

/// The UID and the resource version of a Secret.
type Version = (Option<String>, Option<String>);

/// A list, and the number of Secrets in each namespace that hold it.
struct Held {
    list: Arc<List>,
    places: BTreeMap<String, usize>,
}

/// A genuine list, and the namespaces that hold it.
pub struct Genuine {
    pub list: Arc<Revocations>,
    pub namespaces: BTreeSet<String>,
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
    /// What is wrong with a part of it.
    trouble: OnceLock<Fault>,
}

/// The text of the list in a trust Secret.
pub fn text_of(secret: &Secret) -> Option<&[u8]> {
    secret.data.as_ref()?.get("revoked.jwt").map(|text| text.0.as_slice())
}

impl List {
    fn of(text: &[u8]) -> Option<Self> {
        let signer = claimed_signer(text)?;
        // What stands around a list makes it no other one.
        let token = token_in(text).ok()?;
        Some(List {
            signer,
            hash: Sha256::digest(token.as_bytes()).into(),
            text: Mutex::new(token.into_owned().into_bytes()),
            verified: OnceLock::new(),
            trouble: OnceLock::new(),
        })
    }

    /// What it says, if its signer, whose key this is, has signed it.
    pub fn genuine(&self, key: &VerifyingKey) -> Result<Arc<Revocations>, Refusal> {
        let read = || {
            let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
            let read = read_list(&text, &Trust::new([*key]));
            *text = Vec::new();
            let read = read?;
            read.trouble.into_iter().for_each(|trouble| drop(self.trouble.set(trouble)));
            Ok(Arc::new(read.list))
        };
        self.verified.get_or_init(read).clone()
    }

    /// What is wrong with a part of it, if it is known to be genuine.
    pub fn trouble(&self) -> Option<Fault> {
        self.trouble.get().cloned()
    }

    /// What it says, if it is known to be genuine.
    fn known(&self) -> Option<&Arc<Revocations>> {
        self.verified.get()?.as_ref().ok()
    }
}

impl RevocationLists {
    /// Takes note of what a cache has of that name now. Returns the signers of a list that was there or is new.
    pub fn note(&self, trusts: &Store<Secret>, namespace: &str, name: &str) -> BTreeSet<String> {
        let key = (namespace.to_owned(), name.to_owned());
        loop {
            let secret = secrets::find(trusts, namespace, name);
            let version = |secret: &Arc<Secret>| (secret.uid(), secret.resource_version());
            let now = secret.as_ref().map(version);
            if self.lock().in_secrets.get(&key).map(|there| &there.version) == now.as_ref() {
                return BTreeSet::new();
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
        self.lock().by_signer.retain(|_, of_signer| {
            of_signer.counted.clear();
            !of_signer.by_text.is_empty()
        });
    }

    /// The lists that count of a signer, whose key this is: the newest that it has signed.
    pub fn of(&self, signer: &str, key: &VerifyingKey) -> Vec<Arc<Revocations>> {
        self.verify(signer, key);
        let state = self.lock();
        let counting = state.by_signer.get(signer).map(OfSigner::counting).unwrap_or_default();
        counting.into_iter().cloned().collect()
    }

    /// All lists that a signer, whose key this is, has signed: what the older ones say is kept.
    pub fn all_of(&self, signer: &str, key: &VerifyingKey) -> Vec<Genuine> {
        self.verify(signer, key);
        let state = self.lock();
        let held = state.by_signer.get(signer).into_iter().flat_map(|of_signer| of_signer.by_text.values());
        let genuine = |held: &Held| {
            let list = held.list.known()?.clone();
            Some(Genuine { list, namespaces: held.places.keys().cloned().collect() })
        };
        held.filter_map(genuine).collect()
    }

    /// The lists that counted of a signer when this was asked last, and those that count now.
    pub fn recount(&self, signer: &str, key: &VerifyingKey) -> (Vec<Arc<Revocations>>, Vec<Arc<Revocations>>) {
        self.verify(signer, key);
        let mut state = self.lock();
        let Some(of_signer) = state.by_signer.get_mut(signer) else { return Default::default() };
        let now: Vec<_> = of_signer.counting().into_iter().cloned().collect();
        let before = std::mem::replace(&mut of_signer.counted, now.clone());
        if of_signer.by_text.is_empty() {
            state.by_signer.remove(signer);
        }
        (before, now)
    }

    /// Forgets which lists counted of a signer whom nobody trusts.
    pub fn forget_count(&self, signer: &str) {
        let mut state = self.lock();
        if let Some(of_signer) = state.by_signer.get_mut(signer) {
            of_signer.counted.clear();
            if of_signer.by_text.is_empty() {
                state.by_signer.remove(signer);
            }
        }
    }

    /// The list in this version of a Secret, if it is known.
    pub fn in_secret(&self, secret: &Secret) -> Option<Arc<List>> {
        let key = (secret.namespace().unwrap_or_default(), secret.name_any());
        let state = self.lock();
        let there = state.in_secrets.get(&key)?;
        (there.version == (secret.uid(), secret.resource_version())).then(|| there.list.clone())?
    }

    /// Verifies the lists of a signer that were not yet, and drops those that it has not signed: anybody can make them.
    fn verify(&self, signer: &str, key: &VerifyingKey) {
        let unverified: Vec<Arc<List>> = {
            let state = self.lock();
            let held = state.by_signer.get(signer).into_iter().flat_map(|of_signer| of_signer.by_text.values());
            held.map(|held| &held.list).filter(|list| list.verified.get().is_none()).cloned().collect()
        };
        let forged: Vec<Hash> =
            unverified.iter().filter(|list| list.genuine(key).is_err()).map(|list| list.hash).collect();
        let mut state = self.lock();
        if let Some(of_signer) = state.by_signer.get_mut(signer) {
            forged.iter().for_each(|hash| drop(of_signer.by_text.remove(hash)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfSigner {
    /// The newest lists that are known to be genuine.
    fn counting(&self) -> Vec<&Arc<Revocations>> {
        let mut genuine: Vec<_> = self.by_text.values().filter_map(|held| held.list.known()).collect();
        genuine.sort_by_key(|list| std::cmp::Reverse(list.age()));
        genuine.truncate(MAX_LISTS);
        genuine
    }
}

impl State {
    /// Sets what a Secret holds. Returns the signers of the lists that it held or holds, unless the list is the same.
    fn set(&mut self, key: (String, String), now: Option<(Version, Option<List>)>) -> BTreeSet<String> {
        let before = self.in_secrets.remove(&key).and_then(|before| before.list);
        let now = now.map(|(version, list)| {
            // A list that stays is not verified again.
            let same = before.clone().filter(|before| list.as_ref().is_some_and(|list| list.hash == before.hash));
            There { version, list: same.or_else(|| list.map(|list| self.known(list))) }
        });
        let list = now.as_ref().and_then(|there| there.list.clone());
        if let Some(there) = now {
            self.in_secrets.insert(key.clone(), there);
        }
        if before.as_ref().map(|before| before.hash) == list.as_ref().map(|list| list.hash) {
            return BTreeSet::new();
        }
        before.iter().for_each(|before| self.release(before, &key.0));
        list.iter().for_each(|list| self.hold(list, &key.0));
        before.iter().chain(&list).map(|list| list.signer.clone()).collect()
    }

    /// The list of the same text that is there already, or this one.
    fn known(&self, list: List) -> Arc<List> {
        let held = self.by_signer.get(&list.signer).and_then(|of_signer| of_signer.by_text.get(&list.hash));
        held.map_or_else(|| Arc::new(list), |held| held.list.clone())
    }

    fn hold(&mut self, list: &Arc<List>, namespace: &str) {
        let of_signer = self.by_signer.entry(list.signer.clone()).or_default();
        let new = || Held { list: list.clone(), places: BTreeMap::new() };
        let held = of_signer.by_text.entry(list.hash).or_insert_with(new);
        *held.places.entry(namespace.to_owned()).or_default() += 1;
    }

    fn release(&mut self, list: &Arc<List>, namespace: &str) {
        let Some(of_signer) = self.by_signer.get_mut(&list.signer) else { return };
        let Some(held) = of_signer.by_text.get_mut(&list.hash) else { return };
        if let Some(count) = held.places.get_mut(namespace) {
            *count -= 1;
            if *count == 0 {
                held.places.remove(namespace);
            }
        }
        if held.places.is_empty() {
            of_signer.by_text.remove(&list.hash);
            // Trust may have been built with it since it was asked what has changed.
            let known = list.known().filter(|known| !of_signer.counted.iter().any(|of| Arc::ptr_eq(of, known)));
            of_signer.counted.extend(known.cloned());
        }
        if of_signer.by_text.is_empty() && of_signer.counted.is_empty() {
            self.by_signer.remove(&list.signer);
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

        /// Returns the versions of the lists that counted before, and those that count now.
        fn see(&mut self, event: Event<Secret>) -> (Vec<u64>, Vec<u64>) {
            let (Event::Apply(secret) | Event::Delete(secret)) = &event else { panic!("a change") };
            let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
            self.writer.apply_watcher_event(&event);
            self.lists.note(&self.cache, &namespace, &name);
            let (before, now) = self.lists.recount(&signer(), &SigningKey::from_bytes(&KEY).verifying_key());
            (versions(before), versions(now))
        }

        fn all(&self) -> Vec<Genuine> {
            self.lists.all_of(&signer(), &SigningKey::from_bytes(&KEY).verifying_key())
        }
    }

    fn signer() -> String {
        thumbprint(&SigningKey::from_bytes(&KEY).verifying_key())
    }

    fn versions(lists: Vec<Arc<Revocations>>) -> Vec<u64> {
        lists.iter().map(|list| list.version).collect()
    }

    /// The attack: copies of one list in many Secrets. Each had a copy of all its serials, and each change concerned everybody.
    #[test]
    fn a_list_comes_with_the_first_secret_that_holds_it_and_goes_with_the_last() {
        let mut world = World::new();
        assert_eq!(world.see(Event::Apply(secret("a", "1", "1", &list(1)))), (vec![], vec![1]));
        assert_eq!(world.see(Event::Apply(secret("b", "2", "1", &list(1)))), (vec![1], vec![1]));
        assert_eq!(
            world.see(Event::Apply(secret("b", "2", "2", &list(1)))),
            (vec![1], vec![1]),
            "it was written again"
        );
        let found = world.all();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].namespaces, ["a", "b"].map(str::to_owned).into());
        assert_eq!(world.see(Event::Apply(secret("a", "1", "2", &list(2)))), (vec![1], vec![2, 1]));
        assert_eq!(world.see(Event::Apply(secret("b", "2", "3", &list(2)))), (vec![2, 1], vec![2]));
        assert_eq!(world.see(Event::Delete(secret("a", "1", "2", &list(2)))), (vec![2], vec![2]));
        assert_eq!(world.see(Event::Delete(secret("b", "2", "3", &list(2)))), (vec![2], vec![]));
        let state = world.lists.lock();
        assert!(state.in_secrets.is_empty() && state.by_signer.is_empty());
    }

    #[test]
    fn what_changed_while_nobody_trusted_the_signer_is_told_to_the_next_who_does() {
        let mut world = World::new();
        let there = secret("a", "1", "1", &list(1));
        world.see(Event::Apply(there.clone()));
        world.writer.apply_watcher_event(&Event::Delete(there.clone()));
        world.lists.note(&world.cache, "a", "1");
        world.lists.forget_count(&signer());
        assert_eq!(world.see(Event::Apply(there)), (vec![], vec![1]));
    }

    #[test]
    fn what_the_cache_shows_counts_whatever_was_noted_before() {
        let mut world = World::new();
        world.see(Event::Apply(secret("a", "gone", "1", &list(1))));
        for event in [Event::Init, Event::InitApply(secret("a", "new", "1", &list(2))), Event::InitDone] {
            world.writer.apply_watcher_event(&event);
        }
        world.lists.note_all(&world.cache);
        assert_eq!(world.all().iter().map(|genuine| genuine.list.version).collect::<Vec<_>>(), [2]);
        let there = secret("a", "new", "1", &list(2));
        assert!(world.lists.in_secret(&there).is_some());
        assert!(world.lists.in_secret(&secret("a", "new", "2", &list(3))).is_none(), "that version was not noted");
    }

    /// The attack: lists in the name of somebody's vendor, and old ones of that vendor, so that the newest is not read.
    #[test]
    fn neither_forged_nor_older_lists_keep_out_the_newest() {
        let mut forged = list(2_000);
        forged.truncate(forged.len() - 8);
        let mut world = World::new();
        for n in 0..100 {
            world.see(Event::Apply(secret("intruder", &format!("forged-{n:03}"), "1", &format!("{forged}{n:08}"))));
            world.see(Event::Apply(secret("intruder", &format!("old-{n:03}"), "1", &list(n))));
        }
        let (before, now) = world.see(Event::Apply(secret("vendor", "trust", "1", &list(1_000))));
        let newest: Vec<u64> = (84..100).rev().collect();
        assert_eq!(before, newest);
        assert_eq!(now, [&[1_000], &newest[..15]].concat());
        assert_eq!(world.lists.lock().by_signer[&signer()].by_text.len(), 101, "forged lists are dropped");
        let (_, now) = world.see(Event::Delete(secret("vendor", "trust", "1", &list(1_000))));
        assert_eq!(now, newest);
        let there = secret("intruder", "forged-000", "1", &format!("{forged}{:08}", 0));
        let there = world.lists.in_secret(&there).expect("it is known");
        let key = SigningKey::from_bytes(&KEY).verifying_key();
        assert_eq!(there.genuine(&key).err(), Some(Refusal::BadSignature));
    }
}
