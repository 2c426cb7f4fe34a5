//! Keys whose signatures were found good. A signature stays good, and verifying one costs as much as the rest of a look
//! at a License.

use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::license::key::{GenuineKey, MAX_KEY_BYTES, verify_key};
use crate::domain::license::refusal::Refusal;
use crate::domain::license::trust::Trust;

/// The most keys kept. With that many in use, dropping all of them now and then costs little.
const MOST: usize = 100_000;

/// Genuine keys, by the hash of the key's text.
#[derive(Default)]
pub struct Verified(Mutex<HashMap<[u8; 32], GenuineKey>>);

impl Verified {
    /// As `verify_key`. Only that the signature is good is remembered; whether its signer is trusted is checked each
    /// time.
    pub fn verify(&self, text: &[u8], trust: &Trust) -> Result<GenuineKey, Refusal> {
        if text.len() > MAX_KEY_BYTES {
            // Refused unread, so it is not hashed either.
            return verify_key(text, trust);
        }
        let digest: [u8; 32] = Sha256::digest(text).into();
        let known = self.lock().get(&digest).cloned();
        if let Some(key) = known.filter(|key| trust.key(&key.grant.signer).is_some()) {
            return Ok(key);
        }
        let key = verify_key(text, trust)?;
        let mut known = self.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(digest, key.clone());
        Ok(key)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], GenuineKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
