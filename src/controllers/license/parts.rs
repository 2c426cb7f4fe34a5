//! The parts of a License that are not acted on: those that only later versions act on, and those that have no effect on what
//! its keys grant.

use crate::api::License;
use crate::api::conditions::{ConditionType, Conditions};
use crate::api::license::LicenseSpec;
use crate::domain::fault::Fault;
use crate::domain::reason::Reason;
use crate::domain::seats::unused::unused;
use crate::observed::{Judged, assignments, reservations};

/// Sets `PartRefused` and `FullyActedOn` if there are such parts.
pub fn say(list: &mut Conditions, license: &License, judged: &Judged) {
    let spec = &license.spec;
    let faults = unused(&judged.entitlement, &assignments(spec), &reservations(spec));
    if let Some(first) = faults.first() {
        let message = faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("; ");
        list.set(ConditionType::PartRefused, true, first.reason, message);
    }
    let waiting = not_acted_on(spec);
    if !waiting.is_empty() {
        let message = format!("stored and shown, but not acted on by this version: {}", waiting.join(", "));
        list.set(ConditionType::FullyActedOn, false, Reason::PartsNotActedOn, message);
    }
}

/// Parts of the spec whose behaviour comes with later versions.
fn not_acted_on(spec: &LicenseSpec) -> Vec<&'static str> {
    let parts = [("spec.server", spec.server.is_some()), ("spec.administrators", !spec.administrators.is_empty())];
    parts.into_iter().filter(|(_, present)| *present).map(|(part, _)| part).collect()
}
