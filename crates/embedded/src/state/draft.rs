//! What requests have changed and nothing has stored yet.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::objects::{Event, Object, State, at_revision, owners};
use crate::storage::Change;

/// The changes of a request before they are committed. Reads see them on top of the state.
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

    /// Returns the objects of a kind whose keys start with `prefix`.
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

    /// Returns the objects that name an owner with this UID.
    pub fn owned(&self, uid: &str) -> Vec<(usize, String, Arc<Object>)> {
        let mut places: BTreeSet<(usize, String)> = self.state.owned(uid).cloned().collect();
        places.extend(self.pending.keys().cloned());
        let found = places.into_iter().filter_map(|(kind, key)| {
            let object = self.get(kind, &key)?;
            owners(&object).contains(&uid).then_some((kind, key, object))
        });
        found.collect()
    }

    /// Puts an object. Its `resourceVersion` becomes that of this change.
    pub fn put(&mut self, kind: usize, key: String, value: Value) -> Arc<Object> {
        self.put_as(kind, key, value, false)
    }

    /// Puts an object whose status consists of defaults and is not stored. A later write that changes nothing then
    /// stores it.
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

    /// Removes an object, and returns it as it was, with the version of its removal. `None` if there is no such object.
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

    /// Returns how many objects of a kind there were before this draft.
    pub fn len_before(&self, kind: usize) -> usize {
        self.state.shelf(kind).len()
    }

    /// Returns the changes since `mark`.
    pub fn since(&self, mark: usize) -> Vec<(usize, Event)> {
        self.events[mark..].to_vec()
    }

    /// Returns a mark of the present position, for [`Draft::since`] and [`Draft::undo`].
    pub fn mark(&self) -> usize {
        self.events.len()
    }

    /// Undoes the changes since `mark`.
    pub fn undo(&mut self, mark: usize) {
        for (kind, event) in self.events.drain(mark..).rev() {
            self.revision = event.revision - 1;
            self.pending.insert((kind, event.key), event.before);
        }
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns what has to be stored: the last state of every touched object, under the key that `name` returns.
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
