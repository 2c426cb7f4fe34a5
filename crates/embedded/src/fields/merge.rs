//! Merging the applied configuration into the live object.

use super::number::same;
use super::set::Step;
use super::shape::{self, Shape};
use crate::schema::node::Node;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Returns the merged object, without its `managedFields`.
pub fn merge_objects(node: &Node, live: &Value, applied: &Value) -> Option<Value> {
    let (Value::Object(live), Value::Object(applied)) = (live, applied) else {
        return merge(node, Some(live), Some(applied));
    };
    let mut merged = Map::with_capacity(live.len().max(applied.len()));
    for (name, live) in live {
        let child = shape::field_or_any(node, name);
        let value = match (&**name, live) {
            ("metadata", Value::Object(metadata)) => {
                let kept = metadata.iter().filter(|(name, _)| *name != "managedFields");
                let merged = kept.filter_map(|(name, live)| {
                    let applied = applied.get("metadata").and_then(|applied| applied.get(name));
                    Some((name.clone(), merge(shape::field_or_any(child, name), Some(live), applied)?))
                });
                let mut merged: Map<String, Value> = merged.collect();
                for (name, applied) in applied.get("metadata").and_then(Value::as_object).into_iter().flatten() {
                    if !merged.contains_key(name) {
                        merged.insert(name.clone(), applied.clone());
                    }
                }
                Some(Value::Object(merged))
            }
            _ => merge(child, Some(live), applied.get(name)),
        };
        if let Some(value) = value {
            merged.insert(name.clone(), value);
        }
    }
    for (name, applied) in applied {
        if !merged.contains_key(name) {
            merged.insert(name.clone(), applied.clone());
        }
    }
    Some(Value::Object(merged))
}

/// Merges the applied value into the live one. Nothing is removed here; a leaf that both have takes the applied value.
pub fn merge(node: &Node, live: Option<&Value>, applied: Option<&Value>) -> Option<Value> {
    let (Some(live), Some(applied)) = (live, applied) else { return applied.or(live).cloned() };
    let shape = shape::shape(node, applied);
    // Null takes whatever shape the live value has.
    let unlike = !applied.is_null() && shape != shape::shape(node, live);
    if unlike {
        return Some(applied.clone());
    }
    let nothing = shape::is_empty(Some(live)) && shape::is_empty(Some(applied));
    match (shape, live) {
        (Shape::Map, Value::Object(live)) if !node.atomic_map && !nothing => {
            let Value::Object(applied) = applied else { return Some(Value::Object(live.clone())) };
            Some(Value::Object(maps(node, live, applied)))
        }
        (Shape::List, Value::Array(live)) if !shape::atomic_list(node) && !nothing => {
            let Value::Array(applied) = applied else { return Some(Value::Array(live.clone())) };
            Some(Value::Array(lists(node, live, applied)))
        }
        _ => Some(applied.clone()),
    }
}

fn maps(node: &Node, live: &Map<String, Value>, applied: &Map<String, Value>) -> Map<String, Value> {
    let mut merged = Map::with_capacity(live.len().max(applied.len()));
    for (name, live) in live {
        if let Some(value) = merge(shape::field_or_any(node, name), Some(live), applied.get(name)) {
            merged.insert(name.clone(), value);
        }
    }
    for (name, applied) in applied {
        if !merged.contains_key(name) {
            merged.insert(name.clone(), applied.clone());
        }
    }
    merged
}

fn steps<'a>(node: &'a Node, list: &'a [Value]) -> Vec<(Step<'a>, usize)> {
    let known = list.iter().enumerate();
    known.filter_map(|(at, item)| Some((shape::step(node, item).ok()?, at))).collect()
}

/// Returns whether merging the applied value would leave the live one as it is. May return false although it would.
pub fn is_merged(node: &Node, live: &Value, applied: &Value) -> bool {
    match (shape::shape(node, applied), live, applied) {
        (Shape::Map, Value::Object(live), Value::Object(applied)) if !node.atomic_map => {
            applied.is_empty() == live.is_empty()
                && applied.iter().all(|(name, applied)| {
                    live.get(name).is_some_and(|live| is_merged(shape::field_or_any(node, name), live, applied))
                })
        }
        (Shape::List, Value::Array(live), Value::Array(applied)) if !shape::atomic_list(node) => {
            let mut lives = live.iter();
            applied.is_empty() == live.is_empty()
                && applied.iter().all(|applied| {
                    let Ok(step) = shape::step(node, applied) else { return false };
                    let live = lives.by_ref().find(|live| shape::step(node, live).is_ok_and(|live| live == step));
                    live.is_some_and(|live| is_merged(shape::items(node), live, applied))
                })
        }
        _ => same(live, applied),
    }
}

/// Merges two lists: the items of both, with the applied ones in the order applied, and each other item before the
/// shared item that followed it in the live list.
fn lists(node: &Node, live: &[Value], applied: &[Value]) -> Vec<Value> {
    let (lives, applieds) = (steps(node, live), steps(node, applied));
    // Items that occur more than once in the live list are not merged with the applied one.
    let mut live_at: BTreeMap<&Step<'_>, Option<usize>> = BTreeMap::new();
    for (step, at) in &lives {
        live_at.entry(step).and_modify(|known| *known = None).or_insert(Some(*at));
    }
    let in_applied: BTreeSet<&Step<'_>> = applieds.iter().map(|(step, _)| step).collect();
    let mut shared = applieds.iter().map(|(step, _)| step).filter(|step| live_at.contains_key(step));
    let mut next_shared = shared.next();
    let mut taken: BTreeSet<&Step<'_>> = BTreeSet::new();
    let mut merged = Vec::with_capacity(live.len().max(applied.len()));
    let items = shape::items(node);
    let both = |step: &Step<'_>, at: usize| {
        let old = live_at.get(step).copied().flatten().and_then(|at| live.get(at));
        merge(items, old, applied.get(at))
    };
    let (mut l, mut r) = (0, 0);
    while l < lives.len() || r < applieds.len() {
        if let (Some((left, _)), Some((right, at))) = (lives.get(l), applieds.get(r)) {
            if left == right {
                taken.insert(left);
                merged.extend(both(right, *at));
                l += 1;
                r += 1;
                next_shared = shared.next();
                continue;
            }
            if in_applied.contains(left) && next_shared.is_some_and(|next| next != left) {
                l += 1;
                continue;
            }
        }
        if let Some((left, at)) = lives.get(l) {
            if !in_applied.contains(left) {
                merged.extend(live.get(*at).cloned());
                l += 1;
                continue;
            }
            if taken.contains(left) {
                l += 1;
            }
        }
        if let Some((right, at)) = applieds.get(r) {
            taken.insert(right);
            merged.extend(both(right, *at));
            r += 1;
            if next_shared == Some(right) {
                next_shared = shared.next();
            }
        }
    }
    merged
}
