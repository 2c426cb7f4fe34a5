//! The trust Secrets that the installation pins: those in the operator's own namespace with the label of a product.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::runtime::reflector::store::Store;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::api::mark;
use crate::cluster::secrets;

/// The product whose trust a Secret in the operator's namespace pins.
pub fn pinned_product(secret: &Secret) -> Option<&str> {
    secret.labels().get(mark::PRODUCT).map(String::as_str)
}

/// The products, by the name of the Secret: among the trust Secrets of all tenants, a search would take long.
#[derive(Default)]
pub struct Pins(Mutex<BTreeMap<String, String>>);

impl Pins {
    /// Takes note of what a cache has of that name in the operator's namespace now. Returns whether it pins, or did.
    pub fn note(&self, trusts: &Store<Secret>, namespace: &str, name: &str) -> bool {
        let mut pins = self.lock();
        let secret = secrets::find(trusts, namespace, name);
        match secret.as_deref().and_then(pinned_product) {
            Some(product) => {
                pins.insert(name.to_owned(), product.to_owned());
                true
            }
            None => pins.remove(name).is_some(),
        }
    }

    /// Takes note of all that a cache has now.
    pub fn note_all(&self, trusts: &Store<Secret>, namespace: &str) {
        let mut pins = self.lock();
        let secrets = trusts.state();
        let ours = secrets.iter().filter(|secret| secret.namespace().as_deref() == Some(namespace));
        let pinned = ours.filter_map(|secret| Some((secret.name_any(), pinned_product(secret)?.to_owned())));
        *pins = pinned.collect();
    }

    /// The names of the Secrets that pin the trust of a product, in order.
    pub fn of(&self, product: &str) -> Vec<String> {
        let pins = self.lock();
        pins.iter().filter(|(_, pinned)| *pinned == product).map(|(name, _)| name.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
