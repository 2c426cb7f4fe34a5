//! The lists of revoked keys in trust Secrets: each text is read and verified once, however many Secrets hold it and however
//! many trust its signer.

use ed25519_dalek::VerifyingKey;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use crate::domain::license::refusal::Refusal;
use crate::domain::license::trust::{Revocations, Trust, claimed_signer, read_revocations};

/// The lists of all trust Secrets.
#[derive(Default)]
pub struct RevocationLists(Mutex<State>);

#[derive(Default)]
struct State {
    /// By the UID of the Secret.
    of: HashMap<String, Known>,
    /// By a hash of the text.
    by_text: HashMap<[u8; 32], Weak<List>>,
}

/// The list in one version of a Secret; `None` if it cannot be told who signed it.
struct Known {
    version: Option<String>,
    list: Option<Arc<List>>,
}

/// A list, which is verified once somebody trusts its signer.
pub struct List {
    /// The thumbprint of the key that it says has signed it.
    pub signer: String,
    verified: OnceLock<Result<Arc<Revocations>, Refusal>>,
}

/// The text of the list in a trust Secret.
pub fn text_of(secret: &Secret) -> Option<&[u8]> {
    secret.data.as_ref()?.get("revoked.jwt").map(|text| text.0.as_slice())
}

impl RevocationLists {
    /// The list in a trust Secret; `None` if there is none, or if it cannot be told who signed it.
    pub fn of(&self, secret: &Secret) -> Option<Arc<List>> {
        let text = text_of(secret)?;
        let (uid, version) = (secret.uid().unwrap_or_default(), secret.resource_version());
        if let Some(known) = self.lock().of.get(&uid).filter(|known| known.version == version) {
            return known.list.clone();
        }
        let hash: [u8; 32] = Sha256::digest(text).into();
        let there = self.lock().by_text.get(&hash).and_then(Weak::upgrade);
        let list = there.or_else(|| {
            let signer = claimed_signer(text)?;
            Some(Arc::new(List { signer, verified: OnceLock::new() }))
        });
        let mut state = self.lock();
        if let Some(list) = &list {
            state.by_text.insert(hash, Arc::downgrade(list));
        }
        state.of.insert(uid, Known { version, list: list.clone() });
        list
    }

    /// Forgets the lists of all Secrets but these.
    pub fn retain(&self, there: &[Arc<Secret>]) {
        let there: HashSet<String> = there.iter().filter_map(|secret| secret.uid()).collect();
        let mut state = self.lock();
        state.of.retain(|uid, _| there.contains(uid));
        state.by_text.retain(|_, list| list.strong_count() > 0);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    /// What it says, if its signer, whose key this is, has signed it. `text` is its text.
    pub fn genuine(&self, text: &[u8], key: &VerifyingKey) -> Result<Arc<Revocations>, Refusal> {
        self.verified.get_or_init(|| read_revocations(text, &Trust::new([*key])).map(Arc::new)).clone()
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

    fn secret(uid: &str, version: &str, text: &str) -> Secret {
        let (uid, resource_version) = (Some(uid.to_owned()), Some(version.to_owned()));
        let metadata = ObjectMeta { uid, resource_version, ..ObjectMeta::default() };
        let data = Some([("revoked.jwt".to_owned(), ByteString(text.into()))].into());
        Secret { metadata, data, ..Secret::default() }
    }

    /// The attack: many Secrets and issuers with one list. Each had a copy of all its serials.
    #[test]
    fn one_list_in_many_secrets_is_read_once_and_a_new_version_is_read_again() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let list = |serial: &str| {
            let serials = [serial.to_owned()].into();
            sign_revocations(&Revocations { version: 1, iat: 1, exp: None, serials }, &key)
        };
        let (first, second) = (list("a"), list("b"));
        let lists = RevocationLists::default();
        let one = lists.of(&secret("1", "1", &first)).expect("it names its signer");
        let other = lists.of(&secret("2", "1", &first)).expect("it names its signer");
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!(one.signer, thumbprint(&key.verifying_key()));
        let read = one.genuine(first.as_bytes(), &key.verifying_key()).expect("it is genuine");
        assert!(read.serials.contains("a"));
        let changed = lists.of(&secret("1", "2", &second)).expect("it names its signer");
        assert!(changed.genuine(second.as_bytes(), &key.verifying_key()).expect("it is genuine").serials.contains("b"));
        drop((one, other, changed));
        lists.retain(&[Arc::new(secret("1", "2", &second))]);
        let state = lists.lock();
        assert_eq!((state.of.len(), state.by_text.len()), (1, 1));
    }

    #[test]
    fn a_list_that_its_signer_has_not_signed_is_refused() {
        let (key, other) = (SigningKey::from_bytes(&[7; 32]), SigningKey::from_bytes(&[8; 32]));
        let mut forged = sign_revocations(&Revocations::default(), &key);
        forged.truncate(forged.len() - 8);
        forged.push_str("AAAAAAAA");
        let lists = RevocationLists::default();
        let list = lists.of(&secret("1", "1", &forged)).expect("it names its signer");
        assert_eq!(list.genuine(forged.as_bytes(), &key.verifying_key()).err(), Some(Refusal::BadSignature));
        assert_ne!(list.signer, thumbprint(&other.verifying_key()));
    }
}
