//! What there is to say of a kind that is built into Kubernetes.

use serde_json::Value;

use crate::kinds::columns::Column;
use crate::kinds::kind::Kind;
use crate::kinds::published;
use crate::kinds::strategy::Strategy;

/// A kind that is built into Kubernetes.
pub struct Builtin {
    pub names: Names,
    pub strategy: Strategy,
    /// What `kubectl get` shows.
    pub columns: fn() -> Vec<Column>,
    /// The field labels that a selector may name, besides `metadata.name` and `metadata.namespace`.
    pub selectable: &'static [&'static str],
    /// The name of its schema in the recording.
    pub recorded: &'static str,
}

/// What a kind is called, and where it is found.
#[derive(Clone, Copy)]
pub struct Names {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub short: &'static [&'static str],
    pub categories: &'static [&'static str],
    pub namespaced: bool,
    /// The group whose kind of the same name stores the objects; `None` if the kind stores them itself.
    pub stored_in: Option<&'static str>,
}

/// A namespaced kind of the core group.
pub const CORE: Names =
    Names { group: "", version: "v1", kind: "", short: &[], categories: &[], namespaced: true, stored_in: None };

impl Builtin {
    /// Returns the kind, the schema included. `stored_as` is the index of the kind that stores its objects.
    pub fn kind(&self, stored_as: usize) -> Kind {
        let Names { group, version, kind, .. } = self.names;
        let singular = kind.to_lowercase();
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Kind {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
            plural: format!("{singular}s"),
            singular,
            short_names: texts(self.names.short),
            categories: texts(self.names.categories),
            namespaced: self.names.namespaced,
            custom: false,
            strategy: self.strategy,
            node: published::node(self.recorded),
            published: Value::Null,
            schema: None,
            columns: (self.columns)(),
            selectable: texts(self.selectable),
            stored_as,
            storage_version_hash: published::storage_version_hash(group, version, kind),
        }
    }
}
