//! Public keys as JSON Web Keys (RFC 7517, RFC 8037) and their thumbprints (RFC 7638).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::json::{Json, parse};
use crate::domain::fault::Fault;
use crate::domain::reason::Reason;

/// The most keys in one set; more are a mistake.
pub const MAX_JWKS_KEYS: usize = 64;
/// The largest key set or signing key that is read, in bytes.
pub const MAX_JWKS_BYTES: usize = 64 * 1024;

/// The members that only a private or symmetric key has: of OKP and EC keys `d`, of RSA keys the primes and what is
/// computed from them, of symmetric keys `k` (RFC 7518, section 6; RFC 8037, section 2), of AKP keys `priv` (RFC 9964).
const PRIVATE_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// A JWK Set.
#[derive(Clone, Debug, Default, Serialize)]
pub struct JwkSet {
    pub keys: Vec<Map<String, Value>>,
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

/// Returns the keys of a `jwks.json` that verify licences. Other keys are passed over, because a set may serve several
/// purposes. Fails if the set is malformed, contains a private key or has no key that verifies licences. The message never
/// repeats the content.
pub fn read_jwks(text: &[u8]) -> Result<Vec<VerifyingKey>, Fault> {
    #[derive(Deserialize)]
    struct Read {
        keys: Vec<Json>,
    }
    let fault = |message: String| Fault::new(Reason::TrustInvalid, "jwks.json", message);
    if text.len() > MAX_JWKS_BYTES {
        return Err(fault(format!("is larger than {MAX_JWKS_BYTES} bytes")));
    }
    let set: Read = parse(text).map_err(|wrong| fault(format!("is not a JWK Set: {wrong}")))?;
    if set.keys.len() > MAX_JWKS_KEYS {
        return Err(fault(format!("has {} keys; at most {MAX_JWKS_KEYS} are read", set.keys.len())));
    }
    let mut keys = Vec::new();
    let mut passed_over = Vec::new();
    for (n, jwk) in set.keys.iter().enumerate() {
        let Value::Object(members) = &jwk.value else {
            return Err(fault(format!("key {n} is not a JSON object")));
        };
        if PRIVATE_MEMBERS.iter().any(|member| members.contains_key(*member)) {
            return Err(fault(format!("key {n} is a private key: publish only its public part")));
        }
        match other_purpose(members).or(jwk.doubled.as_ref().map(|_| "names a member twice (RFC 7517, section 4)")) {
            Some(why) => passed_over.push(format!("key {n} {why}")),
            None => keys.push(
                public_key(members)
                    .ok_or_else(|| fault(format!("key {n}: `x` is not an Ed25519 public key in base64url")))?,
            ),
        }
    }
    match keys.is_empty() {
        true if passed_over.is_empty() => Err(fault("has no Ed25519 key (kty OKP, crv Ed25519)".to_owned())),
        true => Err(fault(format!("has no Ed25519 key that verifies licences: {}", passed_over.join("; ")))),
        false => Ok(keys),
    }
}

/// Why a key does not verify licences although it may be a good one; `None` if it does.
fn other_purpose(jwk: &Map<String, Value>) -> Option<&'static str> {
    let stated = |name: &str| jwk.get(name).and_then(Value::as_str);
    if (stated("kty"), stated("crv")) != (Some("OKP"), Some("Ed25519")) {
        return Some("is not of kty OKP and crv Ed25519");
    }
    if jwk.contains_key("use") && stated("use") != Some("sig") {
        return Some("has another `use` than sig (RFC 7517, section 4.2)");
    }
    let verifies = |operations: &Value| operations.as_array().is_some_and(|list| list.iter().any(|op| op == "verify"));
    if jwk.get("key_ops").is_some_and(|operations| !verifies(operations)) {
        return Some("has `key_ops` without verify (RFC 7517, section 4.3)");
    }
    // RFC 9864 renames EdDSA with this curve to Ed25519.
    if jwk.contains_key("alg") && !matches!(stated("alg"), Some("EdDSA" | "Ed25519")) {
        return Some("is for another `alg` than EdDSA or Ed25519 (RFC 7517, section 4.4)");
    }
    None
}

fn public_key(jwk: &Map<String, Value>) -> Option<VerifyingKey> {
    let bytes = BASE64.decode(jwk.get("x")?.as_str()?).ok()?;
    VerifyingKey::from_bytes(&bytes.try_into().ok()?).ok().filter(|key| !key.is_weak())
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

/// Returns the signing key of these 32 secret bytes, and its PEM. Both are overwritten when they are dropped.
pub fn signing_key_pem(secret: &[u8; 32]) -> Result<(SigningKey, Zeroizing<String>), Fault> {
    // Without the public key (version 1): openssl and older readers do not accept version 2.
    let key = SigningKey::from_bytes(secret);
    let bytes = KeypairBytes { secret_key: *secret, public_key: None };
    let pem = bytes
        .to_pkcs8_pem(Default::default())
        .map_err(|e| Fault::new(Reason::SigningKeyInvalid, "signing-key.pem", e.to_string()))?;
    Ok((key, pem))
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
