//! What the Secrets of issuers hold, read once: if a contract has no news, reading keys and verifying the list would
//! take longer than the rest of the look at it.

use ed25519_dalek::{SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::fault::Fault;
use crate::domain::license::jwk::{read_jwks, read_signing_key, thumbprint};
use crate::domain::license::trust::{Revocations, Trust, read_revocations_of};

/// What an issuer signs with, has signed with and has revoked.
#[derive(Clone)]
pub struct Keyring {
    pub key: SigningKey,
    pub trust: Trust,
    /// What the list of this key says.
    pub revocations: Arc<Revocations>,
    /// The public half of `key` is published.
    pub is_published: bool,
}

impl Keyring {
    /// Adds what is kept of the lists of this issuer, so that the next list says it again.
    pub fn recall(&mut self, kept: &Arc<Revocations>) {
        Arc::make_mut(&mut self.revocations).unite(kept);
        let signer = thumbprint(&self.key.verifying_key());
        self.trust.recall(&signer, kept);
    }
}

/// The most keyrings kept. As with [`Verified`](super::verified::Verified), dropping all of them now and then costs
/// little.
const MOST: usize = 10_000;

/// By issuer: the hash of what was read, and its keyring.
type Known = HashMap<String, ([u8; 32], Arc<Keyring>)>;

/// The newest keyring of each issuer. Nothing is kept of a signing key that was replaced.
#[derive(Default)]
pub struct Keyrings(Mutex<Known>);

impl Keyrings {
    /// Reads the signing key, the published keys and the list of revoked serials of the issuer of that name.
    pub fn of(
        &self,
        issuer: &str,
        pem: &[u8],
        jwks: Option<&[u8]>,
        revoked: Option<&[u8]>,
    ) -> Result<Arc<Keyring>, Fault> {
        // Each part is hashed on its own, so that the ends of the parts cannot be mistaken.
        let parts = [Some(pem), jwks, revoked].map(|part| Sha256::digest(part.unwrap_or_default()));
        let digest: [u8; 32] = Sha256::digest(parts.concat()).into();
        let known = self.lock().remove(issuer);
        let keyring = match known.filter(|(of, _)| *of == digest) {
            Some((_, keyring)) => keyring,
            None => Arc::new(read(pem, jwks, revoked)?),
        };
        let mut known = self.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(issuer.to_owned(), (digest, keyring.clone()));
        Ok(keyring)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(pem: &[u8], jwks: Option<&[u8]>, revoked: Option<&[u8]>) -> Result<Keyring, Fault> {
    let key = read_signing_key(pem)?;
    let published: Vec<VerifyingKey> = jwks.and_then(|jwks| read_jwks(jwks).ok()).unwrap_or_default().keys;
    let kid = thumbprint(&key.verifying_key());
    let is_published = published.iter().any(|key| thumbprint(key) == kid);
    let mut trust = Trust::new(published.into_iter().chain([key.verifying_key()]));
    // A list that does not verify is as good as none, and is written again with the next revocation.
    let read = revoked.and_then(|list| read_revocations_of(list, &trust).ok());
    let (signer, revocations) = read.map(|(signer, list)| (signer, Arc::new(list))).unwrap_or_default();
    if !signer.is_empty() {
        trust.heed_genuine(&signer, &revocations);
    }
    Ok(Keyring { key, trust, revocations, is_published })
}
