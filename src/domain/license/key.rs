//! Licence keys: JWS compact tokens signed with Ed25519 (docs/design/domain.md, Keys).

use chrono::{DateTime, NaiveDate};
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::claim_names::check_names;
use super::grant::GrantId;
use super::json::typed;
use super::pool::PoolGrant;
use super::refusal::Refusal;
use super::token::{self, open, sign};
use super::trust::Trust;
use crate::domain::Instant;
use crate::domain::zone::Zone;

/// The longest text that is read as a key, in bytes.
pub const MAX_KEY_BYTES: usize = 64 * 1024;
/// The `typ` of a licence key. Because of it, a revocation list can never be mistaken for a key.
pub const KEY_TYPE: &str = "license+jwt";
/// The most pools in one key; more are refused.
pub const MAX_POOLS: usize = 64;
/// The longest name of a pool.
pub const MAX_POOL_NAME_BYTES: usize = 63;
/// The most features in one key; more are refused.
pub const MAX_FEATURES: usize = 64;
/// The longest name of a feature.
pub const MAX_FEATURE_CHARACTERS: usize = 63;
/// The most seats of one pool in a key. It keeps every sum over the keys of a licence far from overflow.
pub const MAX_SEATS: u32 = 10_000_000;

/// Whether a licence ends: Term ends with its term, Perpetual never ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Lifetime {
    #[default]
    Term,
    Perpetual,
}

/// What happens to running work when demo mode begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum OnDemo {
    #[default]
    Finish,
    EndAfterMinutes(u32),
}

/// The person that a key was issued to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Holder {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// The contract that a key was issued under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionClaim {
    pub namespace: String,
    pub name: String,
    pub starts_on: NaiveDate,
    pub term: u32,
}

/// What a key says. Times are seconds since 1970. Unknown claims are kept and ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// The issuer.
    pub iss: String,
    /// The serial.
    pub jti: String,
    /// The organisation.
    pub sub: String,
    /// The product.
    #[serde(deserialize_with = "one_audience")]
    pub aud: String,
    /// When the key was issued.
    pub iat: i64,
    /// The first second that the key covers.
    pub nbf: i64,
    /// The first second that the key no longer covers. `None` if it is perpetual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// The first second after grace, calculated by the issuer in the contract's time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_until: Option<i64>,
    /// The IANA name of the contract's time zone, in which people are shown the days of the key. It decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text_if_any")]
    pub zone: Option<String>,
    /// The first second at which it is too late to cancel the contract for the end of the key's term. It is shown, and decides
    /// nothing. `None` if the contract does not renew itself.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "number_if_any")]
    pub notice_deadline: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    #[serde(default)]
    pub plan: String,
    #[serde(default)]
    pub lifetime: Lifetime,
    #[serde(default)]
    pub demo_seats: u32,
    #[serde(default)]
    pub on_demo: OnDemo,
    #[serde(default)]
    pub features: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Holder>,
    #[serde(default)]
    pub pools: Vec<PoolGrant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purchased_on: Option<NaiveDate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support_until: Option<NaiveDate>,
    /// The UID of the kube-system namespace of the only cluster in which the key counts. `None` if it counts in any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<SubscriptionClaim>,
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

impl Claims {
    /// The grant that this key belongs to: the claim `grant`, otherwise its contract and Plan, otherwise its
    /// organisation, product and Plan.
    pub fn grant(&self) -> String {
        match (&self.grant, &self.subscription) {
            (Some(grant), _) => grant.clone(),
            (None, Some(s)) => grant_of(&self.iss, &s.namespace, &s.name, s.starts_on, &self.plan),
            (None, None) => format!("{}/{}/{}/{}", self.iss, self.sub, self.aud, self.plan),
        }
    }

    /// All that the key says besides what ranks it, without the claims that are ignored. As an order it means nothing,
    /// but it is the same wherever the keys are found.
    pub(super) fn content(&self) -> impl Ord {
        let Claims {
            iss,
            jti: _,
            sub,
            aud,
            iat: _,
            nbf: _,
            exp,
            grace_until,
            zone,
            notice_deadline,
            grant,
            plan,
            lifetime,
            demo_seats,
            on_demo,
            features,
            holder,
            pools,
            purchased_on,
            support_until,
            cluster,
            subscription,
            other: _,
        } = self;
        (
            (pools, features, demo_seats, on_demo, exp, grace_until, lifetime, zone, notice_deadline),
            (iss, sub, aud, grant, plan, holder, purchased_on, support_until, cluster, subscription),
        )
    }

    pub fn starts_at(&self) -> Instant {
        instant(self.nbf)
    }

    pub fn issued_at(&self) -> Instant {
        instant(self.iat)
    }

    /// The first instant after the key. `None` if it never ends.
    pub fn ends_at(&self) -> Option<Instant> {
        self.exp.map(instant)
    }

    /// The end of grace, or the end of the key if it has no grace. `None` if it never ends.
    pub fn grace_ends_at(&self) -> Option<Instant> {
        self.ends_at().map(|end| self.grace_until.map_or(end, instant))
    }

    /// The first instant at which a cancellation is too late for the end of this key.
    pub fn notice_deadline(&self) -> Option<Instant> {
        self.notice_deadline.filter(|at| (0..=MAX_TIME).contains(at)).map(instant)
    }

    /// The zone in which the days of the key are shown: UTC if the key names none that this version knows.
    pub fn zone(&self) -> Zone {
        self.zone.as_deref().and_then(Zone::named).unwrap_or_else(Zone::utc)
    }

    pub fn in_force_at(&self, now: Instant) -> bool {
        self.starts_at() <= now && self.ends_at().is_none_or(|end| now < end)
    }

    /// Checks what neither signature nor schema rules out.
    fn check(&self) -> Result<(), String> {
        self.check_times()?;
        self.check_pools()?;
        let features = self.features.len();
        if features > MAX_FEATURES {
            return Err(format!("claim `features` has {features} entries; at most {MAX_FEATURES} are read"));
        }
        let is_name = |name: &String| (1..=MAX_FEATURE_CHARACTERS).contains(&name.chars().count());
        if let Some(n) = self.features.iter().position(|name| !is_name(name)) {
            return Err(format!("feature {n} needs 1 to {MAX_FEATURE_CHARACTERS} characters"));
        }
        match self.jti.is_empty() || self.jti.len() > 128 {
            true => Err("claim `jti`, the serial, needs 1 to 128 characters".into()),
            false => Ok(()),
        }
    }

    fn check_times(&self) -> Result<(), String> {
        for (name, time) in
            [("iat", Some(self.iat)), ("nbf", Some(self.nbf)), ("exp", self.exp), ("grace_until", self.grace_until)]
        {
            if time.is_some_and(|t| !(0..=MAX_TIME).contains(&t)) {
                return Err(format!("claim `{name}` is not a time between 1970 and 9999"));
            }
        }
        // A key whose end was forgotten must not become one that never ends.
        match (self.lifetime, self.exp, self.grace_until) {
            (Lifetime::Term, None, _) => {
                Err("claim `exp` is missing: a key of lifetime Term has an end; only Perpetual has none".into())
            }
            (Lifetime::Perpetual, Some(_), _) => {
                Err("claim `exp` contradicts lifetime Perpetual: a perpetual key has no end".into())
            }
            (Lifetime::Perpetual, None, Some(_)) => {
                Err("claim `grace_until` contradicts lifetime Perpetual: a perpetual key has no end".into())
            }
            (Lifetime::Term, Some(exp), _) if exp <= self.nbf => Err("claim `exp` is not after `nbf`".into()),
            (Lifetime::Term, Some(exp), Some(grace)) if grace < exp => {
                Err("claim `grace_until` is before `exp`".into())
            }
            _ => Ok(()),
        }
    }

    fn check_pools(&self) -> Result<(), String> {
        if self.pools.len() > MAX_POOLS {
            return Err(format!("claim `pools` has {} entries; at most {MAX_POOLS} are read", self.pools.len()));
        }
        let mut names = BTreeSet::new();
        for (n, pool) in self.pools.iter().enumerate() {
            if !is_pool_name(&pool.name) || !pool.overflows_to.as_deref().is_none_or(is_pool_name) {
                return Err(format!(
                    "pool {n} needs a name of 1 to {MAX_POOL_NAME_BYTES} ASCII letters, digits, `-`, `_` and `.`, and so does \
                     the pool it overflows to"
                ));
            }
            if pool.seats > MAX_SEATS {
                return Err(format!("pool {n} has more than {MAX_SEATS} seats"));
            }
            if !names.insert(&pool.name) {
                return Err(format!("pool {n} repeats an earlier name"));
            }
        }
        Ok(())
    }
}

/// Whether a key may give a pool this name. A Plan allows fewer characters; keys of other vendors have had these as well.
fn is_pool_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=MAX_POOL_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// The default grant of keys issued under a contract. It does not contain the Subscription's UID, because a restored
/// backup would then be a second contract.
pub fn grant_of(issuer: &str, namespace: &str, name: &str, starts_on: NaiveDate, plan: &str) -> String {
    format!("{issuer}/{namespace}/{name}/{starts_on}/{plan}")
}

/// Signs `claims` as a licence key.
pub fn sign_key(claims: &Claims, key: &SigningKey) -> String {
    sign(KEY_TYPE, &serde_json::to_value(claims).unwrap_or_default(), key)
}

/// A key that was found genuine.
#[derive(Clone, Debug)]
pub struct GenuineKey {
    pub claims: Arc<Claims>,
    /// The grant that it belongs to, with its signer.
    pub grant: GrantId,
}

/// Reads `text` if it is a genuine key from a trusted issuer: shape, algorithm, signature and claims are checked. What
/// it grants, and when, is decided elsewhere. Algorithm and public key are never taken from the token.
pub fn verify_key(text: &[u8], trust: &Trust) -> Result<GenuineKey, Refusal> {
    verify_with(text, trust).1
}

/// As `verify_key`, with the thumbprint of the public key that the text states; empty if it states none.
pub fn verify_with(text: &[u8], trust: &Trust) -> (String, Result<GenuineKey, Refusal>) {
    let mut signer = String::new();
    let signed_with = |kid: &str| {
        kid.clone_into(&mut signer);
        trust.key(kid)
    };
    let found = open(text, KEY_TYPE, MAX_KEY_BYTES, signed_with).and_then(sound_claims).map(|claims| GenuineKey {
        grant: GrantId::of(&claims.aud, &claims.grant(), &signer),
        claims: Arc::new(claims),
    });
    (signer, found)
}

fn sound_claims(claims: Value) -> Result<Claims, Refusal> {
    check_names(&claims).map_err(Refusal::Malformed)?;
    let claims: Claims = typed(claims)
        .map_err(|wrong| Refusal::Malformed(format!("its claims are not those of a {KEY_TYPE}: {wrong}")))?;
    claims.check().map_err(Refusal::Malformed)?;
    Ok(claims)
}

/// Returns the header and the payload of a key **without verifying them**: for display, never for decisions.
pub fn inspect(text: &[u8]) -> Result<(Value, Value), Refusal> {
    token::inspect(text, MAX_KEY_BYTES)
}

/// Returns the grant that a text claims to belong to, **without verifying it**: for finding quickly which keys have to
/// be judged together, never for deciding what a key grants.
pub fn claimed_grant(text: &[u8]) -> Option<String> {
    let claims: Claims = token::claimed(text, MAX_KEY_BYTES)?;
    Some(claims.grant())
}

/// The last second of the year 9999.
const MAX_TIME: i64 = 253_402_300_799;

fn instant(seconds: i64) -> Instant {
    DateTime::from_timestamp(seconds.clamp(0, MAX_TIME), 0).unwrap_or_default()
}

/// A claim that only shows something is not there if it is of another type: keys of other vendors may have used its name.
fn text_if_any<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Value::deserialize(from)?.as_str().map(str::to_owned))
}

fn number_if_any<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    Ok(Value::deserialize(from)?.as_i64())
}

/// RFC 7519 allows `aud` to be a string or a list of strings. A key is for one product.
fn one_audience<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        List([String; 1]),
    }
    match Audience::deserialize(from) {
        Ok(Audience::One(product) | Audience::List([product])) => Ok(product),
        Err(_) => Err(serde::de::Error::custom("`aud` must be one product")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::claim_names::{CLAIMS, HOLDER, POOL, SUBSCRIPTION};
    use super::*;
    use serde_json::json;

    #[test]
    fn every_claim_and_member_that_is_read_is_known() {
        let pool = json!({"name": "a", "model": "Fixed", "countBy": "User", "seats": 1, "loginMode": "Active",
            "overflowsTo": "b", "users": ["u"], "major": 1});
        let claims: Claims = serde_json::from_value(json!({
            "iss": "v", "jti": "s", "sub": "A", "aud": "p", "iat": 1, "nbf": 1, "exp": 2, "grace_until": 3,
            "zone": "UTC", "notice_deadline": 1, "grant": "g",
            "plan": "p", "lifetime": "Term", "demo_seats": 1, "on_demo": "Finish", "features": ["f"], "pools": [pool],
            "holder": Holder { user: Some("u".into()), email: Some("e".into()) }, "purchased_on": "2026-01-01",
            "support_until": "2026-01-01", "cluster": "c",
            "subscription": {"namespace": "n", "name": "s", "startsOn": "2026-01-01", "term": 1},
        }))
        .expect("all of them");
        assert!(claims.other.is_empty(), "{:?}", claims.other);
        let written = serde_json::to_value(&claims).expect("JSON");
        let names = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&written), CLAIMS);
        assert_eq!(names(&written["pools"][0]), POOL);
        assert_eq!(names(&written["holder"]), HOLDER);
        assert_eq!(names(&written["subscription"]), SUBSCRIPTION);
    }
}
