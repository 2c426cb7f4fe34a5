//! Tokens of callers of the seat port: as they come, with any claims behind a good signature, and before that the keys of
//! the cluster.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use seatkeeper::server::http::token::{Issuer, Standing};
use serde_json::{Value, json};
use std::sync::LazyLock;

use super::shared::is_json;

const NAME: &str = "https://kubernetes.default.svc";
const NOW: i64 = 1_767_225_600;

struct Cluster {
    key: EcdsaKeyPair,
    issuer: Issuer,
}

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
    let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key is made");
    let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).expect("it is a key");
    let [x, y] = [1..33, 33..65].map(|part| BASE64.encode(&key.public_key().as_ref()[part]));
    let odd = BASE64.encode([0xff; 256]);
    let keys = json!({"keys": [
        {"kty": "EC", "crv": "P-256", "kid": "ours", "x": x, "y": y},
        {"kty": "RSA", "kid": "rsa", "n": odd, "e": "AQAB"},
        {"kty": "EC", "crv": "P-384", "kid": "p384", "x": "AA", "y": "AA"},
    ]});
    let issuer = Issuer::read(&json!({"issuer": NAME}).to_string(), &keys.to_string()).expect("they are keys");
    Cluster { key, issuer }
});

pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let is_genuine = |standing| matches!(standing, Standing::Genuine(_));
    let Cluster { key, issuer } = &*CLUSTER;
    for audience in [None, Some("seatkeeper")] {
        assert!(!is_genuine(issuer.standing(text, audience, NOW)), "nobody else has the cluster's key");
    }
    if let Ok(other) = Issuer::read(&json!({"issuer": NAME}).to_string(), text) {
        let token = format!("{}.e30.AAAA", BASE64.encode(r#"{"kid":"ours"}"#));
        assert!(!is_genuine(other.standing(&token, None, NOW)));
    }
    if !is_json(data) {
        return;
    }
    let signed = format!("{}.{}", BASE64.encode(r#"{"kid":"ours"}"#), BASE64.encode(text));
    let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).expect("it is signed");
    let standing = issuer.standing(&format!("{signed}.{}", BASE64.encode(signature)), Some("seatkeeper"), NOW);
    let Ok(claims) = serde_json::from_str::<Value>(text) else { return };
    if is_genuine(standing) {
        assert!(claims["sub"].is_string() && claims["aud"].to_string().contains("seatkeeper"), "{claims}");
        assert!(claims["exp"].as_f64().is_none_or(|end| end + 600.0 >= NOW as f64), "{claims}");
    }
}
