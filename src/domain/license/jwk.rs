//! Public keys as JSON Web Keys (RFC 7517, RFC 8037) and their thumbprints (RFC 7638).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::pkcs8::{EncodePrivateKey, KeypairBytes, PrivateKeyInfoRef};
use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::json::{Json, parse};
use crate::domain::fault::Fault;
use crate::domain::reason::Reason;
use crate::domain::transit::{Block, json_in, pem_in};

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

/// The most unusable keys that a message names; there may be more.
const NAMED: usize = 3;

/// What a `jwks.json` says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeySet {
    /// The keys that verify licences.
    pub keys: Vec<VerifyingKey>,
    /// Which of the other keys are good for nothing, and why.
    pub unusable: Vec<String>,
}

impl KeySet {
    /// What its author should correct, although the other keys count.
    pub fn trouble(&self) -> Option<Fault> {
        let message = || format!("{}; the other keys count", named(&self.unusable));
        (!self.unusable.is_empty()).then(|| Fault::new(Reason::TrustPartUnusable, "jwks.json", message()))
    }
}

/// The first of several things that are wrong, and how many more there are.
fn named(wrong: &[String]) -> String {
    let more = wrong.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    format!("{}{more}", wrong.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; "))
}

/// What one key of a set is to us.
enum Use {
    Verifies(VerifyingKey),
    /// It may be a good key, because a set may serve several purposes.
    OtherPurpose(&'static str),
    Unusable(&'static str),
}

/// Reads a `jwks.json`. One key that cannot be used spoils no other (RFC 7517, section 5). Fails if the set is malformed or
/// has no key that verifies licences. No message ever repeats the content.
pub fn read_jwks(text: &[u8]) -> Result<KeySet, Fault> {
    #[derive(Deserialize)]
    #[serde(expecting = "an object with the list `keys`")]
    struct Read {
        keys: Vec<Json>,
    }
    let fault = |message: String| Fault::new(Reason::TrustInvalid, "jwks.json", message);
    if text.len() > MAX_JWKS_BYTES {
        return Err(fault(format!("is larger than {MAX_JWKS_BYTES} bytes")));
    }
    let set: Read = json_in(text, parse).map_err(|wrong| fault(format!("is not a JWK Set: {wrong}")))?;
    if set.keys.len() > MAX_JWKS_KEYS {
        return Err(fault(format!("has {} keys; at most {MAX_JWKS_KEYS} are read", set.keys.len())));
    }
    let mut read = KeySet::default();
    let mut passed_over = Vec::new();
    // Anybody who reads the set can sign with a key that is published whole, so its public half does not count either.
    let published: Vec<VerifyingKey> = set.keys.iter().flat_map(published_whole).collect();
    for (n, jwk) in set.keys.iter().enumerate() {
        match use_of(jwk) {
            Use::Verifies(key) if published.contains(&key) => {
                let why = "is the public half of a private key that the set has too";
                passed_over.push(format!("key {n} {why}"));
                read.unusable.push(format!("key {n} {why}"));
            }
            Use::Verifies(key) => read.keys.push(key),
            Use::OtherPurpose(why) => passed_over.push(format!("key {n} {why}")),
            Use::Unusable(why) => {
                passed_over.push(format!("key {n} {why}"));
                read.unusable.push(format!("key {n} {why}"));
            }
        }
    }
    match read.keys.is_empty() {
        true if passed_over.is_empty() => Err(fault("has no Ed25519 key (kty OKP, crv Ed25519)".to_owned())),
        true => Err(fault(format!("has no Ed25519 key that verifies licences: {}", named(&passed_over)))),
        false => Ok(read),
    }
}

fn use_of(jwk: &Json) -> Use {
    let Value::Object(members) = &jwk.value else { return Use::Unusable("is not a JSON object") };
    if is_private(members) {
        return Use::Unusable(
            "is a private key, which everybody can read who can read this: publish only the public part of a new key",
        );
    }
    if jwk.doubled.is_some() {
        return Use::Unusable("names a member twice (RFC 7517, section 4)");
    }
    if let Some(why) = other_purpose(members) {
        return Use::OtherPurpose(why);
    }
    match public_key(members) {
        Some(key) => Use::Verifies(key),
        None => Use::Unusable("has no `x` that is an Ed25519 public key in base64url without padding"),
    }
}

fn is_private(members: &Map<String, Value>) -> bool {
    PRIVATE_MEMBERS.iter().any(|member| members.contains_key(*member))
}

/// The public half of a private key: the one that it states, and the one that belongs to its private half.
fn published_whole(jwk: &Json) -> impl Iterator<Item = VerifyingKey> {
    let private = jwk.value.as_object().filter(|members| is_private(members));
    let belonging = |members: &Map<String, Value>| {
        let secret = BASE64.decode(members.get("d")?.as_str()?.trim_end_matches('=')).map(Zeroizing::new).ok()?;
        Some(SigningKey::from_bytes(secret.as_slice().try_into().ok()?).verifying_key())
    };
    private.into_iter().flat_map(move |members| [public_key(members), belonging(members)]).flatten()
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

/// Reads a `signing-key.pem`: an Ed25519 private key as PKCS #8 in PEM (RFC 8410), whatever else is in the file. The error
/// message never repeats the content.
pub fn read_signing_key(pem: &[u8]) -> Result<SigningKey, Fault> {
    let fault = |message: &str| Fault::new(Reason::SigningKeyInvalid, "signing-key.pem", message);
    if pem.len() > MAX_JWKS_BYTES {
        return Err(fault("is larger than a signing key can be"));
    }
    let no_key = |what: &str| fault(&format!("is not an Ed25519 private key as PKCS #8 in PEM: it {what}"));
    let blocks = pem_in(pem).map_err(|what| no_key(&format!("{what}; {MAKE_ONE}")))?;
    let mut keys: Vec<SigningKey> = Vec::new();
    let mut others = Vec::new();
    for block in &blocks {
        match private_key(block) {
            Ok(key) if keys.contains(&key) => {}
            Ok(key) => keys.push(key),
            Err(other) => others.push(other),
        }
    }
    match (keys.len(), keys.pop(), others.into_iter().min()) {
        (1, Some(key), _) => Ok(key),
        (_, Some(_), _) => Err(fault("holds several Ed25519 private keys: leave only the one to sign with")),
        (_, None, other) => Err(no_key(&other.unwrap_or(NoSigningKey::Other).what())),
    }
}

/// How to make a signing key.
const MAKE_ONE: &str = "create one with `seatkeeper keygen` or `openssl genpkey -algorithm ed25519`";

/// What a block of PEM is that is no signing key. Of several, the first here is named.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum NoSigningKey {
    Encrypted,
    Damaged,
    OpenSsh,
    Rsa,
    EllipticCurve,
    OtherCurve,
    OtherAlgorithm,
    Public,
    Other,
}

impl NoSigningKey {
    fn what(self) -> String {
        let what = match self {
            NoSigningKey::Encrypted => {
                return "is encrypted; decrypt it with `openssl pkey -in signing-key.pem -out decrypted.pem`"
                    .to_owned();
            }
            NoSigningKey::Damaged => return "was changed or cut short; copy it again".to_owned(),
            NoSigningKey::Public => {
                return "is a public key, which signs nothing; use the private key that belongs to it".to_owned();
            }
            NoSigningKey::OpenSsh => "is a key in the format of OpenSSH",
            NoSigningKey::Rsa => "is an RSA key",
            NoSigningKey::EllipticCurve => "is an ECDSA key (RFC 5915)",
            NoSigningKey::OtherCurve => "is a key of X25519, X448 or Ed448",
            NoSigningKey::OtherAlgorithm => "is a key of another algorithm",
            NoSigningKey::Other => "holds no private key (-----BEGIN PRIVATE KEY-----)",
        };
        format!("{what}; {MAKE_ONE}")
    }
}

fn private_key(block: &Block) -> Result<SigningKey, NoSigningKey> {
    match block.label.as_str() {
        _ if block.is_encrypted => Err(NoSigningKey::Encrypted),
        "PRIVATE KEY" => {
            let content = block.content.as_ref().ok_or(NoSigningKey::Damaged)?;
            let info = PrivateKeyInfoRef::try_from(content.as_slice()).map_err(|_| NoSigningKey::Damaged)?;
            match info.algorithm.oid.to_string().as_str() {
                "1.3.101.112" => SigningKey::try_from(info).map_err(|_| NoSigningKey::Damaged),
                "1.3.101.110" | "1.3.101.111" | "1.3.101.113" => Err(NoSigningKey::OtherCurve),
                "1.2.840.10045.2.1" => Err(NoSigningKey::EllipticCurve),
                rsa if rsa.starts_with("1.2.840.113549.1.1.") => Err(NoSigningKey::Rsa),
                _ => Err(NoSigningKey::OtherAlgorithm),
            }
        }
        "RSA PRIVATE KEY" => Err(NoSigningKey::Rsa),
        "EC PRIVATE KEY" => Err(NoSigningKey::EllipticCurve),
        "OPENSSH PRIVATE KEY" => Err(NoSigningKey::OpenSsh),
        "PUBLIC KEY" | "RSA PUBLIC KEY" => Err(NoSigningKey::Public),
        label if label.ends_with("PRIVATE KEY") => Err(NoSigningKey::OtherAlgorithm),
        _ => Err(NoSigningKey::Other),
    }
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
