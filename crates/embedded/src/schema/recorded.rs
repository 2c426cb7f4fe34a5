//! Compares this module with what a real kube-apiserver 1.36 answered to objects with one thing wrong, recorded in
//! `recorded.json`: `base` is sent with each `change`, and the answer is the causes of the Status, or what strict
//! decoding said, or neither if the object was accepted. The kinds are those of the CRDs, and a `Widget` for what these
//! do not use. Go iterates over its maps in no fixed order, so causes are compared sorted.

use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::{FieldError, Schema, default, prune};

/// The CRDs whose objects were recorded: Seatkeeper's, as they are published.
fn crds() -> Vec<Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crds");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()).collect()
}

/// Returns the schemas of the CRDs and of the Widget.
fn schemas(widget: &Value) -> BTreeMap<String, Schema> {
    let mut schemas: BTreeMap<String, Schema> = crds()
        .iter()
        .map(|crd| {
            let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            (crd["spec"]["names"]["kind"].as_str().unwrap().to_owned(), Schema::of_crd(schema).unwrap())
        })
        .collect();
    schemas.insert("Widget".into(), Schema::of_crd(widget).unwrap());
    schemas
}

/// Returns `base` with every change made: a pointer, and the value that goes there, or nothing.
fn changed(base: &Value, changes: &Value) -> Value {
    let mut object = base.clone();
    for change in changes.as_array().unwrap() {
        let (parent, name) = change[0].as_str().unwrap().rsplit_once('/').unwrap();
        let parent = object.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match change.get(1) {
            Some(value) => drop(parent.insert(name.to_owned(), value.clone())),
            None => drop(parent.shift_remove(name)),
        }
    }
    object
}

/// Does what the embedded API does with a write, as far as the schema is concerned.
fn answer(schema: &Schema, operation: &str, object: &Value, old: Option<&Value>) -> Value {
    let mut object = object.clone();
    let unknown = prune(&schema.root, &mut object);
    if !unknown.is_empty() {
        let unknown: Vec<String> = unknown.iter().map(|field| format!("unknown field \"{field}\"")).collect();
        return json!({"strict": unknown.join(", ")});
    }
    default(&schema.root, &mut object);
    let with_status = |mut object: Value, status: Option<&Value>| {
        let fields = object.as_object_mut().unwrap();
        fields.shift_remove("status");
        fields.extend(status.map(|status| ("status".to_owned(), status.clone())));
        object
    };
    let errors = match (operation, old) {
        ("status", Some(old)) => {
            let new = with_status(old.clone(), object.get("status"));
            schema.validate_status(&new, old, Vec::new())
        }
        (_, old) => {
            let new = with_status(object, old.and_then(|old| old.get("status")));
            schema.validate(&new, old, Vec::new())
        }
    };
    if errors.is_empty() {
        return json!({});
    }
    let mut causes: Vec<String> = errors.iter().map(cause).collect();
    causes.sort();
    json!({"causes": causes})
}

fn cause(error: &FieldError) -> String {
    format!("{} {}: {}", error.reason.cause(), error.field, error.message)
}

#[test]
fn every_recorded_answer_is_given_in_the_same_words() {
    let recorded: Value = serde_json::from_str(include_str!("recorded.json")).unwrap();
    let schemas = schemas(&recorded["widget"]);
    let mut compared = 0;
    for group in recorded["groups"].as_array().unwrap() {
        let kind = group["kind"].as_str().unwrap();
        for case in group["cases"].as_array().unwrap() {
            let object = changed(&group["base"], &case["change"]);
            let mut expected = case.as_object().unwrap().clone();
            expected.shift_remove("change");
            let said = answer(&schemas[kind], group["op"].as_str().unwrap(), &object, group.get("old"));
            assert_eq!(said, Value::Object(expected), "{kind} {}: {}", group["op"], case["change"]);
            compared += 1;
        }
    }
    assert!(compared > 400, "only {compared} answers are recorded");
}

#[test]
fn what_cannot_be_carried_out_is_refused_when_the_schema_is_read() {
    let with_rule = |rule: &str| {
        json!({"type": "object", "properties": {"spec": {
            "type": "object",
            "properties": {"a": {"type": "string"}, "list": {"type": "array", "items": {"type": "integer"}}},
            "x-kubernetes-validations": [{"rule": rule}],
        }}})
    };
    let refused = |schema: Value| Schema::of_crd(&schema).err().unwrap_or_default();
    assert_eq!(refused(with_rule("!has(self.a) || self.a.size() < 3")), "");
    let cases = [
        ("self.b == 'x'", "undefined field 'b'"),
        ("other == 'x'", "undeclared reference to 'other'"),
        ("isQuantity(self.a)", "the function 'isQuantity' is not known"),
        ("self.list.isSorted()", "the function 'isSorted' is not known"),
        ("sets.contains(self.list, [1])", "undeclared reference to 'sets'"),
        ("self.a.matches('(')", "the pattern '(' cannot be read"),
        ("self.a ==", "spec: rule `self.a ==`"),
    ];
    for (rule, expected) in cases {
        let said = refused(with_rule(rule));
        assert!(said.contains(expected) && said.starts_with("spec: rule"), "{rule}: {said}");
    }
    let format = json!({"type": "object", "properties": {"mail": {"type": "string", "format": "email"}}});
    assert_eq!(refused(format), "mail: the format email is not known to the embedded API");
}

#[test]
fn unknown_fields_of_the_metadata_go_and_are_named_first() {
    let schema = Schema::of_crd(&json!({"type": "object", "properties": {"spec": {"type": "object"}}})).unwrap();
    let mut object = json!({
        "apiVersion": "v", "kind": "K", "extra": 1, "spec": {"b": 1, "a": 2},
        "metadata": {"name": "n", "zone": 1, "labels": {"any": "x"}, "ownerReferences": [{"uid": "u", "owner": 1}]},
    });
    let expected = ["metadata.zone", "metadata.ownerReferences[0].owner", "extra", "spec.a", "spec.b"];
    assert_eq!(prune(&schema.root, &mut object), expected);
    let kept = json!({
        "apiVersion": "v", "kind": "K", "spec": {},
        "metadata": {"name": "n", "labels": {"any": "x"}, "ownerReferences": [{"uid": "u"}]},
    });
    assert_eq!(object, kept);
}

#[test]
fn a_built_in_kind_keeps_what_its_document_knows() {
    let document = json!({
        "Meta": {"type": "object", "properties": {"name": {"type": "string"}}},
        "Secret": {"type": "object", "properties": {
            "metadata": {"$ref": "#/components/schemas/Meta"},
            "data": {"type": "object", "additionalProperties": {"type": "string", "format": "byte"}},
            "raw": {"type": "object"},
        }},
    });
    let node = super::Node::of_document(document.as_object().unwrap(), "Secret");
    let mut secret =
        json!({"metadata": {"name": "a", "b": 1}, "data": {"k": "eA=="}, "raw": {"x": {"y": 1}}, "dota": {}});
    assert_eq!(prune(&node, &mut secret), ["metadata.b", "dota"]);
    assert_eq!(secret["raw"], json!({"x": {"y": 1}}));
}
