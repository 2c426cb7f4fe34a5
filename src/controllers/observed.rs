//! The cluster as the caches show it, and which objects refer to which.

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::store::Store;
use kube::runtime::reflector::{self, ObjectRef};
use kube::{Client, ResourceExt};
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use super::enrolment::Enrolment;
use super::keyrings::Keyrings;
use super::verified::Verified;
use crate::api::allowed_namespaces::Labels;
use crate::api::{License, Plan, Roster, Subscription, mark};
use crate::cluster::watch::{Guarded, all};

/// A Namespace without its spec and status.
pub type NamespaceMeta = PartialObjectMeta<Namespace>;

/// Every object that the operator looks at. Secrets are split by type; a Secret of another type is never read.
#[derive(Clone)]
pub struct Observed {
    pub client: Client,
    /// The operator's own namespace.
    pub namespace: String,
    /// The UID of kube-system: a key that is bound to a cluster names it.
    pub cluster: String,
    pub licenses: Store<Guarded<License>>,
    pub subscriptions: Store<Guarded<Subscription>>,
    pub plans: Store<Guarded<Plan>>,
    pub rosters: Store<Guarded<Roster>>,
    pub enrolment: Arc<Enrolment>,
    /// Namespaces, for their labels, by which a License may admit them.
    pub namespaces: Store<NamespaceMeta>,
    pub keys: Store<Secret>,
    pub trusts: Store<Secret>,
    pub issuers: Store<Secret>,
    pub verified: Arc<Verified>,
    pub keyrings: Arc<Keyrings>,
}

impl Observed {
    pub fn license(&self, namespace: &str, name: &str) -> Option<Arc<Guarded<License>>> {
        self.licenses.get(&ObjectRef::new(name).within(namespace))
    }

    pub fn plan(&self, namespace: &str, name: &str) -> Option<Arc<Guarded<Plan>>> {
        self.plans.get(&ObjectRef::new(name).within(namespace))
    }

    /// The labels of a namespace; `None` if it does not exist.
    pub fn labels(&self, namespace: &str) -> Option<Labels> {
        let namespace = self.namespaces.get(&ObjectRef::new(namespace))?;
        Some(namespace.labels().clone())
    }

    /// The Secrets in the operator's namespace that pin the trust of `product`. If there are any, they alone count.
    pub fn pinned_trust(&self, product: &str) -> Vec<Arc<Secret>> {
        let pins = |secret: &Secret| secret.labels().get(mark::PRODUCT).is_some_and(|p| p == product);
        let ours = |secret: &Secret| secret.namespace().as_deref() == Some(&self.namespace);
        all(&self.trusts).into_iter().filter(|secret| ours(secret) && pins(secret)).collect()
    }
}

/// Which objects refer to which `kind/namespace/name`.
pub struct References<K: reflector::Lookup<DynamicType = ()>>(Mutex<Both<K>>);

struct Both<K: reflector::Lookup<DynamicType = ()>> {
    to: HashMap<ObjectRef<K>, Vec<String>>,
    from: HashMap<String, HashSet<ObjectRef<K>>>,
}

impl<K: reflector::Lookup<DynamicType = ()>> Default for References<K> {
    fn default() -> Self {
        References(Mutex::new(Both { to: HashMap::new(), from: HashMap::new() }))
    }
}

impl<K: reflector::Lookup<DynamicType = ()> + Clone> References<K>
where
    ObjectRef<K>: Hash + Eq,
{
    /// Records that `object` refers to exactly these targets.
    pub fn set(&self, object: ObjectRef<K>, targets: Vec<String>) {
        let mut both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Both { to, from } = &mut *both;
        for target in to.remove(&object).unwrap_or_default() {
            if let Some(referrers) = from.get_mut(&target) {
                referrers.remove(&object);
                if referrers.is_empty() {
                    from.remove(&target);
                }
            }
        }
        for target in &targets {
            from.entry(target.clone()).or_default().insert(object.clone());
        }
        if !targets.is_empty() {
            to.insert(object, targets);
        }
    }

    /// What `object` refers to.
    pub fn by(&self, object: &ObjectRef<K>) -> Vec<String> {
        let both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        both.to.get(object).cloned().unwrap_or_default()
    }

    /// The objects that refer to `target`, in the order of their names.
    pub fn of(&self, target: &str) -> Vec<ObjectRef<K>> {
        let both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut referrers: Vec<ObjectRef<K>> = both.from.get(target).into_iter().flatten().cloned().collect();
        referrers.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        referrers
    }
}

/// The name under which a reference to an object is kept.
pub fn target(kind: &str, namespace: &str, name: &str) -> String {
    format!("{kind}/{namespace}/{name}")
}
