//! Caches of the cluster's objects, each kept up to date by its own watch with its own backoff.

use futures::StreamExt;
use futures::future::BoxFuture;
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
use std::collections::{BTreeSet, HashSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

use super::client::CallError;
use super::gather::Gathering;
use super::room::Room;
use crate::machine::{jittered, monotonic};

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
    /// What bounds the objects of each place; `None` if all are kept.
    bound: Option<Bound<K>>,
}

/// How the objects of a watch are bounded.
pub struct Bound<K> {
    /// Held while everything is listed for the first time, so that only one such watch has a page in memory.
    pub listing: Arc<Semaphore>,
    pub room: MakeRoom<K>,
    /// Reads the object of that namespace and name, if it is one that the watch would show.
    pub read: Read<K>,
}

/// Makes the room for the place of that name.
pub type MakeRoom<K> = Box<dyn Fn(&str) -> Room<K> + Send>;

/// Reads an object by namespace and name.
pub type Read<K> = Box<dyn Fn(String, String) -> BoxFuture<'static, Result<Option<K>, CallError>> + Send>;

/// A cache, which is empty until its watch is started.
pub fn cache<K>(api: Api<K>, config: watcher::Config) -> (Store<K>, Watch<K>)
where
    K: ResourceExt + reflector::Lookup<DynamicType = <K as Resource>::DynamicType> + Clone + 'static,
    <K as Resource>::DynamicType: Default + Eq + Hash + Clone,
{
    cache_of(vec![Source { api, config, place: String::new() }])
}

/// The same for what is in several places. It is ready once all of them were listed.
pub fn cache_of<K>(sources: Vec<Source<K>>) -> (Store<K>, Watch<K>)
where
    K: ResourceExt + reflector::Lookup<DynamicType = <K as Resource>::DynamicType> + Clone + 'static,
    <K as Resource>::DynamicType: Default + Eq + Hash + Clone,
{
    let (store, writer) = reflector::store();
    // managedFields are the largest part of most objects.
    (store, Watch { sources, writer, trim: |object| object.managed_fields_mut().clear(), bound: None })
}

/// Removes everything that a tenant could fill at will from the metadata of an object: it may be hundreds of kilobytes.
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

    /// Keeps only what has room.
    pub fn within(self, bound: Bound<K>) -> Self {
        Watch { bound: Some(bound), ..self }
    }

    /// Starts the task that keeps the cache up to date, and calls `on_change` for every change once the cache has it.
    pub fn start(self, on_change: impl FnMut(Change<K>) + Send + 'static) {
        tokio::spawn(keep(self, on_change));
    }
}

/// How long reading an object may take, and how long to wait before it is read again if that failed.
const READ_TIMEOUT: Duration = Duration::from_secs(2);
const READ_AGAIN: Duration = Duration::from_secs(2);
/// The most events that are taken while something is to be read.
const MOST_BEFORE_READING: u32 = 100;

async fn keep<K>(watch: Watch<K>, on_change: impl FnMut(Change<K>))
where
    K: Resource + ResourceExt + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default + Eq + Hash + Clone + Unpin,
{
    let Watch { sources, mut writer, trim, bound } = watch;
    if sources.is_empty() {
        // Everything there is was listed: nothing.
        [Event::Init, Event::InitDone].iter().for_each(|event| writer.apply_watcher_event(event));
        return std::future::pending().await;
    }
    let (cache, places) = (writer.as_reader(), sources.len());
    let gathering = (sources.len() > 1).then(|| Gathering::of(sources.iter().map(|source| source.place.clone())));
    let mut rooms: Vec<Room<K>> =
        bound.iter().flat_map(|bound| sources.iter().map(|source| (bound.room)(&source.place))).collect();
    let mut events = select_all(sources.into_iter().enumerate().map(|(nth, Source { api, config, .. })| {
        watcher(api, config).backoff(Waits::begin()).map(move |event| (nth, event)).boxed()
    }));
    let mut kept = Keeping { cache: cache.clone(), writer, gathering, on_change };
    let mut turn = match &bound {
        Some(bound) => bound.listing.clone().acquire_owned().await.ok(),
        None => None,
    };
    let (mut failed_at, mut taken, mut listed) = (None, 0_u32, BTreeSet::new());
    loop {
        let to_read = rooms.iter_mut().enumerate().find_map(|(nth, room)| Some((nth, room.to_read()?)));
        taken = if to_read.is_some() { taken } else { 0 };
        let pause = failed_at.map_or(Duration::ZERO, |at| READ_AGAIN.saturating_sub(monotonic() - at));
        let next = match &to_read {
            None => Some(events.next().await),
            // What is ready comes first, but not for ever.
            Some(_) if taken < MOST_BEFORE_READING || !pause.is_zero() => {
                tokio::time::timeout(pause, events.next()).await.ok()
            }
            Some(_) => None,
        };
        match (next, to_read) {
            (Some(None), _) => return,
            (Some(Some((nth, Ok(event)))), _) => {
                taken += 1;
                if turn.is_some() && matches!(event, Event::InitDone) {
                    listed.insert(nth);
                    turn = turn.filter(|_| listed.len() < places);
                }
                let event = event.modify(trim);
                let events = match rooms.get_mut(nth) {
                    None => vec![event],
                    Some(room) => room.take(event, |namespace, name| kept.find(nth, namespace, name)),
                };
                events.into_iter().for_each(|event| kept.take(nth, event));
            }
            (Some(Some((_, Err(error)))), _) => {
                turn = None;
                let kind = std::any::type_name::<K>().rsplit("::").next().unwrap_or_default();
                tracing::warn!(kind, %error, "a watch was interrupted; it continues by itself");
            }
            (None, Some((nth, (namespace, name)))) => {
                taken = 0;
                let (Some(room), Some(bound)) = (rooms.get_mut(nth), &bound) else { continue };
                // Events wait meanwhile: what is read is as new as all that were taken, and all that happens to it later
                // is seen.
                let read = tokio::time::timeout(READ_TIMEOUT, (bound.read)(namespace.clone(), name.clone())).await;
                let Ok(Ok(mut read)) = read else {
                    failed_at = Some(monotonic());
                    continue;
                };
                failed_at = None;
                read.iter_mut().for_each(trim);
                let now = |namespace: &str, name: &str| kept.find(nth, namespace, name);
                let events = room.was_read((&namespace, &name), read, now);
                events.into_iter().for_each(|event| kept.take(nth, event));
            }
            (None, None) => {}
        }
    }
}

/// A cache that is kept up to date.
struct Keeping<K, F>
where
    K: reflector::Lookup + Clone + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    cache: Store<K>,
    writer: Writer<K>,
    /// If there are several places.
    gathering: Option<Gathering<K>>,
    on_change: F,
}

impl<K, F> Keeping<K, F>
where
    K: Resource + ResourceExt + Clone + 'static,
    K::DynamicType: Default + Eq + Hash + Clone,
    F: FnMut(Change<K>),
{
    /// An object that the `nth` place has shown.
    fn find(&self, nth: usize, namespace: &str, name: &str) -> Option<K> {
        let cached = self.cache.get(&ObjectRef::new(name).within(namespace));
        let cached = cached.map(|object| K::clone(&object));
        cached.or_else(|| self.gathering.as_ref()?.find(nth, name))
    }

    /// Takes an event of the `nth` place.
    fn take(&mut self, nth: usize, event: Event<K>) {
        let cache = &self.cache;
        let now = || cache.state().iter().map(|object| K::clone(object)).collect();
        match &mut self.gathering {
            None => take(event, &mut self.writer, cache, &mut self.on_change),
            Some(gathering) => {
                for event in gathering.take(nth, event, now) {
                    take(event, &mut self.writer, cache, &mut self.on_change);
                }
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

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use k8s_openapi::api::core::v1::Secret;

    use super::*;
    use crate::cluster::gather::place_of;
    use crate::cluster::room::{Measure, Rooms, Share};

    fn secret(namespace: &str, name: &str, bytes: usize) -> Secret {
        let (namespace, name) = (Some(namespace.to_owned()), Some(name.to_owned()));
        let data = Some([(String::new(), ByteString(vec![0; bytes]))].into());
        Secret { metadata: ObjectMeta { namespace, name, ..ObjectMeta::default() }, data, ..Secret::default() }
    }

    /// What has lost its room before every place was listed is not shown once they are.
    #[test]
    fn what_is_left_out_of_one_of_several_places_is_never_shown() {
        let (cache, writer) = reflector::store();
        let gathering = Some(Gathering::of(["a", "b"].map(str::to_owned)));
        let mut kept = Keeping { cache: cache.clone(), writer, gathering, on_change: |_: Change<Secret>| {} };
        let room = |place: &str| {
            let share = Share { most: 5_000, without_bound: String::new() };
            let size = |secret: &Secret| secret.data.iter().flatten().map(|(_, text)| text.0.len()).sum();
            Room::new(Rooms::default(), "a type", place, share, Measure { size, rest: |_| None })
        };
        let mut rooms = ["a", "b"].map(room);
        let mut see = |nth: usize, event| {
            let events = rooms[nth].take(event, |namespace, name| kept.find(nth, namespace, name));
            events.into_iter().for_each(|event| kept.take(nth, event));
        };
        for event in [Event::Init, Event::InitApply(secret("a", "large", 4_000)), Event::InitDone] {
            see(0, event);
        }
        see(0, Event::Apply(secret("a", "small", 1_001)));
        for event in [Event::Init, Event::InitApply(secret("b", "large", 4_000)), Event::InitDone] {
            see(1, event);
        }
        let names: Vec<String> =
            all(&cache).iter().map(|secret| format!("{}/{}", place_of(secret.as_ref()), secret.name_any())).collect();
        assert_eq!(names, ["a/small", "b/large"]);
    }
}
