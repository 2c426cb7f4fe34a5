//! What is known of a kind.

use serde_json::{Map, Value};

use super::columns::Column;
use super::strategy::Strategy;
use crate::pairs::is_nothing;
use crate::schema::{Node, Schema};

/// The plural of the kind of namespaces.
pub const NAMESPACES: &str = "namespaces";

/// One resource of one API group.
#[derive(Debug)]
pub struct Kind {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    /// Whether the kind is one of Seatkeeper's own, defined by a CRD.
    pub custom: bool,
    /// What it does differently from other kinds.
    pub strategy: Strategy,
    /// The schema of a whole object, `metadata` included.
    pub node: Node,
    /// What its CRD publishes; `null` for a built-in kind.
    pub published: Value,
    /// The bounds and rules of a custom resource; `None` for a built-in kind.
    pub schema: Option<Schema>,
    pub columns: Vec<Column>,
    /// The field labels that a selector may name, besides `metadata.name` and `metadata.namespace`.
    pub selectable: Vec<String>,
    /// The index of the kind under which objects are stored: core Events for those of `events.k8s.io`.
    pub stored_as: usize,
    /// A hash of group, version and kind, by which clients may cache.
    pub storage_version_hash: String,
}

impl Kind {
    /// Returns the group and version: `v1`, `seatkeeper.dev/v1alpha1`.
    pub fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// Returns the resource with its group: `secrets`, `plans.seatkeeper.dev`.
    pub fn resource(&self) -> String {
        match self.group.as_str() {
            "" => self.plural.clone(),
            group => format!("{}.{group}", self.plural),
        }
    }

    /// Returns the resource, a dot and the group, also for the group without a name: `secrets.`,
    /// `plans.seatkeeper.dev`.
    pub fn qualified_resource(&self) -> String {
        format!("{}.{}", self.plural, self.group)
    }

    /// Returns whether this is the kind of namespaces, in which objects of other kinds live.
    pub fn is_namespace(&self) -> bool {
        self.group.is_empty() && self.plural == NAMESPACES
    }

    /// Fills in the defaults that no schema states.
    pub fn complete(&self, object: &mut Value) {
        (self.strategy.complete)(object);
        // An empty metadata field is not shown.
        if let Some(Value::Object(meta)) = object.get_mut("metadata") {
            meta.retain(|_, value| !is_nothing(value));
        }
    }

    /// Returns a stored object as this kind shows it.
    pub fn shown(&self, stored: Value) -> Value {
        match self.strategy.versions.and_then(|versions| versions.shown) {
            Some(shown) => shown(stored),
            None => stored,
        }
    }

    /// Returns whether objects are stored in the form in which this kind shows them.
    pub fn shows_what_is_stored(&self) -> bool {
        self.strategy.versions.is_none_or(|versions| versions.shown.is_none())
    }

    /// Returns the details of a `Status` about this resource.
    pub fn details(&self, name: &str) -> Value {
        let mut details = Map::new();
        if !name.is_empty() {
            details.insert("name".into(), name.into());
        }
        if !self.group.is_empty() {
            details.insert("group".into(), self.group.clone().into());
        }
        details.insert("kind".into(), self.plural.clone().into());
        Value::Object(details)
    }

    /// Returns whether a field selector may name this label.
    pub fn selects(&self, label: &str) -> bool {
        matches!(label, "metadata.name" | "metadata.namespace") || self.selectable.iter().any(|known| known == label)
    }

    /// Returns the API server's message for a field label that a selector may not name.
    pub fn refuses_field_label(&self, label: &str) -> String {
        match self.selectable.is_empty() && !self.custom {
            true => {
                format!("{label:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
            }
            false => format!("field label not supported: {label}"),
        }
    }

    /// Returns the value of a field label as a selector compares it: as text, empty if there is no value.
    pub fn field_value(&self, object: &Value, label: &str) -> String {
        if let Some(value) = (self.strategy.field_value)(object, label) {
            return value;
        }
        let found = label.split('.').try_fold(object, |value, field| value.get(field));
        match found {
            Some(Value::String(text)) => text.clone(),
            Some(other @ (Value::Bool(_) | Value::Number(_))) => other.to_string(),
            _ => String::new(),
        }
    }
}
