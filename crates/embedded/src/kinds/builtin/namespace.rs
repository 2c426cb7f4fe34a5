//! Namespaces. What happens when one is deleted is in `write/delete.rs` and `write/namespaces.rs`.

use serde_json::{Value, json};

use super::definition::{Builtin, CORE, Names};
use crate::Instant;
use crate::kinds::columns::{Column, of};
use crate::kinds::names::label_faults;
use crate::kinds::strategy::{ChangeChecks, Strategy};
use crate::pairs::is_nothing;

pub static NAMESPACE: Builtin = Builtin {
    names: Names { kind: "Namespace", short: &["ns"], namespaced: false, ..CORE },
    strategy: Strategy {
        status: true,
        complete: label_with_name,
        begin,
        name_faults: label_faults,
        change_checks: ChangeChecks::Finalizers,
        ..Strategy::BUILTIN
    },
    columns,
    selectable: &["status.phase"],
    recorded: "io.k8s.api.core.v1.Namespace",
};

fn begin(namespace: &mut Value) {
    label_with_name(namespace);
    namespace["spec"] = json!({"finalizers": ["kubernetes"]});
    namespace["status"] = json!({"phase": "Active"});
}

/// Labels a namespace with its name, so that it can be selected by it.
fn label_with_name(namespace: &mut Value) {
    let metadata = &mut namespace["metadata"];
    let Some(name) = metadata.get("name").filter(|name| !is_nothing(name)).cloned() else { return };
    if !metadata.get("labels").is_some_and(Value::is_object) {
        metadata["labels"] = json!({});
    }
    metadata["labels"]["kubernetes.io/metadata.name"] = name;
}

fn columns() -> Vec<Column> {
    let phase = |object: &Value, _: Instant| object["status"]["phase"].clone();
    vec![Column::name(), of("Status", "The status of the namespace", phase), Column::age()]
}
