//! The OpenAPI v3 documents, by which kubectl explains and validates. The schemas of built-in kinds are those that a
//! real API server publishes (`kinds/published.rs`).

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::kinds::published::{OBJECT_META, schemas};
use crate::kinds::version::KUBERNETES;
use crate::kinds::{Kind, Kinds};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// Returns the index: each document with a hash of its content, so that clients may cache it.
pub fn index(kinds: &Kinds) -> Value {
    let paths = kinds.group_versions().into_iter().filter_map(|(group, version)| {
        let path = path_of(group, version);
        let content = document(kinds, &path)?;
        let hash: String = Sha256::digest(content.as_bytes()).iter().map(|byte| format!("{byte:02X}")).collect();
        Some((path.clone(), json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")})))
    });
    json!({"paths": paths.collect::<Map<_, _>>()})
}

/// Returns the document of a path such as `api/v1` or `apis/<group>/<version>`; `None` if there is none.
pub fn document<'k>(kinds: &'k Kinds, path: &str) -> Option<&'k str> {
    let make = || {
        let paths = kinds.group_versions().into_iter().map(|(group, version)| path_of(group, version));
        paths.zip(documents(kinds)).map(|(path, document)| (path, document.to_string())).collect::<Vec<_>>()
    };
    kinds.documents.get_or_init(make).iter().find(|(of, _)| of == path).map(|(_, document)| document.as_str())
}

/// Makes the document of each group and version.
pub fn documents(kinds: &Kinds) -> impl Iterator<Item = Value> {
    kinds.group_versions().into_iter().map(|(group, version)| make_document(kinds, group, version))
}

fn path_of(group: &str, version: &str) -> String {
    match group {
        "" => format!("api/{version}"),
        group => format!("apis/{group}/{version}"),
    }
}

fn make_document(kinds: &Kinds, group: &str, version: &str) -> Value {
    let mut all = Map::new();
    let mut paths = Map::new();
    for (_, kind) in kinds.iter().filter(|(_, k)| k.group == group && k.version == version) {
        let name = schema_name(kind);
        if kind.custom {
            all.insert(format!("{name}List"), list_schema(kind));
            all.insert(name, custom_schema(kind));
        } else {
            all.insert(format!("{name}List"), schemas().get(&format!("{name}List")).cloned().unwrap_or_default());
            all.insert(name.clone(), schemas().get(&name).cloned().unwrap_or_default());
        }
        add_paths(kind, &mut paths);
    }
    for name in ["DeleteOptions", "Patch", "Status", "ObjectMeta", "ListMeta"] {
        let name = format!("{META}.{name}");
        all.insert(name.clone(), schemas().get(&name).cloned().unwrap_or_default());
    }
    add_referred(&mut all);
    all.sort_keys();
    paths.sort_keys();
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": format!("v{}", KUBERNETES)},
        "paths": paths,
        "components": {"schemas": all},
    })
}

/// Adds the schemas that others refer to, until none is missing.
fn add_referred(all: &mut Map<String, Value>) {
    let mut unread: Vec<String> = all.keys().cloned().collect();
    while let Some(name) = unread.pop() {
        let mut referred = Vec::new();
        references(&all[&name], &mut referred);
        for name in referred {
            if !all.contains_key(&name) {
                all.insert(name.clone(), schemas().get(&name).cloned().unwrap_or_default());
                unread.push(name);
            }
        }
    }
}

fn references(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(path)) = fields.get("$ref") {
                found.extend(path.rsplit('/').next().map(str::to_owned));
            }
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// Returns the name of a kind's schema: `io.k8s.api.core.v1.Secret`, `dev.seatkeeper.v1alpha1.Plan`.
fn schema_name(kind: &Kind) -> String {
    if kind.custom {
        let reversed: Vec<&str> = kind.group.split('.').rev().collect();
        return format!("{}.{}.{}", reversed.join("."), kind.version, kind.kind);
    }
    let package = match kind.group.as_str() {
        "" => "core",
        group => group.split('.').next().unwrap_or_default(),
    };
    format!("io.k8s.api.{package}.{}.{}", kind.version, kind.kind)
}

fn gvk(kind: &Kind, name: &str) -> Value {
    json!({"group": kind.group, "kind": name, "version": kind.version})
}

fn refer(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn custom_schema(kind: &Kind) -> Value {
    let mut schema = kind.published.clone();
    whole_numbers(&mut schema);
    let own = schemas().get("io.k8s.api.core.v1.Secret").map(|secret| secret["properties"].clone()).unwrap_or_default();
    for name in ["apiVersion", "kind"] {
        schema["properties"][name] = own[name].clone();
    }
    schema["properties"]["metadata"] =
        json!({"description": own["metadata"]["description"], "allOf": [refer(OBJECT_META)]});
    schema["x-kubernetes-group-version-kind"] = json!([gvk(kind, &kind.kind)]);
    add_selectable(kind, &mut schema);
    schema
}

fn add_selectable(kind: &Kind, schema: &mut Value) {
    let selectable: Vec<Value> = kind.selectable.iter().map(|path| json!({"fieldPath": path})).collect();
    if !selectable.is_empty() {
        schema["x-kubernetes-selectable-fields"] = selectable.into();
    }
}

/// Writes the bounds of integers without a fraction.
fn whole_numbers(schema: &mut Value) {
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Number(number) => {
            // Beyond 2^53 a double no longer represents every integer.
            let whole = number.as_f64().filter(|value| number.is_f64() && value.fract() == 0.0 && value.abs() < 9.0e15);
            if let Some(value) = whole {
                *schema = (value as i64).into();
            }
        }
        _ => {}
    }
}

fn list_schema(kind: &Kind) -> Value {
    let own = schemas().get("io.k8s.api.core.v1.SecretList").map(|list| list["properties"].clone()).unwrap_or_default();
    let mut schema = json!({
        "description": format!("{}List is a list of {}", kind.kind, kind.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": own["apiVersion"],
            "kind": own["kind"],
            "metadata": {"description": own["metadata"]["description"], "allOf": [refer(&format!("{META}.ListMeta"))]},
            "items": {
                "description": format!("List of {}. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md", kind.plural),
                "type": "array",
                "items": refer(&schema_name(kind)),
            },
        },
        "x-kubernetes-group-version-kind": [gvk(kind, &format!("{}List", kind.kind))],
    });
    add_selectable(kind, &mut schema);
    schema
}

/// Adds the paths of a kind, as far as clients look at them: the methods, and the parameters that they take.
fn add_paths(kind: &Kind, paths: &mut Map<String, Value>) {
    let text = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let truth = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "boolean", "uniqueItems": true}});
    let writing = [text("dryRun"), text("fieldManager"), text("fieldValidation")];
    let mut patching = writing.to_vec();
    patching.push(truth("force"));
    let of = refer(&schema_name(kind));
    let operation = |action: &str, parameters: &[Value]| {
        json!({
            "parameters": parameters,
            "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": of}}}},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk(kind, &kind.kind),
        })
    };
    let listing =
        [text("continue"), text("fieldSelector"), text("labelSelector"), text("resourceVersion"), truth("watch")];
    let root = format!("/{}", path_of(&kind.group, &kind.version));
    let collection = match kind.namespaced {
        true => format!("{root}/namespaces/{{namespace}}/{}", kind.plural),
        false => format!("{root}/{}", kind.plural),
    };
    let delete = operation("delete", &[text("dryRun"), text("propagationPolicy")]);
    let one = json!({
        "get": operation("get", &[]),
        "put": operation("put", &writing),
        "patch": operation("patch", &patching),
        "delete": delete,
    });
    if kind.strategy.status {
        let mut status = one.clone();
        status.as_object_mut().map(|methods| methods.shift_remove("delete"));
        paths.insert(format!("{collection}/{{name}}/status"), status);
    }
    paths.insert(format!("{collection}/{{name}}"), one);
    paths.insert(collection, json!({"get": operation("list", &listing), "post": operation("post", &writing)}));
    if kind.namespaced {
        paths.insert(format!("{root}/{}", kind.plural), json!({"get": operation("list", &listing)}));
    }
}
