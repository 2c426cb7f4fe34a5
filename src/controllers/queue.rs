//! The objects to look at: because of a change, or because their time has come.

use futures::stream::{self, Stream};
use kube::runtime::reflector::{Lookup, ObjectRef};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

use crate::cluster::clock::Clock;
use crate::domain::Instant;
use crate::wrong::{self, Variant::*};

/// Objects to look at, each at most once: the queue is never longer than there are objects.
pub struct Queue<K: Lookup<DynamicType = ()>>(Arc<Inner<K>>);

struct Inner<K: Lookup<DynamicType = ()>> {
    state: Mutex<State<K>>,
    changed: Notify,
}

struct State<K: Lookup<DynamicType = ()>> {
    waiting: VecDeque<ObjectRef<K>>,
    known: std::collections::HashSet<ObjectRef<K>>,
    closed: bool,
}

impl<K: Lookup<DynamicType = ()>> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Queue(self.0.clone())
    }
}

impl<K: Lookup<DynamicType = ()> + 'static> Default for Queue<K> {
    fn default() -> Self {
        let state = State { waiting: VecDeque::new(), known: Default::default(), closed: false };
        Queue(Arc::new(Inner { state: Mutex::new(state), changed: Notify::new() }))
    }
}

impl<K: Lookup<DynamicType = ()> + 'static> Queue<K> {
    pub fn add(&self, object: ObjectRef<K>) {
        let mut state = self.lock();
        if state.known.insert(object.clone()) {
            state.waiting.push_back(object);
            self.0.changed.notify_one();
        }
    }

    /// Ends the stream of objects. Work that is under way is finished.
    pub fn close(&self) {
        self.lock().closed = true;
        self.0.changed.notify_one();
    }

    /// The objects, in the order in which they were added. For one reader.
    pub fn objects(&self) -> impl Stream<Item = ObjectRef<K>> + use<K> {
        stream::unfold(self.clone(), |queue| async move {
            loop {
                {
                    let mut state = queue.lock();
                    if state.closed {
                        return None;
                    }
                    if let Some(object) = state.waiting.pop_front() {
                        state.known.remove(&object);
                        drop(state);
                        return Some((object, queue));
                    }
                }
                queue.0.changed.notified().await;
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When each object has to be looked at again, to the second. One task sleeps until the first of these times.
pub struct Wakes<K: Lookup<DynamicType = ()>> {
    times: Mutex<Times<K>>,
    changed: Notify,
}

struct Times<K: Lookup<DynamicType = ()>> {
    /// The number makes entries of the same instant differ.
    queue: BTreeSet<(Instant, u64)>,
    objects: HashMap<u64, ObjectRef<K>>,
    entries: HashMap<ObjectRef<K>, (Instant, u64)>,
    next: u64,
}

impl<K: Lookup<DynamicType = ()> + 'static> Default for Wakes<K> {
    fn default() -> Self {
        let times = Times { queue: BTreeSet::new(), objects: HashMap::new(), entries: HashMap::new(), next: 0 };
        Wakes { times: Mutex::new(times), changed: Notify::new() }
    }
}

impl<K: Lookup<DynamicType = ()> + Clone + 'static> Wakes<K>
where
    ObjectRef<K>: Hash + Eq,
{
    /// Wakes `object` at `at`, and no longer at any time set before; `None` wakes it at no time.
    pub fn set(&self, object: &ObjectRef<K>, at: Option<Instant>) {
        let mut times = self.lock();
        if let Some(entry) = times.entries.remove(object) {
            times.queue.remove(&entry);
            times.objects.remove(&entry.1);
        }
        if let Some(at) = at.filter(|_| !wrong::is(NoWake)) {
            let entry = (at, times.next);
            times.next += 1;
            times.queue.insert(entry);
            times.objects.insert(entry.1, object.clone());
            times.entries.insert(object.clone(), entry);
            if times.queue.first() == Some(&entry) {
                self.changed.notify_one();
            }
        }
    }

    /// Puts each object into `queue` when its time has come. Never returns.
    pub async fn run(&self, clock: &Clock, queue: &Queue<K>) {
        loop {
            let first = self.lock().queue.first().copied();
            match first {
                None => self.changed.notified().await,
                Some((at, _)) => tokio::select! {
                    biased;
                    () = self.changed.notified() => {}
                    () = clock.sleep_until(at) => self.wake_until(at, queue),
                },
            }
        }
    }

    fn wake_until(&self, at: Instant, queue: &Queue<K>) {
        let mut times = self.lock();
        while let Some(entry) = times.queue.first().copied().filter(|(due, _)| *due <= at) {
            times.queue.remove(&entry);
            if let Some(object) = times.objects.remove(&entry.1) {
                times.entries.remove(&object);
                queue.add(object);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Times<K>> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
