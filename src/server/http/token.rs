//! What can be told of a token without asking the API server: whether the cluster's own keys have signed it.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;
use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::group::Group;

/// The most keys of a cluster that are kept. It has one, and two or three while they are rotated.
const MOST_KEYS: usize = 64;
/// The lengths of an RSA modulus that can be checked, in bytes.
const MODULUS: RangeInclusive<usize> = 256..=1024;
/// A token counts as expired only this much later, in seconds: the API server allows for a minute between clocks.
const LEEWAY: f64 = 600.0;

/// The issuer of a cluster's ServiceAccount tokens, and its public keys by their id.
#[derive(Debug)]
pub struct Issuer {
    name: String,
    keys: HashMap<String, Key>,
}

#[derive(Debug)]
enum Key {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    P256(Vec<u8>),
    P384(Vec<u8>),
}

/// What is known of a token without asking the API server.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing {
    /// The cluster issued it to a user of this group. It may have been taken back since.
    Genuine(Group),
    /// The API server may accept it or not: somebody else issued it, or the cluster did with a key that is not known here.
    Unknown,
    /// The API server would not accept it.
    Refused(&'static str),
}

impl Issuer {
    /// Reads the discovery document of the issuer and its JWK Set. A key that cannot be read, or of a kind that cannot be
    /// checked here, is left out: tokens that it signed are `Unknown`.
    pub fn read(configuration: &str, keys: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Configuration {
            issuer: String,
        }
        #[derive(Deserialize)]
        struct Keys {
            keys: Vec<serde_json::Value>,
        }
        let Configuration { issuer: name } = serde_json::from_str(configuration)?;
        let Keys { keys } = serde_json::from_str(keys)?;
        let keys = keys.into_iter().take(MOST_KEYS).filter_map(|jwk| Jwk::deserialize(jwk).ok());
        let keys = keys.filter_map(|jwk| Some((jwk.kid.clone()?, jwk.key()?))).collect();
        Ok(Issuer { name, keys })
    }

    /// What `token` is at `now`, in seconds since 1970, if it is to count for `audience`, or for any audience if that is
    /// `None`.
    pub fn standing(&self, token: &str, audience: Option<&str>, now: i64) -> Standing {
        let Some((signed, header, claims, signature)) = parts(token) else { return Standing::Unknown };
        let key = header.kid.as_ref().and_then(|kid| self.keys.get(kid));
        let is_ours = claims.iss.as_ref() == Some(&self.name);
        match key.map(|key| key.has_signed(signed.as_bytes(), &signature)) {
            Some(true) => {}
            Some(false) if is_ours => return Standing::Refused("its signature is not the cluster's"),
            _ => return Standing::Unknown,
        }
        // The token may be of a former issuer, which the API server may be configured to accept still.
        if audience.is_some_and(|audience| !claims.aud.is_some_and(|aud| aud.names(audience))) {
            return if is_ours { Standing::Refused("it is for another audience") } else { Standing::Unknown };
        }
        if claims.exp.is_some_and(|exp| exp + LEEWAY < now as f64) {
            return Standing::Refused("it has expired");
        }
        claims.sub.map_or(Standing::Unknown, |user| Standing::Genuine(Group::of(&user)))
    }
}

#[derive(Deserialize)]
struct Header {
    kid: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    exp: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn names(&self, audience: &str) -> bool {
        match self {
            Audience::One(one) => one == audience,
            Audience::Several(all) => all.iter().any(|one| one == audience),
        }
    }
}

/// The signed text of a JWS, its header and claims, and its signature; `None` if it is none.
fn parts(token: &str) -> Option<(&str, Header, Claims, Vec<u8>)> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.').filter(|(_, claims)| !claims.contains('.'))?;
    let decoded = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok();
    let header = serde_json::from_slice(&decoded(header)?).ok()?;
    let claims = serde_json::from_slice(&decoded(claims)?).ok()?;
    Some((signed, header, claims, decoded(signature)?))
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    fn key(self) -> Option<Key> {
        let decoded = |part: Option<String>| BASE64_URL_SAFE_NO_PAD.decode(part?).ok();
        let point = |x: Vec<u8>, y: Vec<u8>| [&[4][..], &x, &y].concat();
        match (&*self.kty, self.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (decoded(self.n)?, decoded(self.e)?);
                MODULUS.contains(&n.len()).then_some(Key::Rsa(RsaPublicKeyComponents { n, e }))
            }
            ("EC", Some("P-256")) => Some(Key::P256(point(decoded(self.x)?, decoded(self.y)?))),
            ("EC", Some("P-384")) => Some(Key::P384(point(decoded(self.x)?, decoded(self.y)?))),
            _ => None,
        }
    }
}

impl Key {
    fn has_signed(&self, text: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            Key::Rsa(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, text, signature),
            Key::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(text, signature),
            Key::P384(point) => UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(text, signature),
        };
        verified.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use serde_json::{Value, json};

    const US: &str = "https://kubernetes.default.svc";

    struct Cluster {
        key: EcdsaKeyPair,
        issuer: Issuer,
    }

    fn cluster() -> Cluster {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
        let point = key.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
        let keys = json!({"keys": [
            {"kty": "EC", "crv": "P-256", "kid": "ours", "x": x, "y": y, "use": "sig", "alg": "ES256"},
            {"kty": "EC", "crv": "P-521", "kid": "large", "x": "AA", "y": "AA"},
            {"kty": "RSA", "kid": "small", "n": "AA", "e": "AQAB"},
        ]});
        let issuer = Issuer::read(&json!({ "issuer": US }).to_string(), &keys.to_string()).unwrap();
        Cluster { key, issuer }
    }

    impl Cluster {
        fn signs(&self, kid: &str, claims: &Value) -> String {
            let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", part(&json!({"alg": "ES256", "kid": kid})), part(claims));
            let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
            format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
        }

        fn standing(&self, token: &str) -> Standing {
            self.issuer.standing(token, Some("seatkeeper"), 1_000_000)
        }
    }

    fn claims() -> Value {
        json!({"iss": US, "sub": "system:serviceaccount:a:b", "aud": ["x", "seatkeeper"], "exp": 1_000_600})
    }

    fn with(field: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[field] = value;
        claims
    }

    #[test]
    fn a_token_is_genuine_if_the_cluster_signed_it_for_us_and_it_has_not_expired() {
        let (ours, other) = (cluster(), cluster());
        let genuine = Standing::Genuine(Group::Namespace("a".into()));
        for claims in
            [claims(), with("aud", json!("seatkeeper")), with("exp", json!(999_500)), with("iss", json!("old"))]
        {
            assert_eq!(ours.standing(&ours.signs("ours", &claims)), genuine, "{claims}");
        }
        for (claims, why) in [
            (with("aud", json!(["x"])), "it is for another audience"),
            (with("aud", Value::Null), "it is for another audience"),
            (with("exp", json!(999_000)), "it has expired"),
        ] {
            assert_eq!(ours.standing(&ours.signs("ours", &claims)), Standing::Refused(why), "{claims}");
        }
        let forged = other.signs("ours", &claims());
        assert_eq!(ours.standing(&forged), Standing::Refused("its signature is not the cluster's"));
    }

    #[test]
    fn one_unusable_key_of_a_cluster_spoils_no_other() {
        let good = json!({"kty": "RSA", "kid": "good", "n": BASE64_URL_SAFE_NO_PAD.encode([200; 256]), "e": "AQAB"});
        for bad in [json!("text"), json!({"kid": "bad"}), json!({"kty": "RSA", "kid": 7}), Value::Null] {
            let keys = json!({"keys": [bad, good]}).to_string();
            let issuer = Issuer::read(&json!({ "issuer": US }).to_string(), &keys);
            assert_eq!(issuer.map(|issuer| issuer.keys.len()).unwrap_or_default(), 1, "{keys}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_unknown_and_nothing_panics() {
        let ours = cluster();
        let other = cluster();
        let genuine = ours.signs("ours", &claims());
        for token in [
            ours.signs("new", &claims()),
            ours.signs("large", &claims()),
            ours.signs("small", &claims()),
            other.signs("ours", &with("iss", json!("https://login.example.com"))),
            ours.signs("ours", &with("sub", Value::Null)),
            String::new(),
            ".".into(),
            "..".into(),
            "a.b.c".into(),
            "eyJhbGciOiJub25lIn0.e30.".into(),
            "opaque".into(),
            format!("{genuine}.x"),
            format!("{genuine}="),
            "[".repeat(8_000),
            format!("{}.{}.x", BASE64_URL_SAFE_NO_PAD.encode("[".repeat(4_000)), "e30"),
        ] {
            assert_eq!(ours.standing(&token), Standing::Unknown, "{token}");
        }
        for (at, _) in genuine.char_indices() {
            let cut = format!("{}{}", &genuine[..at], &genuine[at + 1..]);
            assert!(!matches!(ours.standing(&cut), Standing::Genuine(_)), "{cut}");
        }
        assert!(Issuer::read("{}", "{}").is_err());
    }
}
