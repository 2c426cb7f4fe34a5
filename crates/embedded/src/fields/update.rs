//! Ownership after a write that is not an apply.

use super::compare::Difference;
use super::managed::{self, Identity, Managed, Owned};
use super::set::FieldSet;
use super::zero::zero;
use super::{Manager, never_owned};
use crate::schema::node::Node;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Sets `metadata.managedFields` of an object that is created or updated, other than by an apply.
///
/// What differs from the live object now belongs to the manager; what was removed belongs to nobody. Without a
/// difference nothing changes, not even the time. The request may bring its own `managedFields`, or reset them with an
/// empty list or a list of one empty entry; on a subresource it cannot. An object whose `managedFields` were reset has
/// none until it is applied.
pub fn update(node: &Node, live: Option<&Value>, new: &mut Value, manager: &Manager<'_>) {
    let brought = take_managed(new);
    let holder = holder(brought);
    let managed = {
        let empty;
        let before = match live {
            Some(live) => live,
            None => {
                empty = zero(node, new, manager.builtin);
                &empty
            }
        };
        let mut managed = if manager.subresource.is_some() {
            Managed::of_live(before).unwrap_or_default()
        } else if is_reset(&holder, manager.builtin) {
            Managed::default()
        } else {
            match Managed::of_request(&holder) {
                Ok(managed) if !managed.0.is_empty() => managed,
                _ => Managed::of_live(before).unwrap_or_default(),
            }
        };
        let created = before.pointer("/metadata/uid").and_then(Value::as_str).is_none_or(str::is_empty);
        if managed.unconvertible(manager) {
            managed = Managed::default();
        } else if !managed.0.is_empty() || created {
            own_changes(node, before, new, &mut managed, manager, manager.name);
            managed.cap();
        }
        managed.print(manager.builtin)
    };
    managed::put(new, managed);
}

/// Makes the manager the owner of what differs, and takes what was removed from every owner.
pub(super) fn own_changes<'a>(
    node: &'a Node,
    before: &'a Value,
    new: &'a Value,
    managed: &mut Managed<'a>,
    manager: &Manager<'a>,
    name: &'a str,
) {
    managed.reconcile(node, manager);
    let difference = Difference::of(node, before, new).without(manager.reset);
    let Difference { removed, modified, added } = difference;
    let changed = modified.union(added);
    managed.0.retain(|_, owned| {
        owned.lose(&changed);
        owned.lose(&removed);
        !owned.is_empty()
    });
    let changed = changed.difference(never_owned());
    if changed.is_empty() {
        return;
    }
    let identity = Identity::update(name, manager.api_version, manager.subresource.unwrap_or_default());
    let owned = managed.0.entry(identity).or_insert_with(|| Owned::new(manager.api_version, FieldSet::default()));
    let fields = changed.union(std::mem::take(owned.fields()));
    *owned.fields() = fields;
    owned.time = Some(Cow::Owned(managed::time_text(manager.now)));
}

/// Takes `metadata.managedFields` out of an object.
pub fn take_managed(object: &mut Value) -> Option<Value> {
    object.get_mut("metadata")?.as_object_mut()?.shift_remove("managedFields")
}

/// Returns an object that has nothing but these `managedFields`.
fn holder(managed: Option<Value>) -> Value {
    let managed = managed.map(|managed| ("managedFields".to_owned(), managed));
    let metadata: Map<String, Value> = managed.into_iter().collect();
    let object: Map<String, Value> = [("metadata".to_owned(), Value::Object(metadata))].into_iter().collect();
    Value::Object(object)
}

/// Returns whether a request resets `managedFields`. For custom resources, the API server treats an empty list as none
/// at all.
fn is_reset(object: &Value, builtin: bool) -> bool {
    match object.pointer("/metadata/managedFields").and_then(Value::as_array).map(Vec::as_slice) {
        Some([]) => builtin,
        Some([Value::Object(only)]) => only.is_empty(),
        _ => false,
    }
}
