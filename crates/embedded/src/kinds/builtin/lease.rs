//! Leases.

use serde_json::{Value, json};

use super::definition::{Builtin, CORE, Names};
use crate::Instant;
use crate::kinds::columns::{Column, described, of, text_of};
use crate::kinds::strategy::Strategy;
use crate::schema::{FieldError, Reason};

pub static LEASE: Builtin = Builtin {
    names: Names { group: "coordination.k8s.io", kind: "Lease", ..CORE },
    strategy: Strategy {
        complete,
        faults,
        created_by_update: true,
        updated_unconditionally: false,
        ..Strategy::BUILTIN
    },
    columns,
    selectable: &[],
    recorded: "io.k8s.api.coordination.v1.Lease",
};

fn complete(lease: &mut Value) {
    if !lease.get("spec").is_some_and(Value::is_object) {
        lease["spec"] = json!({});
    }
}

fn faults(lease: &Value, _: Option<&Value>) -> Vec<FieldError> {
    let spec = &lease["spec"];
    let mut faults = Vec::new();
    let least = |field: &str, least: i64, why: &str| {
        let value = spec[field].as_i64().filter(|value| *value < least)?;
        Some(FieldError::new(format!("spec.{field}"), Reason::Invalid, format!("Invalid value: {value}: {why}")))
    };
    faults.extend(least("leaseDurationSeconds", 1, "must be greater than 0"));
    faults.extend(least("leaseTransitions", 0, "must be greater than or equal to 0"));
    faults
}

fn columns() -> Vec<Column> {
    let holder = |object: &Value, _: Instant| text_of(&object["spec"]["holderIdentity"]);
    vec![Column::name(), of("Holder", &described("coordination.v1.LeaseSpec", "holderIdentity"), holder), Column::age()]
}
