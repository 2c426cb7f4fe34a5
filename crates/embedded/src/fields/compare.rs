//! What differs between two objects, as sets of fields.

use super::number::same;
use super::set::{FieldSet, Step};
use super::shape::{self, Shape};
use crate::pairs::pairs;
use crate::schema::node::Node;
use serde_json::Value;
use std::borrow::Cow;

/// The fields that differ. No field is in more than one of the sets.
#[derive(Debug, Default)]
pub struct Difference<'a> {
    pub removed: FieldSet<'a>,
    pub modified: FieldSet<'a>,
    pub added: FieldSet<'a>,
}

/// The change of a value itself, apart from what is below it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Removed,
    Modified,
    Added,
}

impl<'a> Difference<'a> {
    /// Returns the difference from the old value to the new one.
    pub fn of(node: &'a Node, old: &'a Value, new: &'a Value) -> Self {
        let mut difference = Difference::default();
        walk(node, Some(old), Some(new), &mut difference);
        difference
    }

    /// Returns the difference without these fields and everything below them.
    pub fn without(self, fields: &FieldSet<'_>) -> Self {
        Difference {
            removed: self.removed.without_subtrees(fields),
            modified: self.modified.without_subtrees(fields),
            added: self.added.without_subtrees(fields),
        }
    }

    fn push(&mut self, step: Step<'a>, change: Option<Change>, below: Difference<'a>) {
        for (set, kind, below) in [
            (&mut self.removed, Change::Removed, below.removed),
            (&mut self.modified, Change::Modified, below.modified),
            (&mut self.added, Change::Added, below.added),
        ] {
            if change == Some(kind) || !below.is_empty() {
                set.push(step.clone(), change == Some(kind), below);
            }
        }
    }

    fn settle(&mut self) {
        self.removed.settle();
        self.modified.settle();
        self.added.settle();
    }
}

fn walk<'a>(
    node: &'a Node,
    old: Option<&'a Value>,
    new: Option<&'a Value>,
    below: &mut Difference<'a>,
) -> Option<Change> {
    let (Some(first), Some(second)) = (old.or(new), new.or(old)) else { return None };
    let shapes = (shape::shape(node, first), shape::shape(node, second));
    if shapes.0 == shapes.1 {
        return one(node, shapes.0, old, new, below);
    }
    let change = one(node, shapes.0, old, new, below);
    one(node, shapes.1, old, new, below).or(change)
}

fn leaf(old: Option<&Value>, new: Option<&Value>) -> Option<Change> {
    match (old, new) {
        (None, _) => Some(Change::Added),
        (_, None) => Some(Change::Removed),
        (Some(old), Some(new)) => (!same(old, new)).then_some(Change::Modified),
    }
}

fn one<'a>(
    node: &'a Node,
    shape: Shape,
    old: Option<&'a Value>,
    new: Option<&'a Value>,
    below: &mut Difference<'a>,
) -> Option<Change> {
    match shape {
        Shape::Scalar => return leaf(old, new),
        Shape::Map => {
            let (old_map, new_map) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
            let nothing = old_map.is_none_or(|map| map.is_empty()) && new_map.is_none_or(|map| map.is_empty());
            if node.atomic_map || nothing {
                return leaf(old, new);
            }
            match (old_map, new_map) {
                (Some(old), Some(new)) => {
                    pairs(old, new).for_each(|(name, old, new)| field(node, name, Some(old), new, below));
                }
                (old, _) => old.into_iter().flatten().for_each(|(name, old)| field(node, name, Some(old), None, below)),
            }
            for (name, new) in new_map.into_iter().flatten() {
                if old_map.is_none_or(|map| !map.contains_key(name)) {
                    field(node, name, None, Some(new), below);
                }
            }
        }
        Shape::List => {
            let (old_list, new_list) = (old.and_then(Value::as_array), new.and_then(Value::as_array));
            let nothing = old_list.is_none_or(Vec::is_empty) && new_list.is_none_or(Vec::is_empty);
            if shape::atomic_list(node) || nothing {
                return leaf(old, new);
            }
            // Most lists are unchanged, and comparing them whole costs less than by key.
            if let (Some(old), Some(new)) = (old, new)
                && same(old, new)
            {
                return None;
            }
            lists(node, old_list, new_list, below);
        }
    }
    below.settle();
    match (old, new) {
        (None, _) => Some(Change::Added),
        (_, None) => Some(Change::Removed),
        _ => None,
    }
}

fn field<'a>(node: &'a Node, name: &'a str, old: Option<&'a Value>, new: Option<&'a Value>, out: &mut Difference<'a>) {
    let mut below = Difference::default();
    let change = walk(shape::field_or_any(node, name), old, new, &mut below);
    out.push(Step::Field(Cow::Borrowed(name)), change, below);
}

type Items<'a> = Vec<(Step<'a>, &'a Value)>;

fn lists<'a>(node: &'a Node, old: Option<&'a Vec<Value>>, new: Option<&'a Vec<Value>>, out: &mut Difference<'a>) {
    let sorted = |list: Option<&'a Vec<Value>>| {
        let items = list.into_iter().flatten();
        let mut known: Items<'a> = items.filter_map(|item| Some((shape::step(node, item).ok()?, item))).collect();
        known.sort_by(|a, b| a.0.cmp(&b.0));
        known
    };
    let (old, new) = (sorted(old), sorted(new));
    let (mut olds, mut news) = (old.chunk_by(|a, b| a.0 == b.0).peekable(), new.chunk_by(|a, b| a.0 == b.0).peekable());
    loop {
        let (old, new) = match (olds.peek().and_then(|o| o.first()), news.peek().and_then(|n| n.first())) {
            (None, None) => return,
            (Some(_), None) => (olds.next(), None),
            (None, Some(_)) => (None, news.next()),
            (Some((old, _)), Some((new, _))) => match old.cmp(new) {
                std::cmp::Ordering::Less => (olds.next(), None),
                std::cmp::Ordering::Greater => (None, news.next()),
                std::cmp::Ordering::Equal => (olds.next(), news.next()),
            },
        };
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        let Some((step, _)) = old.first().or(new.first()) else { return };
        let items = shape::items(node);
        let mut below = Difference::default();
        let first = |list: &[(Step<'a>, &'a Value)]| list.first().map(|(_, item)| *item);
        // Items that occur more than once are owned together: their step alone shows what happened to them.
        let change = match (old.len(), new.len()) {
            (0 | 1, 0 | 1) => walk(items, first(old), first(new), &mut below),
            (2.., 2..) => {
                let unchanged = old.len() == new.len() && old.iter().zip(new).all(|(old, new)| same(old.1, new.1));
                (!unchanged).then_some(Change::Modified)
            }
            (2.., _) => {
                if let Some(change) = first(new).and_then(|new| walk(items, None, Some(new), &mut below)) {
                    out.push(step.clone(), Some(change), Difference::default());
                }
                Some(Change::Removed)
            }
            (_, 2..) => {
                if let Some(change) = first(old).and_then(|old| walk(items, Some(old), None, &mut below)) {
                    out.push(step.clone(), Some(change), Difference::default());
                }
                Some(Change::Added)
            }
        };
        out.push(step.clone(), change, below);
    }
}
