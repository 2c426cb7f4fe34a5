//! Moving from `kubectl apply` to `kubectl apply --server-side`: the annotation that the former leaves.

use super::compare::Difference;
use super::conflict::Conflicts;
use super::set::FieldSet;
use super::{Manager, check};
use crate::schema::node::Node;
use crate::words::go;
use serde_json::Value;

/// The manager for which the annotation counts.
pub(super) const KUBECTL: &str = "kubectl";
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The most bytes in all annotations of an object together, names and values.
const MOST_ANNOTATIONS: usize = 256 * 1024;

/// Returns the conflicts that the annotation does not explain. It explains a field that kubectl applied before and that
/// still has that value.
pub(super) fn unexpected<'a>(
    node: &Node,
    live: &Value,
    conflicts: Conflicts<'a>,
    manager: &Manager<'_>,
) -> Conflicts<'a> {
    let Some(last) = annotation(live).and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
        return conflicts;
    };
    let version = last.get("apiVersion").and_then(Value::as_str);
    if version != Some(manager.api_version) || check::misfit(node, &last).is_some() {
        return conflicts;
    }
    let Difference { removed, modified, added } = Difference::of(node, &last, live);
    let expected = FieldSet::of_value(node, &last).difference(&modified).difference(&added).difference(&removed);
    let left = conflicts.into_iter().map(|(owner, fields)| (owner, fields.difference(&expected)));
    left.filter(|(_, fields)| !fields.is_empty()).collect()
}

/// Updates the annotation to what was applied, if the object has one.
pub(super) fn refresh(object: &mut Value, applied: &Value) {
    if annotation(object).is_none_or(str::is_empty) {
        return;
    }
    let mut applied = applied.clone();
    if let Some(metadata) = applied.get_mut("metadata").and_then(Value::as_object_mut) {
        match metadata.get_mut("annotations") {
            Some(Value::Object(annotations)) => annotations.shift_remove(ANNOTATION),
            _ => metadata.shift_remove("annotations"),
        };
    }
    let mut text = String::new();
    go::write_json(&applied, &mut text);
    text.push('\n');
    let annotations = object.get_mut("metadata").and_then(|metadata| metadata.get_mut("annotations"));
    let Some(annotations) = annotations.and_then(Value::as_object_mut) else { return };
    annotations.insert(ANNOTATION.into(), text.into());
    let size: usize = annotations.iter().map(|(name, value)| name.len() + value.as_str().map_or(0, str::len)).sum();
    if size > MOST_ANNOTATIONS {
        annotations.shift_remove(ANNOTATION);
    }
}

fn annotation(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(ANNOTATION)?.as_str()
}
