//! Schemas: what the objects of a kind look like, and what is wrong with an object that does not.
//!
//! A [`Schema`] is that of a custom resource, read once: shape, bounds and rules. A [`Node`] is enough for built-in
//! kinds, for which only the fields are distinguished here.
//!
//! CEL rules are not left to kube's crate `kube-cel`. Run in place of the rules here, version 0.8.0 gives 337 of the
//! 482 recorded answers, and refuses 64 objects that the API server accepts. It cannot read the `.?` of optional
//! fields, which Seatkeeper's CRDs use (68 answers), and does not know `type` (44). Rules about dates (35) and about
//! fields that are null (37) end in an error.

mod bounds;
mod checks;
mod combined;
mod correlate;
mod defaults;
mod environment;
pub mod error;
mod escape;
mod expression;
mod format;
mod functions;
mod items;
mod keyed_list;
mod lists;
mod metadata;
pub mod node;
mod path;
mod pattern;
mod prune;
mod reader;
#[cfg(test)]
mod recorded;
mod rule;
mod rules;
mod sound;
mod structure;
mod typed;
mod typed_text;
mod values;

pub use defaults::default;
pub use error::{FieldError, Reason};
pub use node::{Node, Type};
pub use path::Path;
pub use prune::prune;
pub use typed::decode;

use format::Format;
use rules::{Before, Rules};
use serde_json::Value;
use structure::Place;

/// The schema of a custom resource.
#[derive(Debug)]
pub struct Schema {
    pub root: Node,
    rules: Option<Rules>,
}

const RULES_UNCHECKED: &str = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

impl Schema {
    /// Reads an `openAPIV3Schema`. Fails with the part of it that the embedded API does not support.
    pub fn of_crd(schema: &Value) -> Result<Self, String> {
        let root = Node::of_crd(schema);
        refuse_unchecked(&root, &Path::Root)?;
        let rules = Rules::compile(&root)?;
        Ok(Schema { root, rules })
    }

    /// Returns what is wrong with an object, in the API server's words. `old` is the object that it replaces; errors in
    /// parts that did not change are forgiven. `earlier` are the errors found before (those of the metadata): they come
    /// first, and some of them keep the rules from being checked.
    pub fn validate(&self, object: &Value, old: Option<&Value>, earlier: Vec<FieldError>) -> Vec<FieldError> {
        let place = Place { prefix: "", path: &Path::Root, old };
        self.check(&self.root, Some(object), place, object, old, earlier)
    }

    /// Like [`Schema::validate`], for a write to the `status` subresource: of the shape only that of the status is
    /// checked, but every rule is.
    pub fn validate_status(&self, object: &Value, old: &Value, earlier: Vec<FieldError>) -> Vec<FieldError> {
        let none = Node::default();
        let node = self.root.properties.get("status").unwrap_or(&none);
        let place = Place { prefix: "status", path: &Path::Root, old: old.get("status") };
        self.check(node, object.get("status"), place, object, Some(old), earlier)
    }

    /// Like [`Schema::validate`], but checks only for repeated items in lists and the rules. Used for an object of
    /// another kind, whose shape is not checked.
    pub fn validate_rules(&self, object: &Value, old: Option<&Value>, earlier: Vec<FieldError>) -> Vec<FieldError> {
        let place = Place { prefix: "", path: &Path::Root, old };
        self.check(&self.root, None, place, object, old, earlier)
    }

    fn check(
        &self,
        node: &Node,
        part: Option<&Value>,
        place: Place,
        object: &Value,
        old: Option<&Value>,
        mut errors: Vec<FieldError>,
    ) -> Vec<FieldError> {
        if let Some(part) = part {
            errors.extend(structure::check(node, part, place).errors.into_iter().map(|raised| raised.error));
        }
        let repeated = |object: &Value| {
            let mut found = Vec::new();
            lists::check(&self.root, object, &Path::Root, &mut found);
            found
        };
        let now = repeated(object);
        // An object that already had repeated items may keep them, and add others.
        if !now.is_empty() && old.is_none_or(|old| repeated(old).is_empty()) {
            errors.extend(now);
        }
        if let Some(rules) = &self.rules {
            if errors.iter().any(FieldError::blocks_rules) {
                errors.push(FieldError::invalid("<nil>", Some(&Value::Null), RULES_UNCHECKED));
            } else {
                let before = match old {
                    Some(_) => Before { old, correlated: true, forgiven: false },
                    None => Before::NOTHING,
                };
                rules.check(&self.root, object, before, &Path::Root, &mut errors);
            }
        }
        errors
    }
}

/// Fails if the schema has something that the API server would check and this module would not.
fn refuse_unchecked(node: &Node, path: &Path) -> Result<(), String> {
    let at = |what: &str| Err(format!("{}: {what} is not known to the embedded API", path.name()));
    if let Some(format) = node.format.as_deref().filter(|format| Format::is_missing(format, node.type_)) {
        return at(&format!("the format {format}"));
    }
    let checks = &node.checks;
    if let Some(pattern) = checks.pattern.as_ref().filter(|pattern| pattern.regex.is_none()) {
        return at(&format!("the pattern {}", pattern.written));
    }
    let parts = checks.all_of.iter().chain(&checks.any_of).chain(&checks.one_of).chain(checks.not.as_deref());
    for part in parts {
        if part.says.contains_key("x-kubernetes-validations") {
            return at("a rule in allOf");
        }
        refuse_unchecked(part, path)?;
    }
    for (name, schema) in &node.properties {
        refuse_unchecked(schema, &path.field(name))?;
    }
    for schema in node.additional.as_deref().into_iter().chain(node.items.as_deref()) {
        refuse_unchecked(schema, &path.key("*"))?;
    }
    Ok(())
}
