//! The objects to look at: because of a change, or because their time has come.

use futures::stream::{self, Stream};
use kube::runtime::reflector::{Lookup, ObjectRef};
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

use crate::cluster::clock::Clock;
use crate::domain::Instant;
use crate::wrong::{self, Variant::*};

/// The most objects of one kind that are looked at at once.
const CONCURRENCY: usize = 64;

/// Objects to look at, each at most once: the queue is never longer than there are objects. Namespaces take turns, so the
/// thousands of one delay no other. A namespace has at most as many looks under way as are free, so no namespace whose
/// looks take long holds all of them: one alone has 32, each of two has 21.
pub struct Queue<K: Lookup<DynamicType = ()>>(Arc<Inner<K>>);

struct Inner<K: Lookup<DynamicType = ()>> {
    state: Mutex<State<K>>,
    changed: Notify,
}

struct State<K: Lookup<DynamicType = ()>> {
    /// By namespace.
    waiting: HashMap<Option<String>, VecDeque<ObjectRef<K>>>,
    /// The namespaces in which something waits.
    turns: VecDeque<Option<String>>,
    known: HashSet<ObjectRef<K>>,
    /// The objects that are looked at, and whether each has to be looked at once more.
    under_way: HashMap<ObjectRef<K>, bool>,
    /// How many objects of each namespace are looked at.
    of_namespace: HashMap<Option<String>, usize>,
    closed: bool,
}

impl<K: Lookup<DynamicType = ()>> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Queue(self.0.clone())
    }
}

impl<K: Lookup<DynamicType = ()> + 'static> Default for Queue<K> {
    fn default() -> Self {
        let state = State {
            waiting: HashMap::new(),
            turns: VecDeque::new(),
            known: HashSet::new(),
            under_way: HashMap::new(),
            of_namespace: HashMap::new(),
            closed: false,
        };
        Queue(Arc::new(Inner { state: Mutex::new(state), changed: Notify::new() }))
    }
}

impl<K: Lookup<DynamicType = ()> + 'static> Queue<K> {
    /// Has `object` looked at: once more, if a look at it is under way.
    pub fn add(&self, object: ObjectRef<K>) {
        if self.lock().add(object) {
            self.0.changed.notify_one();
        }
    }

    /// The look at an object of [`objects`](Self::objects) is over.
    pub fn done(&self, object: &ObjectRef<K>) {
        self.lock().done(object);
        self.0.changed.notify_one();
    }

    /// Ends the stream of objects. Work that is under way is finished.
    pub fn close(&self) {
        self.lock().closed = true;
        self.0.changed.notify_one();
    }

    /// The objects, one of each namespace in turn, those of a namespace in the order in which they were added. Each is
    /// under way until it is [`done`](Self::done). For one reader.
    pub fn objects(&self) -> impl Stream<Item = ObjectRef<K>> + use<K> {
        stream::unfold(self.clone(), |queue| async move {
            loop {
                {
                    let mut state = queue.lock();
                    if state.closed {
                        return None;
                    }
                    if let Some(object) = state.next() {
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

impl<K: Lookup<DynamicType = ()>> State<K> {
    /// Returns false if the object waits already, or is looked at.
    fn add(&mut self, object: ObjectRef<K>) -> bool {
        if let Some(again) = self.under_way.get_mut(&object) {
            *again = !wrong::is(ChangeWhileBusyLost);
            return false;
        }
        if !self.known.insert(object.clone()) {
            return false;
        }
        let waiting = self.waiting.entry(object.namespace.clone()).or_default();
        if waiting.is_empty() {
            self.turns.push_back(object.namespace.clone());
        }
        waiting.push_back(object);
        true
    }

    /// The next object, which is under way from now on. Passes over namespaces that have their share, of which there are
    /// fewer than looks.
    fn next(&mut self) -> Option<ObjectRef<K>> {
        let free = CONCURRENCY - self.under_way.len();
        if free == 0 {
            return None;
        }
        let has = |namespace| self.of_namespace.get(namespace).copied().unwrap_or(0);
        let turn = self.turns.iter().position(|namespace| has(namespace) < free)?;
        let namespace = self.turns.remove(turn)?;
        let waiting = self.waiting.get_mut(&namespace)?;
        let object = waiting.pop_front()?;
        *self.of_namespace.entry(namespace.clone()).or_default() += 1;
        match waiting.is_empty() {
            true => _ = self.waiting.remove(&namespace),
            false => self.turns.push_back(namespace),
        }
        self.known.remove(&object);
        self.under_way.insert(object.clone(), false);
        Some(object)
    }

    fn done(&mut self, object: &ObjectRef<K>) {
        let Some(again) = self.under_way.remove(object) else { return };
        if let Entry::Occupied(mut of_namespace) = self.of_namespace.entry(object.namespace.clone()) {
            *of_namespace.get_mut() -= 1;
            if *of_namespace.get() == 0 {
                of_namespace.remove();
            }
        }
        if again {
            self.add(object.clone());
        }
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

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;

    use super::*;

    fn secret(namespace: &str, n: u32) -> ObjectRef<Secret> {
        ObjectRef::new(&n.to_string()).within(namespace)
    }

    /// The objects that are looked at next, of which none is done.
    fn begin(queue: &Queue<Secret>) -> Vec<ObjectRef<Secret>> {
        std::iter::from_fn(|| queue.lock().next()).collect()
    }

    /// The attack: a tenant with thousands of objects that change without end. All others waited for all of them.
    #[test]
    fn namespaces_take_turns_and_each_object_waits_once() {
        let queue = Queue::<Secret>::default();
        (0..1_000).for_each(|n| queue.add(secret("crowd", n)));
        (0..1_000).for_each(|n| queue.add(secret("crowd", n)));
        [1, 2].into_iter().for_each(|n| queue.add(secret("a", n)));
        queue.add(secret("b", 1));
        let next = || {
            let next = queue.lock().next()?;
            queue.done(&next);
            Some(format!("{}/{}", next.namespace.unwrap_or_default(), next.name))
        };
        let first: Vec<String> = (0..6).filter_map(|_| next()).collect();
        assert_eq!(first, ["crowd/0", "a/1", "b/1", "crowd/1", "a/2", "crowd/2"]);
        queue.add(secret("crowd", 0));
        queue.add(secret("b", 2));
        let rest: Vec<String> = std::iter::from_fn(next).collect();
        assert_eq!(rest[..2], ["crowd/3", "b/2"]);
        assert_eq!((rest.len(), rest.last().map(String::as_str)), (999, Some("crowd/0")));
    }

    /// The attack: looks at a tenant's objects that wait for the API server until their deadline. They took all places, and
    /// nothing of anybody else was looked at.
    #[test]
    fn looks_that_take_long_leave_room_for_other_namespaces() {
        let queue = Queue::<Secret>::default();
        let waits = |namespace: &str| (0..1_000).for_each(|n| queue.add(secret(namespace, n)));
        waits("slow");
        assert_eq!(begin(&queue).len(), 32);
        waits("a");
        let a = begin(&queue);
        assert_eq!(a.len(), 16, "as many as are free then: 64 - 32 - 16");
        assert!(a.iter().all(|object| object.namespace.as_deref() == Some("a")));
        // While nothing ends, each further namespace has half of what is free, and the last one has the last.
        let room = ["b", "c", "d", "e", "f", "g"].map(|namespace| {
            waits(namespace);
            begin(&queue).len()
        });
        assert_eq!(room, [8, 4, 2, 1, 1, 0]);
        // Once a look ends, it is the turn of those who have none.
        queue.done(&a[0]);
        let next: Vec<_> = begin(&queue).into_iter().filter_map(|object| object.namespace).collect();
        assert_eq!(next, ["g"]);
    }

    #[test]
    fn a_change_during_a_look_causes_one_more_look() {
        let queue = Queue::<Secret>::default();
        queue.add(secret("a", 1));
        assert_eq!(begin(&queue), [secret("a", 1)]);
        queue.add(secret("a", 1));
        queue.add(secret("a", 1));
        assert_eq!(begin(&queue), [], "an object is never looked at twice at once");
        queue.done(&secret("a", 1));
        assert_eq!(begin(&queue), [secret("a", 1)]);
        queue.done(&secret("a", 1));
        assert_eq!(begin(&queue), []);
    }
}
