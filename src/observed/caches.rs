//! The caches of the cluster, and what is kept of what was worked out from them.

use k8s_openapi::api::core::v1::Secret;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Store;
use kube::{Client, ResourceExt};
use std::collections::BTreeSet;
use std::sync::Arc;

use super::enrolment::Enrolment;
use super::holdings::Holdings;
use super::issuers::Issuers;
use super::kept_lists::KeptLists;
use super::keyrings::Keyrings;
use super::namespaces::{self, NamespaceMeta};
use super::pins::{Pins, pinned_product};
use super::references::{References, reference_to};
use super::revocation_lists::RevocationLists;
use super::trust::{Built, BuiltTrust};
use super::verified::Verified;
use crate::api::allowed_namespaces::{Labels, admits};
use crate::api::license::HoldersShown;
use crate::api::{License, Plan};
use crate::cluster::client::CallError;
use crate::cluster::room::Rooms;
use crate::cluster::secrets::{self, Entries, KeepError, OwnSecret};
use crate::cluster::watch::{Guarded, all};
use crate::domain::fault::Fault;
use crate::domain::license::name::LicenseName;
use crate::domain::license::whom_to_trust::TrustFromLicenses;

/// The objects that others are judged by. Secrets are split by type; a Secret of another type is never read.
#[derive(Clone)]
pub struct Observed {
    pub client: Client,
    /// The operator's own namespace.
    pub namespace: String,
    /// Whether the installation lets Licenses name whom they trust.
    pub trust_from_licenses: TrustFromLicenses,
    pub licenses: Store<Guarded<License>>,
    pub plans: Store<Guarded<Plan>>,
    /// Namespaces, for their labels, by which a License may admit them.
    pub namespaces: Store<NamespaceMeta>,
    pub keys: Store<Secret>,
    pub trusts: Store<Secret>,
    pub issuers: Store<Secret>,
    /// The keys of Subscriptions that went to other namespaces.
    pub issued: Store<Secret>,
    /// Which Secrets of each namespace have room in these caches.
    pub rooms: Rooms,
    /// The Secrets that hold what is kept of lists of revoked keys, in the operator's own namespace.
    pub kept: Store<Secret>,
    /// What these Secrets hold.
    pub kept_lists: Arc<KeptLists>,
    /// The issuers of the Subscriptions that deliver to each License.
    pub contract_issuers: Arc<Issuers>,
    /// The Secrets that may say for each License whom it trusts, beside those that the installation pins and those that
    /// it names.
    pub trusting: Arc<References<Guarded<License>>>,
    /// The products whose trust the installation pins.
    pub pins: Arc<Pins>,
    /// The people on the Rosters of each License.
    pub enrolment: Arc<Enrolment>,
    /// Which License counts, if several have keys of one grant.
    pub holdings: Arc<Holdings>,
    pub verified: Arc<Verified>,
    pub keyrings: Arc<Keyrings>,
    pub built_trust: Arc<BuiltTrust>,
    /// The lists of revoked keys in trust Secrets.
    pub revocation_lists: Arc<RevocationLists>,
}

impl Observed {
    /// The UID of kube-system: a key that is bound to a cluster names it. Empty while the caches are not filled.
    pub fn cluster(&self) -> String {
        self.namespaces.get(&ObjectRef::new("kube-system")).and_then(|namespace| namespace.uid()).unwrap_or_default()
    }

    /// What `of` says of the License of that name; `None` if there is none that can be read.
    pub fn with_license<T>(&self, name: &LicenseName, of: impl FnOnce(&License) -> T) -> Option<T> {
        let object = self.license(&name.namespace, &name.name)?;
        object.0.as_ref().ok().map(of)
    }

    pub fn has_license(&self, name: &LicenseName) -> bool {
        self.with_license(name, |_| ()).is_some()
    }

    /// Whether the License may be used from that namespace. What a License says that cannot be read is not known, so it
    /// grants nothing new, and takes nothing from those who use it.
    pub fn admits(&self, name: &LicenseName, namespace: &str) -> bool {
        self.license(&name.namespace, &name.name).is_some_and(|object| match &object.0 {
            Ok(license) => admits(license, namespace, self.labels(namespace).as_ref()),
            Err(_) => true,
        })
    }

    /// How the holders of a License are shown: not at all while it cannot be read. If the License is gone, users whose names
    /// are kept are shown by name.
    pub fn holders(&self, name: &LicenseName) -> HoldersShown {
        self.license(&name.namespace, &name.name).map_or(HoldersShown::Named, |object| match &object.0 {
            Ok(license) => license.spec.holders,
            Err(_) => HoldersShown::Hidden,
        })
    }

    pub fn license(&self, namespace: &str, name: &str) -> Option<Arc<Guarded<License>>> {
        self.licenses.get(&ObjectRef::new(name).within(namespace))
    }

    pub fn plan(&self, namespace: &str, name: &str) -> Option<Arc<Guarded<Plan>>> {
        self.plans.get(&ObjectRef::new(name).within(namespace))
    }

    /// The labels of a namespace; `None` if it does not exist.
    pub fn labels(&self, namespace: &str) -> Option<Labels> {
        namespaces::labels(&self.namespaces, namespace)
    }

    /// Reads what is kept of lists of revoked keys from its cache. Returns whether anything in it was not known.
    pub fn read_kept_lists(&self) -> bool {
        let is_new = all(&self.kept).iter().fold(false, |is_new, secret| self.kept_lists.note(secret) | is_new);
        if is_new {
            self.built_trust.forget();
        }
        is_new
    }

    /// Explains why the cache of `type_` does not have a Secret.
    pub async fn explain_missing(&self, type_: &str, namespace: &str, name: &str) -> Result<Fault, CallError> {
        match self.rooms.left_out(type_, namespace, name) {
            Some(fault) => Ok(fault),
            None => secrets::explain_missing(&self.client, type_, namespace, name).await,
        }
    }

    /// Writes entries into a Secret, which is `found` in its cache or not. What is left out there is not known, and is
    /// left unchanged.
    pub async fn write(
        &self,
        secret: &OwnSecret<'_>,
        found: Option<&Secret>,
        entries: Entries,
    ) -> Result<(), KeepError> {
        match self.rooms.left_out(secret.type_, secret.namespace, secret.name).filter(|_| found.is_none()) {
            Some(fault) => Err(KeepError::Stopped(fault)),
            None => secret.write(&self.client, found, entries).await,
        }
    }

    /// Takes note of all trust Secrets in the cache.
    pub fn note_trusts(&self) {
        self.pins.note_all(&self.trusts, &self.namespace);
        self.revocation_lists.note_all(&self.trusts);
        self.built_trust.forget();
    }

    /// Takes note of what the cache has of a trust Secret now. Returns the Licenses that lists of revoked keys concern which
    /// came or went with it.
    pub fn note_list(&self, namespace: &str, name: &str) -> BTreeSet<LicenseName> {
        let signers = self.revocation_lists.note(&self.trusts, namespace, name);
        let concerned = |signer| self.built_trust.concerned(signer, &self.revocation_lists, &self.kept_lists);
        signers.iter().flat_map(|signer| concerned(signer)).collect()
    }

    /// The trust that these Secrets state for a License, with all that is known to be revoked, and what is wrong with them.
    pub fn trust_of(&self, license: &LicenseName, secrets: &[Arc<Secret>]) -> Built {
        self.built_trust.of(license, secrets, &self.revocation_lists, &self.kept_lists)
    }

    /// Takes note of the issuers that a License may trust, before it is read: then it is looked at again if one comes, changes
    /// or goes.
    pub fn note_issuers(&self, license: &License) {
        let named = self.contract_issuers.of(license);
        self.trusting.set(reference_to(license), named.targets().collect());
    }

    /// Forgets whom a License trusts that is gone.
    pub fn forget_trust_of(&self, license: &LicenseName) {
        self.built_trust.forget_license(license);
        self.trusting.set(ObjectRef::new(&license.name).within(&license.namespace), Vec::new());
    }

    /// Whether a Secret is in the operator's namespace and pins the trust of a product.
    pub fn pins(&self, secret: &Secret) -> bool {
        secret.namespace().as_deref() == Some(&self.namespace) && pinned_product(secret).is_some()
    }

    /// The Secrets in the operator's namespace that pin the trust of `product`. If there are any, they alone count.
    pub fn pinned_trust(&self, product: &str) -> Vec<Arc<Secret>> {
        let names = self.pins.of(product).into_iter();
        let secrets = names.filter_map(|name| secrets::find(&self.trusts, &self.namespace, &name));
        secrets.filter(|secret| pinned_product(secret).is_some_and(|pinned| pinned == product)).collect()
    }
}
