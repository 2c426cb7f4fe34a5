//! Deletes and their consequences: finalizers, owners (garbage collection) and namespaces.

use serde_json::{Map, Value, json};
use std::sync::Arc;

use super::delete_options::{Options, Policy};
use super::namespaces::Remaining;
use crate::fields;
use crate::http::failure::Failure;
use crate::kinds::{Kind, Kinds};

use super::received::{Write, key_of, time_text};
use crate::read::selector::Selector;
use crate::state::{Draft, Object, at_revision, owners};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";
/// The namespaces that exist from the beginning.
pub const FIRST_NAMESPACES: [&str; 2] = ["default", "kube-system"];
/// The namespaces that nobody may delete.
const PROTECTED_NAMESPACES: [&str; 3] = ["default", "kube-public", "kube-system"];

/// The outcome of a delete.
pub enum Deleted {
    /// The object is gone.
    Gone(Arc<Object>),
    /// The object is marked, and goes once its finalizers are done.
    Going(Arc<Object>),
}

/// Handles DELETE of one object.
pub fn delete(write: &Write, draft: &mut Draft<'_>) -> Result<Deleted, Failure> {
    let options = Options::read(write)?;
    let kind = write.kind();
    let key = write.resource.key();
    let name = write.resource.name.as_deref().unwrap_or_default();
    let object = draft.get(kind.stored_as, &key).ok_or_else(|| Failure::not_found(kind, name))?;
    if kind.is_namespace() && PROTECTED_NAMESPACES.contains(&name) {
        return Err(Failure::forbidden(kind, name, "this namespace may not be deleted"));
    }
    options.refuse_unmet(kind, name, &object)?;
    let before = draft.mark();
    let deleted = mark(draft, write, kind, &key, &object, options.policy);
    if options.dry {
        draft.undo(before);
        return Ok(match deleted {
            Deleted::Going(marked) => Deleted::Going(at_revision(&marked, object.revision)),
            gone => gone,
        });
    }
    Ok(match deleted {
        // The API server marks a Pod before it removes it. A Pod without a node is removed in the same moment, but the
        // answer shows it as marked.
        Deleted::Gone(_) if kind.strategy.shown_as_marked => Deleted::Going(as_marked(write, kind, &object)),
        deleted => deleted,
    })
}

/// Handles DELETE of a collection: all objects that a list with the same selectors would show. Returns them as they
/// were before the delete.
pub fn delete_collection(write: &Write, draft: &mut Draft<'_>) -> Result<Vec<Arc<Object>>, Failure> {
    let options = Options::read(write)?;
    let kind = write.kind();
    let selector = Selector::read(kind, write.query.get("labelSelector"), write.query.get("fieldSelector"))?;
    let found = draft.range(kind.stored_as, &write.resource.key());
    let mut gone = Vec::new();
    for (key, object) in found.into_iter().filter(|(_, object)| selector.meets(kind, &object.value)) {
        options.refuse_unmet(kind, object.value["metadata"]["name"].as_str().unwrap_or_default(), &object)?;
        if !options.dry {
            mark(draft, write, kind, &key, &object, options.policy);
        }
        gone.push(object);
    }
    Ok(gone)
}

/// Removes an object, or marks it for deletion if finalizers have to run first.
fn mark(draft: &mut Draft<'_>, write: &Write, kind: &Kind, key: &str, object: &Arc<Object>, policy: Policy) -> Deleted {
    let mut value = object.value.clone();
    let mut finalizers: Vec<String> = finalizers(&value);
    finalizers.retain(|finalizer| finalizer != ORPHAN && finalizer != FOREGROUND);
    match policy {
        Policy::Orphan => finalizers.push(ORPHAN.into()),
        Policy::Foreground => finalizers.push(FOREGROUND.into()),
        Policy::Background => {}
    }
    let namespace = kind.is_namespace();
    if finalizers.is_empty() && !namespace {
        let gone = draft.remove(kind.stored_as, key);
        return Deleted::Gone(gone.unwrap_or_else(|| object.clone()));
    }
    if !finalizers.is_empty() {
        value["metadata"]["finalizers"] = finalizers.into();
    }
    note_deletion(write, kind, &mut value);
    if namespace {
        value["status"]["phase"] = "Terminating".into();
    }
    if value == object.value {
        return Deleted::Going(object.clone());
    }
    Deleted::Going(draft.put(kind.stored_as, key.to_owned(), value))
}

/// Records the time of deletion, unless it is recorded already.
fn note_deletion(write: &Write, kind: &Kind, value: &mut Value) {
    let meta = &mut value["metadata"];
    if meta.get("deletionTimestamp").is_some() {
        return;
    }
    meta["deletionTimestamp"] = time_text(write.now).into();
    if !kind.is_namespace() {
        meta["deletionGracePeriodSeconds"] = 0.into();
    }
    if let Some(generation) = meta.get("generation").and_then(Value::as_i64) {
        meta["generation"] = (generation + 1).into();
    }
}

fn as_marked(write: &Write, kind: &Kind, object: &Object) -> Arc<Object> {
    let mut value = object.value.clone();
    note_deletion(write, kind, &mut value);
    at_revision(&Object::new(object.revision, value), object.revision + 1)
}

fn finalizers(value: &Value) -> Vec<String> {
    let all = value["metadata"]["finalizers"].as_array().into_iter().flatten();
    all.filter_map(|finalizer| finalizer.as_str().map(str::to_owned)).collect()
}

/// Returns whether nothing holds a marked object any longer.
pub fn is_over(value: &Value) -> bool {
    value["metadata"]["deletionTimestamp"].is_string()
        && finalizers(value).is_empty()
        && !value["spec"]["finalizers"]
            .as_array()
            .is_some_and(|all| value["kind"] == json!("Namespace") && !all.is_empty())
}

/// Refuses a new object in a namespace that does not exist or is being deleted.
pub fn refuse_where_namespace_is_gone(
    draft: &Draft<'_>,
    kinds: &Kinds,
    kind: &Kind,
    object: &Value,
    namespace: &str,
) -> Result<(), Failure> {
    let Some(found) = draft.get(kinds.namespaces(), namespace) else {
        return Err(Failure::not_found(kinds.get(kinds.namespaces()), namespace));
    };
    if found.value["metadata"]["deletionTimestamp"].is_null() {
        return Ok(());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut failure = Failure::forbidden(kind, name, &why);
    if let Some(details) = &mut failure.details {
        details["causes"] = json!([{
            "reason": "NamespaceTerminating", "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        }]);
    }
    Err(failure)
}

/// Does what the controllers of Kubernetes do after a write: dependents of a deleted object are deleted or lose that
/// owner, an object whose owners no longer exist is deleted, and a namespace takes its content with it. Returns when
/// nothing more follows. It is part of the write, not the work of a controller beside it, so a kill leaves nothing half
/// done.
pub fn collect(write: &Write, draft: &mut Draft<'_>) {
    let mut from = 0;
    loop {
        let happened = draft.since(from);
        from = draft.mark();
        for (id, event) in happened {
            let kind = write.kinds.get(id);
            match (&event.after, draft.get(id, &event.key)) {
                (None, _) => {
                    if let Some(gone) = &event.before {
                        release_dependents(write, draft, gone);
                        wake_those_waiting_for(write, draft, kind, gone);
                    }
                }
                (Some(_), Some(object)) if is_going(&object.value) => go_on(write, draft, kind, &event.key, &object),
                (Some(_), Some(object)) => drop_if_owner_is_missing(write, draft, kind, &event.key, &object),
                (Some(_), None) => {}
            }
        }
        if draft.mark() == from {
            return;
        }
    }
}

/// Returns whether an object is being deleted.
pub fn is_going(value: &Value) -> bool {
    value["metadata"]["deletionTimestamp"].is_string()
}

/// Deletes the oldest objects of a kind of which only the newest `most` are kept.
pub fn forget_oldest(draft: &mut Draft<'_>, kind: usize, most: usize) {
    // Sorting costs, so some more may collect before it is done again.
    if draft.len_before(kind) < most + most / 5 {
        return;
    }
    let mut objects = draft.range(kind, "");
    objects.sort_by_key(|(_, object)| object.revision);
    for (key, _) in &objects[..objects.len().saturating_sub(most)] {
        draft.remove(kind, key);
    }
}

/// Does the work that the finalizers of Kubernetes stand for.
fn go_on(write: &Write, draft: &mut Draft<'_>, kind: &Kind, key: &str, object: &Arc<Object>) {
    let mut value = object.value.clone();
    let uid = value["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let own = finalizers(&value);
    if own.iter().any(|finalizer| finalizer == ORPHAN) {
        for (kind, key, dependent) in draft.owned(&uid) {
            let left = without_owner(write, write.kinds.get(kind), &dependent.value, &uid);
            draft.put(kind, key, left);
        }
    }
    if own.iter().any(|finalizer| finalizer == FOREGROUND) {
        for (kind, key, dependent) in draft.owned(&uid) {
            let kind = write.kinds.get(kind);
            if !is_going(&dependent.value) {
                mark(draft, write, kind, &key, &dependent, Policy::Foreground);
            }
        }
        let blocks = |(_, _, dependent): &(usize, String, Arc<Object>)| {
            let references = dependent.value["metadata"]["ownerReferences"].as_array().into_iter().flatten();
            references.into_iter().any(|owner| owner["uid"] == json!(uid) && owner["blockOwnerDeletion"] == json!(true))
        };
        if draft.owned(&uid).iter().any(blocks) {
            return;
        }
    }
    if kind.is_namespace() && !empty_namespace(write, draft, key) {
        let told = Remaining::of(&write.kinds, draft, key).tell(write, &value);
        if told != value {
            draft.put(kind.stored_as, key.to_owned(), told);
        }
        return;
    }
    let left: Vec<String> =
        own.into_iter().filter(|finalizer| finalizer != ORPHAN && finalizer != FOREGROUND).collect();
    let same = left.len() == finalizers(&value).len();
    match left.is_empty() {
        true => drop_field(&mut value["metadata"], "finalizers"),
        false => value["metadata"]["finalizers"] = left.into(),
    }
    if kind.is_namespace() {
        drop_field(&mut value["spec"], "finalizers");
    }
    if is_over(&value) {
        draft.remove(kind.stored_as, key);
    } else if !same {
        draft.put(kind.stored_as, key.to_owned(), value);
    }
}

/// Deletes everything in a namespace. Returns whether nothing is left.
fn empty_namespace(write: &Write, draft: &mut Draft<'_>, namespace: &str) -> bool {
    let prefix = format!("{namespace}/");
    let mut empty = true;
    for (id, kind) in write.kinds.iter().filter(|(id, kind)| kind.namespaced && kind.stored_as == *id) {
        for (key, object) in draft.range(id, &prefix) {
            if !is_going(&object.value) {
                empty &= matches!(mark(draft, write, kind, &key, &object, Policy::Background), Deleted::Gone(_));
            } else {
                empty = false;
            }
        }
    }
    empty
}

/// Handles the removal of an owner: its dependents are deleted if it was their only owner; the others lose this owner.
fn release_dependents(write: &Write, draft: &mut Draft<'_>, owner: &Object) {
    let uid = owner.value["metadata"]["uid"].as_str().unwrap_or_default();
    for (id, key, dependent) in draft.owned(uid) {
        match owners(&dependent).len() {
            1 if is_going(&dependent.value) => {}
            1 => {
                mark(draft, write, write.kinds.get(id), &key, &dependent, Policy::Background);
            }
            _ => {
                let left = without_owner(write, write.kinds.get(id), &dependent.value, uid);
                draft.put(id, key, left);
            }
        }
    }
}

/// Continues with the owners that waited for this dependent to go, and with the namespace if it waits to become empty.
fn wake_those_waiting_for(write: &Write, draft: &mut Draft<'_>, kind: &Kind, gone: &Object) {
    let metadata = &gone.value["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    for owner in metadata["ownerReferences"].as_array().into_iter().flatten() {
        if let Some((id, key)) = place_of(&write.kinds, owner, namespace)
            && let Some(object) = draft.get(id, &key).filter(|object| is_going(&object.value))
        {
            go_on(write, draft, write.kinds.get(id), &key, &object);
        }
    }
    if kind.namespaced
        && let Some(object) = draft.get(write.kinds.namespaces(), namespace).filter(|object| is_going(&object.value))
    {
        go_on(write, draft, write.kinds.get(write.kinds.namespaces()), namespace, &object);
    }
}

/// Returns where the object is that an owner reference names; `None` if its kind is not served here.
fn place_of(kinds: &Kinds, owner: &Value, namespace: &str) -> Option<(usize, String)> {
    let text = |field: &str| owner[field].as_str().unwrap_or_default();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    let (_, kind) =
        kinds.iter().find(|(_, kind)| kind.group == group && kind.version == version && kind.kind == text("kind"))?;
    let place = json!({"metadata": {"namespace": namespace, "name": text("name")}});
    Some((kind.stored_as, key_of(kind, &place)))
}

/// Deletes an object if none of its owners exists.
fn drop_if_owner_is_missing(write: &Write, draft: &mut Draft<'_>, kind: &Kind, key: &str, object: &Arc<Object>) {
    let metadata = &object.value["metadata"];
    let references = metadata["ownerReferences"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    if references.is_empty() {
        return;
    }
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    let there = |owner: &Value| match place_of(&write.kinds, owner, namespace) {
        // An owner of a kind that is not served here counts as present: nothing here can show that it is gone.
        None => true,
        Some((id, key)) => draft.get(id, &key).is_some_and(|found| found.value["metadata"]["uid"] == owner["uid"]),
    };
    if !references.iter().any(there) {
        mark(draft, write, kind, key, object, Policy::Background);
    }
}

/// Returns the object without this owner, as the garbage collector of Kubernetes leaves it.
fn without_owner(write: &Write, kind: &Kind, live: &Value, uid: &str) -> Value {
    let mut value = live.clone();
    let left: Vec<Value> = value["metadata"]["ownerReferences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|owner| owner["uid"] != json!(uid))
        .cloned()
        .collect();
    match left.is_empty() {
        true => drop_field(&mut value["metadata"], "ownerReferences"),
        false => value["metadata"]["ownerReferences"] = left.into(),
    }
    write.as_manager(kind, "kube-controller-manager", |manager| {
        fields::update(&kind.node, Some(live), &mut value, manager);
    });
    value
}

fn drop_field(value: &mut Value, field: &str) {
    value.as_object_mut().and_then(|fields: &mut Map<String, Value>| fields.shift_remove(field));
}
