//! The objects as they are now, and what happened to them lately: for reads, for watches and for pages of a list.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

use super::storage::Change;

/// So many changes of each kind are remembered. Who asks for more has to list anew (410).
pub const HISTORY: usize = 4096;

/// One object at one revision.
#[derive(Debug)]
pub struct Object {
    pub revision: u64,
    pub value: Value,
    /// Made by a create, which stores no status: what is shown of it are defaults.
    pub without_defaults: bool,
    json: OnceLock<Bytes>,
}

impl Object {
    pub fn new(revision: u64, value: Value) -> Self {
        Object { revision, value, without_defaults: false, json: OnceLock::new() }
    }

    /// The same object, whose defaults are stored with it or not.
    pub fn stored_without_defaults(self, without_defaults: bool) -> Self {
        Object { without_defaults, ..self }
    }

    /// The object as JSON, as it is stored.
    fn stored(&self) -> Vec<u8> {
        if !self.without_defaults {
            return self.json().to_vec();
        }
        let mut value = self.value.clone();
        value.as_object_mut().and_then(|fields| fields.shift_remove("status"));
        written(&value).into()
    }

    /// The object as JSON, written once.
    pub fn json(&self) -> Bytes {
        self.json.get_or_init(|| written(&self.value)).clone()
    }
}

/// A value as JSON. Its `to_string` takes twice as long.
pub fn written(value: &impl Serialize) -> Bytes {
    // A value of strings, numbers and lists can always be written.
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// A change of one object.
#[derive(Clone, Debug)]
pub struct Event {
    pub revision: u64,
    pub key: String,
    pub before: Option<Arc<Object>>,
    /// What it has become; None: it is no more.
    pub after: Option<Arc<Object>>,
}

/// All objects of one kind. Keys are `<namespace>/<name>`, or the name where there are no namespaces.
#[derive(Debug)]
pub struct Shelf {
    objects: BTreeMap<String, Arc<Object>>,
    history: VecDeque<Event>,
    /// What happened up to this revision is forgotten.
    forgotten: u64,
    changed: Arc<Notify>,
}

impl Shelf {
    fn new(forgotten: u64) -> Self {
        Shelf { objects: BTreeMap::new(), history: VecDeque::new(), forgotten, changed: Arc::default() }
    }

    pub fn get(&self, key: &str) -> Option<&Arc<Object>> {
        self.objects.get(key)
    }

    /// The objects whose keys start like this, in order.
    pub fn range<'s>(&'s self, prefix: &'s str) -> impl Iterator<Item = (&'s String, &'s Arc<Object>)> {
        let from = (std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded);
        self.objects.range::<str, _>(from).take_while(move |(key, _)| key.starts_with(prefix))
    }

    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// The objects as they were at an earlier revision; None where that is forgotten.
    pub fn at(&self, revision: u64) -> Option<BTreeMap<String, Arc<Object>>> {
        if revision < self.forgotten {
            return None;
        }
        let mut objects = self.objects.clone();
        for event in self.history.iter().rev().take_while(|event| event.revision > revision) {
            match &event.before {
                Some(before) => objects.insert(event.key.clone(), before.clone()),
                None => objects.remove(&event.key),
            };
        }
        Some(objects)
    }

    /// What happened after `revision`; None where some of it is forgotten.
    pub fn since(&self, revision: u64) -> Option<impl Iterator<Item = &Event>> {
        let from = self.history.partition_point(|event| event.revision <= revision);
        (revision >= self.forgotten).then(|| self.history.range(from..))
    }

    /// Tells that something of this kind changed. Watches are told in the order in which they came, so that simulation
    /// can be repeated: a `watch` channel picks one of several lists at random.
    pub fn subscribe(&self) -> Arc<Notify> {
        self.changed.clone()
    }
}

/// Everything there is.
#[derive(Debug)]
pub struct State {
    pub revision: u64,
    shelves: Vec<Shelf>,
    /// Which objects name an owner of this UID.
    owned: HashMap<String, BTreeSet<(usize, String)>>,
}

impl State {
    pub fn new(kinds: usize, revision: u64) -> Self {
        let shelves = (0..kinds).map(|_| Shelf::new(revision)).collect();
        State { revision, shelves, owned: HashMap::new() }
    }

    /// Takes up an object that was stored.
    pub fn restore(&mut self, kind: usize, key: String, object: Object) {
        self.note_owners(kind, &key, None, Some(&object));
        self.shelves[kind].objects.insert(key, Arc::new(object));
    }

    pub fn shelf(&self, kind: usize) -> &Shelf {
        &self.shelves[kind]
    }

    /// The objects that name an owner of this UID.
    pub fn owned(&self, uid: &str) -> impl Iterator<Item = &(usize, String)> {
        self.owned.get(uid).into_iter().flatten()
    }

    /// Takes what was committed, and tells the watches.
    pub fn apply(&mut self, events: Vec<(usize, Event)>) {
        let mut touched = BTreeSet::new();
        for (kind, event) in events {
            self.revision = event.revision;
            self.note_owners(kind, &event.key, event.before.as_deref(), event.after.as_deref());
            let shelf = &mut self.shelves[kind];
            match &event.after {
                Some(after) => shelf.objects.insert(event.key.clone(), after.clone()),
                None => shelf.objects.remove(&event.key),
            };
            if shelf.history.len() == HISTORY
                && let Some(oldest) = shelf.history.pop_front()
            {
                shelf.forgotten = oldest.revision;
            }
            shelf.history.push_back(event);
            touched.insert(kind);
        }
        for kind in touched {
            self.shelves[kind].changed.notify_waiters();
        }
    }

    fn note_owners(&mut self, kind: usize, key: &str, before: Option<&Object>, after: Option<&Object>) {
        let (before, after) = (before.map_or_else(Vec::new, owners), after.map_or_else(Vec::new, owners));
        if before == after {
            return;
        }
        for uid in before {
            if let Some(owned) = self.owned.get_mut(uid) {
                owned.remove(&(kind, key.to_owned()));
                if owned.is_empty() {
                    self.owned.remove(uid);
                }
            }
        }
        for uid in after {
            self.owned.entry(uid.to_owned()).or_default().insert((kind, key.to_owned()));
        }
    }
}

/// The UIDs of an object's owners.
pub fn owners(object: &Object) -> Vec<&str> {
    let references = object.value["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    references.filter_map(|owner| owner["uid"].as_str()).collect()
}

/// What a request does, before it is committed: the objects as they are and as it leaves them.
pub struct Draft<'s> {
    state: &'s State,
    revision: u64,
    pending: BTreeMap<(usize, String), Option<Arc<Object>>>,
    events: Vec<(usize, Event)>,
}

impl<'s> Draft<'s> {
    pub fn on(state: &'s State) -> Self {
        Draft { state, revision: state.revision, pending: BTreeMap::new(), events: Vec::new() }
    }

    pub fn get(&self, kind: usize, key: &str) -> Option<Arc<Object>> {
        match self.pending.get(&(kind, key.to_owned())) {
            Some(pending) => pending.clone(),
            None => self.state.shelf(kind).get(key).cloned(),
        }
    }

    /// The objects of a kind whose keys start like this.
    pub fn range(&self, kind: usize, prefix: &str) -> Vec<(String, Arc<Object>)> {
        let mut found: BTreeMap<String, Arc<Object>> =
            self.state.shelf(kind).range(prefix).map(|(key, object)| (key.clone(), object.clone())).collect();
        for ((_, key), pending) in self.pending.iter().filter(|((k, key), _)| *k == kind && key.starts_with(prefix)) {
            match pending {
                Some(object) => found.insert(key.clone(), object.clone()),
                None => found.remove(key),
            };
        }
        found.into_iter().collect()
    }

    /// The objects that name an owner of this UID.
    pub fn owned(&self, uid: &str) -> Vec<(usize, String, Arc<Object>)> {
        let mut places: BTreeSet<(usize, String)> = self.state.owned(uid).cloned().collect();
        places.extend(self.pending.keys().cloned());
        let found = places.into_iter().filter_map(|(kind, key)| {
            let object = self.get(kind, &key)?;
            owners(&object).contains(&uid).then_some((kind, key, object))
        });
        found.collect()
    }

    /// Puts an object; its `resourceVersion` is that of this change.
    pub fn put(&mut self, kind: usize, key: String, value: Value) -> Arc<Object> {
        self.put_as(kind, key, value, false)
    }

    /// Puts an object whose status is a default and not stored: a change of nothing then stores it.
    pub fn put_without_defaults(&mut self, kind: usize, key: String, value: Value) -> Arc<Object> {
        self.put_as(kind, key, value, true)
    }

    fn put_as(&mut self, kind: usize, key: String, mut value: Value, without_defaults: bool) -> Arc<Object> {
        self.revision += 1;
        value["metadata"]["resourceVersion"] = self.revision.to_string().into();
        let object = Arc::new(Object::new(self.revision, value).stored_without_defaults(without_defaults));
        self.note(kind, key, Some(object.clone()));
        object
    }

    /// Removes an object that is there. Returns it as it was last, with the version of its removal.
    pub fn remove(&mut self, kind: usize, key: &str) -> Option<Arc<Object>> {
        let before = self.get(kind, key)?;
        self.revision += 1;
        self.note(kind, key.to_owned(), None);
        Some(at_revision(&before, self.revision))
    }

    fn note(&mut self, kind: usize, key: String, after: Option<Arc<Object>>) {
        let before = self.get(kind, &key);
        self.pending.insert((kind, key.clone()), after.clone());
        self.events.push((kind, Event { revision: self.revision, key, before, after }));
    }

    /// How many objects of a kind there were before this draft.
    pub fn len_before(&self, kind: usize) -> usize {
        self.state.shelf(kind).len()
    }

    /// What was done since `mark`.
    pub fn since(&self, mark: usize) -> Vec<(usize, Event)> {
        self.events[mark..].to_vec()
    }

    /// Where this draft stands, to return to.
    pub fn mark(&self) -> usize {
        self.events.len()
    }

    /// Takes back what was done since `mark`.
    pub fn undo(&mut self, mark: usize) {
        for (kind, event) in self.events.drain(mark..).rev() {
            self.revision = event.revision - 1;
            self.pending.insert((kind, event.key), event.before);
        }
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What has to be stored: the last state of everything that was touched, under the key that `name` gives it.
    pub fn changes(&self, name: impl Fn(usize, &str) -> String) -> Vec<Change> {
        let changes = self.pending.iter().map(|((kind, key), object)| Change {
            key: name(*kind, key),
            value: object.as_ref().map(|object| object.stored()),
        });
        changes.collect()
    }

    pub fn into_events(self) -> Vec<(usize, Event)> {
        self.events
    }
}

/// The same object under the revision of a later event.
pub fn at_revision(object: &Object, revision: u64) -> Arc<Object> {
    let mut value = object.value.clone();
    value["metadata"]["resourceVersion"] = revision.to_string().into();
    Arc::new(Object::new(revision, value))
}
