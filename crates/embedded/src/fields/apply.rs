//! Server-side apply.

use super::compare::Difference;
use super::conflict::{self, Conflicts};
use super::managed::{self, Identity, Managed, Owned};
use super::number::same;
use super::refusal::Refusal;
use super::set::FieldSet;
use super::{
    Manager, check, last_applied,
    merge::{is_merged, merge_objects},
    never_owned,
    remove::remove,
    update,
    zero::zero,
};
use crate::schema::node::Node;
use serde_json::Value;
use std::borrow::Cow;

/// The manager that owns what an object had before its first apply, if no manager was recorded.
const BEFORE: &str = "before-first-apply";

/// The result of an apply, before it is put into an object.
pub(super) enum Outcome<'a> {
    /// The merged object, `None` if nothing changes, and its managers.
    Done(Option<Value>, Managed<'a>),
    Conflicts(Conflicts<'a>),
}

/// Returns the object that results from a server-side apply, with its `managedFields`.
///
/// What the manager applies is merged into the live object. What it applied before and no longer applies is removed,
/// unless another manager owns it. A change to a field that another manager owns is a conflict; with `force` the
/// applying manager takes the field over. Without a difference the live object comes back as it is.
///
/// # Errors
///
/// Fails with the conflicts, or if `applied` is of another kind or version or does not fit the schema.
pub fn apply(
    node: &Node,
    live: Option<&Value>,
    applied: &Value,
    manager: &Manager<'_>,
    force: bool,
) -> Result<Value, Refusal> {
    let kind = applied.get("kind").and_then(Value::as_str).unwrap_or_default();
    let version = applied.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    if kind != manager.kind || version != manager.api_version {
        let message = format!("invalid object type: {}", group_version_kind(version, kind));
        return Err(Refusal::bad_request(message));
    }
    let metadata = applied.get("metadata");
    if metadata.and_then(|metadata| metadata.get("managedFields")).is_some_and(|managed| !managed.is_null()) {
        return Err(Refusal::bad_request("metadata.managedFields must be nil"));
    }
    if let Some(misfit) = check::misfit(node, applied) {
        let text = |name| metadata.and_then(|metadata| metadata.get(name)).and_then(Value::as_str).unwrap_or_default();
        return Err(Refusal::internal(format!(
            "failed to create typed patch object ({}/{}; {}): {misfit}",
            text("namespace"),
            text("name"),
            group_version_kind(version, kind)
        )));
    }
    let empty;
    let before = match live {
        Some(live) => live,
        None => {
            empty = zero(node, applied, manager.builtin);
            &empty
        }
    };
    if live.is_some() && is_noop(node, before, applied, manager) {
        return Ok(before.clone());
    }
    let mut managed = Managed::of_live(before)
        .map_err(|why| Refusal::internal(format!("failed to decode managed fields: {}", why.0)))?;
    let nothing;
    if managed.0.is_empty() {
        nothing = zero(node, before, manager.builtin);
        update::own_changes(node, &nothing, before, &mut managed, manager, BEFORE);
    }
    // Only kubectl may try a second time.
    let again = (manager.name == last_applied::KUBECTL).then(|| managed.clone());
    let (object, managed) = match (attempt(node, before, applied, managed, manager, force), again) {
        (Outcome::Done(object, managed), _) => (object, managed),
        (Outcome::Conflicts(conflicts), Some(managed)) => {
            let left = last_applied::unexpected(node, before, conflicts, manager);
            if !left.is_empty() {
                return Err(conflict::refusal(&left));
            }
            match attempt(node, before, applied, managed, manager, true) {
                Outcome::Done(object, managed) => (object, managed),
                Outcome::Conflicts(conflicts) => return Err(conflict::refusal(&conflicts)),
            }
        }
        (Outcome::Conflicts(conflicts), None) => return Err(conflict::refusal(&conflicts)),
    };
    let mut object = object.unwrap_or_else(|| without_managed(before));
    if manager.name == last_applied::KUBECTL {
        last_applied::refresh(&mut object, applied);
    }
    managed::put(&mut object, managed.print(manager.builtin));
    Ok(object)
}

fn attempt<'a>(
    node: &'a Node,
    live: &'a Value,
    applied: &'a Value,
    mut managed: Managed<'a>,
    manager: &Manager<'a>,
    force: bool,
) -> Outcome<'a> {
    managed.reconcile(node, manager);
    let Some(merged) = merge_objects(node, live, applied) else { return Outcome::Done(None, managed) };
    let identity = Identity::apply(manager.name, manager.subresource.unwrap_or_default());
    let fields = FieldSet::of_value(node, applied).without_subtrees(manager.reset);
    let mut mine = Owned::new(manager.api_version, fields);
    let mut merged = merged;
    let mut last = managed.0.remove(&identity);
    let record = last.as_ref().and_then(Owned::record);
    if let Some(last) = &mut last {
        mine.time = last.time.take();
        // This check is only a shortcut. Without it the result is the same, since nothing is removed that is still
        // owned.
        if !last.fields().is_subset(mine.fields()) {
            merged = prune(node, merged, last.fields(), managed.0.values_mut().chain([&mut mine]));
        }
    }
    let changed = !is_same(live, &merged);
    if changed {
        let Difference { removed, modified, added } = Difference::of(node, live, &merged).without(manager.reset);
        let modified = modified.union(added);
        let conflicts: Conflicts<'a> = managed
            .0
            .iter_mut()
            .filter(|(_, owned)| owned.touches(&modified))
            .map(|(identity, owned)| (identity.clone(), owned.fields().intersection(&modified)))
            .collect();
        if !force && !conflicts.is_empty() {
            return Outcome::Conflicts(conflicts);
        }
        for owned in managed.0.values_mut() {
            owned.lose(&modified);
            owned.lose(&removed);
        }
        mine.time = Some(Cow::Owned(managed::time_text(manager.now)));
    }
    managed.0.retain(|_, owned| !owned.is_empty());
    mine.lose(never_owned());
    if last.is_some_and(|mut last| last.fields() == mine.fields()) {
        mine.stand_as(record);
    }
    if !mine.is_empty() {
        managed.0.insert(identity, mine);
    }
    Outcome::Done(changed.then_some(merged), managed)
}

/// Returns the merged object without the fields that the manager owned last and that no manager owns now.
fn prune<'o, 'a: 'o>(
    node: &Node,
    merged: Value,
    last: &FieldSet<'a>,
    managed: impl Iterator<Item = &'o mut Owned<'a>>,
) -> Value {
    let last = last.clone().with_named_fields(Some(node));
    let owned = managed.fold(FieldSet::default(), |all, owned| all.union(owned.fields().clone()));
    let owned = owned.with_named_fields(Some(node));
    let fields = |value: &Value| FieldSet::of_value(node, value).with_named_fields(Some(node)).into_owned();
    let all = fields(&merged);
    let pruned = remove(node, merged.clone(), &last);
    let unowned = all.clone().difference(&fields(&pruned).union(owned.into_owned()));
    let pruned = remove(node, merged.clone(), &unowned);
    // A field that goes but was not this manager's stays.
    let gone = all.difference(&fields(&pruned)).intersection(&last);
    remove(node, merged, &gone)
}

/// Returns whether the manager applies again what it applied last and the object still has all of it. This is the usual
/// case, and is recognised here without merging.
fn is_noop(node: &Node, live: &Value, applied: &Value, manager: &Manager<'_>) -> bool {
    if manager.name == last_applied::KUBECTL {
        return false;
    }
    let managed = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    let subresource = manager.subresource.unwrap_or_default();
    let mut mine = None;
    for entry in managed.into_iter().flatten() {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("apiVersion") != manager.api_version {
            return false;
        }
        if text("operation") == "Apply" && text("manager") == manager.name && text("subresource") == subresource {
            mine = entry.get("fieldsV1");
        }
    }
    // If this is not the usual case, this check shows it earliest and at the least cost.
    if !is_merged(node, live, applied) {
        return false;
    }
    let Some(Ok(last)) = mine.map(FieldSet::parse) else { return false };
    let fields = FieldSet::of_value(node, applied).without_subtrees(manager.reset).difference(never_owned());
    last == fields
}

/// Returns whether both objects are the same, apart from `managedFields`, which the merged object does not have.
fn is_same(live: &Value, merged: &Value) -> bool {
    let (Some(live), Some(merged)) = (live.as_object(), merged.as_object()) else { return false };
    live.len() == merged.len()
        && live.iter().all(|(name, live)| match (&**name, live, merged.get(name)) {
            ("metadata", Value::Object(live), Some(Value::Object(merged))) => {
                let fields = live.len() - usize::from(live.contains_key("managedFields"));
                let mut kept = live.iter().filter(|(name, _)| *name != "managedFields");
                fields == merged.len() && kept.all(|(name, live)| merged.get(name).is_some_and(|new| same(live, new)))
            }
            (_, live, Some(merged)) => same(live, merged),
            (_, _, None) => false,
        })
}

/// Returns a copy without `managedFields`.
fn without_managed(object: &Value) -> Value {
    let fields = object.as_object().into_iter().flatten().map(|(name, value)| {
        let value = match (&**name, value) {
            ("metadata", Value::Object(metadata)) => {
                let kept = metadata.iter().filter(|(name, _)| *name != "managedFields");
                Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
            }
            (_, value) => value.clone(),
        };
        (name.clone(), value)
    });
    Value::Object(fields.collect())
}

fn group_version_kind(version: &str, kind: &str) -> String {
    match version.rsplit_once('/') {
        Some((group, version)) => format!("{group}/{version}, Kind={kind}"),
        None => format!("/{version}, Kind={kind}"),
    }
}
