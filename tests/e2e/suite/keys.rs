//! A vendor who makes keys by hand.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use chrono::{Datelike, Duration, NaiveDate};
use ed25519_dalek::SigningKey;
use seatkeeper::domain::license::jwk::{publish, signing_key_pem, thumbprint};
use seatkeeper::domain::license::key::{Claims, KEY_TYPE, Lifetime, OnDemo, sign_key};
use seatkeeper::domain::license::pool::{CountBy, PoolGrant, PoolModel};
use seatkeeper::domain::license::token::sign;
use seatkeeper::domain::license::trust::{Revocations, Trust, sign_revocations};
use seatkeeper::machine::machine_time;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// An issuer of keys; the same name always has the same key pair.
pub struct Signer {
    key: SigningKey,
    pub pem: String,
}

impl Signer {
    pub fn of(name: &str) -> Self {
        let (key, pem) = signing_key_pem(&Sha256::digest(name).into()).expect("32 bytes make a signing key");
        Self { key, pem: pem.to_string() }
    }

    pub fn sign(&self, claims: &Claims) -> String {
        sign_key(claims, &self.key)
    }

    /// Signs what need not be the claims of a key.
    pub fn sign_value(&self, claims: &Value) -> String {
        sign(KEY_TYPE, claims, &self.key)
    }

    /// Returns the claims under a forged header, without a valid signature.
    pub fn forge(&self, alg: &str, claims: &Claims) -> String {
        let kid = thumbprint(&self.key.verifying_key());
        let header = serde_json::json!({"alg": alg, "typ": "license+jwt", "kid": kid});
        let claims = serde_json::to_string(claims).expect("claims are JSON");
        format!("{}.{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims), BASE64.encode([7; 32]))
    }

    /// Returns a signed list that revokes these serials.
    pub fn revoke(&self, serials: &[&str]) -> String {
        self.revoke_in(1, None, serials)
    }

    /// Returns a signed list of this version. It expires after the given number of seconds.
    pub fn revoke_in(&self, version: u64, ends_in: Option<i64>, serials: &[&str]) -> String {
        let now = machine_time().timestamp();
        let serials = serials.iter().map(|serial| (*serial).to_owned()).collect();
        let list = Revocations { version, iat: now, exp: ends_in.map(|seconds| now + seconds), serials };
        sign_revocations(&list, &self.key)
    }

    /// Returns the thumbprint of its public key.
    pub fn thumbprint(&self) -> String {
        thumbprint(&self.key.verifying_key())
    }

    /// Returns trust in this signer alone.
    pub fn trust(&self) -> Trust {
        Trust::new([self.key.verifying_key()])
    }

    /// Returns the public half, as customers get it.
    pub fn jwks(&self) -> String {
        serde_json::to_string(&publish([&self.key.verifying_key()])).expect("a JWK Set is JSON")
    }
}

/// Returns the claims of a key for 50 agents, in force from yesterday for `days`, with a week of grace and two demo
/// seats. Its grant is named after its customer.
pub fn claims(product: &str, customer: &str, days: i64) -> Claims {
    let now = machine_time().timestamp();
    let day = |n: i64| now + n * 86_400;
    let agents = PoolGrant {
        name: "agents".into(),
        model: PoolModel::Concurrent,
        count_by: CountBy::User,
        seats: 50,
        login_mode: None,
        overflows_to: None,
        users: Vec::new(),
        major: None,
    };
    Claims {
        iss: "vendor".into(),
        jti: format!("{customer}-{days}"),
        sub: customer.into(),
        aud: product.into(),
        iat: now,
        nbf: day(-1).min(day(days) - 86_400),
        exp: Some(day(days)),
        grace_until: Some(day(days + 7)),
        zone: None,
        notice_deadline: None,
        grant: Some(customer.into()),
        plan: "standard".into(),
        lifetime: Lifetime::Term,
        demo_seats: 2,
        on_demo: OnDemo::Finish,
        features: Vec::new(),
        holder: None,
        pools: vec![agents],
        purchased_on: None,
        support_until: None,
        cluster: None,
        subscription: None,
        other: Default::default(),
    }
}

/// Returns the civil day `months` before today; never a day that some months lack.
pub fn months_ago(months: u32) -> NaiveDate {
    let today = (machine_time() - Duration::days(1)).date_naive();
    let today = today.with_day(today.day().min(28)).unwrap_or(today);
    today.checked_sub_months(chrono::Months::new(months)).expect("a day of our time")
}
