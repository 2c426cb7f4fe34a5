//! Lists in a strategic merge patch: lists of maps by their merge key, lists of scalars as sets, and the order of
//! items.

use super::refusal::Refusal;
use super::shape;
use super::strategic::{merge_maps, unknown_directive};
use crate::schema::node::Node;
use crate::words::plain::sort_of;
use serde_json::Value;
use std::mem::discriminant;

/// How the items of a list are merged.
pub(super) struct List<'n> {
    items: &'n Node,
    /// The merge key; empty for scalars.
    key: &'n str,
}

impl<'n> List<'n> {
    pub fn of(node: &'n Node) -> Self {
        List { items: shape::items(node), key: node.merge_key.as_deref().unwrap_or_default() }
    }

    /// Returns what identifies an item.
    fn id<'v>(&self, item: &'v Value) -> Result<&'v Value, Refusal> {
        if self.key.is_empty() {
            return Ok(item);
        }
        let Value::Object(map) = item else {
            return Err(Refusal::internal(format!("expected an object, got {}", sort_of(item))));
        };
        map.get(self.key).ok_or_else(|| self.no_key())
    }

    fn no_key(&self) -> Refusal {
        Refusal::internal(format!("an item of the list lacks the merge key {}", self.key))
    }

    fn place(&self, list: &[Value], id: &Value) -> Option<usize> {
        list.iter().position(|item| self.id(item).is_ok_and(|other| other == id))
    }

    /// Fails unless the patch brings its items in the order of `$setElementOrder`, and no others.
    pub fn check_order(&self, patch: &[Value], order: &[Value]) -> Result<(), Refusal> {
        if patch.is_empty() || order.is_empty() {
            return Ok(());
        }
        let mut wanted = order.iter();
        for item in patch.iter().filter(|item| item.get("$patch").is_none()) {
            let id = self.id(item)?;
            let mut found = false;
            for other in wanted.by_ref() {
                if self.id(other)? == id {
                    found = true;
                    break;
                }
            }
            if !found {
                return Err(Refusal::internal("the items of the patch are not in the order of $setElementOrder"));
            }
        }
        Ok(())
    }
}

/// Merges the patch into the list, or with `delete` removes its items from the list.
pub(super) fn merge_lists(
    kind: &List<'_>,
    live: Vec<Value>,
    patch: Vec<Value>,
    delete: bool,
) -> Result<Vec<Value>, Refusal> {
    if live.is_empty() && patch.is_empty() {
        return Ok(live);
    }
    if !same_sort(&live, &patch)? {
        if delete {
            return Ok(live.into_iter().filter(|item| !patch.contains(item)).collect());
        }
        let mut merged = live.clone();
        merged.extend(patch.iter().cloned());
        let merged = without_doubles(merged);
        return ordered(kind, merged, &patch, &live);
    }
    if kind.key.is_empty() {
        return Err(Refusal::internal("cannot merge lists without merge key for type struct"));
    }
    let (live, patch) = directives(kind, live, patch)?;
    let mut merged = live.clone();
    for change in patch.iter() {
        let Value::Object(map) = change else { continue };
        let id = map.get(kind.key).ok_or_else(|| kind.no_key())?;
        match kind.place(&merged, id) {
            Some(at) => {
                if let Some(Value::Object(before)) = merged.get_mut(at) {
                    *before = merge_maps(kind.items, std::mem::take(before), map.clone())?;
                }
            }
            None => merged.push(change.clone()),
        }
    }
    ordered(kind, merged, &patch, &live)
}

/// Returns whether the items are maps rather than scalars. Items of different types, or lists, are refused.
fn same_sort(live: &[Value], patch: &[Value]) -> Result<bool, Refusal> {
    let mut all = live.iter().chain(patch);
    let Some(first) = all.next() else { return Ok(false) };
    if first.is_array() {
        return Err(Refusal::unprocessable());
    }
    if all.any(|item| !are_alike(first, item)) {
        return Err(Refusal::internal("the items of the list and of the patch are not all of one type"));
    }
    Ok(first.is_object())
}

/// Returns whether two values are of the same type to the API server, to which numbers with a fraction are another one.
pub(super) fn are_alike(one: &Value, other: &Value) -> bool {
    discriminant(one) == discriminant(other) && one.is_f64() == other.is_f64()
}

/// Carries out the `$patch` of items: `delete` removes an item, `replace` makes the patch replace the list.
fn directives(kind: &List<'_>, mut live: Vec<Value>, patch: Vec<Value>) -> Result<(Vec<Value>, Vec<Value>), Refusal> {
    let mut plain = Vec::with_capacity(patch.len());
    let mut replace = false;
    for item in patch {
        let Value::Object(map) = &item else { continue };
        let Some(directive) = map.get("$patch") else {
            plain.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let id = map.get(kind.key).ok_or_else(|| kind.no_key())?;
                live.retain(|other| kind.id(other) != Ok(id));
            }
            Some("replace") => replace = true,
            Some("merge") => return Err(Refusal::internal("merging lists cannot yet be specified in the patch")),
            _ => return Err(unknown_directive(directive)),
        }
    }
    Ok(if replace { (plain, Vec::new()) } else { (live, plain) })
}

/// Removes duplicates as the API server does: the last item moves into the place of a removed one.
fn without_doubles(mut list: Vec<Value>) -> Vec<Value> {
    let mut at = 0;
    while at < list.len() {
        let mut other = at + 1;
        while other < list.len() {
            if list.get(at) == list.get(other) {
                list.swap_remove(other);
            } else {
                other += 1;
            }
        }
        at += 1;
    }
    list
}

/// Orders the items: those that `order` names in that order, the others in the order of the live list, each before the
/// first named item that followed it there.
pub(super) fn ordered(
    kind: &List<'_>,
    merged: Vec<Value>,
    order: &[Value],
    live: &[Value],
) -> Result<Vec<Value>, Refusal> {
    let mut named = Vec::with_capacity(merged.len());
    let mut others = Vec::new();
    for item in merged {
        let id = kind.id(&item)?;
        match kind.place(order, id) {
            Some(at) => named.push((at, item)),
            None => others.push((kind.place(live, id), item)),
        }
    }
    named.sort_by_key(|(at, _)| *at);
    settle(&mut others);
    let mut result = Vec::with_capacity(named.len() + others.len());
    let mut others = others.into_iter().peekable();
    for (_, item) in named {
        let at = kind.place(live, kind.id(&item)?);
        while let Some((_, other)) = others.next_if(|(other, _)| matches!((*other, at), (Some(o), Some(a)) if o < a)) {
            result.push(other);
        }
        result.push(item);
    }
    result.extend(others.map(|(_, item)| item));
    Ok(result)
}

/// Sorts by position as the API server does: an item without a position goes behind every later item.
fn settle(items: &mut [(Option<usize>, Value)]) {
    for end in 1..items.len() {
        for at in (1..=end).rev() {
            let (Some((before, _)), Some((after, _))) = (items.get(at - 1), items.get(at)) else { return };
            if matches!((after, before), (Some(after), Some(before)) if after >= before) {
                break;
            }
            items.swap(at, at - 1);
        }
    }
}
