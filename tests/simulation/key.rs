//! Keys and trust in Secrets, parsed independently of the product's code.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

/// A key, taken at its word: simulated vendors sign nothing false, and rubbish does not parse as a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    pub entry: String,
    /// The text of the entry.
    pub token: String,
    pub kid: String,
    pub serial: String,
    pub product: String,
    pub grant: String,
    pub plan: String,
    pub iat: i64,
    pub nbf: i64,
    pub exp: Option<i64>,
    pub grace: Option<i64>,
    pub demo_seats: u64,
    pub pools: BTreeMap<String, u64>,
    /// Namespace and name of the contract, and its term.
    pub contract: (String, String),
    pub term: u64,
    /// Its claims, except serial and time of issue.
    pub content: String,
}

impl Key {
    pub fn read(entry: &str, token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let header = part(parts.next()?)?;
        let mut claims = part(parts.next()?)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let exp = claims["exp"].as_i64();
        let pools = claims["pools"].as_array()?.iter();
        let mut key = Key {
            entry: entry.to_owned(),
            token: token.to_owned(),
            kid: text(&header["kid"]),
            serial: text(&claims["jti"]),
            product: text(&claims["aud"]),
            grant: text(&claims["grant"]),
            plan: text(&claims["plan"]),
            iat: claims["iat"].as_i64()?,
            nbf: claims["nbf"].as_i64()?,
            exp,
            grace: exp.map(|exp| claims["grace_until"].as_i64().unwrap_or(exp)),
            demo_seats: claims["demo_seats"].as_u64().unwrap_or(0),
            pools: pools.map(|pool| (text(&pool["name"]), pool["seats"].as_u64().unwrap_or(0))).collect(),
            contract: (text(&claims["subscription"]["namespace"]), text(&claims["subscription"]["name"])),
            term: claims["subscription"]["term"].as_u64().unwrap_or(0),
            content: String::new(),
        };
        let claims = claims.as_object_mut()?;
        claims.shift_remove("jti");
        claims.shift_remove("iat");
        // A key that was signed before a cancellation was entered says until when that was possible.
        claims.shift_remove("notice_deadline");
        key.content = serde_json::to_string(claims).ok()?;
        Some(key)
    }

    /// Whether it still matters at `now`, which is in seconds.
    pub fn lives(&self, now: i64) -> bool {
        self.grace.is_none_or(|grace| grace > now)
    }

    pub fn in_force(&self, now: i64) -> bool {
        self.nbf <= now && self.exp.is_none_or(|exp| now < exp)
    }
}

fn part(text: &str) -> Option<Value> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// Returns the entries of a Secret.
pub fn entries(secret: &Value) -> Vec<(String, String)> {
    let data = secret["data"].as_object().into_iter().flatten();
    let text = |value: &Value| String::from_utf8(BASE64_STANDARD.decode(value.as_str()?).ok()?).ok();
    data.filter_map(|(entry, value)| Some((entry.clone(), text(value)?))).collect()
}

/// The public keys and revoked serials that a Secret publishes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Published {
    pub kids: BTreeSet<String>,
    pub revoked: BTreeSet<String>,
}

impl Published {
    pub fn read(secret: &Value) -> Self {
        let mut published = Published::default();
        for (entry, text) in entries(secret) {
            match entry.as_str() {
                "jwks.json" => {
                    let jwks: Value = serde_json::from_str(&text).unwrap_or_default();
                    let kids = jwks["keys"].as_array().into_iter().flatten().filter_map(|jwk| jwk["kid"].as_str());
                    published.kids.extend(kids.map(str::to_owned));
                }
                "revoked.jwt" => {
                    let list = text.split('.').nth(1).and_then(part).unwrap_or_default();
                    let serials = list["serials"].as_array().into_iter().flatten().filter_map(Value::as_str);
                    published.revoked.extend(serials.map(str::to_owned));
                }
                _ => {}
            }
        }
        published
    }
}

/// Returns what keys grant together at an instant: brute force after docs/design/domain.md, Which keys count and Mode.
pub fn judge(keys: &[&Key], now: i64) -> (&'static str, String) {
    let mut grants: BTreeMap<&str, Vec<&Key>> = BTreeMap::new();
    for key in keys {
        grants.entry(&key.grant).or_default().push(key);
    }
    let mut full = Vec::new();
    let mut grace = Vec::new();
    let mut ended: Vec<&Key> = Vec::new();
    for keys in grants.values() {
        if let Some(key) = keys.iter().filter(|k| k.in_force(now)).max_by_key(|k| (k.nbf, k.iat, &k.serial)) {
            full.push(*key);
            continue;
        }
        let over = || keys.iter().filter(|k| k.exp.is_some_and(|exp| exp <= now));
        let Some(last) = over().max_by_key(|k| (k.exp, k.nbf, k.iat, &k.serial)) else { continue };
        match over().any(|k| k.grace.is_some_and(|grace| now < grace)) {
            true => grace.push(*last),
            false => ended.push(*last),
        }
    }
    let mode = match (full.is_empty(), grace.is_empty()) {
        (false, _) => "Full",
        (true, false) => "Grace",
        (true, true) => "Demo",
    };
    if mode == "Demo" {
        let last = ended.iter().max_by_key(|k| (k.exp, k.nbf, k.iat, &k.serial));
        return (mode, format!("demo {}", last.map_or(0, |key| key.demo_seats)));
    }
    let mut pools: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, seats) in full.iter().chain(&grace).flat_map(|key| &key.pools) {
        *pools.entry(name).or_default() += seats;
    }
    let shown: Vec<String> = pools.iter().map(|(name, seats)| format!("{name} {seats}")).collect();
    (mode, shown.join(", "))
}
