//! How much is kept of the objects of each namespace: a share of memory for each type of Secret and each of our kinds, which
//! the smallest objects fill. What one tenant writes takes no more than that, and nothing from another.

use kube::ResourceExt;
use kube::runtime::watcher::Event;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::fault::Fault;
use crate::domain::reason::Reason;

/// The most names that are remembered of what is left out of a share. Those beyond are read after the next list, or once they
/// change.
const MOST_NAMES: usize = 20_000;

/// What is kept, by the type of Secret and the namespace.
#[derive(Clone, Default)]
pub struct Rooms(Arc<Mutex<Spaces>>);

type Spaces = HashMap<&'static str, HashMap<String, Space>>;

impl Rooms {
    /// Why the Secret of that name is not read; `None` if there is room for it, or there is none of that name. If more are left
    /// out than are remembered, every name that is not known counts as left out.
    pub fn left_out(&self, type_: &str, namespace: &str, name: &str) -> Option<Fault> {
        let rooms = self.lock();
        let space = rooms.get(type_)?.get(namespace)?;
        let message = || {
            format!(
                "Secret {namespace}/{name} is not read: the Secrets of type {type_} in this namespace are larger than {} \
                 MiB together, and only the smallest of them are read; delete those that nothing needs",
                space.most >> 20
            )
        };
        space.leaves_out(name).then(|| Fault::new(Reason::SecretsTooLarge, "", message()))
    }

    fn lock(&self) -> MutexGuard<'_, Spaces> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The share of one namespace.
struct Space {
    /// In bytes.
    most: usize,
    bytes: usize,
    sizes: HashMap<Arc<str>, usize>,
    kept: BTreeSet<(usize, Arc<str>)>,
    left_out: BTreeSet<(usize, Arc<str>)>,
    /// Not all that is left out is remembered.
    has_forgotten: bool,
}

impl Space {
    fn of(most: usize) -> Self {
        let (sizes, kept, left_out) = (HashMap::new(), BTreeSet::new(), BTreeSet::new());
        Space { most, bytes: 0, sizes, kept, left_out, has_forgotten: false }
    }

    fn leaves_out(&self, name: &str) -> bool {
        match self.sizes.get_key_value(name) {
            Some((name, size)) => self.left_out.contains(&(*size, name.clone())),
            None => self.has_forgotten,
        }
    }

    /// Takes note of an object. Returns the names of those that no longer have room, perhaps itself.
    fn put(&mut self, name: &str, size: usize) -> Vec<Arc<str>> {
        self.remove(name);
        let name: Arc<str> = name.into();
        self.sizes.insert(name.clone(), size);
        self.kept.insert((size, name));
        self.bytes += size;
        let mut left_out = Vec::new();
        let smallest_left_out = self.left_out.first().cloned();
        let is_smaller_than_left_out = |largest: &Option<&(usize, Arc<str>)>| {
            smallest_left_out.as_ref().is_none_or(|smallest| largest.is_none_or(|largest| largest < smallest))
        };
        // Nothing is kept that is larger than what is left out, so what is kept does not depend on what came first.
        while (self.bytes > self.most || !is_smaller_than_left_out(&self.kept.last()))
            && let Some(largest) = self.kept.pop_last()
        {
            self.bytes -= largest.0;
            left_out.push(largest.1.clone());
            self.left_out.insert(largest);
        }
        while self.left_out.len() > MOST_NAMES
            && let Some((_, name)) = self.left_out.pop_last()
        {
            self.sizes.remove(&name);
            self.has_forgotten = true;
        }
        left_out
    }

    fn remove(&mut self, name: &str) {
        let Some((name, size)) = self.sizes.remove_entry(name) else { return };
        let entry = (size, name);
        if self.kept.remove(&entry) {
            self.bytes -= size;
        } else {
            self.left_out.remove(&entry);
        }
    }

    /// The first that is left out, if there is room for it now.
    fn fitting(&self) -> Option<Arc<str>> {
        let (size, name) = self.left_out.first()?;
        (self.bytes + size <= self.most).then(|| name.clone())
    }
}

/// How much each namespace may take.
pub struct Share {
    /// In bytes.
    pub most: usize,
    /// A namespace in which everything is kept.
    pub without_bound: String,
}

impl Share {
    fn space(&self, namespace: &str) -> Space {
        Space::of(if namespace == self.without_bound { usize::MAX } else { self.most })
    }
}

/// What objects take, and what is kept of those that are left out.
pub struct Measure<K> {
    /// What an object takes, in bytes. One that takes nothing is never left out.
    pub size: fn(&K) -> usize,
    /// What is kept of an object that is left out; `None` if nothing is.
    pub rest: fn(&K) -> Option<K>,
}

/// What bounds the objects of one watch.
pub struct Room<K> {
    rooms: Rooms,
    type_: &'static str,
    /// The namespace that the watch sees; empty for all.
    place: String,
    share: Share,
    measure: Measure<K>,
    listing: Option<Listing<K>>,
    /// Namespaces in which something that is left out may have room now.
    freed: BTreeSet<String>,
    /// The namespace whose turn it was last.
    last_read: String,
}

/// What a list under way has shown so far.
struct Listing<K> {
    spaces: HashMap<String, Space>,
    objects: BTreeMap<(String, Arc<str>), K>,
}

fn name_of(object: &impl ResourceExt) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

impl<K: ResourceExt> Room<K> {
    pub fn new(rooms: Rooms, type_: &'static str, place: &str, share: Share, measure: Measure<K>) -> Self {
        Room {
            rooms,
            type_,
            place: place.to_owned(),
            share,
            measure,
            listing: None,
            freed: BTreeSet::new(),
            last_read: String::new(),
        }
    }

    /// Takes an event of the watch. Returns what the watch would have seen if only what has room were there. `now` finds an
    /// object that it has shown.
    pub fn take(&mut self, event: Event<K>, now: impl Fn(&str, &str) -> Option<K>) -> Vec<Event<K>> {
        match event {
            Event::Init => {
                self.listing = Some(Listing { spaces: HashMap::new(), objects: BTreeMap::new() });
                Vec::new()
            }
            Event::InitApply(object) => {
                self.list(object);
                Vec::new()
            }
            Event::InitDone => self.listed(),
            Event::Apply(object) => self.put(object, now),
            Event::Delete(object) => {
                let (namespace, name) = name_of(&object);
                self.removed(&namespace, &name);
                vec![Event::Delete(object)]
            }
        }
    }

    /// Something that is left out and has room now, by namespace and name: it has to be read.
    pub fn to_read(&mut self) -> Option<(String, String)> {
        if self.listing.is_some() {
            return None;
        }
        let rooms = self.rooms.lock();
        loop {
            let after = (Bound::Excluded(self.last_read.as_str()), Bound::Unbounded);
            let namespace = self.freed.range::<str, _>(after).next().or_else(|| self.freed.first())?.clone();
            match rooms.get(self.type_).and_then(|spaces| spaces.get(&namespace)).and_then(Space::fitting) {
                Some(name) => return Some((namespace, name.to_string())),
                None => _ = self.freed.remove(&namespace),
            }
        }
    }

    /// Takes what was read of that name; `None` if it is gone.
    pub fn was_read(
        &mut self,
        (namespace, name): (&str, &str),
        read: Option<K>,
        now: impl Fn(&str, &str) -> Option<K>,
    ) -> Vec<Event<K>> {
        self.last_read = namespace.to_owned();
        match read {
            Some(object) => self.put(object, now),
            None => {
                self.removed(namespace, name);
                Vec::new()
            }
        }
    }

    fn list(&mut self, object: K) {
        let (namespace, name) = name_of(&object);
        let size = (self.measure.size)(&object);
        let Some(Listing { spaces, objects }) = &mut self.listing else { return };
        let left_out = match size {
            0 => Vec::new(),
            _ => spaces.entry(namespace.clone()).or_insert_with(|| self.share.space(&namespace)).put(&name, size),
        };
        objects.insert((namespace.clone(), name.into()), object);
        for name in left_out {
            let name = (namespace.clone(), name);
            let rest = objects.remove(&name).and_then(|object| (self.measure.rest)(&object));
            objects.extend(rest.map(|rest| (name, rest)));
        }
    }

    fn listed(&mut self) -> Vec<Event<K>> {
        let Some(Listing { spaces, objects }) = self.listing.take() else { return vec![Event::InitDone] };
        let mut rooms = self.rooms.lock();
        let of_type = rooms.entry(self.type_).or_default();
        of_type.retain(|namespace, _| !(self.place.is_empty() || *namespace == self.place));
        of_type.extend(spaces);
        self.freed.clear();
        [Event::Init].into_iter().chain(objects.into_values().map(Event::InitApply)).chain([Event::InitDone]).collect()
    }

    fn put(&mut self, object: K, now: impl Fn(&str, &str) -> Option<K>) -> Vec<Event<K>> {
        let (namespace, name) = name_of(&object);
        let size = (self.measure.size)(&object);
        if size == 0 {
            self.removed(&namespace, &name);
            return vec![Event::Apply(object)];
        }
        let mut rooms = self.rooms.lock();
        let of_type = rooms.entry(self.type_).or_default();
        let space = of_type.entry(namespace.clone()).or_insert_with(|| self.share.space(&namespace));
        let left_out = space.put(&name, size);
        if !space.left_out.is_empty() {
            self.freed.insert(namespace.clone());
        }
        let mut object = Some(object);
        let mut events = Vec::new();
        for other in left_out {
            let gone = if *other == *name { object.take() } else { now(&namespace, &other) };
            events.extend(gone.map(|gone| match (self.measure.rest)(&gone) {
                Some(rest) => Event::Apply(rest),
                None => Event::Delete(gone),
            }));
        }
        events.extend(object.map(Event::Apply));
        events
    }

    fn removed(&mut self, namespace: &str, name: &str) {
        let mut rooms = self.rooms.lock();
        let of_type = rooms.entry(self.type_).or_default();
        let Some(space) = of_type.get_mut(namespace) else { return };
        space.remove(name);
        if space.sizes.is_empty() {
            of_type.remove(namespace);
        } else if !space.left_out.is_empty() {
            self.freed.insert(namespace.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use k8s_openapi::api::core::v1::Secret;
    use kube::api::ObjectMeta;
    use proptest::prelude::*;
    use std::mem::take;

    use super::*;

    const TYPE: &str = "a type";
    /// What a Secret takes beside its data.
    const OVERHEAD: usize = 512;
    const MOST: usize = 10 * OVERHEAD;
    /// What is left of a Secret beyond its share, if anything is.
    const REST: &str = "what is left";

    fn secret(namespace: &str, name: &str, bytes: usize) -> Secret {
        let (namespace, name) = (Some(namespace.to_owned()), Some(name.to_owned()));
        let data = Some([(String::new(), ByteString(vec![0; bytes]))].into());
        Secret { metadata: ObjectMeta { namespace, name, ..ObjectMeta::default() }, data, ..Secret::default() }
    }

    fn size(secret: &Secret) -> usize {
        OVERHEAD + secret.name_any().len() + secret.data.iter().flatten().map(|(_, text)| text.0.len()).sum::<usize>()
    }

    /// Of these, small ones are free, and something is kept of those that are left out.
    fn size_beyond_free(secret: &Secret) -> usize {
        size(secret).saturating_sub(2 * OVERHEAD)
    }

    fn what_is_left(secret: &Secret) -> Option<Secret> {
        Some(Secret { metadata: secret.metadata.clone(), type_: Some(REST.to_owned()), ..Secret::default() })
    }

    /// A cluster, and a cache that a room bounds.
    struct World {
        measure: fn() -> Measure<Secret>,
        there: BTreeMap<(String, String), Secret>,
        cache: BTreeMap<(String, String), Secret>,
        listing: Vec<Secret>,
        rooms: Rooms,
        room: Room<Secret>,
    }

    impl World {
        /// Nothing is kept of what is left out.
        fn new() -> Self {
            Self::of(|| Measure { size, rest: |_| None })
        }

        fn of(measure: fn() -> Measure<Secret>) -> Self {
            let rooms = Rooms::default();
            let share = Share { most: MOST, without_bound: "own".to_owned() };
            let room = Room::new(rooms.clone(), TYPE, "", share, measure());
            World { measure, there: BTreeMap::new(), cache: BTreeMap::new(), listing: Vec::new(), rooms, room }
        }

        fn see(&mut self, event: Event<Secret>) {
            let cache = self.cache.clone();
            let now = |namespace: &str, name: &str| cache.get(&(namespace.to_owned(), name.to_owned())).cloned();
            let events = self.room.take(event, now);
            self.apply(events);
        }

        fn apply(&mut self, events: Vec<Event<Secret>>) {
            for event in events {
                match event {
                    Event::Init => self.listing.clear(),
                    Event::InitApply(object) => self.listing.push(object),
                    Event::InitDone => {
                        self.cache =
                            take(&mut self.listing).into_iter().map(|object| (name_of(&object), object)).collect()
                    }
                    Event::Apply(object) => _ = self.cache.insert(name_of(&object), object),
                    Event::Delete(object) => _ = self.cache.remove(&name_of(&object)),
                }
            }
        }

        fn put(&mut self, object: Secret) {
            self.there.insert(name_of(&object), object.clone());
            self.see(Event::Apply(object));
        }

        fn delete(&mut self, namespace: &str, name: &str) {
            let gone = self.there.remove(&(namespace.to_owned(), name.to_owned()));
            gone.into_iter().for_each(|object| self.see(Event::Delete(object)));
        }

        /// Reads what has room now. Returns how much that was.
        fn read(&mut self) -> usize {
            let mut reads = 0;
            while let Some((namespace, name)) = self.room.to_read() {
                reads += 1;
                assert!(reads < 100, "it reads without end");
                let object = self.there.get(&(namespace.clone(), name.clone())).cloned();
                let cache = self.cache.clone();
                let now = |namespace: &str, name: &str| cache.get(&(namespace.to_owned(), name.to_owned())).cloned();
                let events = self.room.was_read((&namespace, &name), object, now);
                self.apply(events);
            }
            reads
        }

        fn list(&mut self) {
            self.see(Event::Init);
            for object in self.there.clone().into_values() {
                self.see(Event::InitApply(object));
            }
            self.see(Event::InitDone);
        }

        /// What should be in the cache as a whole: of each namespace the smallest, until one has no room.
        fn should_have(&self) -> BTreeMap<(String, String), Secret> {
            let Measure { size, .. } = (self.measure)();
            let mut by_size: Vec<&Secret> = self.there.values().collect();
            by_size.sort_by_key(|&object| (size(object), name_of(object).1));
            let mut taken: BTreeMap<String, usize> = BTreeMap::new();
            let mut kept = BTreeMap::new();
            for object in by_size {
                let (namespace, name) = name_of(object);
                let taken = taken.entry(namespace.clone()).or_default();
                *taken += size(object);
                if *taken <= MOST || namespace == "own" {
                    kept.insert((namespace, name), object.clone());
                }
            }
            kept
        }

        fn take(&mut self, step: Step) {
            match step {
                Step::Put(namespace, name, size) => self.put(secret(namespace, &name.to_string(), size)),
                Step::Delete(namespace, name) => self.delete(namespace, &name.to_string()),
                Step::List => self.list(),
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put(&'static str, u8, usize),
        Delete(&'static str, u8),
        List,
    }

    fn step() -> impl Strategy<Value = Step> {
        let namespace = || prop::sample::select(vec!["a", "b", "own"]);
        let size = prop_oneof![0..3 * OVERHEAD, Just(0), Just(MOST)];
        prop_oneof![
            8 => (namespace(), 0..20_u8, size).prop_map(|(namespace, name, size)| Step::Put(namespace, name, size)),
            4 => (namespace(), 0..20_u8).prop_map(|(namespace, name)| Step::Delete(namespace, name)),
            1 => Just(Step::List),
        ]
    }

    proptest! {
        #[test]
        fn each_namespace_has_its_smallest_objects_and_only_its_own_count(steps in prop::collection::vec(step(), 1..60)) {
            let mut world = World::new();
            world.list();
            for step in steps {
                world.take(step);
                let reads = world.read();
                prop_assert!(reads <= 7, "{} reads for one change", reads);
                let should_have = world.should_have();
                prop_assert_eq!(&world.cache, &should_have);
                for (namespace, name) in world.there.keys() {
                    let is_kept = should_have.contains_key(&(namespace.clone(), name.clone()));
                    prop_assert_eq!(world.rooms.left_out(TYPE, namespace, name).is_none(), is_kept);
                }
            }
        }

        #[test]
        fn what_is_left_of_each_object_without_room_is_kept_and_small_ones_need_none(
            steps in prop::collection::vec(step(), 1..60)
        ) {
            let mut world = World::of(|| Measure { size: size_beyond_free, rest: what_is_left });
            world.list();
            for step in steps {
                world.take(step);
                let reads = world.read();
                prop_assert!(reads <= 30, "{} reads for one change", reads);
                let mut should_have = world.should_have();
                let small = world.there.iter().filter(|(_, secret)| size_beyond_free(secret) == 0);
                prop_assert!(small.clone().all(|(name, _)| should_have.contains_key(name)));
                for (name, secret) in &world.there {
                    should_have.entry(name.clone()).or_insert_with(|| what_is_left(secret).expect("something is"));
                }
                prop_assert_eq!(&world.cache, &should_have);
                let counted: usize = world.rooms.lock().values().flatten().map(|(_, space)| space.sizes.len()).sum();
                prop_assert_eq!(counted, world.there.len() - small.count(), "nothing is remembered of small ones");
            }
            for (namespace, name) in world.there.clone().into_keys() {
                world.delete(&namespace, &name);
            }
            prop_assert!(world.cache.is_empty() && world.rooms.lock().get(TYPE).is_none_or(HashMap::is_empty));
        }
    }

    #[test]
    fn what_cannot_be_read_again_is_asked_for_again_and_what_is_gone_is_forgotten() {
        let mut world = World::new();
        world.list();
        ["1", "2"].into_iter().for_each(|name| world.put(secret("a", name, MOST / 2)));
        assert_eq!(world.cache.len(), 1, "two have no room");
        world.delete("a", "1");
        let asked = Some(("a".to_owned(), "2".to_owned()));
        assert_eq!(world.room.to_read(), asked);
        assert_eq!(world.room.to_read(), asked, "it was not read");
        assert!(world.room.was_read(("a", "2"), None, |_, _| None).is_empty());
        assert_eq!(world.room.to_read(), None);
        assert!(world.rooms.lock()[TYPE].is_empty(), "nothing is remembered of an empty namespace");
    }

    #[test]
    fn the_message_names_the_secret_the_bound_and_what_to_do() {
        let mut world = World::new();
        world.list();
        world.put(secret("a", "large", MOST));
        let fault = world.rooms.left_out(TYPE, "a", "large").expect("it has no room");
        assert_eq!(fault.reason, Reason::SecretsTooLarge);
        assert!(fault.message.starts_with("Secret a/large is not read: "), "{}", fault.message);
        assert!(fault.message.ends_with("delete those that nothing needs"), "{}", fault.message);
        assert_eq!(world.rooms.left_out("another type", "a", "large").map(|fault| fault.message), None);
    }
}
