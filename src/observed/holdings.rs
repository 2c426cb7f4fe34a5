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
pub struct Holder {
    created: Timestamp,
    uid: String,
    namespace: String,
    name: String,
}

impl Holder {
    pub fn of(license: &License) -> Self {
        Holder {
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
    holders: HashMap<String, BTreeSet<Holder>>,
    grants: HashMap<String, (Holder, BTreeSet<String>)>,
}

impl Holdings {
    /// Records that `holder` holds keys of exactly these grants. Returns the other Licenses for which that changes
    /// something.
    pub fn claim(&self, holder: Holder, grants: BTreeSet<String>) -> Vec<ObjectRef<Guarded<License>>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.grants.remove(&holder.uid).map(|(_, grants)| grants).unwrap_or_default();
        let mut affected = BTreeSet::new();
        for grant in before.symmetric_difference(&grants) {
            let holders = state.holders.entry(grant.clone()).or_default();
            let first = holders.first().cloned();
            match grants.contains(grant) {
                true => holders.insert(holder.clone()),
                false => holders.remove(&holder),
            };
            // A License that is first neither before nor after sees no change.
            if holders.first() != first.as_ref() {
                affected.extend(first.into_iter().chain(holders.first().cloned()));
            }
            if holders.is_empty() {
                state.holders.remove(grant);
            }
        }
        affected.remove(&holder);
        if !grants.is_empty() {
            state.grants.insert(holder.uid.clone(), (holder, grants));
        }
        affected.iter().map(Holder::object).collect()
    }

    /// The License `uid` is gone. Returns the other Licenses for which that changes something.
    pub fn release(&self, uid: &str) -> Vec<ObjectRef<Guarded<License>>> {
        let holder = {
            let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.grants.get(uid).map(|(holder, _)| holder.clone())
        };
        holder.map(|holder| self.claim(holder, BTreeSet::new())).unwrap_or_default()
    }

    /// The License that holds the grant before `me`, as `namespace/name`; `None` if `me` is the oldest.
    pub fn older_holder(&self, grant: &str, me: &Holder) -> Option<String> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = state.holders.get(grant)?.first()?;
        (first.uid != me.uid).then(|| format!("{}/{}", first.namespace, first.name))
    }
}
