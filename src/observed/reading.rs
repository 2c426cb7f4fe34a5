//! The keys and the trust that a License points at, from the caches.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::caches::Observed;
use crate::api::license::KeySource;
use crate::api::{License, secret_type};
use crate::cluster::client::CallError;
use crate::cluster::secrets;
use crate::domain::fault::Fault;
use crate::domain::license::allowance::Allowance;
use crate::domain::license::entitlement::{Presentation, Presented, present};
use crate::domain::license::key::claimed_grant;
use crate::domain::license::trust::Trust;
use crate::domain::reason::Reason;

/// The keys of a License and what could not be read.
pub struct Reading {
    pub keys: Vec<Presented>,
    /// What is missing or wrong about the sources, each with the field that names it.
    pub faults: Vec<Fault>,
    /// Secrets that no cache has: type, name and the field that names each.
    missing: Vec<(&'static str, String, String)>,
    namespace: String,
    /// Whom the License trusts.
    pub trust: Arc<Trust>,
    /// `spec.trust` is set although the installation pins the trust of this product.
    pub trust_pinned: bool,
}

impl Reading {
    pub fn of(license: &License, observed: &Observed) -> Self {
        let namespace = license.namespace().unwrap_or_default();
        let mut reading = Reading {
            keys: Vec::new(),
            faults: Vec::new(),
            missing: Vec::new(),
            namespace,
            trust: Arc::default(),
            trust_pinned: false,
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

    /// The trust that the installation pins for the product or, if it pins none, the License's own.
    fn trust(&mut self, license: &License, observed: &Observed) -> Arc<Trust> {
        let mut chosen = observed.pinned_trust(&license.spec.product);
        self.trust_pinned = !chosen.is_empty() && license.spec.trust.is_some();
        if chosen.is_empty() {
            match &license.spec.trust {
                None if license.spec.keys.is_empty() => {}
                None => {
                    let message = format!(
                        "no keys are trusted for product {}: name a Secret of type {} with the vendor's jwks.json, or \
                         pin the trust in the installation",
                        license.spec.product,
                        secret_type::TRUST
                    );
                    self.faults.push(Fault::new(Reason::TrustMissing, "spec.trust", message));
                }
                Some(source) => match secrets::find(&observed.trusts, &self.namespace, &source.secret_ref.name) {
                    Some(secret) => chosen.push(secret),
                    None => {
                        let name = source.secret_ref.name.clone();
                        self.missing.push((secret_type::TRUST, name, "spec.trust".to_owned()));
                    }
                },
            }
        }
        let (trust, faults) = observed.built_trust.of(&chosen, &observed.trusts);
        self.faults.extend(faults);
        trust
    }

    /// Finds out why Secrets are missing: they do not exist, or are of another type.
    pub async fn explain_missing(&mut self, observed: &Observed) -> Result<(), CallError> {
        for (type_, name, field) in std::mem::take(&mut self.missing) {
            let fault = secrets::explain_missing(&observed.client, type_, &self.namespace, &name).await?;
            self.faults.push(Fault { field, ..fault });
        }
        Ok(())
    }
}

/// The grants that the keys of a License claim, without verifying them.
pub fn claimed_grants(license: &License, observed: &Observed) -> BTreeSet<String> {
    let namespace = license.namespace().unwrap_or_default();
    let found = license.spec.keys.iter().filter_map(|source| {
        let secret = secrets::find(&observed.keys, &namespace, &source.secret_ref.name)?;
        Some((source, secret))
    });
    let found: Vec<(&KeySource, Arc<Secret>)> = found.collect();
    within_bounds(&found).0.into_iter().filter_map(|(_, _, text)| claimed_grant(text)).collect()
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
