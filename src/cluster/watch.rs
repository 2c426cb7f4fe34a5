//! Caches of the cluster's objects, each kept up to date by its own watch with its own backoff.

use futures::StreamExt;
use futures::stream::select_all;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::{Store, Writer};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::utils::{Backoff, ResetTimerBackoff};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use super::gather::Gathering;
use crate::machine::jittered;

/// A change that a watch has seen.
pub enum Change<'a, K> {
    /// An object was created, changed or deleted.
    Of(&'a K),
    /// All objects were listed again. Those deleted meanwhile were already reported as changes.
    Relisted,
}

/// An object that may be malformed. A malformed one must not block the others.
pub type Guarded<K> = DeserializeGuard<K>;

/// Returns a part of `object` as it is in the cache now; `None` if it is not there or cannot be read.
pub fn cached<K, T>(cache: &Store<Guarded<K>>, object: &K, part: impl FnOnce(&K) -> Option<T>) -> Option<T>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let name = ObjectRef::<Guarded<K>>::new(&object.name_any()).within(&object.namespace().unwrap_or_default());
    part(cache.get(&name)?.0.as_ref().ok()?)
}

/// Returns every object of a cache, by namespace and name: a cache itself has no order, and decisions must not depend
/// on one.
pub fn all<K>(cache: &Store<K>) -> Vec<Arc<K>>
where
    K: reflector::Lookup<DynamicType = ()> + Clone + 'static,
{
    let mut objects = cache.state();
    objects.sort_by_cached_key(|object| (object.namespace().map(Cow::into_owned), object.name().map(Cow::into_owned)));
    objects
}

/// How long an interrupted watch waits before it continues: longer each time, and not the same for all watches.
struct Waits(Duration);

impl Waits {
    const FIRST: Duration = Duration::from_millis(800);
    const LONGEST: Duration = Duration::from_secs(30);
    /// A watch that lasted at least this long begins with the first wait again.
    const HELD: Duration = Duration::from_secs(120);

    fn begin() -> ResetTimerBackoff<Self> {
        ResetTimerBackoff::new(Waits(Self::FIRST), Self::HELD)
    }
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.0;
        self.0 = (wait * 2).min(Self::LONGEST);
        Some(jittered(wait))
    }
}

impl Backoff for Waits {
    fn reset(&mut self) {
        self.0 = Self::FIRST;
    }
}

/// A place where a watch looks.
pub struct Source<K> {
    pub api: Api<K>,
    pub config: watcher::Config,
    /// The namespace of the objects there, or the name of the only one there.
    pub place: String,
}

/// What fills a cache, once it is started.
pub struct Watch<K>
where
    K: reflector::Lookup + Clone + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    sources: Vec<Source<K>>,
    writer: Writer<K>,
    /// Takes away from each object what nothing here reads.
    trim: fn(&mut K),
}

/// A cache, which is empty until its watch is started.
pub fn cache<K>(api: Api<K>, config: watcher::Config) -> (Store<K>, Watch<K>)
where
    K: ResourceExt + reflector::Lookup<DynamicType = <K as Resource>::DynamicType> + Clone + 'static,
    <K as Resource>::DynamicType: Default + Eq + Hash + Clone,
{
    cache_of(vec![Source { api, config, place: String::new() }])
}

/// The same, of what is in several places. It is ready once all were listed.
pub fn cache_of<K>(sources: Vec<Source<K>>) -> (Store<K>, Watch<K>)
where
    K: ResourceExt + reflector::Lookup<DynamicType = <K as Resource>::DynamicType> + Clone + 'static,
    <K as Resource>::DynamicType: Default + Eq + Hash + Clone,
{
    let (store, writer) = reflector::store();
    // managedFields are the largest part of most objects.
    (store, Watch { sources, writer, trim: |object| object.managed_fields_mut().clear() })
}

/// Takes everything from the metadata of an object that a tenant could fill at will: it may be hundreds of kilobytes.
fn leave_what_identifies<K: Resource>(object: &mut K) {
    let metadata = object.meta_mut();
    let all = std::mem::take(metadata);
    *metadata = ObjectMeta {
        name: all.name,
        namespace: all.namespace,
        uid: all.uid,
        resource_version: all.resource_version,
        generation: all.generation,
        creation_timestamp: all.creation_timestamp,
        deletion_timestamp: all.deletion_timestamp,
        ..ObjectMeta::default()
    };
}

impl<K> Watch<K>
where
    K: Resource + ResourceExt + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Default + Eq + Hash + Clone + Unpin + Send + Sync,
{
    /// Keeps no labels, annotations, owners and finalizers.
    pub fn without_labels_and_annotations(self) -> Self {
        Watch { trim: leave_what_identifies, ..self }
    }

    /// Starts the task that keeps the cache up to date, and calls `on_change` for every change once the cache has it.
    pub fn start(self, on_change: impl FnMut(Change<K>) + Send + 'static) {
        tokio::spawn(keep(self, on_change));
    }
}

async fn keep<K>(watch: Watch<K>, mut on_change: impl FnMut(Change<K>))
where
    K: Resource + ResourceExt + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default + Eq + Hash + Clone + Unpin,
{
    let Watch { sources, mut writer, trim } = watch;
    if sources.is_empty() {
        // Everything there is was listed: nothing.
        [Event::Init, Event::InitDone].iter().for_each(|event| writer.apply_watcher_event(event));
        return std::future::pending().await;
    }
    let cache = writer.as_reader();
    let mut gathering = (sources.len() > 1).then(|| Gathering::of(sources.iter().map(|source| source.place.clone())));
    let mut events = select_all(sources.into_iter().enumerate().map(|(nth, Source { api, config, .. })| {
        watcher(api, config).backoff(Waits::begin()).map(move |event| (nth, event)).boxed()
    }));
    while let Some((nth, event)) = events.next().await {
        match event {
            Ok(event) => {
                let event = event.modify(trim);
                let now = || cache.state().iter().map(|object| K::clone(object)).collect();
                match &mut gathering {
                    None => take(event, &mut writer, &cache, &mut on_change),
                    Some(gathering) => {
                        for event in gathering.take(nth, event, now) {
                            take(event, &mut writer, &cache, &mut on_change);
                        }
                    }
                }
            }
            Err(error) => {
                let kind = std::any::type_name::<K>().rsplit("::").next().unwrap_or_default();
                tracing::warn!(kind, %error, "a watch was interrupted; it continues by itself");
            }
        }
    }
}

/// Brings the cache up to date, and tells what has changed.
fn take<K>(event: Event<K>, writer: &mut Writer<K>, cache: &Store<K>, on_change: &mut impl FnMut(Change<K>))
where
    K: Resource + ResourceExt + Clone + 'static,
    K::DynamicType: Default + Eq + Hash + Clone,
{
    let before = if matches!(event, Event::InitDone) { cache.state() } else { Vec::new() };
    writer.apply_watcher_event(&event);
    match &event {
        Event::Apply(object) | Event::Delete(object) => on_change(Change::Of(object)),
        Event::InitDone => {
            let uids: HashSet<_> = cache.state().iter().map(|object| object.uid()).collect();
            for gone in before.iter().filter(|object| !uids.contains(&object.uid())) {
                on_change(Change::Of(gone.as_ref()));
            }
            on_change(Change::Relisted);
        }
        Event::Init | Event::InitApply(_) => {}
    }
}
