//! The fields that a value has, and which fields of a schema count as owned.

use super::set::{FieldSet, Step};
use super::shape::{self, Shape};
use crate::schema::node::{Node, Type};
use serde_json::Value;
use std::borrow::Cow;

impl<'a> FieldSet<'a> {
    /// Returns every leaf and every item that the value mentions: what applying the value owns.
    pub fn of_value(node: &'a Node, value: &'a Value) -> Self {
        children(node, value).0
    }

    /// Returns the set with every declared field on the way to one of its members. Entries of maps and items of lists
    /// are members only if the set says so.
    pub(super) fn with_named_fields(mut self, node: Option<&Node>) -> Self {
        for entry in &mut self.entries {
            if entry.below.is_empty() {
                continue;
            }
            let map = node.filter(|node| matches!(node.type_, None | Some(Type::Object)));
            let child = match &entry.step {
                Step::Field(name) => {
                    entry.member |= map.is_some_and(|node| node.properties.contains_key(&**name));
                    map.and_then(|node| shape::field(node, name))
                }
                Step::Key(_) => node.filter(|node| node.items.is_some()).map(shape::items),
                _ => None,
            };
            entry.below = std::mem::take(&mut entry.below).with_named_fields(child);
        }
        self
    }

    /// Returns the set adapted to a schema in which a part of the object has become atomic since the set was written:
    /// its owner owns that part as a whole.
    pub(super) fn reconciled(mut self, node: &Node) -> Self {
        for entry in &mut self.entries {
            if entry.below.is_empty() {
                continue;
            }
            let child = match (&entry.step, shape::shape(node, &Value::Null)) {
                (Step::Field(name), Shape::Map) => shape::field(node, name),
                (_, Shape::List) => Some(shape::items(node)),
                _ => None,
            };
            let Some(child) = child else { continue };
            if shape::is_atomic(child) {
                entry.member = true;
                entry.below = FieldSet::default();
            } else {
                entry.below = std::mem::take(&mut entry.below).reconciled(child);
            }
        }
        self
    }
}

/// Returns what is owned below the value, and whether the value itself is owned.
fn children<'a>(node: &'a Node, value: &'a Value) -> (FieldSet<'a>, bool) {
    let mut set = FieldSet::default();
    match shape::shape(node, value) {
        Shape::Scalar => return (set, true),
        Shape::Map => {
            if node.atomic_map {
                return (set, true);
            }
            let Value::Object(map) = value else { return (set, false) };
            set.entries.reserve(map.len());
            for (name, value) in map {
                let (below, own) = children(shape::field_or_any(node, name), value);
                let empty = value.is_null() || value.as_object().is_some_and(|map| map.is_empty());
                let member = own || empty || !node.properties.contains_key(name);
                set.push(Step::Field(Cow::Borrowed(name)), member, below);
            }
        }
        Shape::List => {
            if shape::atomic_list(node) {
                return (set, true);
            }
            let Value::Array(list) = value else { return (set, false) };
            let mut known = Vec::with_capacity(list.len());
            for item in list {
                let Ok(step) = shape::step(node, item) else { continue };
                known.push((step, item));
            }
            known.sort_by(|a, b| a.0.cmp(&b.0));
            for same in known.chunk_by(|a, b| a.0 == b.0) {
                match same {
                    [(step, item)] => set.push(step.clone(), true, children(shape::items(node), item).0),
                    [(step, _), ..] => set.push(step.clone(), true, FieldSet::default()),
                    [] => {}
                }
            }
        }
    }
    set.settle();
    (set, false)
}
