//! `jwks.json`: the public keys of a vendor, in a Secret or a file.

use seatkeeper::domain::license::jwk::{KeySet, MAX_JWKS_KEYS, publish, read_jwks};

pub fn run(data: &[u8]) {
    let Ok(KeySet { keys, unusable }) = read_jwks(data) else { return };
    assert!(!keys.is_empty() && keys.len() + unusable.len() <= MAX_JWKS_KEYS);
    let published = serde_json::to_vec(&publish(&keys)).expect("a set of keys is JSON");
    let again = KeySet { keys, unusable: Vec::new() };
    assert_eq!(read_jwks(&published).ok(), Some(again), "a set that is published reads as it was");
}
