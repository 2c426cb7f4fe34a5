//! Parsing and writing `fieldsV1`: a set of fields as JSON.

use super::set::{Entry, FieldSet, Step};
use crate::words::go;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The deepest nesting of a set; no object here comes near it.
const DEEPEST: usize = 128;

/// A `fieldsV1` that the API server would not accept.
#[derive(Debug, PartialEq, Eq)]
pub struct BadFields;

impl<'a> FieldSet<'a> {
    /// Parses `fieldsV1`. Steps of an unknown kind are skipped, since a future version may know them.
    pub fn parse(fields: &'a Value) -> Result<Self, BadFields> {
        match fields {
            Value::Object(fields) => read(fields, 0).map(|(set, _)| set),
            Value::Null => Ok(FieldSet::default()),
            _ => Err(BadFields),
        }
    }

    pub(super) fn parse_map(fields: &'a Map<String, Value>) -> Result<Self, BadFields> {
        read(fields, 0).map(|(set, _)| set)
    }

    /// Like [`FieldSet::intersects`], with a set that is not parsed.
    pub(super) fn intersects_map(&self, fields: &Map<String, Value>) -> bool {
        self.entries.iter().any(|entry| {
            let Some(below) = fields.get(&step_text(&entry.step)).and_then(Value::as_object) else { return false };
            entry.member && (below.is_empty() || below.contains_key(".")) || entry.below.intersects_map(below)
        })
    }

    /// Returns the set as `fieldsV1`.
    pub fn print(&self) -> Value {
        write(self, false)
    }
}

/// Returns the set, and whether the field itself is in it.
fn read(fields: &Map<String, Value>, depth: usize) -> Result<(FieldSet<'_>, bool), BadFields> {
    if depth > DEEPEST {
        return Err(BadFields);
    }
    let mut member = false;
    let mut set = FieldSet { entries: Vec::with_capacity(fields.len()) };
    for (name, below) in fields {
        if name == "." {
            member = true;
            continue;
        }
        let Some(step) = step(name)? else { continue };
        let (below, member) = match below {
            Value::Object(below) if below.is_empty() => (FieldSet::default(), true),
            Value::Object(below) => read(below, depth + 1)?,
            Value::Null => (FieldSet::default(), true),
            _ => return Err(BadFields),
        };
        set.entries.push(Entry { step, member, below });
    }
    set.settle();
    let nothing_below = set.is_empty();
    Ok((set, member || nothing_below))
}

fn step(name: &str) -> Result<Option<Step<'_>>, BadFields> {
    let (Some(sort), Some(rest)) = (name.get(..2), name.get(2..)) else { return Err(BadFields) };
    let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|_| BadFields);
    Ok(Some(match sort {
        "f:" => Step::Field(Cow::Borrowed(rest)),
        "v:" => Step::Item(Cow::Owned(json(rest)?)),
        "i:" => Step::Index(rest.parse().map_err(|_| BadFields)?),
        "k:" => {
            let Value::Object(keys) = json(rest)? else { return Err(BadFields) };
            let mut keys: Vec<(String, Value)> = keys.into_iter().collect();
            keys.sort_by(|a, b| a.0.cmp(&b.0));
            Step::Key(keys.into_iter().map(|(name, value)| (Cow::Owned(name), Cow::Owned(value))).collect())
        }
        _ if sort.ends_with(':') => return Ok(None),
        _ => return Err(BadFields),
    }))
}

fn write(set: &FieldSet<'_>, member: bool) -> Value {
    let mut fields = Map::with_capacity(set.entries.len() + usize::from(member));
    if member && !set.is_empty() {
        fields.insert(".".into(), Value::Object(Map::new()));
    }
    for entry in &set.entries {
        fields.insert(step_text(&entry.step), write(&entry.below, entry.member));
    }
    Value::Object(fields)
}

fn step_text(step: &Step<'_>) -> String {
    match step {
        Step::Field(name) => format!("f:{name}"),
        Step::Item(value) => {
            let mut text = String::from("v:");
            go::write_json(value, &mut text);
            text
        }
        Step::Index(index) => format!("i:{index}"),
        Step::Key(keys) => {
            let mut text = String::from("k:{");
            for (at, (name, value)) in keys.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                go::write_text(name, &mut text);
                text.push(':');
                go::write_json(value, &mut text);
            }
            text.push('}');
            text
        }
    }
}
