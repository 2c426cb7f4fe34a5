//! The keys and the trust that a License points at, from the caches.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::caches::Observed;
use crate::api::license::{IssuerStatus, KeySource};
use crate::api::{License, secret_type};
use crate::cluster::client::CallError;
use crate::cluster::secrets::{self, missing};
use crate::domain::Instant;
use crate::domain::fault::Fault;
use crate::domain::license::allowance::Allowance;
use crate::domain::license::entitlement::{Presentation, Presented, present};
use crate::domain::license::key::claimed_grant;
use crate::domain::license::name::LicenseName;
use crate::domain::license::trust::{Trust, believed_issue};
use crate::domain::license::whom_to_trust::{Says, who_says};
use crate::domain::reason::Reason;
use crate::domain::trusted_time::TOLERANCE;

/// The keys of a License and what could not be read.
pub struct Reading {
    pub keys: Vec<Presented>,
    /// Whether the License names any Secret with keys.
    pub are_named: bool,
    /// What is missing or wrong about the sources, each with the field that names it.
    pub faults: Vec<Fault>,
    /// Secrets that no cache has: type, name and the field that names each.
    missing: Vec<(&'static str, String, String)>,
    namespace: String,
    /// Who says whom the License trusts.
    pub says: Says,
    /// Whom the License trusts.
    pub trust: Arc<Trust>,
    /// The issuers of the Subscriptions that deliver to the License, or did.
    pub issuers: Vec<IssuerStatus>,
    /// Why `spec.trust`, which is set, is not used.
    pub own_trust_unused: Option<Reason>,
}

impl Reading {
    pub fn of(license: &License, observed: &Observed) -> Self {
        let namespace = license.namespace().unwrap_or_default();
        let mut reading = Reading {
            keys: Vec::new(),
            are_named: !license.spec.keys.is_empty(),
            faults: Vec::new(),
            missing: Vec::new(),
            namespace,
            says: Says::Subscriptions,
            trust: Arc::default(),
            issuers: Vec::new(),
            own_trust_unused: None,
        };
        let trust = reading.trust(license, observed);
        reading.trust = trust.clone();
        let cluster = observed.cluster();
        let to = Presentation { product: &license.spec.product, cluster: &cluster, trust: &trust };
        let mut found = Vec::new();
        for source in &license.spec.keys {
            let name = &source.secret_ref.name;
            let field = format!("spec.keys[{}]", source.name);
            let Some(secret) = secrets::find(&observed.keys, &reading.namespace, name) else {
                reading.missing.push((secret_type::LICENSE, name.clone(), field));
                continue;
            };
            if let Some(key) = source.key.as_ref().filter(|_| chosen(source, &secret).next().is_none()) {
                let message = format!("Secret {name} has no entry {key}");
                reading.faults.push(Fault::new(Reason::EntryMissing, field, message));
            }
            found.push((source, secret));
        }
        let (entries, fault) = within_bounds(&found);
        reading.faults.extend(fault);
        for (name, entry, text) in entries {
            reading.keys.push(present(name, entry, observed.verified.verify(text, to.trust), &to));
        }
        reading
    }

    /// The time at which the License is judged: never more than a moment before the latest time at which anything was
    /// signed that counts here. Only signers that the License trusts bear on it, so nobody moves the clock of others, and only
    /// keys that are there and not refused, so a signer can take back a time that was wrong.
    pub fn time(&self, now: Instant) -> Instant {
        let sound = self.keys.iter().filter(|key| key.refusal.is_none()).filter_map(|key| key.claims.as_ref());
        let signed = sound.filter_map(|claims| believed_issue(claims.iat)).chain(self.trust.latest_list());
        signed.max().filter(|signed| *signed > now + TOLERANCE).unwrap_or(now)
    }

    /// Whom the License trusts, as the installation, the License or its Subscriptions say.
    fn trust(&mut self, license: &License, observed: &Observed) -> Arc<Trust> {
        let pins = observed.pinned_trust(&license.spec.product);
        let own = license.spec.trust.as_ref();
        let (says, unused) = who_says(!pins.is_empty(), own.is_some(), observed.trust_from_licenses);
        (self.says, self.own_trust_unused) = (says, unused);
        let named = observed.contract_issuers.of(license);
        let (issuers, published) = named.published(&observed.trusts).into_iter().unzip();
        self.issuers = issuers;
        let chosen = match says {
            Says::Installation => pins,
            Says::License => self.own_trust(license, observed).into_iter().collect(),
            Says::Subscriptions => published,
        };
        if says == Says::Subscriptions && chosen.is_empty() && !license.spec.keys.is_empty() {
            self.faults.push(nobody_trusted(unused, &license.spec.product));
        }
        let name = LicenseName::new(&self.namespace, &license.name_any());
        let (trust, faults) = observed.trust_of(&name, &chosen);
        self.faults.extend(faults);
        trust
    }

    /// The Secret that `spec.trust` names.
    fn own_trust(&mut self, license: &License, observed: &Observed) -> Option<Arc<Secret>> {
        let name = &license.spec.trust.as_ref()?.secret_ref.name;
        let found = secrets::find(&observed.trusts, &self.namespace, name);
        if found.is_none() {
            self.missing.push((secret_type::TRUST, name.clone(), "spec.trust".to_owned()));
        }
        found
    }

    /// Finds out why Secrets are missing: they do not exist, are of another type, or have no room.
    pub async fn explain_missing(&mut self, observed: &Observed) -> Result<(), CallError> {
        for (n, (type_, name, field)) in std::mem::take(&mut self.missing).into_iter().enumerate() {
            let fault = match n < MOST_EXPLAINED {
                true => observed.explain_missing(type_, &self.namespace, &name).await?,
                false => missing(type_, &self.namespace, &name),
            };
            self.faults.push(Fault { field, ..fault });
        }
        Ok(())
    }
}

/// The most missing Secrets of a License about which the API server is asked in one look: as many as its status names.
const MOST_EXPLAINED: usize = 3;

/// Says that no key is trusted, with the reason for which `spec.trust` is not used if it is set.
fn nobody_trusted(own_trust_unused: Option<Reason>, product: &str) -> Fault {
    let (reason, message) = match own_trust_unused {
        Some(reason) => (reason, self::own_trust_unused(reason, product)),
        None => {
            let message = format!(
                "nobody says whose keys to trust for product {product}: pin them in the installation (its chart's value \
                 trust.{product}.jwks); a Subscription that delivers here brings its own"
            );
            (Reason::TrustMissing, message)
        }
    };
    Fault::new(reason, "spec.trust", message)
}

/// Why `spec.trust` is not used, and what to do.
pub fn own_trust_unused(reason: Reason, product: &str) -> String {
    match reason {
        Reason::TrustPinned => {
            format!("spec.trust is ignored: this installation pins the trust for product {product}; remove spec.trust")
        }
        _ => format!(
            "spec.trust is ignored: this installation lets no License say whom to trust; have it pin the keys for \
             product {product} (its chart's value trust.{product}.jwks), or allow this (trust.fromLicenses: Allow)"
        ),
    }
}

/// The grants that keys claim, without verifying them. A text is read once, however many Licenses present it.
#[derive(Default)]
pub struct ClaimedGrants {
    /// By the UID and version of the Secret, and the name of the entry.
    of: HashMap<String, HashMap<String, Option<ClaimedGrant>>>,
}

/// A hash of the name of a grant: names can be long.
pub type ClaimedGrant = [u8; 8];

impl ClaimedGrants {
    /// The grants that the keys of a License claim.
    pub fn of(&mut self, license: &License, observed: &Observed) -> BTreeSet<ClaimedGrant> {
        let namespace = license.namespace().unwrap_or_default();
        let found = license.spec.keys.iter().filter_map(|source| {
            let secret = secrets::find(&observed.keys, &namespace, &source.secret_ref.name)?;
            Some((source, secret))
        });
        let found: Vec<(&KeySource, Arc<Secret>)> = found.collect();
        let versions: HashMap<&str, String> = found
            .iter()
            .map(|(source, secret)| {
                let version = format!("{:?}", (secret.uid(), secret.resource_version()));
                (source.secret_ref.name.as_str(), version)
            })
            .collect();
        let mut claimed = BTreeSet::new();
        for (secret, entry, text) in within_bounds(&found).0 {
            let of_secret = self.of.entry(versions[secret].clone()).or_default();
            let grant = of_secret.entry(entry.to_owned()).or_insert_with(|| {
                let hash = Sha256::digest(claimed_grant(text)?);
                hash.first_chunk().copied()
            });
            claimed.extend(*grant);
        }
        claimed
    }
}

/// An entry of a Secret: the names of both, and its text.
type Entry<'s> = (&'s str, &'s str, &'s [u8]);

/// The entries that a source chooses of its Secret, in the order of their names.
fn chosen<'s>(source: &'s KeySource, secret: &'s Secret) -> impl Iterator<Item = Entry<'s>> {
    let entries = secret.data.iter().flatten();
    let chosen = entries.filter(|(entry, _)| source.key.as_ref().is_none_or(|key| key == *entry));
    chosen.map(|(entry, text)| (source.secret_ref.name.as_str(), entry.as_str(), &*text.0))
}

/// The entries that are read of these Secrets, each once, and what is wrong if they are too many.
fn within_bounds<'s>(found: &'s [(&'s KeySource, Arc<Secret>)]) -> (Vec<Entry<'s>>, Option<Fault>) {
    let (mut seen, mut allowance) = (BTreeSet::new(), Allowance::default());
    let mut entries = Vec::new();
    for entry in found.iter().flat_map(|(source, secret)| chosen(source, secret)) {
        if !seen.insert((entry.0, entry.1)) {
            continue;
        }
        if let Err(fault) = allowance.take(entry.2) {
            return (entries, Some(fault));
        }
        entries.push(entry);
    }
    (entries, None)
}
