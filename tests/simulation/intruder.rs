//! Somebody with the role `admin` in one namespace, who knows everything public about another: names, grants,
//! serials, public keys, sessions. It does whatever its role allows, in random order.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::SigningKey;
use http::Method;
use seatkeeper::domain::license::jwk::{publish, signing_key_pem};
use seatkeeper::domain::license::key::KEY_TYPE;
use seatkeeper::domain::license::name::LicenseName;
use seatkeeper::domain::license::token::sign;
use seatkeeper::domain::license::trust::{Revocations, sign_revocations};
use seatkeeper::domain::seats::taker::Taker;
use seatkeeper::seats::{Ask, Desk, Seat};
use seatkeeper_embedded::Embedded;
use serde_json::{Map, Value, json};

use crate::api::{ask, folder, ours, secret};
use crate::contact_centre;
use crate::dice::Dice;

/// Its own namespace.
pub const INTRUDER: &str = "intruder";
const VICTIM: &str = "centre";
/// Names that the victim's objects have, and another one.
const LICENSES: [&str; 3] = ["innoacd", "filed", "own"];
const SECRETS: [&str; 7] = ["keys", "issuer", "issuer-trust", "vendor-trust", "filed-keys", "contract-keys", "own"];
const CONTRACTS: [&str; 3] = ["contract", "innoacd", "own"];
const PRODUCTS: [&str; 3] = ["innoacd", "acd", "own"];
const POOLS: [&str; 3] = ["agents", "team", "own"];

/// What is public about the victim.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// What its keys say, without their signatures.
    pub claims: Vec<Value>,
    /// Its vendors' JWK sets.
    pub jwks: Vec<String>,
    /// The seats that it holds, as the list of holders shows them.
    pub seats: Vec<Seat>,
    pub users: Vec<String>,
}

pub struct Intruder {
    dice: Dice,
    seats: Vec<Seat>,
    sessions: u64,
    /// How many of its requests to the API were accepted.
    pub accepted: u64,
    /// How many seats it was granted on its own Licenses.
    pub granted: u64,
}

fn taker() -> Taker {
    Taker::of("system:serviceaccount:intruder:agent", Some("intruder"), None)
}

impl Intruder {
    pub fn new(seed: u64) -> Self {
        Intruder { dice: Dice::new(seed, 33), seats: Vec::new(), sessions: 0, accepted: 0, granted: 0 }
    }

    /// How many things it does before the victim's next step.
    pub fn times(&mut self) -> u64 {
        self.dice.below(6)
    }

    /// Does one thing.
    pub async fn acts(&mut self, api: &Embedded, desk: Option<&Desk>, known: &Known) {
        match self.dice.below(16) {
            0 => self.writes_secret(api, "issuer", known).await,
            1 | 2 => self.writes_secret(api, "trust", known).await,
            3 | 4 => self.writes_secret(api, "license", known).await,
            5 | 6 => self.writes_license(api).await,
            7 => self.writes_roster(api, known).await,
            8 => self.writes_plan(api).await,
            9 => self.writes_subscription(api).await,
            10 => self.marks(api).await,
            11 => self.deletes(api).await,
            12 => self.writes_what_we_do_not_read(api).await,
            _ => {
                if let Some(desk) = desk {
                    self.uses_seats(desk, known).await;
                }
            }
        }
    }

    /// Begins with a contract of its own, so that it has a License with seats.
    pub async fn settles(&mut self, api: &Embedded) {
        let pem = signing_key_pem(&[99; 32]).expect("a key").1;
        let issuer = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "seatkeeper.dev/issuer",
            "metadata": {"name": "issuer", "namespace": INTRUDER},
            "data": {"signing-key.pem": BASE64_STANDARD.encode(pem)},
        });
        self.apply(api, &secret(INTRUDER, "issuer"), &issuer).await;
        let plan = json!({
            "title": "Own", "product": "own", "terms": {"interval": {"months": 12}, "notice": {"months": 3}},
            "license": {"pools": [{"name": "own", "model": "Concurrent", "countBy": "Start"}]},
        });
        self.apply_ours(api, "Plan", "plans", "own", plan).await;
        let subscription = json!({
            "customer": {"organisation": "Own"}, "startsOn": "2030-01-01", "timeZone": "UTC",
            "plans": [{"name": "own", "pools": [{"name": "own", "seats": 5}]}],
            "issuer": {"secretRef": {"name": "issuer"}},
            "deliverTo": {"license": {"name": "own", "secretName": "own-license"}},
        });
        self.apply_ours(api, "Subscription", "subscriptions", "own", subscription).await;
    }

    fn name(&mut self, from: &[&str]) -> String {
        (*self.dice.pick(from)).to_owned()
    }

    /// Mostly the usual name, so that its objects find one another.
    fn usually(&mut self, usual: &str, from: &[&str]) -> String {
        if self.dice.percent(70) { usual.to_owned() } else { self.name(from) }
    }

    fn signer(&mut self) -> SigningKey {
        SigningKey::from_bytes(&[100 + self.dice.below(2) as u8; 32])
    }

    async fn apply(&mut self, api: &Embedded, path: &str, object: &Value) {
        let (mut code, _) = ask(api, Method::POST, folder(path), Some(object)).await;
        if code == 409 {
            (code, _) = ask(api, Method::PATCH, path, Some(object)).await;
        }
        self.accepted += u64::from(code < 300);
    }

    async fn apply_ours(&mut self, api: &Embedded, kind: &str, plural: &str, name: &str, spec: Value) {
        let object = json!({
            "apiVersion": "seatkeeper.dev/v1alpha1", "kind": kind, "spec": spec,
            "metadata": {"name": name, "namespace": INTRUDER, "annotations": self.annotations()},
        });
        self.apply(api, &ours(INTRUDER, plural, name), &object).await;
    }

    /// Annotations of the operator, which say that an object belongs to the victim's.
    fn annotations(&mut self) -> Value {
        let owners = ["centre/contract", "centre/Subscription/contract", "centre/issuer", "centre/Secret/issuer"];
        match self.dice.percent(20) {
            true => json!({"seatkeeper.dev/owner": self.name(&owners)}),
            false => json!({}),
        }
    }

    async fn writes_secret(&mut self, api: &Embedded, type_: &str, known: &Known) {
        let usual = match type_ {
            "issuer" => "issuer",
            "trust" => "vendor-trust",
            _ => "keys",
        };
        let name = self.usually(usual, &SECRETS);
        let mut data = Map::new();
        let mut keep = |entry: &str, text: &str| _ = data.insert(entry.into(), BASE64_STANDARD.encode(text).into());
        match type_ {
            "issuer" => keep("signing-key.pem", &signing_key_pem(&self.signer().to_bytes()).expect("a key").1),
            "trust" => {
                keep("jwks.json", &self.jwks(known));
                if self.dice.percent(50) {
                    keep("revoked.jwt", &self.revocations(known));
                }
            }
            _ => (0..self.dice.between(1, 3)).for_each(|n| keep(&format!("{n}.jwt"), &self.key(known))),
        }
        if self.dice.percent(10) {
            keep("rubbish", &"{".repeat(self.dice.below(20_000) as usize));
        }
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "type": format!("seatkeeper.dev/{type_}"), "data": data,
            "metadata": {"name": name, "namespace": INTRUDER, "annotations": self.annotations()},
        });
        let path = secret(INTRUDER, &name);
        if self.dice.percent(30) {
            // Of another type than before, perhaps.
            _ = ask(api, Method::DELETE, &path, None).await;
        }
        self.apply(api, &path, &object).await;
    }

    /// Its own public key, those of the victim, both, or its own under the victim's name.
    fn jwks(&mut self, known: &Known) -> String {
        let mut own = serde_json::to_value(publish(&[self.signer().verifying_key()])).expect("it is JSON");
        let theirs: Value = match known.jwks.is_empty() {
            true => json!({"keys": []}),
            false => serde_json::from_str(self.dice.pick::<String>(&known.jwks)).unwrap_or_default(),
        };
        let of_theirs = theirs["keys"].as_array().cloned().unwrap_or_default();
        let set = match self.dice.below(4) {
            0 => theirs,
            1 => {
                let all: Vec<Value> = [own["keys"][0].take()].into_iter().chain(of_theirs).collect();
                json!({"keys": all})
            }
            2 => {
                own["keys"][0]["kid"] = of_theirs.first().map_or(Value::Null, |key| key["kid"].clone());
                own
            }
            _ => own,
        };
        set.to_string()
    }

    fn revocations(&mut self, known: &Known) -> String {
        let serial = |claims: &Value| Some(claims["jti"].as_str()?.to_owned());
        let serials = known.claims.iter().filter_map(serial).collect();
        let version = self.dice.pick(&[1, 2, 1_000_000]).to_owned();
        let (iat, exp) = (self.dice.between(1, 4_000_000_000), None);
        sign_revocations(&Revocations { version, iat, exp, serials }, &self.signer())
    }

    /// A key of its own that says what the victim's says, or more; sometimes under the victim's name.
    fn key(&mut self, known: &Known) -> String {
        let mut claims = match known.claims.is_empty() {
            true => {
                json!({"iss": "centre", "jti": "own", "sub": "Own", "aud": "innoacd", "grant": "contract", "nbf": 1})
            }
            false => self.dice.pick(&known.claims).clone(),
        };
        let seats = self.dice.pick(&[0, 1, 3, 100_000]).to_owned();
        let product = claims["aud"].as_str().unwrap_or_default().to_owned();
        claims["aud"] = self.usually(&product, &PRODUCTS).into();
        match self.dice.below(8) {
            0 => claims["exp"] = json!(4_000_000_000u64),
            1 => claims["exp"] = json!(1_000),
            2 => claims["iat"] = json!(self.dice.between(1, 4_000_000_000)),
            _ => {}
        }
        if let Some(pools) = claims["pools"].as_array_mut() {
            pools.iter_mut().for_each(|pool| pool["seats"] = json!(seats));
        }
        let signed = sign(KEY_TYPE, &claims, &self.signer());
        let kid = known.jwks.first().and_then(|jwks| {
            let jwks: Value = serde_json::from_str(jwks).ok()?;
            Some(jwks["keys"][0]["kid"].as_str()?.to_owned())
        });
        let rest = signed.split_once('.').map(|(_, rest)| rest.to_owned());
        match (kid, rest) {
            (Some(kid), Some(rest)) if self.dice.percent(25) => {
                let header = json!({"alg": "EdDSA", "typ": KEY_TYPE, "kid": kid}).to_string();
                format!("{}.{rest}", BASE64_URL_SAFE_NO_PAD.encode(header))
            }
            _ => signed,
        }
    }

    fn reference(&mut self, names: &[&str]) -> Value {
        let name = self.name(names);
        match self.dice.below(3) {
            0 => json!({"name": name}),
            1 => json!({"name": name, "namespace": INTRUDER}),
            _ => json!({"name": name, "namespace": VICTIM}),
        }
    }

    async fn writes_license(&mut self, api: &Embedded) {
        let keys: Vec<Value> = (0..self.dice.below(4))
            .map(|n| json!({"name": format!("k{n}"), "secretRef": {"name": self.usually("keys", &SECRETS)}}))
            .collect();
        let mut spec = json!({"product": self.name(&PRODUCTS), "keys": keys});
        if self.dice.percent(70) {
            spec["trust"] = json!({"secretRef": {"name": self.usually("vendor-trust", &SECRETS)}});
        }
        if self.dice.percent(50) {
            spec["subscriptionRef"] = self.reference(&CONTRACTS);
        }
        if self.dice.percent(30) {
            spec["allowedNamespaces"] = json!({"from": "All"});
        }
        if self.dice.percent(30) {
            spec["reservations"] = json!([{"pool": "agents", "team": "t", "seats": 3}]);
        }
        let name = self.name(&LICENSES);
        self.apply_ours(api, "License", "licenses", &name, spec).await;
    }

    async fn writes_roster(&mut self, api: &Embedded, known: &Known) {
        let mode = |dice: &mut Dice| *dice.pick(&["Active", "Passive", "None"]);
        let members: Vec<Value> = known
            .users
            .iter()
            .map(
                |user| json!({"user": user, "loginMode": mode(&mut self.dice), "entryDate": "2000-01-01", "team": "t"}),
            )
            .collect();
        let spec = json!({"licenseRef": self.reference(&LICENSES), "members": members});
        let name = self.name(&LICENSES);
        self.apply_ours(api, "Roster", "rosters", &name, spec).await;
    }

    async fn writes_plan(&mut self, api: &Embedded) {
        let pools = json!([
            {"name": self.name(&POOLS), "model": "Concurrent", "countBy": "Start"},
            {"name": "per-user", "model": "PerUser", "countBy": "Start", "loginMode": "Active"},
        ]);
        let spec = json!({
            "title": "Own", "product": self.name(&PRODUCTS),
            "terms": {"interval": {"months": 12}, "notice": {"months": 3}},
            "license": {"graceDays": 14, "demoSeats": 2, "pools": pools},
        });
        let name = self.name(&CONTRACTS);
        self.apply_ours(api, "Plan", "plans", &name, spec).await;
    }

    async fn writes_subscription(&mut self, api: &Embedded) {
        let pools = json!([{"name": self.name(&POOLS), "seats": self.dice.below(100)}]);
        let mut license = self.reference(&LICENSES);
        if self.dice.percent(60) {
            license["secretName"] = self.name(&SECRETS).into();
        }
        let mut to = json!({"license": license});
        if self.dice.percent(30) {
            to["file"] = "Keep".into();
        }
        let spec = json!({
            "customer": {"organisation": self.name(&CONTRACTS)}, "startsOn": "2030-01-01", "timeZone": "UTC",
            "plans": [{"name": self.name(&CONTRACTS), "pools": pools}],
            "issuer": {"secretRef": {"name": self.name(&["issuer", "own", "issuer-trust"])}}, "deliverTo": to,
        });
        let name = self.name(&CONTRACTS);
        self.apply_ours(api, "Subscription", "subscriptions", &name, spec).await;
    }

    fn one_of_its_objects(&mut self) -> String {
        match self.dice.below(5) {
            0 => ours(INTRUDER, "licenses", &self.name(&LICENSES)),
            1 => ours(INTRUDER, "rosters", &self.name(&LICENSES)),
            2 => ours(INTRUDER, "subscriptions", &self.name(&CONTRACTS)),
            3 => ours(INTRUDER, "plans", &self.name(&CONTRACTS)),
            _ => secret(INTRUDER, &self.name(&SECRETS)),
        }
    }

    /// Says of an object that the operator has made it for the victim.
    async fn marks(&mut self, api: &Embedded) {
        let path = self.one_of_its_objects();
        let annotations = self.annotations();
        let patch = json!({"metadata": {"annotations": annotations, "labels": {"seatkeeper.dev/owner": "centre"}}});
        let (code, _) = ask(api, Method::PATCH, &path, Some(&patch)).await;
        self.accepted += u64::from(code < 300);
    }

    async fn deletes(&mut self, api: &Embedded) {
        let one = self.one_of_its_objects();
        let path = if self.dice.percent(20) { folder(&one) } else { one.as_str() };
        let (code, _) = ask(api, Method::DELETE, path, None).await;
        self.accepted += u64::from(code < 300);
    }

    async fn writes_what_we_do_not_read(&mut self, api: &Embedded) {
        let (kind, plural) = *self.dice.pick(&[("ConfigMap", "configmaps"), ("ServiceAccount", "serviceaccounts")]);
        let name = self.name(&SECRETS);
        let path = format!("/api/v1/namespaces/{INTRUDER}/{plural}/{name}");
        let metadata = json!({"name": name, "namespace": INTRUDER, "annotations": self.annotations()});
        self.apply(api, &path, &json!({"apiVersion": "v1", "kind": kind, "metadata": metadata})).await;
    }

    /// Takes, keeps and gives back seats of its own Licenses, and names the victim's seats as its own.
    async fn uses_seats(&mut self, desk: &Desk, known: &Known) {
        match self.dice.below(5) {
            0 | 1 => self.takes(desk, known).await,
            2 => _ = desk.heartbeat(&self.seats).await,
            3 if !self.seats.is_empty() => {
                let n = self.dice.below(self.seats.len() as u64) as usize;
                let seat = self.seats.swap_remove(n);
                _ = desk.release(&seat);
            }
            _ if !known.seats.is_empty() => {
                // The list shows no tag; the tag of a seat of its own is what it can try.
                let tag = self.seats.first().and_then(|own| own.tag).filter(|_| self.dice.percent(50));
                let theirs = Seat { taker: Some(taker()), tag, ..self.dice.pick(&known.seats).clone() };
                if self.dice.percent(50) {
                    _ = desk.release(&theirs);
                } else {
                    _ = desk.heartbeat(&[theirs]).await;
                }
            }
            _ => {}
        }
    }

    async fn takes(&mut self, desk: &Desk, known: &Known) {
        self.sessions += 1;
        // Sometimes under the name and in the session of somebody of the victim.
        let session = match known.seats.is_empty() || self.dice.percent(50) {
            true => format!("own-{}", self.sessions),
            false => self.dice.pick(&known.seats).session.clone(),
        };
        let user = self.dice.percent(70).then(|| self.dice.pick(&known.users).clone());
        let pool = self.dice.percent(30).then(|| self.name(&POOLS));
        let count = self.dice.between(1, 3) as u32;
        let license = LicenseName::new(INTRUDER, &self.name(&LICENSES));
        let ask = Ask { license, user, session, pool, count, taker: taker(), ..contact_centre::ask(INTRUDER) };
        if let Some(Ok(granted)) = desk.acquire(&[ask]).await.pop() {
            self.granted += granted.seats.len() as u64;
            self.seats.extend(granted.seats);
        }
    }
}
