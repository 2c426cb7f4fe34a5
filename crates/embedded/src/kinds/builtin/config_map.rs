//! ConfigMaps.

use serde_json::Value;

use super::data::{data_faults, drop_empty, entries, immutable_faults};
use super::definition::{Builtin, CORE, Names};
use crate::kinds::columns::{Column, described, of};
use crate::kinds::strategy::{ChangeChecks, Strategy};
use crate::schema::FieldError;

pub static CONFIG_MAP: Builtin = Builtin {
    names: Names { kind: "ConfigMap", short: &["cm"], ..CORE },
    strategy: Strategy { complete, faults, change_checks: ChangeChecks::Repeated, ..Strategy::BUILTIN },
    columns,
    selectable: &[],
    recorded: "io.k8s.api.core.v1.ConfigMap",
};

fn complete(map: &mut Value) {
    drop_empty(map, &["data", "binaryData", "immutable"]);
}

fn faults(map: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut faults = data_faults(map, &["data", "binaryData"]);
    if let Some(old) = old {
        faults.extend(immutable_faults(old, map, &["data", "binaryData"]));
    }
    faults
}

fn columns() -> Vec<Column> {
    vec![Column::name(), of("Data", &described("core.v1.ConfigMap", "data"), entries), Column::age()]
}
