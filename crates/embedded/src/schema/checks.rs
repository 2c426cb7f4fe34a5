//! What a schema demands of a value besides its shape, read once: bounds, patterns, enumerations, combined schemas.

use regex::Regex;
use serde_json::{Map, Value};

use super::format::Format;
use super::node::{Node, Type};
use super::pattern;

/// The demands of one schema (`ValueValidation` of a structural schema).
#[derive(Clone, Debug, Default)]
pub struct Checks {
    pub required: Vec<String>,
    pub enumeration: Vec<Value>,
    pub pattern: Option<Pattern>,
    pub format: Option<Format>,
    pub max_length: Option<i64>,
    pub min_length: Option<i64>,
    pub max_items: Option<i64>,
    pub min_items: Option<i64>,
    pub max_properties: Option<i64>,
    pub min_properties: Option<i64>,
    pub unique_items: bool,
    pub maximum: Option<f64>,
    pub minimum: Option<f64>,
    pub exclusive_maximum: bool,
    pub exclusive_minimum: bool,
    pub multiple_of: Option<f64>,
    pub all_of: Vec<Node>,
    pub any_of: Vec<Node>,
    pub one_of: Vec<Node>,
    pub not: Option<Box<Node>>,
}

/// A pattern, as written and compiled. One that cannot be compiled matches nothing.
#[derive(Clone, Debug)]
pub struct Pattern {
    pub written: String,
    pub regex: Option<Regex>,
}

impl Checks {
    pub fn read(
        says: &Map<String, Value>,
        type_: Option<Type>,
        format: Option<&str>,
        child: &dyn Fn(&Value) -> Node,
    ) -> Self {
        let whole = |name: &str| says.get(name).and_then(|n| n.as_i64().or_else(|| n.as_f64().map(|n| n as i64)));
        let number = |name: &str| says.get(name).and_then(Value::as_f64);
        let truth = |name: &str| says.get(name).and_then(Value::as_bool).unwrap_or(false);
        let list = |name: &str| says.get(name).and_then(Value::as_array).into_iter().flatten();
        Checks {
            required: list("required").filter_map(Value::as_str).map(str::to_owned).collect(),
            enumeration: list("enum").cloned().collect(),
            pattern: says.get("pattern").and_then(Value::as_str).filter(|p| !p.is_empty()).map(Pattern::of),
            format: format.and_then(|format| Format::of(format, type_)),
            max_length: whole("maxLength"),
            min_length: whole("minLength"),
            max_items: whole("maxItems"),
            min_items: whole("minItems"),
            max_properties: whole("maxProperties"),
            min_properties: whole("minProperties"),
            unique_items: truth("uniqueItems"),
            maximum: number("maximum"),
            minimum: number("minimum"),
            exclusive_maximum: truth("exclusiveMaximum"),
            exclusive_minimum: truth("exclusiveMinimum"),
            multiple_of: number("multipleOf"),
            all_of: list("allOf").map(child).collect(),
            any_of: list("anyOf").map(child).collect(),
            one_of: list("oneOf").map(child).collect(),
            not: says.get("not").map(|schema| Box::new(child(schema))),
        }
    }
}

impl Pattern {
    fn of(written: &str) -> Self {
        Pattern { written: written.to_owned(), regex: pattern::compile(written).ok() }
    }

    pub fn matches(&self, text: &str) -> bool {
        self.regex.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}
