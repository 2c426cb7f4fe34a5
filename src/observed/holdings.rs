//! A grant counts for one License in a cluster: the one created first (docs/design/domain.md, Which keys count).

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use crate::api::License;
use crate::cluster::watch::Guarded;

/// A License that holds keys. Ordered by age.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claimant {
    created: Timestamp,
    uid: String,
    namespace: String,
    name: String,
}

impl Claimant {
    pub fn of(license: &License) -> Self {
        Claimant {
            created: license.metadata.creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0),
            uid: license.uid().unwrap_or_default(),
            namespace: license.namespace().unwrap_or_default(),
            name: license.name_any(),
        }
    }

    fn object(&self) -> ObjectRef<Guarded<License>> {
        ObjectRef::new(&self.name).within(&self.namespace)
    }
}

/// The Licenses that hold keys of each grant.
#[derive(Default)]
pub struct Holdings(Mutex<State>);

#[derive(Default)]
struct State {
    claimants: HashMap<String, BTreeSet<Claimant>>,
    grants: HashMap<String, (Claimant, BTreeSet<String>)>,
}

impl Holdings {
    /// Records that `claimant` holds keys of exactly these grants. Returns the other Licenses for which that changes
    /// something.
    pub fn claim(&self, claimant: Claimant, grants: BTreeSet<String>) -> Vec<ObjectRef<Guarded<License>>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.grants.remove(&claimant.uid).map(|(_, grants)| grants).unwrap_or_default();
        let mut affected = BTreeSet::new();
        for grant in before.symmetric_difference(&grants) {
            let claimants = state.claimants.entry(grant.clone()).or_default();
            let first = claimants.first().cloned();
            match grants.contains(grant) {
                true => claimants.insert(claimant.clone()),
                false => claimants.remove(&claimant),
            };
            // A License that is first neither before nor after sees no change.
            if claimants.first() != first.as_ref() {
                affected.extend(first.into_iter().chain(claimants.first().cloned()));
            }
            if claimants.is_empty() {
                state.claimants.remove(grant);
            }
        }
        affected.remove(&claimant);
        if !grants.is_empty() {
            state.grants.insert(claimant.uid.clone(), (claimant, grants));
        }
        affected.iter().map(Claimant::object).collect()
    }

    /// The License `uid` is gone. Returns the other Licenses for which that changes something.
    pub fn release(&self, uid: &str) -> Vec<ObjectRef<Guarded<License>>> {
        let claimant = {
            let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.grants.get(uid).map(|(claimant, _)| claimant.clone())
        };
        claimant.map(|claimant| self.claim(claimant, BTreeSet::new())).unwrap_or_default()
    }

    /// The License that holds the grant before `me`, as `namespace/name`; `None` if `me` is the oldest.
    pub fn older_claimant(&self, grant: &str, me: &Claimant) -> Option<String> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = state.claimants.get(grant)?.first()?;
        (first.uid != me.uid).then(|| format!("{}/{}", first.namespace, first.name))
    }
}
