//! Parsed schemas: those of the CRDs (`openAPIV3Schema`) and of the built-in kinds (OpenAPI v3 with references).

use serde_json::{Map, Value};
use std::collections::BTreeMap;

use super::checks::Checks;

/// The schema of one value.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// `None` if any value is allowed.
    pub type_: Option<Type>,
    pub format: Option<String>,
    /// Go's name of a type of Kubernetes' own that the schema refers to: `v1.ObjectMeta`.
    pub go_name: Option<String>,
    pub nullable: bool,
    pub int_or_string: bool,
    pub preserve_unknown: bool,
    pub embedded_resource: bool,
    pub properties: BTreeMap<String, Node>,
    /// The schema of every entry of a map.
    pub additional: Option<Box<Node>>,
    pub items: Option<Box<Node>>,
    pub list: ListKind,
    /// Whether the map is owned as a whole: `x-kubernetes-map-type: atomic`, or a struct of that kind.
    pub atomic_map: bool,
    pub default: Option<Value>,
    /// The key by which a strategic merge patch merges the items of a list; empty if the list merges as a set.
    pub merge_key: Option<String>,
    /// `merge`, `replace`, `retainKeys`, or several of them joined by commas.
    pub patch_strategy: Option<String>,
    /// All other parts of the schema: bounds, patterns, enums, `required`, rules (`x-kubernetes-validations`).
    pub says: Map<String, Value>,
    /// The bounds among `says`, read once.
    pub checks: Checks,
    /// Whether an object without declared fields stands for any object, as in a document of the API server; in a CRD it
    /// stands for an empty object.
    pub any_object: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

/// How the items of a list are identified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListKind {
    #[default]
    Atomic,
    Set,
    /// By these fields of each item.
    Map(Vec<String>),
}

/// The deepest nesting of references; no kind here refers to itself.
const DEEPEST: u8 = 40;

impl Node {
    /// Parses a schema without references: the `openAPIV3Schema` of a CRD.
    pub fn of_crd(schema: &Value) -> Self {
        read(schema, None, 0)
    }

    /// Parses `components.schemas[name]` of an OpenAPI v3 document, with its references resolved.
    pub fn of_document(schemas: &Map<String, Value>, name: &str) -> Self {
        let mut node = schemas.get(name).map(|schema| read(schema, Some(schemas), 0)).unwrap_or_default();
        node.go_name = go_name(name);
        node
    }

    /// Returns the schema of a field or an entry of this object.
    pub fn field(&self, name: &str) -> Option<&Node> {
        self.properties.get(name).or(self.additional.as_deref())
    }
}

/// Returns Go's name of a type: `v1.PodSpec` for `io.k8s.api.core.v1.PodSpec`.
fn go_name(name: &str) -> Option<String> {
    let (path, name) = name.rsplit_once('.')?;
    Some(format!("{}.{name}", path.rsplit('.').next()?))
}

fn read(schema: &Value, schemas: Option<&Map<String, Value>>, depth: u8) -> Node {
    let Some(own) = schema.as_object() else { return Node::default() };
    if depth > DEEPEST {
        return Node::default();
    }
    let mut fields = own.clone();
    // A reference stands alone (`$ref`), or as the only entry of `allOf` with a default beside it.
    let reference = own.get("$ref").or_else(|| own.get("allOf")?.get(0)?.get("$ref"));
    let target = reference.and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
    if let Some(target) = target {
        fields.remove("$ref");
        fields.remove("allOf");
        if let Some(target) = schemas.and_then(|all| all.get(target)).and_then(Value::as_object) {
            for (name, value) in target {
                fields.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }
    let child = |schema: &Value| read(schema, schemas, depth + 1);
    let mut take = |name: &str| fields.shift_remove(name);
    let text = |value: Option<Value>| value.and_then(|v| v.as_str().map(str::to_owned));
    let truth = |value: Option<Value>| value.as_ref().and_then(Value::as_bool).unwrap_or(false);
    let keys: Vec<String> =
        take("x-kubernetes-list-map-keys").and_then(|keys| serde_json::from_value(keys).ok()).unwrap_or_default();
    let list = match text(take("x-kubernetes-list-type")).as_deref() {
        Some("set") => ListKind::Set,
        Some("map") => ListKind::Map(keys),
        _ => ListKind::Atomic,
    };
    let properties = take("properties");
    let additional = take("additionalProperties");
    let items = take("items");
    take("description");
    let type_ = text(take("type")).as_deref().and_then(Type::of);
    let format = text(take("format"));
    let mut node = Node {
        type_,
        format,
        go_name: target.and_then(go_name),
        nullable: truth(take("nullable")),
        int_or_string: truth(take("x-kubernetes-int-or-string")),
        preserve_unknown: truth(take("x-kubernetes-preserve-unknown-fields")),
        embedded_resource: truth(take("x-kubernetes-embedded-resource")),
        properties: properties
            .as_ref()
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, schema)| (name.clone(), child(schema)))
            .collect(),
        additional: additional.as_ref().filter(|a| a.is_object()).map(|schema| Box::new(child(schema))),
        items: items.as_ref().map(|schema| Box::new(child(schema))),
        list,
        atomic_map: text(take("x-kubernetes-map-type")).as_deref() == Some("atomic"),
        default: take("default"),
        merge_key: text(take("x-kubernetes-patch-merge-key")),
        patch_strategy: text(take("x-kubernetes-patch-strategy")),
        any_object: schemas.is_some() && properties.is_none() && additional.is_none(),
        checks: Checks::default(),
        says: fields,
    };
    node.checks = Checks::read(&node.says, node.type_, node.format.as_deref(), &child);
    node
}

impl Type {
    /// Returns whether values of this type consist of others.
    pub fn has_parts(self) -> bool {
        matches!(self, Type::Object | Type::Array)
    }

    /// Returns the type's name in schemas.
    pub fn name(self) -> &'static str {
        match self {
            Type::Object => "object",
            Type::Array => "array",
            Type::String => "string",
            Type::Integer => "integer",
            Type::Number => "number",
            Type::Boolean => "boolean",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "object" => Type::Object,
            "array" => Type::Array,
            "string" => Type::String,
            "integer" => Type::Integer,
            "number" => Type::Number,
            "boolean" => Type::Boolean,
            _ => return None,
        })
    }
}
