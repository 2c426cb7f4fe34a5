//! The rules of a schema, where they apply, and which of them an update has to keep.

use serde_json::Value;
use std::collections::BTreeMap;

use super::correlate::{Twins, unchanged};
use super::error::FieldError;
use super::node::{ListKind, Node};
use super::path::Path;
use super::rule::{Case, Rule};

/// The rules at one place of a schema and below. Places without rules are left out.
#[derive(Debug, Default)]
pub struct Rules {
    own: Vec<Rule>,
    properties: BTreeMap<String, Rules>,
    additional: Option<Box<Rules>>,
    items: Option<Box<Rules>>,
}

/// How a value relates to the old object.
#[derive(Clone, Copy)]
pub struct Before<'v> {
    /// The old value, as rules see it; `None` if there is none.
    pub old: Option<&'v Value>,
    /// Whether it is known that the old value corresponds to this one. If it is not, `forgiven` refers to the nearest
    /// enclosing value of which that is known.
    pub correlated: bool,
    /// Whether that value is unchanged, so that broken rules are forgiven.
    pub forgiven: bool,
}

impl Before<'_> {
    /// For a new object, which has no old value.
    pub const NOTHING: Before<'static> = Before { old: None, correlated: false, forgiven: false };
}

impl Rules {
    /// Compiles the rules of a schema. The error names the field of the schema.
    pub fn compile(node: &Node) -> Result<Option<Self>, String> {
        compile(node, &Path::Root, true)
    }

    /// Checks a value against the rules at this place and below.
    pub fn check(&self, node: &Node, value: &Value, before: Before, path: &Path, errors: &mut Vec<FieldError>) {
        if value.is_null() {
            return;
        }
        let case = Case { node, value, old: before.old.filter(|old| !old.is_null()) };
        for rule in &self.own {
            errors.extend(rule.check(&case, before.forgiven, || path.text()));
        }
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let (rules, schema, path) = match (self.properties.get(name), &self.additional) {
                        (Some(rules), _) => (rules, node.properties.get(name), path.field(name)),
                        (None, Some(rules)) => (rules.as_ref(), node.additional.as_deref(), path.key(name)),
                        (None, None) => continue,
                    };
                    let Some(schema) = schema else { continue };
                    let old = before.old.and_then(|old| old.get(name));
                    rules.check(schema, value, before.below(schema, value, old), &path, errors);
                }
            }
            Value::Array(items) => {
                let (Some(rules), Some(schema)) = (&self.items, &node.items) else { return };
                let twins = match (&node.list, before.old) {
                    (ListKind::Map(keys), Some(Value::Array(old))) => Some(Twins::among(keys, old)),
                    _ => None,
                };
                for (index, item) in items.iter().enumerate() {
                    let old = twins.as_ref().and_then(|twins| twins.of(item));
                    rules.check(schema, item, before.below(schema, item, old), &path.index(index), errors);
                }
            }
            _ => {}
        }
    }
}

impl<'v> Before<'v> {
    /// Returns the relation of a value below this one, whose old value is `old`.
    fn below(&self, node: &Node, value: &Value, old: Option<&'v Value>) -> Before<'v> {
        match old.filter(|_| self.correlated) {
            // Nothing below an unchanged value has changed.
            Some(_) if self.forgiven => Before { old, ..*self },
            Some(twin) => Before { old, correlated: true, forgiven: unchanged(node, value, twin) },
            None => Before { old, correlated: false, forgiven: self.forgiven },
        }
    }
}

fn compile(node: &Node, path: &Path, resource: bool) -> Result<Option<Rules>, String> {
    let mut rules = Rules::default();
    let at = |error: String| match path {
        Path::Root => error,
        path => format!("{}: {error}", path.name()),
    };
    for rule in node.says.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
        rules.own.push(Rule::compile(rule, node, resource).map_err(at)?);
    }
    let below = |node: &Node, path: &Path| compile(node, path, node.embedded_resource);
    for (name, schema) in &node.properties {
        if let Some(found) = below(schema, &path.field(name))? {
            rules.properties.insert(name.clone(), found);
        }
    }
    if let Some(schema) = &node.additional {
        rules.additional = below(schema, &path.key("*"))?.map(Box::new);
    }
    if let Some(schema) = &node.items {
        rules.items = below(schema, &path.key("*"))?.map(Box::new);
    }
    let below = !rules.properties.is_empty() || rules.additional.is_some() || rules.items.is_some();
    let any = below || !rules.own.is_empty();
    Ok(any.then_some(rules))
}
