//! Events, as `events.k8s.io` has them. They are stored as core Events.

use super::definition::{Builtin, CORE, Names};
use super::event::{STRATEGY, columns};
use super::event_forms::{NEW_FORM, NEW_GROUP};
use super::event_rules;
use crate::kinds::strategy::Strategy;

pub static EVENT_OF_NEW_GROUP: Builtin = Builtin {
    names: Names { group: NEW_GROUP, stored_in: Some(""), kind: "Event", short: &["ev"], ..CORE },
    strategy: Strategy {
        faults: |event, old| event_rules::faults(event, old, true),
        versions: Some(NEW_FORM),
        ..STRATEGY
    },
    columns,
    selectable: &[
        "regarding.kind",
        "regarding.namespace",
        "regarding.name",
        "regarding.uid",
        "regarding.apiVersion",
        "regarding.resourceVersion",
        "regarding.fieldPath",
        "reason",
        "reportingController",
        "source",
        "type",
    ],
    recorded: "io.k8s.api.events.v1.Event",
};
