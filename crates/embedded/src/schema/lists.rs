//! Lists that may hold each item only once (`apiextensions-apiserver/pkg/apiserver/schema/listtype`).

use serde_json::{Map, Value};
use std::collections::HashMap;

use super::error::FieldError;
use super::node::{ListKind, Node};
use super::path::Path;
use crate::words::go::json;

/// Reports every item that occurs more than once in a list of kind set or map: each once, at its second position.
pub fn check(node: &Node, value: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                match (node.properties.get(name), &node.additional) {
                    (Some(schema), _) => check(schema, value, &path.field(name), errors),
                    (None, Some(schema)) => check(schema, value, &path.key(name), errors),
                    (None, None) => {}
                }
            }
        }
        Value::Array(items) => {
            match &node.list {
                ListKind::Atomic => {}
                ListKind::Set => repeated(items.iter(), path, errors),
                ListKind::Map(keys) => of_map(keys, items, path, errors),
            }
            if let Some(schema) = &node.items {
                for (index, item) in items.iter().enumerate() {
                    check(schema, item, &path.index(index), errors);
                }
            }
        }
        _ => {}
    }
}

fn of_map(keys: &[String], items: &[Value], path: &Path, errors: &mut Vec<FieldError>) {
    for (index, item) in items.iter().enumerate() {
        if !item.is_object() && !item.is_null() {
            let detail = "must be an object for an array of list-type map";
            errors.push(FieldError::invalid(path.index(index).text(), Some(item), detail));
            return;
        }
    }
    let key_of = |item: &Value| {
        let fields: Map<String, Value> =
            keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone()))).collect();
        Value::Object(fields)
    };
    if items.len() > 1 && !are_few_and_differ(keys, items) {
        let keys: Vec<Value> = items.iter().map(key_of).collect();
        repeated(keys.iter(), path, errors);
    }
}

/// Returns whether the list is short and its items differ. Most lists are short, and comparing their items directly
/// saves writing out their keys.
fn are_few_and_differ(keys: &[String], items: &[Value]) -> bool {
    const FEW: usize = 32;
    if items.len() > FEW {
        return false;
    }
    let key_of = |item| keys.iter().map(move |key| Value::get(item, key));
    let keys_of: Vec<Vec<Option<&Value>>> = items.iter().map(|item| key_of(item).collect()).collect();
    keys_of.iter().enumerate().all(|(n, key)| !keys_of[..n].contains(key))
}

fn repeated<'a>(items: impl Iterator<Item = &'a Value>, path: &Path, errors: &mut Vec<FieldError>) {
    let mut seen: HashMap<String, u32> = HashMap::new();
    for (index, item) in items.enumerate() {
        let times = seen.entry(json(item)).or_default();
        *times += 1;
        if *times == 2 {
            errors.push(FieldError::duplicate(path.index(index).text(), Some(item)));
        }
    }
}
