//! Keys whose signatures were found good. A signature stays good, and verifying one costs as much as the rest of a look
//! at a License.

use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::license::key::{Claims, inspect, verify_key};
use crate::domain::license::refusal::Refusal;
use crate::domain::license::trust::Trust;

/// The most keys kept. With that many in use, dropping all of them now and then costs little.
const MOST: usize = 100_000;

/// By the hash of the key's text: the thumbprint of its signer, and its claims.
type Known = HashMap<[u8; 32], (String, Arc<Claims>)>;

/// The claims of genuine keys, by the hash of the key's text, each with the thumbprint of its signer.
#[derive(Default)]
pub struct Verified(Mutex<Known>);

impl Verified {
    /// As `verify_key`. Only that the signature is good is remembered; whether its signer is trusted is checked each
    /// time.
    pub fn verify(&self, text: &[u8], trust: &Trust) -> Result<Arc<Claims>, Refusal> {
        let digest: [u8; 32] = Sha256::digest(text).into();
        let known = self.lock().get(&digest).cloned();
        if let Some((_, claims)) = known.filter(|(signer, _)| trust.key(signer).is_some()) {
            return Ok(claims);
        }
        let (signer, claims) = verify_key(text, trust).map(|claims| (signer_of(text), Arc::new(claims)))?;
        let mut known = self.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(digest, (signer, claims.clone()));
        Ok(claims)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thumbprint that a genuine key names.
fn signer_of(text: &[u8]) -> String {
    inspect(text).ok().and_then(|(header, _)| header["kid"].as_str().map(str::to_owned)).unwrap_or_default()
}
