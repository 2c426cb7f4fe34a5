//! Public keys as JSON Web Keys (RFC 7517, RFC 8037) and their thumbprints (RFC 7638).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::fault::Fault;
use crate::domain::reason::Reason;

/// The most keys in one set; more are a mistake.
pub const MAX_JWKS_KEYS: usize = 64;
/// The largest key set or signing key that is read, in bytes.
pub const MAX_JWKS_BYTES: usize = 64 * 1024;

/// A JWK Set. Keys that are not Ed25519 keys are ignored rather than refused: a set may serve several purposes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct JwkSet {
    pub keys: Vec<serde_json::Map<String, serde_json::Value>>,
}

/// The RFC 7638 thumbprint of an Ed25519 public key: the `kid` of everything it signs.
pub fn thumbprint(key: &VerifyingKey) -> String {
    let x = BASE64.encode(key.as_bytes());
    // The members RFC 8037 §2 requires, in lexical order and without white space.
    BASE64.encode(Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)))
}

/// Returns a set of these keys, for publishing.
pub fn publish<'a>(keys: impl IntoIterator<Item = &'a VerifyingKey>) -> JwkSet {
    let jwk = |key: &VerifyingKey| {
        let members = [
            ("kty", "OKP".to_owned()),
            ("crv", "Ed25519".to_owned()),
            ("alg", "EdDSA".to_owned()),
            ("use", "sig".to_owned()),
            ("kid", thumbprint(key)),
            ("x", BASE64.encode(key.as_bytes())),
        ];
        members.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
    };
    JwkSet { keys: keys.into_iter().map(jwk).collect() }
}

/// Returns the Ed25519 keys of a `jwks.json`. Fails if it is malformed, contains a private key or has no Ed25519 key.
pub fn read_jwks(text: &[u8]) -> Result<Vec<VerifyingKey>, Fault> {
    let fault = |message: String| Fault::new(Reason::TrustInvalid, "jwks.json", message);
    if text.len() > MAX_JWKS_BYTES {
        return Err(fault(format!("is larger than {MAX_JWKS_BYTES} bytes")));
    }
    let set: JwkSet = serde_json::from_slice(text).map_err(|e| fault(format!("is not a JWK Set: {e}")))?;
    if set.keys.len() > MAX_JWKS_KEYS {
        return Err(fault(format!("has {} keys; at most {MAX_JWKS_KEYS} are read", set.keys.len())));
    }
    let mut keys = Vec::new();
    for (n, jwk) in set.keys.iter().enumerate() {
        let member = |name: &str| jwk.get(name).and_then(|v| v.as_str());
        if (member("kty"), member("crv")) != (Some("OKP"), Some("Ed25519")) {
            continue;
        }
        if jwk.contains_key("d") {
            return Err(fault(format!("key {n} is a private key: publish only its public part")));
        }
        let key = member("x")
            .and_then(|x| BASE64.decode(x).ok())
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
            .filter(|key| !key.is_weak())
            .ok_or_else(|| fault(format!("key {n}: `x` is not an Ed25519 public key in base64url")))?;
        keys.push(key);
    }
    match keys.is_empty() {
        true => Err(fault("has no Ed25519 key (kty OKP, crv Ed25519)".to_owned())),
        false => Ok(keys),
    }
}

/// Reads a `signing-key.pem`: an Ed25519 private key as PKCS #8 in PEM. The error message never repeats the content.
pub fn read_signing_key(pem: &[u8]) -> Result<SigningKey, Fault> {
    let fault = |message: &str| Fault::new(Reason::SigningKeyInvalid, "signing-key.pem", message);
    let text = std::str::from_utf8(pem)
        .ok()
        .filter(|text| text.len() <= MAX_JWKS_BYTES)
        .ok_or_else(|| fault("is not a PEM file"))?;
    SigningKey::from_pkcs8_pem(text.trim()).map_err(|_| {
        fault("is not an Ed25519 private key as PKCS #8 in PEM; create one with `seatkeeper keygen` or `openssl genpkey -algorithm ed25519`")
    })
}

/// Returns the signing key of these 32 secret bytes, and its PEM.
pub fn signing_key_pem(secret: &[u8; 32]) -> Result<(SigningKey, String), Fault> {
    // Without the public key (version 1): openssl and older readers do not accept version 2.
    let key = SigningKey::from_bytes(secret);
    let bytes = ed25519_dalek::pkcs8::KeypairBytes { secret_key: *secret, public_key: None };
    let pem = bytes
        .to_pkcs8_pem(Default::default())
        .map_err(|e| Fault::new(Reason::SigningKeyInvalid, "signing-key.pem", e.to_string()))?;
    Ok((key, pem.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_of_rfc_8037_appendix_a_3() {
        let x = BASE64.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let key = VerifyingKey::from_bytes(&x.try_into().unwrap()).unwrap();
        assert_eq!(thumbprint(&key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_signing_key_survives_its_pem_and_others_are_refused_without_being_repeated() {
        let (key, pem) = signing_key_pem(&[7; 32]).unwrap();
        assert_eq!(read_signing_key(pem.as_bytes()).unwrap().to_bytes(), key.to_bytes());
        for wrong in ["", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----", "secret"] {
            let fault = read_signing_key(wrong.as_bytes()).unwrap_err();
            assert!(!fault.to_string().contains("secret"), "{fault}");
        }
    }

    #[test]
    fn a_published_private_key_is_named() {
        let set =
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"x"}]}"#;
        assert!(read_jwks(set.as_bytes()).unwrap_err().message.contains("private"));
        assert!(read_jwks(b"{\"keys\":[]}").unwrap_err().message.contains("no Ed25519 key"));
        assert!(read_jwks(b"[]").is_err());
    }
}
