//! The objects as they are now, and their recent changes: for reads, for watches and for pages of a list.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// The most changes that are remembered of each kind. A client that needs older ones has to list again (410).
pub const HISTORY: usize = 4096;

/// One object at one revision.
#[derive(Debug)]
pub struct Object {
    pub revision: u64,
    pub value: Value,
    /// Whether the object comes from a create, which stores no status: the status shown consists of defaults.
    pub without_defaults: bool,
    json: OnceLock<Bytes>,
}

impl Object {
    pub fn new(revision: u64, value: Value) -> Self {
        Object { revision, value, without_defaults: false, json: OnceLock::new() }
    }

    /// Returns the same object, marked as stored with or without its defaults.
    pub fn stored_without_defaults(self, without_defaults: bool) -> Self {
        Object { without_defaults, ..self }
    }

    /// Returns the object as the JSON that is stored.
    pub fn stored(&self) -> Vec<u8> {
        if !self.without_defaults {
            return self.json().to_vec();
        }
        let mut value = self.value.clone();
        value.as_object_mut().and_then(|fields| fields.shift_remove("status"));
        written(&value).into()
    }

    /// Returns the object as JSON, which is written once.
    pub fn json(&self) -> Bytes {
        self.json.get_or_init(|| written(&self.value)).clone()
    }
}

/// Returns a value as JSON. `Value::to_string` takes twice as long.
pub fn written(value: &impl Serialize) -> Bytes {
    // A value of strings, numbers and lists always serialises.
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// A change to one object.
#[derive(Clone, Debug)]
pub struct Event {
    pub revision: u64,
    pub key: String,
    pub before: Option<Arc<Object>>,
    /// The object after the change; `None` if it was removed.
    pub after: Option<Arc<Object>>,
}

/// All objects of one kind. Keys are `<namespace>/<name>`, or the name alone for kinds without namespaces.
#[derive(Debug)]
pub struct Shelf {
    objects: BTreeMap<String, Arc<Object>>,
    history: VecDeque<Event>,
    /// Changes up to and including this revision are forgotten.
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

    /// Returns the objects whose keys start with `prefix`, in order.
    pub fn range<'s>(&'s self, prefix: &'s str) -> impl Iterator<Item = (&'s String, &'s Arc<Object>)> {
        let from = (std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded);
        self.objects.range::<str, _>(from).take_while(move |(key, _)| key.starts_with(prefix))
    }

    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Returns the objects as they were at an earlier revision; `None` if that is forgotten.
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

    /// Returns the changes after `revision`; `None` if some of them are forgotten.
    pub fn since(&self, revision: u64) -> Option<impl Iterator<Item = &Event>> {
        let from = self.history.partition_point(|event| event.revision <= revision);
        (revision >= self.forgotten).then(|| self.history.range(from..))
    }

    /// Returns what is notified when something of this kind changes. Watches are notified in the order in which they
    /// subscribed, so that a simulation can be repeated: a `watch` channel would pick one of several lists at random.
    pub fn subscribe(&self) -> Arc<Notify> {
        self.changed.clone()
    }
}

/// All objects of all kinds.
#[derive(Debug)]
pub struct State {
    pub revision: u64,
    shelves: Vec<Shelf>,
    /// By UID: the objects that name an owner with this UID.
    owned: HashMap<String, BTreeSet<(usize, String)>>,
}

impl State {
    pub fn new(kinds: usize, revision: u64) -> Self {
        let shelves = (0..kinds).map(|_| Shelf::new(revision)).collect();
        State { revision, shelves, owned: HashMap::new() }
    }

    /// Adds an object that was read from the storage.
    pub fn restore(&mut self, kind: usize, key: String, object: Object) {
        self.note_owners(kind, &key, None, Some(&object));
        self.shelves[kind].objects.insert(key, Arc::new(object));
    }

    pub fn shelf(&self, kind: usize) -> &Shelf {
        &self.shelves[kind]
    }

    /// Returns the objects that name an owner with this UID.
    pub fn owned(&self, uid: &str) -> impl Iterator<Item = &(usize, String)> {
        self.owned.get(uid).into_iter().flatten()
    }

    /// Applies what was committed, and notifies the watches.
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

/// Returns the UIDs of an object's owners.
pub fn owners(object: &Object) -> Vec<&str> {
    let references = object.value["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    references.filter_map(|owner| owner["uid"].as_str()).collect()
}

/// Returns the same object under the revision of a later change.
pub fn at_revision(object: &Object, revision: u64) -> Arc<Object> {
    let mut value = object.value.clone();
    value["metadata"]["resourceVersion"] = revision.to_string().into();
    Arc::new(Object::new(revision, value))
}
