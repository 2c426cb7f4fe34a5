//! The kinds that the embedded API serves: Seatkeeper's own from their CRDs, the built-in ones from what a real API
//! server publishes.

use serde_json::{Map, Value, json};
use std::sync::{Arc, OnceLock};

use super::builtin;
use super::columns::Column;
use super::published;
use crate::schema::{Node, Schema};

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
    /// Whether the kind has a status subresource.
    pub status: bool,
    /// The schema of a whole object, `metadata` included.
    pub node: Node,
    /// What its CRD publishes; `null` for a built-in kind.
    pub published: Value,
    /// The bounds and rules of a custom resource; `None` for a built-in kind.
    pub schema: Option<Schema>,
    pub columns: Vec<Column>,
    /// The field labels that a selector may name, besides `metadata.name` and `metadata.namespace`.
    pub selectable: Vec<String>,
    /// Whether PUT creates an object that does not exist.
    pub created_by_update: bool,
    /// Whether PUT without a resourceVersion overwrites.
    pub updated_unconditionally: bool,
    /// Whether `metadata.generation` counts the changes to the desired state.
    pub generation: bool,
    /// The index of the kind under which objects are stored: core Events for those of `events.k8s.io`.
    pub stored_as: usize,
    /// A hash of group, version and kind, by which clients may cache.
    pub storage_version_hash: String,
}

/// The kinds that an API serves: those built into Kubernetes, and those of CustomResourceDefinitions. Reading schemas
/// takes a while, so the APIs of one process may share one.
#[derive(Debug)]
pub struct Kinds {
    all: Vec<Kind>,
    /// The OpenAPI documents by path, made when one is asked for.
    pub(crate) documents: OnceLock<Vec<(String, String)>>,
}

impl Kinds {
    /// Returns the built-in kinds, and one for each of `crds` (`apiextensions.k8s.io/v1`, as JSON), of which the first
    /// version is served.
    pub fn with(crds: &[Value]) -> Arc<Kinds> {
        let mut all = builtin::kinds();
        all.extend(crds.iter().enumerate().map(|(n, crd)| of_crd(crd, builtin::COUNT + n)));
        Arc::new(Kinds { all, documents: OnceLock::new() })
    }

    pub fn iter(&self) -> impl Iterator<Item = (usize, &Kind)> {
        self.all.iter().enumerate()
    }

    pub fn get(&self, id: usize) -> &Kind {
        &self.all[id]
    }

    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<usize> {
        self.all.iter().position(|k| k.group == group && k.version == version && k.plural == plural)
    }

    /// Returns the pairs of group and version, each once, in the order of the API server's lists.
    pub fn group_versions(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<(&str, &str)> = Vec::new();
        for kind in &self.all {
            if !all.contains(&(kind.group.as_str(), kind.version.as_str())) {
                all.push((&kind.group, &kind.version));
            }
        }
        all
    }
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
        match (self.selectable.is_empty() || self.plural == "leases") && !self.custom {
            true => {
                format!("{label:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
            }
            false => format!("field label not supported: {label}"),
        }
    }

    /// Returns the value of a field label as a selector compares it: as text, empty if there is no value.
    pub fn field_value(&self, object: &Value, label: &str) -> String {
        if self.plural == "events" && label == "source" {
            let source = object["source"]["component"].as_str().filter(|source| !source.is_empty());
            return source.or(object["reportingComponent"].as_str()).unwrap_or_default().to_owned();
        }
        let found = label.split('.').try_fold(object, |value, field| value.get(field));
        match found {
            Some(Value::String(text)) => text.clone(),
            Some(other @ (Value::Bool(_) | Value::Number(_))) => other.to_string(),
            _ if label == "spec.hostNetwork" => "false".into(),
            _ => String::new(),
        }
    }
}

fn of_crd(crd: &Value, id: usize) -> Kind {
    let spec = &crd["spec"];
    let (names, version) = (&spec["names"], &spec["versions"][0]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    let kind = text(&names["kind"]);
    let group = text(&spec["group"]);
    let schema = &version["schema"]["openAPIV3Schema"];
    let mut node = Node::of_crd(schema);
    node.properties.insert("apiVersion".into(), published::text_node());
    node.properties.insert("kind".into(), published::text_node());
    node.properties.insert("metadata".into(), published::node(published::OBJECT_META));
    let paths = |value: &Value| {
        let paths = value.as_array().into_iter().flatten();
        paths.map(|field| text(&field["jsonPath"]).trim_start_matches('.').to_owned()).collect::<Vec<_>>()
    };
    Kind {
        version: text(&version["name"]),
        plural: text(&names["plural"]),
        singular: text(&names["singular"]),
        short_names: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        namespaced: spec["scope"] == json!("Namespaced"),
        custom: true,
        status: version["subresources"]["status"].is_object(),
        columns: Column::of_crd(&version["additionalPrinterColumns"]),
        selectable: paths(&version["selectableFields"]),
        created_by_update: false,
        updated_unconditionally: false,
        generation: true,
        stored_as: id,
        storage_version_hash: published::storage_version_hash(&group, &text(&version["name"]), &kind),
        // A test compiles the schema of every CRD, so an error cannot occur here.
        schema: Schema::of_crd(schema).ok(),
        published: schema.clone(),
        node,
        kind,
        group,
    }
}
