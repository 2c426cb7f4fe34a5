//! Properties of every set of fields and of every apply.

use super::*;
use crate::schema::node::{ListKind, Type};
use proptest::prelude::*;
use serde_json::{Value, json};

fn schema() -> Node {
    let text = || Node { type_: Some(Type::String), ..Node::default() };
    let object = |fields: Vec<(&str, Node)>| Node {
        type_: Some(Type::Object),
        properties: fields.into_iter().map(|(name, node)| (name.to_owned(), node)).collect(),
        ..Node::default()
    };
    let map = || Node { type_: Some(Type::Object), additional: Some(Box::new(text())), ..Node::default() };
    let item = object(vec![("name", text()), ("value", text())]);
    let list = |items: Node, list: ListKind| Node {
        type_: Some(Type::Array),
        items: Some(Box::new(items)),
        list,
        ..Node::default()
    };
    object(vec![
        ("apiVersion", text()),
        ("kind", text()),
        ("metadata", object(vec![("name", text()), ("labels", map())])),
        (
            "spec",
            object(vec![
                ("items", list(item, ListKind::Map(vec!["name".into()]))),
                ("set", list(text(), ListKind::Set)),
                ("atomic", list(text(), ListKind::Atomic)),
                ("map", map()),
            ]),
        ),
    ])
}

/// Configurations whose field names begin with `prefix`.
fn configuration(prefix: &'static str) -> impl Strategy<Value = Value> {
    let name = move || prop::sample::select(vec!["a", "b", "c"]).prop_map(move |name| format!("{prefix}{name}"));
    let value = || prop::sample::select(vec!["1", "2", "<&\"\\"]);
    let map = move || prop::collection::btree_map(name(), value(), 0..3);
    (map(), map(), prop::collection::btree_set(name(), 0..3), map()).prop_map(|(labels, items, set, map)| {
        let items: Vec<Value> = items.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        json!({
            "apiVersion": "v1", "kind": "K",
            "metadata": { "name": "x", "labels": labels },
            "spec": { "items": items, "set": set, "map": map },
        })
    })
}

fn manager<'a>(name: &'a str, reset: &'a FieldSet<'static>) -> Manager<'a> {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    Manager { name, api_version: "v1", other_version: None, kind: "K", subresource: None, reset, builtin: false, now }
}

/// Returns the object with the lists that are sets sorted, so that their order does not count.
fn unordered(mut object: Value) -> Value {
    for part in ["/spec/items", "/spec/set"] {
        if let Some(list) = object.pointer_mut(part).and_then(Value::as_array_mut) {
            list.sort_by_key(Value::to_string);
        }
    }
    object
}

#[test]
fn the_order_applied_is_the_order() {
    let (node, reset) = (schema(), FieldSet::default());
    let set =
        |set: Value| json!({ "apiVersion": "v1", "kind": "K", "metadata": { "name": "x" }, "spec": { "set": set } });
    let one = apply(&node, None, &set(json!(["a", "b", "c"])), &manager("one", &reset), false).unwrap();
    let two = apply(&node, Some(&one), &set(json!(["c", "a", "b"])), &manager("one", &reset), false).unwrap();
    assert_eq!(two["spec"]["set"], json!(["c", "a", "b"]));
    let three = apply(&node, Some(&two), &set(json!(["a", "c"])), &manager("two", &reset), false).unwrap();
    assert_eq!(three["spec"]["set"], json!(["a", "b", "c"]));
}

#[test]
fn what_became_atomic_is_owned_as_a_whole() {
    let (node, reset) = (schema(), FieldSet::default());
    let of = |label: &str| {
        let metadata = json!({ "name": "x", "labels": { "l": label } });
        json!({ "apiVersion": "v1", "kind": "K", "metadata": metadata, "spec": { "set": ["a"], "map": { "m": "1" } } })
    };
    let live = apply(&node, None, &of("1"), &manager("one", &reset), false).unwrap();
    let mut atomic = node;
    let spec = atomic.properties.get_mut("spec").unwrap();
    spec.properties.get_mut("set").unwrap().list = ListKind::Atomic;
    spec.properties.get_mut("map").unwrap().atomic_map = true;
    let mut new = of("2");
    update(&atomic, Some(&live), &mut new, &manager("two", &reset));
    let fields = &new["metadata"]["managedFields"][0]["fieldsV1"];
    assert_eq!(fields, &json!({ "f:spec": { "f:map": {}, "f:set": {} } }));
}

proptest! {
    #[test]
    fn a_set_is_read_as_it_was_written(configuration in configuration("")) {
        let node = schema();
        let set = FieldSet::of_value(&node, &configuration);
        let printed = set.print();
        prop_assert_eq!(FieldSet::parse(&printed).unwrap(), set);
    }

    #[test]
    fn sets_add_up(a in configuration(""), b in configuration("")) {
        let node = schema();
        let (a, b) = (FieldSet::of_value(&node, &a), FieldSet::of_value(&node, &b));
        let (common, rest) = (a.intersection(&b), a.clone().difference(&b));
        prop_assert!(!common.intersects(&rest));
        prop_assert_eq!(a.intersects(&b), !common.is_empty());
        prop_assert!(common.is_subset(&b));
        prop_assert_eq!(common.union(rest), a.clone());
        prop_assert_eq!(a.clone().union(b.clone()).difference(&b).union(b.clone()), a.union(b));
    }

    #[test]
    fn apply_again_changes_nothing(first in configuration(""), second in configuration("")) {
        let (node, reset) = (schema(), FieldSet::default());
        let once = apply(&node, None, &first, &manager("one", &reset), false).unwrap();
        let both = apply(&node, Some(&once), &second, &manager("two", &reset), true).unwrap();
        let again = apply(&node, Some(&both), &second, &manager("two", &reset), false).unwrap();
        prop_assert_eq!(&again, &both);
    }

    #[test]
    fn what_nobody_applies_any_more_is_gone(first in configuration(""), second in configuration("")) {
        let (node, reset) = (schema(), FieldSet::default());
        let once = apply(&node, None, &first, &manager("one", &reset), false).unwrap();
        let then = apply(&node, Some(&once), &second, &manager("one", &reset), false).unwrap();
        let fresh = apply(&node, None, &second, &manager("one", &reset), false).unwrap();
        prop_assert_eq!(
            FieldSet::of_value(&node, &then["spec"]["map"]),
            FieldSet::of_value(&node, &fresh["spec"]["map"])
        );
        prop_assert_eq!(&then["metadata"]["managedFields"], &fresh["metadata"]["managedFields"]);
    }

    #[test]
    fn disjoint_fields_in_either_order(a in configuration("a"), b in configuration("b")) {
        let (node, reset) = (schema(), FieldSet::default());
        let both = |first: (&str, &Value), second: (&str, &Value)| {
            let once = apply(&node, None, first.1, &manager(first.0, &reset), false).unwrap();
            apply(&node, Some(&once), second.1, &manager(second.0, &reset), false).unwrap()
        };
        let (mut ab, mut ba) = (both(("a", &a), ("b", &b)), both(("b", &b), ("a", &a)));
        // An apply that changes no value does not get a time.
        for object in [&mut ab, &mut ba] {
            for entry in object["metadata"]["managedFields"].as_array_mut().into_iter().flatten() {
                entry.as_object_mut().unwrap().shift_remove("time");
            }
            let managed = object["metadata"]["managedFields"].as_array_mut().unwrap();
            managed.sort_by_key(|entry| entry["manager"].to_string());
        }
        prop_assert_eq!(unordered(ab), unordered(ba));
    }
}
