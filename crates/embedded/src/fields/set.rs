//! A set of fields of one object, as `fieldsV1` records what a manager owns.
//!
//! The rules are those of structured-merge-diff's `fieldpath.Set`; the tests compare with what a real API server wrote.

use super::number;
use serde_json::Value;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

/// One step of a path into an object.
#[derive(Clone, Debug)]
pub enum Step<'a> {
    /// A field of an object or an entry of a map: `f:`.
    Field(Cow<'a, str>),
    /// The list item with these keys, sorted by name: `k:`.
    Key(Vec<(Cow<'a, str>, Cow<'a, Value>)>),
    /// The set item with this value: `v:`.
    Item(Cow<'a, Value>),
    /// The list item at this position: `i:`.
    Index(i64),
}

/// A set of fields. It borrows the texts of the values or the `fieldsV1` that it is built from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet<'a> {
    /// Sorted by step; each step occurs once, and only if something is owned at it or below it.
    pub(super) entries: Vec<Entry<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub step: Step<'a>,
    /// Whether the field itself is in the set, not only something below it.
    pub member: bool,
    pub below: FieldSet<'a>,
}

impl<'a> FieldSet<'a> {
    /// Returns a set of these paths, each a list of field names.
    pub fn of_paths(paths: &[&'a [&'a str]]) -> Self {
        let mut set = FieldSet::default();
        for path in paths {
            set.insert(path);
        }
        set
    }

    fn insert(&mut self, path: &[&'a str]) {
        let Some((first, rest)) = path.split_first() else { return };
        let step = Step::Field(Cow::Borrowed(first));
        let at = match self.entries.binary_search_by(|entry| entry.step.cmp(&step)) {
            Ok(at) => at,
            Err(at) => {
                self.entries.insert(at, Entry { step, member: false, below: FieldSet::default() });
                at
            }
        };
        if rest.is_empty() {
            self.entries[at].member = true;
        } else {
            self.entries[at].below.insert(rest);
        }
    }

    /// Returns whether nothing is owned.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn get(&self, step: &Step<'_>) -> Option<&Entry<'a>> {
        self.entries.binary_search_by(|entry| entry.step.cmp(step)).ok().map(|at| &self.entries[at])
    }

    /// Adds an entry at the end; [`FieldSet::settle`] sorts the entries afterwards.
    pub(super) fn push(&mut self, step: Step<'a>, member: bool, below: FieldSet<'a>) {
        if member || !below.is_empty() {
            self.entries.push(Entry { step, member, below });
        }
    }

    /// Sorts the pushed entries, and unites those with equal steps.
    pub(super) fn settle(&mut self) {
        if !self.entries.is_sorted_by(|a, b| a.step < b.step) {
            self.entries.sort_by(|a, b| a.step.cmp(&b.step));
            let mut settled: Vec<Entry<'a>> = Vec::with_capacity(self.entries.len());
            for entry in self.entries.drain(..) {
                match settled.last_mut() {
                    Some(last) if last.step == entry.step => {
                        last.member |= entry.member;
                        last.below = std::mem::take(&mut last.below).union(entry.below);
                    }
                    _ => settled.push(entry),
                }
            }
            self.entries = settled;
        }
    }

    /// Returns what is in either set.
    pub fn union(self, other: FieldSet<'a>) -> Self {
        if self.is_empty() {
            return other;
        }
        if other.is_empty() {
            return self;
        }
        let mut joined = Vec::with_capacity(self.entries.len().max(other.entries.len()));
        let mut others = other.entries.into_iter().peekable();
        for mut entry in self.entries {
            while let Some(before) = others.next_if(|o| o.step < entry.step) {
                joined.push(before);
            }
            if let Some(same) = others.next_if(|o| o.step == entry.step) {
                entry.member |= same.member;
                entry.below = entry.below.union(same.below);
            }
            joined.push(entry);
        }
        joined.extend(others);
        FieldSet { entries: joined }
    }

    /// Returns what is in both sets.
    pub fn intersection(&self, other: &FieldSet<'_>) -> Self {
        let mut common = FieldSet::default();
        let mut others = other.entries.iter().peekable();
        for entry in &self.entries {
            while others.next_if(|o| o.step < entry.step).is_some() {}
            if let Some(same) = others.next_if(|o| o.step == entry.step) {
                let below = entry.below.intersection(&same.below);
                common.push(entry.step.clone(), entry.member && same.member, below);
            }
        }
        common
    }

    /// Returns whether anything is in both sets.
    pub fn intersects(&self, other: &FieldSet<'_>) -> bool {
        let mut others = other.entries.iter().peekable();
        self.entries.iter().any(|entry| {
            while others.next_if(|o| o.step < entry.step).is_some() {}
            others
                .next_if(|o| o.step == entry.step)
                .is_some_and(|same| entry.member && same.member || entry.below.intersects(&same.below))
        })
    }

    /// Returns what is in this set and not in the other, field by field: a field stays if only something above or below
    /// it goes.
    pub fn difference(self, other: &FieldSet<'_>) -> Self {
        self.without(other, false)
    }

    /// Like [`FieldSet::difference`], but everything below a field goes with the field.
    pub fn without_subtrees(self, other: &FieldSet<'_>) -> Self {
        self.without(other, true)
    }

    fn without(mut self, other: &FieldSet<'_>, subtrees: bool) -> Self {
        if other.is_empty() {
            return self;
        }
        let mut others = other.entries.iter().peekable();
        self.entries.retain_mut(|entry| {
            while others.next_if(|o| o.step < entry.step).is_some() {}
            let Some(same) = others.next_if(|o| o.step == entry.step) else { return true };
            if same.member && subtrees {
                return false;
            }
            entry.member &= !same.member;
            entry.below = std::mem::take(&mut entry.below).without(&same.below, subtrees);
            entry.member || !entry.below.is_empty()
        });
        self
    }

    /// Returns whether everything in this set is also in the other.
    pub fn is_subset(&self, other: &FieldSet<'_>) -> bool {
        let mut others = other.entries.iter().peekable();
        self.entries.iter().all(|entry| {
            while others.next_if(|o| o.step < entry.step).is_some() {}
            others
                .next_if(|o| o.step == entry.step)
                .is_some_and(|same| (same.member || !entry.member) && entry.below.is_subset(&same.below))
        })
    }

    /// Calls `call` with the path of every member: first the members of a level, then those below it.
    pub(super) fn each<F: FnMut(&[&Step<'a>])>(&self, call: &mut F) {
        fn walk<'s, 'a, F: FnMut(&[&Step<'a>])>(set: &'s FieldSet<'a>, path: &mut Vec<&'s Step<'a>>, call: &mut F) {
            for entry in set.entries.iter().filter(|entry| entry.member) {
                path.push(&entry.step);
                call(path);
                path.pop();
            }
            for entry in &set.entries {
                path.push(&entry.step);
                walk(&entry.below, path, call);
                path.pop();
            }
        }
        walk(self, &mut Vec::new(), call);
    }

    /// Returns the set with copies of the texts that it borrows.
    pub fn into_owned(self) -> FieldSet<'static> {
        let entries = self.entries.into_iter();
        FieldSet {
            entries: entries
                .map(|entry| Entry {
                    step: entry.step.into_owned(),
                    member: entry.member,
                    below: entry.below.into_owned(),
                })
                .collect(),
        }
    }
}

impl Step<'_> {
    fn into_owned(self) -> Step<'static> {
        match self {
            Step::Field(name) => Step::Field(Cow::Owned(name.into_owned())),
            Step::Key(keys) => Step::Key(
                keys.into_iter()
                    .map(|(name, value)| (Cow::Owned(name.into_owned()), Cow::Owned(value.into_owned())))
                    .collect(),
            ),
            Step::Item(value) => Step::Item(Cow::Owned(value.into_owned())),
            Step::Index(index) => Step::Index(index),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Step::Field(_) => 0,
            Step::Key(_) => 1,
            Step::Item(_) => 2,
            Step::Index(_) => 3,
        }
    }
}

impl Ord for Step<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Step::Field(a), Step::Field(b)) => a.cmp(b),
            (Step::Key(a), Step::Key(b)) => {
                for ((name, value), (other_name, other_value)) in a.iter().zip(b) {
                    let order = name.cmp(other_name).then_with(|| number::order(value, other_value));
                    if order.is_ne() {
                        return order;
                    }
                }
                a.len().cmp(&b.len())
            }
            (Step::Item(a), Step::Item(b)) => number::order(a, b),
            (Step::Index(a), Step::Index(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Step<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Step<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Step<'_> {}

/// Writes a step as the API server names a field in a message: `.spec.containers[name="app"].image`.
impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Field(name) => write!(f, ".{name}"),
            Step::Key(keys) => {
                f.write_str("[")?;
                for (at, (name, value)) in keys.iter().enumerate() {
                    let comma = if at > 0 { "," } else { "" };
                    write!(f, "{comma}{name}={}", crate::words::go::readable(value))?;
                }
                f.write_str("]")
            }
            Step::Item(value) => write!(f, "[={}]", crate::words::go::readable(value)),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// Returns a path as the API server prints it.
pub(super) fn path_text(path: &[&Step<'_>]) -> String {
    path.iter().map(|step| step.to_string()).collect()
}
