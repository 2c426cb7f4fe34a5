//! What was found of the texts that Licenses present as keys. A signature stays good or bad, and verifying one costs as much
//! as the rest of a look at a License.

use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::license::key::{Claims, GenuineKey, MAX_KEY_BYTES, verify_with};
use crate::domain::license::pool::PoolGrant;
use crate::domain::license::refusal::Refusal;
use crate::domain::license::trust::Trust;

/// The most bytes kept. With that much in use, dropping all of it now and then costs little.
const MOST_BYTES: usize = 48 << 20;
/// What an entry takes beside the claims, and the text of a refusal at most.
const OVERHEAD: usize = 512;
/// What a text in a list takes beside its characters.
const OF_TEXT: usize = 40;

/// What was found of a text with the public key of that thumbprint.
struct Verdict {
    signer: String,
    found: Result<GenuineKey, Refusal>,
}

#[derive(Default)]
struct State {
    /// By a hash of the text.
    verdicts: HashMap<[u8; 16], Verdict>,
    bytes: usize,
}

/// Verdicts on texts whose signer is trusted somewhere.
#[derive(Default)]
pub struct Verified(Mutex<State>);

impl Verified {
    /// As `verify_key`, but without the claims that this version does not know. Whether the signer is trusted is checked each
    /// time.
    pub fn verify(&self, text: &[u8], trust: &Trust) -> Result<GenuineKey, Refusal> {
        if text.len() > MAX_KEY_BYTES {
            // Refused unread, so it is not hashed either.
            return verify_with(text, trust).1;
        }
        let digest = digest_of(text);
        if let Some(verdict) = self.lock().verdicts.get(&digest).filter(|known| trust.key(&known.signer).is_some()) {
            return verdict.found.clone();
        }
        let (signer, mut found) = verify_with(text, trust);
        if let Ok(key) = &mut found {
            Arc::make_mut(&mut key.claims).other.clear();
        }
        // A text without a trusted signer is refused before anything of it costs much.
        if trust.key(&signer).is_some() {
            let bytes = OVERHEAD + found.as_ref().map_or(0, |key| bytes_of(&key.claims) + text.len());
            self.keep(digest, Verdict { signer, found: found.clone() }, bytes);
        }
        found
    }

    fn keep(&self, digest: [u8; 16], verdict: Verdict, bytes: usize) {
        let mut state = self.lock();
        if state.bytes + bytes > MOST_BYTES {
            *state = State::default();
        }
        if state.verdicts.insert(digest, verdict).is_none() {
            state.bytes += bytes;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A hash of a text: nobody finds two texts with the same one.
fn digest_of(text: &[u8]) -> [u8; 16] {
    let whole: [u8; 32] = Sha256::digest(text).into();
    std::array::from_fn(|n| whole[n])
}

/// About how much memory claims take beside their texts.
fn bytes_of(claims: &Claims) -> usize {
    let listed = claims.features.len() + claims.pools.iter().map(|pool| pool.users.len()).sum::<usize>();
    size_of::<Claims>() + claims.pools.len() * size_of::<PoolGrant>() + listed * OF_TEXT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::license::key::sign_key;
    use ed25519_dalek::SigningKey;
    use serde_json::json;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn text(serial: usize) -> String {
        let users: Vec<String> = (0..4_000).map(|n| format!("{serial}-{n}")).collect();
        let claims: Claims = serde_json::from_value(json!({
            "iss": "v", "jti": serial.to_string(), "sub": "A", "aud": "p", "iat": 1, "nbf": 1, "exp": 2,
            "pools": [{"name": "a", "model": "Fixed", "countBy": "User", "seats": 1, "users": users}], "x": [1, 2, 3],
        }))
        .expect("claims of a key");
        sign_key(&claims, &key())
    }

    /// The attack: large keys with ever new texts, or with claims that nobody knows.
    #[test]
    fn what_is_kept_is_bounded_in_bytes() {
        let (verified, trust) = (Verified::default(), Trust::new([key().verifying_key()]));
        let most = MOST_BYTES / (4_000 * OF_TEXT);
        for serial in 0..most + 20 {
            let found = verified.verify(text(serial).as_bytes(), &trust).expect("it is genuine");
            assert!(found.claims.other.is_empty(), "nothing is kept of unknown claims");
        }
        let state = verified.lock();
        assert!(state.bytes <= MOST_BYTES && state.verdicts.len() < most, "{} of {most}", state.verdicts.len());
    }

    /// The attack: many Licenses that name a Secret of large texts that no key has signed.
    #[test]
    fn a_bad_signature_is_remembered_for_those_who_trust_the_signer() {
        let (verified, trust) = (Verified::default(), Trust::new([key().verifying_key()]));
        let mut forged = text(1);
        forged.truncate(forged.len() - 8);
        forged.push_str("AAAAAAAA");
        for _ in 0..2 {
            assert_eq!(verified.verify(forged.as_bytes(), &trust).err(), Some(Refusal::BadSignature));
        }
        assert_eq!(verified.lock().verdicts.len(), 1);
        let elsewhere = Trust::new([SigningKey::from_bytes(&[8; 32]).verifying_key()]);
        assert!(matches!(verified.verify(forged.as_bytes(), &elsewhere), Err(Refusal::UnknownKey)));
    }
}
