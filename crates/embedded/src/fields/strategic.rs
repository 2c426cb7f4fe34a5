//! Strategic merge patch: lists merged by key, and the directives that change how.

use super::refusal::Refusal;
use super::shape;
use super::strategic_list::{List, are_alike, merge_lists, ordered};
use crate::schema::node::Node;
use crate::words::plain::sort_of;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";
const SET_ORDER: &str = "$setElementOrder";

/// Returns the object after this patch, by the patch strategies and merge keys of its schema.
pub fn strategic_merge_patch(node: &Node, live: &Value, patch: &[u8]) -> Result<Value, Refusal> {
    let patch: Option<Map<String, Value>> = Refusal::read(patch)?;
    let live = live.as_object().cloned().unwrap_or_default();
    merge_maps(node, live, patch.unwrap_or_default()).map(Value::Object)
}

/// Merges a map into a map. An entry whose value is null in the patch is removed.
pub(super) fn merge_maps(
    node: &Node,
    mut live: Map<String, Value>,
    mut patch: Map<String, Value>,
) -> Result<Map<String, Value>, Refusal> {
    if let Some(directive) = patch.get(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => {
                patch.shift_remove(DIRECTIVE);
                Ok(patch)
            }
            Some("delete") => Ok(Map::new()),
            _ => Err(unknown_directive(directive)),
        };
    }
    retain(&mut live, &mut patch)?;
    reorder(node, &mut live, &mut patch)?;
    for (name, value) in patch {
        let (name, delete) = match name.strip_prefix(DELETE_FROM) {
            Some(rest) => match rest.strip_prefix('/') {
                Some(name) => (name.to_owned(), true),
                None => return Err(Refusal::bad_request("invalid patch format of primitive list")),
            },
            None => (name, false),
        };
        if value.is_null() {
            live.shift_remove(&name);
            continue;
        }
        let alike = live.get(&name).is_some_and(|before| are_alike(before, &value));
        if !alike {
            if !delete {
                match taken(value) {
                    Some(value) => live.insert(name, value),
                    None => live.shift_remove(&name),
                };
            }
            continue;
        }
        let Some(before) = live.get_mut(&name) else { continue };
        let after = match (before.take(), value) {
            (Value::Object(before), Value::Object(patch)) => {
                let child = known(node, &name)?;
                if strategy(child) == "replace" {
                    Value::Object(patch)
                } else {
                    Value::Object(merge_maps(child, before, patch)?)
                }
            }
            (Value::Array(before), Value::Array(patch)) => {
                let child = known(node, &name)?;
                if strategy(child) == "merge" {
                    Value::Array(merge_lists(&List::of(child), before, patch, delete)?)
                } else {
                    Value::Array(patch)
                }
            }
            (_, value) => value,
        };
        *before = after;
    }
    Ok(live)
}

/// Returns a value of the patch that replaces nothing, or a value of another type: without nulls and directives.
fn taken(value: Value) -> Option<Value> {
    without_directives(without_nulls(value))
}

/// Returns the value without null fields, at any depth; null items of lists stay.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// Returns the value without the maps that carry a directive; `None` if the value is such a map.
fn without_directives(value: Value) -> Option<Value> {
    Some(match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => return None,
        Value::Object(map) => {
            let kept = map.into_iter().filter_map(|(name, value)| Some((name, without_directives(value)?)));
            Value::Object(kept.collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().filter_map(without_directives).collect()),
        other => other,
    })
}

/// The refusal `unknown patch type`.
pub(super) fn unknown_directive(directive: &Value) -> Refusal {
    Refusal::internal(format!("unknown patch type: {directive}"))
}

fn known<'n>(node: &'n Node, name: &str) -> Result<&'n Node, Refusal> {
    shape::field(node, name)
        .ok_or_else(|| Refusal::internal(format!("unable to find api field in struct for the json field {name:?}")))
}

/// Returns the patch strategy of a field other than `retainKeys`, which concerns only the author of a patch.
fn strategy(node: &Node) -> &str {
    let strategies = node.patch_strategy.as_deref().unwrap_or_default();
    strategies.split(',').find(|strategy| *strategy != "retainKeys").unwrap_or_default()
}

/// Carries out `$retainKeys`: live fields that it does not name are removed, and the patch may not bring any other.
fn retain(live: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), Refusal> {
    let Some(retained) = patch.shift_remove(RETAIN_KEYS) else { return Ok(()) };
    let malformed = || Refusal::bad_request("invalid patch format of retainKeys");
    let retained: BTreeSet<&str> =
        retained.as_array().ok_or_else(malformed)?.iter().filter_map(Value::as_str).collect();
    let foreign = patch.iter().any(|(name, value)| {
        !value.is_null()
            && !name.starts_with(DELETE_FROM)
            && !name.starts_with(SET_ORDER)
            && !retained.contains(&**name)
    });
    if foreign {
        return Err(malformed());
    }
    live.retain(|name, _| retained.contains(&**name));
    Ok(())
}

/// Carries out `$setElementOrder/…`: merges the list that it names, and puts the items in its order.
fn reorder(node: &Node, live: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), Refusal> {
    let names: Vec<String> = patch.keys().filter(|name| name.starts_with(SET_ORDER)).cloned().collect();
    for directive in names {
        let Some(order) = patch.shift_remove(&directive) else { continue };
        let order = list(order)?;
        let malformed = || Refusal::bad_request("invalid patch format of setElementOrder list");
        let name = directive.strip_prefix(SET_ORDER).and_then(|rest| rest.strip_prefix('/')).ok_or_else(malformed)?;
        let before = live.get(name).cloned().map(list).transpose()?;
        let change = patch.get(name).cloned().map(list).transpose()?;
        let child = known(node, name)?;
        let kind = List::of(child);
        kind.check_order(change.as_deref().unwrap_or_default(), &order)?;
        let merged = match (&before, change) {
            (None, None) => continue,
            (Some(before), None) => before.clone(),
            (None, Some(change)) => change.into_iter().filter_map(without_directives).collect(),
            (Some(before), Some(change)) if strategy(child) == "merge" => {
                merge_lists(&kind, before.clone(), change, false)?
            }
            (Some(_), Some(change)) => change,
        };
        let merged = ordered(&kind, merged, &order, before.as_deref().unwrap_or_default())?;
        patch.shift_remove(name);
        live.insert(name.to_owned(), Value::Array(merged));
    }
    Ok(())
}

fn list(value: Value) -> Result<Vec<Value>, Refusal> {
    match value {
        Value::Array(list) => Ok(list),
        other => Err(Refusal::internal(format!("expected a list, got {}", sort_of(&other)))),
    }
}
