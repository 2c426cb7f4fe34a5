//! What the operator keeps of each kind: its objects, which of them to look at and when, what they refer to, and what
//! was written to them.

use kube::core::NamespaceResourceScope;
use kube::core::object::{HasSpec, HasStatus};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Store;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

use super::queue::{Queue, Wakes};
use crate::cluster::client::CallError;
use crate::cluster::scope::Scope;
use crate::cluster::specs;
use crate::cluster::status::{StatusWriter, apply};
use crate::cluster::watch::{Guarded, Watch, all, cached};
use crate::observed::references::{References, target};

/// A status that the operator writes.
pub trait Status: Clone + Default + PartialEq + Serialize + Send + Sync + 'static {}

impl<S: Clone + Default + PartialEq + Serialize + Send + Sync + 'static> Status for S {}

/// A kind whose objects have a namespace, and a status that the operator writes.
pub trait Object:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + HasSpec<Spec: Serialize>
    + HasStatus<Status: Status>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Object for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + HasSpec<Spec: Serialize>
        + HasStatus<Status: Status>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// The name by which the cache knows an object.
pub type Name<K> = ObjectRef<Guarded<K>>;

/// What is kept of one kind.
pub struct Kind<K: Object> {
    pub cache: Store<Guarded<K>>,
    /// The objects to look at.
    pub queue: Queue<Guarded<K>>,
    /// When to look at an object that nothing changes.
    pub wakes: Wakes<Guarded<K>>,
    statuses: StatusWriter<K::Status>,
    /// What each object refers to.
    pub references: Arc<References<Guarded<K>>>,
    client: Client,
    /// For the object that is read as a whole: one at a time, as each may have more than a megabyte.
    pub reading: Semaphore,
    /// Fills the cache; `None` once it is started.
    watch: Mutex<Option<Watch<Guarded<K>>>>,
}

/// A change of an object that is not only our own status coming back.
pub struct Changed<'c, K: Object> {
    pub object: &'c Guarded<K>,
    pub name: Name<K>,
    pub is_gone: bool,
    /// What it referred to before the change.
    pub before: Vec<String>,
    /// What it refers to now.
    pub after: Vec<String>,
}

impl<K: Object> Kind<K> {
    /// Objects within `scope`; `listing` is for one list at a time. Nothing is in the cache before its watch is started.
    pub fn new(client: &Client, scope: &Scope, listing: &Arc<Semaphore>) -> Self {
        let (cache, watch) = specs::cache(client, scope, listing);
        Kind {
            cache,
            queue: Queue::default(),
            wakes: Wakes::default(),
            statuses: StatusWriter::default(),
            references: Arc::default(),
            client: client.clone(),
            reading: Semaphore::new(1),
            watch: Mutex::new(Some(watch)),
        }
    }

    /// What fills the cache. The second call returns `None`.
    pub fn watch(&self) -> Option<Watch<Guarded<K>>> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Takes note of what the cache shows now, with what the object refers to. Returns `None` if that is only our own
    /// status coming back.
    pub fn note<'c>(&self, object: &'c Guarded<K>, references: fn(&K) -> Vec<String>) -> Option<Changed<'c, K>> {
        // Our own status may come back with an object that cannot be read any more.
        if self.statuses.take_echo(object) && object.0.is_ok() {
            return None;
        }
        let name = ObjectRef::from_obj(object);
        let before = self.references.by(&name);
        // Another object of the same name may be there by now.
        let is_gone = self.cache.get(&name).is_none_or(|there| there.uid() != object.uid());
        match &object.0 {
            _ if is_gone => self.references.set(name.clone(), Vec::new()),
            Ok(readable) => self.references.set(name.clone(), references(readable)),
            // What it refers to may be the same as before.
            Err(_) => {}
        }
        let after = self.references.by(&name);
        Some(Changed { object, name, is_gone, before, after })
    }

    /// Reads again what each object refers to.
    pub fn read_references(&self, references: fn(&K) -> Vec<String>) {
        for object in self.cache.state() {
            if let Ok(readable) = &object.0 {
                self.references.set(ObjectRef::from_obj(object.as_ref()), references(readable));
            }
        }
    }

    pub fn look_at_all(&self) {
        for object in all(&self.cache) {
            self.queue.add(ObjectRef::from_obj(object.as_ref()));
        }
    }

    /// Looks again at the objects in some namespaces.
    pub fn look_at_all_in(&self, is_in: impl Fn(&str) -> bool) {
        for object in all(&self.cache) {
            let name = ObjectRef::from_obj(object.as_ref());
            if name.namespace.as_deref().is_some_and(&is_in) {
                self.queue.add(name);
            }
        }
    }

    /// Looks again at the objects that refer to `target`.
    pub fn look_at_referrers(&self, target: &str) {
        for name in self.references.of(target) {
            self.queue.add(name);
        }
    }

    /// The newest known status of `object`.
    pub fn status_of(&self, object: &K) -> K::Status {
        let in_cache = || cached(&self.cache, object, |now| now.status().cloned());
        self.statuses.latest(object, in_cache).unwrap_or_default()
    }

    /// Writes a status if it differs from the one before; only on the version `only_on` if one is given. Returns true
    /// if it was written.
    pub async fn write_status(
        &self,
        object: &K,
        before: &K::Status,
        status: &K::Status,
        only_on: Option<&str>,
    ) -> Result<bool, CallError> {
        self.statuses.write_on(only_on, &self.api_of(object), object, Some(before), status).await
    }

    /// Reads an object as a whole of which the cache has only a part; `None` if it is gone.
    pub async fn read(&self, object: &Guarded<K>) -> Result<Option<K>, CallError> {
        let read = specs::read(&self.api_of(object), &object.name_any()).await?;
        Ok(read.filter(|there: &K| there.uid() == object.uid()))
    }

    /// Writes a status that differs from the one in `object`, which was just read. Nobody waits for it to come back: the
    /// cache may show the same version as a whole later, and that is a change.
    pub async fn write_status_on(&self, object: &K, status: &K::Status) -> Result<bool, CallError> {
        if object.status() == Some(status) {
            return Ok(false);
        }
        apply(None, &self.api_of(object), object, status).await.map(|_| true)
    }

    fn api_of(&self, object: &impl ResourceExt) -> Api<K> {
        Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default())
    }

    /// Drops what is kept of an object that is gone.
    pub fn forget(&self, object: &Guarded<K>) {
        self.wakes.set(&ObjectRef::from_obj(object), None);
        if let Some(uid) = &object.meta().uid {
            self.statuses.forget(uid);
        }
    }
}

impl<K: Object> Changed<'_, K> {
    /// The name by which others refer to the object.
    pub fn target(&self) -> String {
        target(&K::kind(&()), &self.object.namespace().unwrap_or_default(), &self.object.name_any())
    }
}

pub fn name_of<K: Object>(object: &K) -> Name<K> {
    ObjectRef::new(&object.name_any()).within(&object.namespace().unwrap_or_default())
}
