//! The issuers that a License trusts because their Subscriptions deliver to it.
//!
//! What counts is the Secret beside the signing key in which the operator publishes an issuer's keys. A person who can
//! write that Secret can also replace the signing key, so nobody gains by it. The tenant of the License can do neither,
//! unless the contract is in the tenant's own namespace; then the tenant is the vendor.
//!
//! A contract that is deleted leaves the customer what they have, so the status of the License names its issuers, and
//! they stay trusted. Only the operator writes a status.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Store;
use std::sync::Arc;

use super::references::{References, target};
use crate::api::delivery::{license_of, takes_keys_of};
use crate::api::license::IssuerStatus;
use crate::api::{License, Subscription, secret_type};
use crate::cluster::secrets::{self, OwnSecret};
use crate::cluster::watch::Guarded;

/// The most issuers that one License trusts.
const MOST: usize = 16;

/// The issuers of contracts.
pub struct Issuers {
    subscriptions: Store<Guarded<Subscription>>,
    /// Which Subscriptions deliver to which License.
    references: Arc<References<Guarded<Subscription>>>,
}

/// The issuers that a License may trust, as `namespace/name` of their Secrets.
pub struct Named {
    delivering: Vec<String>,
    before: Vec<IssuerStatus>,
}

impl Named {
    /// The Secrets that publish their keys, or would, as references.
    pub fn targets(&self) -> impl Iterator<Item = String> {
        let issuers = self.delivering.iter().chain(self.before.iter().map(|named| &named.issuer));
        let parts = issuers.filter_map(|issuer| issuer.split_once('/'));
        parts.map(|(namespace, name)| target("Secret", namespace, &trust_secret_name(name)))
    }

    /// The issuers that have published their keys, each with the Secret that has them.
    pub fn published(&self, trusts: &Store<Secret>) -> Vec<(IssuerStatus, Arc<Secret>)> {
        let delivering = self.delivering.iter().filter_map(|issuer| published(issuer, trusts));
        // Another Secret of that name, perhaps in a later namespace of that name, is somebody else's.
        let before = self.before.iter();
        let before = before.filter_map(|named| published(&named.issuer, trusts).filter(|(found, _)| found == named));
        let mut issuers: Vec<(IssuerStatus, Arc<Secret>)> = Vec::new();
        for (issuer, secret) in delivering.chain(before) {
            if issuers.len() < MOST && issuers.iter().all(|(known, _)| *known != issuer) {
                issuers.push((issuer, secret));
            }
        }
        issuers
    }
}

/// The Secret that publishes the trust of an issuer.
pub fn trust_secret_name(issuer: &str) -> String {
    format!("{issuer}-trust")
}

/// The annotation `seatkeeper.dev/owner` of that Secret.
pub fn owner(namespace: &str, issuer: &str) -> String {
    format!("Issuer {namespace}/{issuer}")
}

impl Issuers {
    pub fn new(
        subscriptions: Store<Guarded<Subscription>>,
        references: Arc<References<Guarded<Subscription>>>,
    ) -> Self {
        Issuers { subscriptions, references }
    }

    /// The issuers of the Subscriptions that deliver to `license`, and those that its status names from before.
    pub fn of(&self, license: &License) -> Named {
        let own = license.namespace().unwrap_or_default();
        // In other namespaces, any number of Subscriptions may name the License. It takes the keys of the one that it names.
        let mut delivering =
            self.references.of_those_in(|namespace| namespace == own, &target("License", &own, &license.name_any()));
        let elsewhere = license.spec.subscription_ref.as_ref();
        let elsewhere = elsewhere.and_then(|of| Some((&of.name, of.namespace.as_ref().filter(|of| **of != own)?)));
        delivering.extend(elsewhere.map(|(name, namespace)| ObjectRef::new(name).within(namespace)));
        Named {
            delivering: delivering.iter().filter_map(|name| self.issuer(name, license)).collect(),
            before: license.status.iter().flat_map(|status| status.issuers.clone()).collect(),
        }
    }

    /// The issuer of the Subscription of that name, if it delivers to `license` and `license` takes its keys.
    fn issuer(&self, name: &ObjectRef<Guarded<Subscription>>, license: &License) -> Option<String> {
        let object = self.subscriptions.get(name)?;
        let subscription = object.0.as_ref().ok()?;
        let to = license_of(subscription)?;
        let is_for = to == (license.namespace().unwrap_or_default(), license.name_any());
        let issuer = &subscription.spec.issuer.as_ref()?.secret_ref.name;
        (is_for && takes_keys_of(license, subscription))
            .then(|| format!("{}/{issuer}", subscription.namespace().unwrap_or_default()))
    }
}

/// The Secret in which the operator publishes the keys of `issuer`; `None` if there is none, or only one that somebody
/// else made.
fn published(issuer: &str, trusts: &Store<Secret>) -> Option<(IssuerStatus, Arc<Secret>)> {
    let (namespace, name) = issuer.split_once('/')?;
    let (secret_name, owner) = (trust_secret_name(name), owner(namespace, name));
    let own = OwnSecret { namespace, name: &secret_name, type_: secret_type::TRUST, owner: &owner, label: None };
    let secret = secrets::find(trusts, namespace, &secret_name).filter(|secret| own.is_ours(secret))?;
    Some((IssuerStatus { issuer: issuer.to_owned(), published_in: secret.uid()? }, secret))
}

/// Whether the operator publishes the keys of an issuer.
pub fn is_published(namespace: &str, issuer: &str, trusts: &Store<Secret>) -> bool {
    published(&format!("{namespace}/{issuer}"), trusts).is_some()
}

/// The issuer whose keys a trust Secret of that name would publish.
pub fn publisher(trust: &Secret) -> Option<String> {
    let name = trust.name_any();
    let issuer = name.strip_suffix("-trust")?;
    Some(format!("{}/{issuer}", trust.namespace().unwrap_or_default()))
}
