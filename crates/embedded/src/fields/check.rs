//! Whether an applied configuration fits the schema as far as merging needs: values of the right types, only declared
//! fields, items with distinct keys. The complete validation of the object follows after the merge, elsewhere.

use super::set::Step;
use super::shape::{self, Scalar, Shape};
use crate::schema::node::Node;
use crate::words::plain::sort_of;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// The deepest nesting accepted; deeper than any real configuration.
const DEEPEST: usize = 200;

/// Returns what is wrong; `None` if the value fits.
pub fn misfit(node: &Node, value: &Value) -> Option<String> {
    let mut wrong = Vec::new();
    walk(node, value, &mut Vec::new(), &mut wrong);
    match wrong.len() {
        0 => None,
        1 => wrong.pop(),
        _ => Some(format!("errors:\n  {}", wrong.join("\n  "))),
    }
}

fn walk<'a>(node: &'a Node, value: &'a Value, path: &mut Vec<Step<'a>>, wrong: &mut Vec<String>) {
    if path.len() > DEEPEST {
        return say(path, "nested too deeply", wrong);
    }
    match (shape::shape(node, value), value) {
        (_, Value::Null) => {}
        (Shape::Map, Value::Object(map)) => {
            for (name, value) in map {
                path.push(Step::Field(Cow::Borrowed(name)));
                match shape::field(node, name) {
                    Some(field) => walk(field, value, path, wrong),
                    None => say(path, "field not declared in schema", wrong),
                }
                path.pop();
            }
        }
        (Shape::List, Value::Array(list)) => items(node, list, path, wrong),
        (Shape::Map, _) => unlike("a map", value, path, wrong),
        (Shape::List, _) => unlike("a list", value, path, wrong),
        (Shape::Scalar, value) => {
            let (wanted, fits) = match shape::scalar(node) {
                Scalar::Any => ("a scalar", !value.is_object() && !value.is_array()),
                Scalar::Number => ("a number", value.is_number()),
                Scalar::Text => ("a string", value.is_string()),
                Scalar::Truth => ("a boolean", value.is_boolean()),
            };
            if !fits {
                unlike(wanted, value, path, wrong);
            }
        }
    }
}

fn items<'a>(node: &'a Node, list: &'a [Value], path: &mut Vec<Step<'a>>, wrong: &mut Vec<String>) {
    let atomic = shape::atomic_list(node);
    let mut seen = BTreeSet::new();
    for (at, item) in list.iter().enumerate() {
        let step = if atomic {
            Step::Index(i64::try_from(at).unwrap_or(i64::MAX))
        } else {
            match shape::step(node, item) {
                Ok(step) => step,
                Err(why) => return say(path, &format!("element {at}: {why}"), wrong),
            }
        };
        if !atomic && !seen.insert(step.clone()) {
            say(path, &format!("duplicate entries for key {step}"), wrong);
        }
        path.push(step);
        walk(shape::items(node), item, path, wrong);
        path.pop();
    }
}

fn unlike(wanted: &str, value: &Value, path: &[Step<'_>], wrong: &mut Vec<String>) {
    say(path, &format!("expected {wanted}, got {}", sort_of(value)), wrong);
}

fn say(path: &[Step<'_>], message: &str, wrong: &mut Vec<String>) {
    let path: String = path.iter().map(|step| step.to_string()).collect();
    wrong.push(if path.is_empty() { message.into() } else { format!("{path}: {message}") });
}
