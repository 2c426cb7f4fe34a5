//! Which objects refer to which.

use kube::ResourceExt;
use kube::runtime::reflector::{self, ObjectRef};
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use crate::api::License;
use crate::cluster::watch::Guarded;

/// Which objects refer to which `kind/namespace/name`.
pub struct References<K: reflector::Lookup<DynamicType = ()>>(Mutex<Both<K>>);

struct Both<K: reflector::Lookup<DynamicType = ()>> {
    to: HashMap<ObjectRef<K>, Vec<String>>,
    /// By target, and then by the namespace and the name of the object.
    from: HashMap<String, BTreeMap<String, BTreeMap<String, ObjectRef<K>>>>,
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
        let namespace = object.namespace.clone().unwrap_or_default();
        for target in to.remove(&object).unwrap_or_default() {
            let Some(by_namespace) = from.get_mut(&target) else { continue };
            if let Some(referrers) = by_namespace.get_mut(&namespace) {
                referrers.remove(&object.name);
                if referrers.is_empty() {
                    by_namespace.remove(&namespace);
                }
            }
            if by_namespace.is_empty() {
                from.remove(&target);
            }
        }
        for target in &targets {
            let referrers = from.entry(target.clone()).or_default().entry(namespace.clone()).or_default();
            referrers.insert(object.name.clone(), object.clone());
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

    /// The objects that refer to `target`, in the order of their namespaces and names.
    pub fn of(&self, target: &str) -> Vec<ObjectRef<K>> {
        self.of_those_in(|_| true, target)
    }

    /// The same of those in namespaces for which `counts` holds. It is asked once for each namespace; in the others there may
    /// be any number of objects, because anybody can refer to anything.
    pub fn of_those_in(&self, counts: impl Fn(&str) -> bool, target: &str) -> Vec<ObjectRef<K>> {
        let both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let by_namespace = both.from.get(target).into_iter().flatten();
        let counting = by_namespace.filter(|(namespace, _)| counts(namespace));
        counting.flat_map(|(_, referrers)| referrers.values().cloned()).collect()
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

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;
    use std::cell::RefCell;

    use super::*;

    fn named(namespace: &str, n: usize) -> ObjectRef<Secret> {
        ObjectRef::new(&format!("n{n:05}")).within(namespace)
    }

    /// The attack: thousands of objects in a namespace that does not count refer to what others use.
    #[test]
    fn of_a_namespace_that_does_not_count_nothing_is_asked_but_its_name() {
        let references = References::default();
        for n in 0..16_000 {
            references.set(named("intruder", n), vec!["License/home/l".into()]);
        }
        references.set(named("home", 2), vec!["License/home/l".into(), "License/home/m".into()]);
        references.set(named("home", 1), vec!["License/home/l".into()]);
        let asked = RefCell::new(Vec::new());
        let counts = |namespace: &str| {
            asked.borrow_mut().push(namespace.to_owned());
            namespace == "home"
        };
        assert_eq!(references.of_those_in(counts, "License/home/l"), [named("home", 1), named("home", 2)]);
        assert_eq!(asked.into_inner(), ["home", "intruder"]);
        assert_eq!(references.of("License/home/l").len(), 16_002);
        references.set(named("home", 2), vec!["License/home/l".into()]);
        assert!(!references.has("License/home/m") && references.of("License/home/m").is_empty());
    }
}
