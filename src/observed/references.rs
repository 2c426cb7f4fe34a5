//! Which objects refer to which.

use kube::ResourceExt;
use kube::runtime::reflector::{self, ObjectRef};
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use crate::api::License;
use crate::cluster::watch::Guarded;

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

    /// Whether any object refers to `target`.
    pub fn has(&self, target: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).from.contains_key(target)
    }

    /// The objects that refer to `target`, in the order of their names.
    pub fn of(&self, target: &str) -> Vec<ObjectRef<K>> {
        let both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut referrers: Vec<ObjectRef<K>> = both.from.get(target).into_iter().flatten().cloned().collect();
        referrers.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        referrers
    }
}

/// A License, as the one that refers to something.
pub fn reference_to(license: &License) -> ObjectRef<Guarded<License>> {
    ObjectRef::new(&license.name_any()).within(&license.namespace().unwrap_or_default())
}

/// The name under which a reference to an object is kept.
pub fn target(kind: &str, namespace: &str, name: &str) -> String {
    format!("{kind}/{namespace}/{name}")
}

/// The object of `kind` that a reference names; `None` if it names another kind.
pub fn object<K: reflector::Lookup<DynamicType = ()>>(kind: &str, target: &str) -> Option<ObjectRef<K>> {
    let (namespace, name) = target.strip_prefix(kind)?.strip_prefix('/')?.split_once('/')?;
    Some(ObjectRef::new(name).within(namespace))
}
