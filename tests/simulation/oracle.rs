//! Judges every write at the moment it takes effect, and the whole state once everything has come to rest.

use std::collections::{BTreeMap, BTreeSet};

use seatkeeper::domain::Instant;
use serde::Deserialize;
use serde_json::Value;

use crate::contract::{Contract, Owed, Plan};
use crate::entitled::{Entitled, Seen, without_use};
use crate::key::{Key, Published, entries, judge};
use crate::world::{LicenseModel, Licenses, World};

/// A namespace, and a name in it.
pub type Name = (String, String);

/// What the simulator knows about the world, and what it has seen.
pub struct Oracle {
    pub plans: Vec<Plan>,
    pub contracts: Vec<Contract>,
    pub licenses: Licenses,
    /// Namespaces with a signing key.
    pub issuers: BTreeSet<String>,
    /// The versions of contracts since everything was last at rest: a cache may show any of these.
    earlier: Vec<(usize, Contract)>,
    pub keys: BTreeMap<Name, Vec<Key>>,
    published: BTreeMap<Name, Published>,
    modes: BTreeMap<Name, (String, String)>,
    /// The serials under which each content was issued.
    serials: BTreeMap<String, BTreeSet<String>>,
    /// The issued keys, by contract and serial.
    issued: BTreeMap<Name, BTreeMap<String, Key>>,
    /// The serials in Secrets that were deleted: a cache may show them a little longer.
    deleted: BTreeSet<String>,
    /// The parts of contracts for which there was a key: contract, plan, from, until.
    covered: BTreeSet<(usize, String, Instant, Option<Instant>)>,
    /// When something may happen to each contract by itself; `None` if not computed since the contract changed.
    instants: Vec<Option<BTreeSet<Instant>>>,
    /// The most by which clocks that agree may differ.
    pub early: chrono::TimeDelta,
    /// The Licenses whose seats are used, and what they grant.
    used: BTreeSet<Name>,
    pub entitled: Seen,
    pub violation: Option<String>,
}

/// The part of a status that is judged; most of a status is not.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    mode: String,
    seats: String,
    keys: Vec<Issued>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Issued {
    serial: String,
}

impl Oracle {
    pub fn new(world: &World) -> Self {
        Oracle {
            plans: world.plans.clone(),
            contracts: world.contracts.clone(),
            licenses: Licenses::new(),
            issuers: BTreeSet::new(),
            earlier: Vec::new(),
            keys: BTreeMap::new(),
            published: BTreeMap::new(),
            modes: BTreeMap::new(),
            serials: BTreeMap::new(),
            issued: BTreeMap::new(),
            deleted: BTreeSet::new(),
            covered: BTreeSet::new(),
            instants: vec![None; world.contracts.len()],
            early: chrono::TimeDelta::zero(),
            used: world.users.iter().map(|user| user.license.clone()).collect(),
            entitled: Seen::default(),
            violation: None,
        }
    }

    /// Changes a contract of the model.
    pub fn change(&mut self, n: usize, change: impl FnOnce(&mut Contract)) {
        self.earlier.push((n, self.contracts[n].clone()));
        change(&mut self.contracts[n]);
        self.instants[n] = None;
    }

    pub fn revoked(&self, serial: &str) -> bool {
        self.published.values().any(|published| published.revoked.contains(serial))
    }

    /// Judges a write to a path that took effect; `body` is what was sent.
    pub fn wrote(&mut self, path: &str, body: &[u8], now: Instant) {
        let whole = || serde_json::from_slice::<Value>(body).unwrap_or_default();
        let status = || serde_json::from_slice::<Told>(body).expect("a status").status;
        let parts: Vec<&str> = path.split('/').skip_while(|part| *part != "namespaces").skip(1).collect();
        match parts[..] {
            [namespace, "secrets", ..] => {
                let body = whole();
                let name = body["metadata"]["name"].as_str().unwrap_or_default();
                self.wrote_secret((namespace.to_owned(), name.to_owned()), &body, now);
            }
            [namespace, "licenses", name, "status"] => {
                let status = status();
                let seats = without_use(&status.seats);
                self.modes.insert((namespace.to_owned(), name.to_owned()), (status.mode, seats));
            }
            [namespace, "subscriptions", name, "status"] => {
                let contract = (namespace.to_owned(), name.to_owned());
                for Issued { serial } in status().keys {
                    let issued = self.issued.get(&contract).is_some_and(|issued| issued.contains_key(&serial));
                    if !issued && !self.deleted.contains(&serial) {
                        self.violate(format!(
                            "Subscription {namespace}/{name} names key {serial}, which is in no Secret"
                        ));
                    }
                }
            }
            [namespace, "licenses"] => {
                let body = whole();
                let secrets = body["spec"]["keys"].as_array().into_iter().flatten();
                let secrets = secrets.filter_map(|key| key["secretRef"]["name"].as_str().map(str::to_owned)).collect();
                let product = body["spec"]["product"].as_str().unwrap_or_default().to_owned();
                let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                self.licenses
                    .insert((namespace.to_owned(), name), LicenseModel { product, secrets, subscription: None });
            }
            _ => {}
        }
    }

    pub fn wrote_secret(&mut self, name: Name, body: &Value, now: Instant) {
        match body["type"].as_str() {
            Some("seatkeeper.dev/license") => {
                // Most of the keys were there before, and parsing one takes long.
                let before = self.keys.get(&name).map_or(&[][..], Vec::as_slice);
                let read = |(entry, token): &(String, String)| {
                    let known = before.iter().find(|key| key.entry == *entry && key.token == *token).cloned();
                    known.or_else(|| Key::read(entry, token))
                };
                let keys: Vec<Key> = entries(body).iter().filter_map(read).collect();
                for key in &keys {
                    self.saw(key, now);
                }
                // All other contracts have the keys that they had.
                let concerned = |n: &usize| self.contracts[*n].may_keep_keys_in(&name.1);
                let concerned: Vec<usize> = (0..self.contracts.len()).filter(concerned).collect();
                self.keys.insert(name, keys);
                concerned.into_iter().for_each(|n| self.look_for_gaps(n, now));
            }
            Some("seatkeeper.dev/trust") => {
                self.published.insert(name, Published::read(body));
                self.look_for_gaps_of_all(now);
            }
            _ => {}
        }
    }

    fn saw(&mut self, key: &Key, now: Instant) {
        if self.issued.get(&key.contract).is_some_and(|issued| issued.contains_key(&key.serial)) {
            return;
        }
        let of_content = self.serials.entry(key.content.clone()).or_default().clone();
        if let Some(other) = of_content.iter().find(|other| **other != key.serial && !self.revoked(other)) {
            self.violate(format!("the same key has two serials, {other} and {}: {}", key.serial, key.content));
        }
        self.serials.entry(key.content.clone()).or_default().insert(key.serial.clone());
        self.issued.entry(key.contract.clone()).or_default().insert(key.serial.clone(), key.clone());
        let of = self.contracts.iter().find(|c| (&c.namespace, &c.name) == (&key.contract.0, &key.contract.1));
        let Some(contract) = of else { return };
        let plan = contract.lines.iter().map(|line| &self.plans[line.plan]).find(|plan| plan.name == key.plan);
        let due = match plan.and_then(|plan| plan.terms.as_ref()) {
            Some(terms) => contract.due(terms, u32::try_from(key.term).unwrap_or(1)),
            None => contract.begin(contract.starts_on),
        };
        if due > now + self.early {
            self.violate(format!("the key of term {} of {:?} came at {now}, before {due}", key.term, key.contract));
        }
    }

    /// Returns the keys that a contract owes whichever version of it a cache shows.
    fn surely_owed(&self, n: usize, now: Instant) -> Vec<Owed> {
        let mut owed = self.contracts[n].owed(&self.plans, now);
        for (_, earlier) in self.earlier.iter().filter(|(of, _)| *of == n) {
            let then = earlier.owed(&self.plans, now);
            owed.retain(|key| then.iter().any(|other| (&other.plan, other.term) == (&key.plan, key.term)));
        }
        owed
    }

    /// Checks that no customer is without a key that is owed, once there was one.
    pub fn look_for_gaps_of_all(&mut self, now: Instant) {
        (0..self.contracts.len()).for_each(|n| self.look_for_gaps(n, now));
    }

    fn look_for_gaps(&mut self, n: usize, now: Instant) {
        if !self.contracts[n].there {
            return;
        }
        for owed in self.surely_owed(n, now) {
            if owed.until.is_some_and(|until| until <= now) {
                continue;
            }
            let is = self.is_covered(n, &owed);
            let segment = (n, owed.plan.clone(), owed.from, owed.until);
            // A contract without its Plan cannot be judged, and nothing can be issued for it.
            let of = |plan: &&Plan| plan.namespace == self.contracts[n].namespace && plan.name == owed.plan;
            if self.plans.iter().find(of).is_some_and(|plan| !plan.there) {
                self.covered.remove(&segment);
            } else if is {
                self.covered.insert(segment);
            } else if self.covered.remove(&segment) {
                let contract = &self.contracts[n];
                let text =
                    format!("{}/{} no longer has a key for {owed:?} at {now}", contract.namespace, contract.name);
                self.violate(text);
            }
        }
    }

    fn is_covered(&self, n: usize, owed: &Owed) -> bool {
        let contract = &self.contracts[n];
        let license = contract.license.as_ref().and_then(|name| self.licenses.get(name));
        let places = contract.places(&self.plans, license);
        let covers = |key: &Key| {
            (&key.contract.0, &key.contract.1, &key.plan) == (&contract.namespace, &contract.name, &owed.plan)
                && key.nbf <= owed.from.timestamp()
                && key.exp.is_none_or(|exp| owed.until.is_some_and(|until| exp >= until.timestamp()))
                && !self.revoked(&key.serial)
                && self.is_trusted(&contract.namespace, key)
        };
        places.iter().any(|(namespace, secret, _)| {
            self.keys.get(&(namespace.clone(), secret.clone())).is_some_and(|keys| keys.iter().any(covers))
        })
    }

    fn is_trusted(&self, namespace: &str, key: &Key) -> bool {
        let trust = self.published.get(&(namespace.to_owned(), "issuer-trust".to_owned()));
        trust.is_some_and(|published| published.kids.contains(&key.kid))
    }

    /// Call when a person has deleted a Secret with keys.
    pub fn deleted(&mut self, name: &Name) {
        for key in self.keys.remove(name).unwrap_or_default() {
            // A contract's keys may be in a second Secret.
            if !self.keys.values().flatten().any(|other| other.serial == key.serial) {
                self.issued.entry(key.contract.clone()).or_default().remove(&key.serial);
            }
            self.deleted.insert(key.serial.clone());
        }
        self.covered.clear();
    }

    /// Call when a person has revoked a key by hand, so that a customer may be without one.
    pub fn gap_is_wanted(&mut self) {
        self.covered.clear();
    }

    pub fn deleted_license(&mut self, name: &Name) {
        self.licenses.remove(name);
        self.modes.remove(name);
    }

    fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    /// Returns the next instant from `from` on, and until `end`, at which something may happen by itself.
    pub fn next_instant(&mut self, from: Instant, end: Instant) -> Option<Instant> {
        let there = self.contracts.iter().zip(&mut self.instants).filter(|(contract, _)| contract.there);
        let next = there.filter_map(|(contract, instants)| {
            let instants = instants.get_or_insert_with(|| contract.instants(&self.plans, end));
            instants.range(from..).next().copied()
        });
        next.min()
    }

    /// Call when everything is at rest: earlier versions of contracts no longer count.
    pub fn at_rest(&mut self) {
        self.earlier.clear();
    }

    /// Notes what the Licenses whose seats are used grant at `now`. Call whenever that may have changed.
    pub fn note_entitled(&mut self, now: Instant) {
        for name in &self.used {
            let Some(license) = self.licenses.get(name) else { continue };
            for at in [now - self.early, now, now + self.early] {
                let (mode, shown) = self.granted(name, license, at);
                self.entitled.note(name, Entitled { is_demo: mode == "Demo", shown });
            }
        }
    }

    /// Returns what a License grants at `now`.
    fn granted(&self, (namespace, _): &Name, license: &LicenseModel, now: Instant) -> (&'static str, String) {
        let own = self.published.get(&(namespace.clone(), "issuer-trust".to_owned()));
        let trust = own.or(self.published.get(&(namespace.clone(), "vendor-trust".to_owned())));
        let secrets = license.secrets.iter().filter_map(|s| self.keys.get(&(namespace.clone(), s.clone())));
        let counts = |key: &&Key| {
            key.product == license.product
                && !self.revoked(&key.serial)
                && trust.is_some_and(|published| published.kids.contains(&key.kid))
        };
        let keys: Vec<&Key> = secrets.flatten().filter(counts).collect();
        judge(&keys, now.timestamp())
    }

    /// Returns what is wrong once everything has come to rest.
    pub fn wrong(&self, now: Instant) -> Option<String> {
        (0..self.contracts.len()).find_map(|n| self.wrong_keys(n, now)).or_else(|| self.wrong_mode(now))
    }

    fn wrong_keys(&self, n: usize, now: Instant) -> Option<String> {
        let contract = &self.contracts[n];
        let plans = contract.lines.iter().all(|line| self.plans[line.plan].there);
        if !contract.there || !plans || !self.issuers.contains(&contract.namespace) {
            return None;
        }
        let license = contract.license.as_ref().and_then(|name| self.licenses.get(name));
        if let Some((namespace, name)) = &contract.license {
            let accepted = license.and_then(|l| l.subscription.as_ref());
            match (*namespace == contract.namespace, license) {
                (true, None) => return Some(format!("License {namespace}/{name} was not made")),
                (false, _) if accepted != Some(&(contract.namespace.clone(), contract.name.clone())) => return None,
                _ => {}
            }
        }
        let owed = contract.owed(&self.plans, now);
        contract.places(&self.plans, license).iter().find_map(|(namespace, secret, product)| {
            let keys = self.keys.get(&(namespace.clone(), secret.clone())).map_or(&[][..], Vec::as_slice);
            let of = |key: &&Key| (&key.contract.0, &key.contract.1) == (&contract.namespace, &contract.name);
            let live: Vec<&Key> =
                keys.iter().filter(of).filter(|key| key.lives(now.timestamp()) && !self.revoked(&key.serial)).collect();
            let wanted: Vec<&Owed> =
                owed.iter().filter(|key| product.as_ref().is_none_or(|p| *p == key.product)).collect();
            let place = format!("Secret {namespace}/{secret} at {now}");
            let missing = wanted
                .iter()
                .filter(|key| key.grace.is_none_or(|grace| grace > now))
                .find(|owed| !live.iter().any(|key| is(key, owed)));
            if let Some(missing) = missing {
                return Some(format!("{place} lacks {missing:?}"));
            }
            let too_much = live.iter().find(|key| !wanted.iter().any(|owed| is(key, owed)));
            if let Some(key) = too_much {
                return Some(format!("{place} has a key that is not owed: {key:?}"));
            }
            let twice = live.iter().enumerate().find(|(n, key)| live[..*n].iter().any(|k| k.content == key.content));
            if let Some((_, key)) = twice {
                return Some(format!("{place} has a key twice: {key:?}"));
            }
            let issued = self.issued.get(&(contract.namespace.clone(), contract.name.clone()));
            let gone = issued.into_iter().flat_map(BTreeMap::values).find(|key| {
                key.lives(now.timestamp())
                    && !self.revoked(&key.serial)
                    && !wanted.iter().any(|owed| is(key, owed))
                    && product.as_ref().is_none_or(|p| *p == key.product)
            });
            gone.map(|key| format!("a key that is not owed was not revoked: {key:?}"))
        })
    }

    fn wrong_mode(&self, now: Instant) -> Option<String> {
        self.licenses.iter().find_map(|(full, license)| {
            let (namespace, name) = full;
            let shown = self.modes.get(full);
            let (mode, seats) = self.granted(full, license, now);
            match shown {
                Some((shown, shown_seats)) if shown == mode && *shown_seats == seats => None,
                _ => {
                    Some(format!("License {namespace}/{name} shows {shown:?} at {now} and should show {mode}, {seats}"))
                }
            }
        })
    }
}

/// Whether `key` is the key that is owed.
fn is(key: &Key, owed: &Owed) -> bool {
    let seconds = |at: Option<Instant>| at.map(|at| at.timestamp());
    let times = (owed.from.timestamp(), seconds(owed.until), seconds(owed.grace));
    (&key.plan, key.term, key.nbf, key.exp, key.grace) == (&owed.plan, u64::from(owed.term), times.0, times.1, times.2)
        && key.pools.len() == owed.pools.len()
        && owed.pools.iter().all(|(name, seats)| key.pools.get(name) == Some(&u64::from(*seats)))
}
