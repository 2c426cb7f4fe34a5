//! Licence keys, as they lie in Secrets and files: as they come, and with any payload behind a good signature.

use seatkeeper::domain::license::key::{Claims, KEY_TYPE, claimed_grant, inspect, sign_key, verify_key, verify_with};
use seatkeeper::domain::transit::token_in;
use serde_json::json;
use std::sync::LazyLock;

use super::shared::{is_json, signer, token, trust};

/// The only genuine key that is among the seeds.
static GENUINE: LazyLock<String> = LazyLock::new(|| {
    let claims = json!({
        "iss": "example.com", "jti": "a1", "sub": "Stadtwerke", "aud": "innoacd", "iat": 1767225600, "nbf": 1767225600,
        "exp": 1798761600, "grace_until": 1801353600, "plan": "team", "demo_seats": 1, "features": ["export"],
        "pools": [{"name": "agents", "model": "Fixed", "countBy": "User", "seats": 5, "loginMode": "Active"}],
    });
    let claims: Claims = serde_json::from_value(claims).expect("they are claims");
    sign_key(&claims, signer())
});

pub fn genuine() -> Vec<u8> {
    GENUINE.clone().into_bytes()
}

pub fn run(data: &[u8]) {
    let _ = (inspect(data), claimed_grant(data));
    if let (kid, Ok(_)) = verify_with(data, trust()) {
        assert_eq!(token_in(data).as_deref(), Ok(GENUINE.as_str()), "nobody else has signed a key");
        assert!(trust().key(&kid).is_some());
    }
    if !is_json(data) {
        assert!(inspect(token(KEY_TYPE, data, false).as_bytes()).is_err());
        return;
    }
    let Ok(key) = verify_key(token(KEY_TYPE, data, true).as_bytes(), trust()) else { return };
    let claims = &key.claims;
    assert!(claims.in_force_at(claims.starts_at()));
    assert!(claims.ends_at().is_none_or(|end| !claims.in_force_at(end)));
    assert!(claims.grace_ends_at() >= claims.ends_at());
    let again = verify_key(sign_key(claims, signer()).as_bytes(), trust()).expect("what is signed again is genuine");
    assert_eq!((&*again.claims, &again.grant), (&**claims, &key.grant));
}
