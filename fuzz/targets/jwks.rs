//! `jwks.json`: the public keys of a vendor, in a Secret or a file.

use seatkeeper::domain::license::jwk::{publish, read_jwks};

pub fn run(data: &[u8]) {
    let Ok(keys) = read_jwks(data) else { return };
    assert!(!keys.is_empty());
    let published = serde_json::to_vec(&publish(&keys)).expect("a set of keys is JSON");
    assert_eq!(read_jwks(&published).ok(), Some(keys), "a set that is published reads as it was");
}
