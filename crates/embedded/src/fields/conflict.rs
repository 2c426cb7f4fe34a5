//! Conflicts: fields that an apply would change and that other managers own.

use super::managed::{Identity, Operation};
use super::refusal::{Cause, Refusal};
use super::set::{FieldSet, path_text};
use crate::words::go;
use std::collections::BTreeMap;

/// The fields in conflict, by their owner.
pub(super) type Conflicts<'a> = BTreeMap<Identity<'a>, FieldSet<'a>>;

/// Returns the 409 for these conflicts. The API server lists the causes in no fixed order; here they are in the order
/// of the message.
pub(super) fn refusal(conflicts: &Conflicts<'_>) -> Refusal {
    let mut owners: Vec<(String, &Identity<'_>, Vec<String>)> = conflicts
        .iter()
        .map(|(owner, fields)| {
            let mut paths = Vec::new();
            fields.each(&mut |path| paths.push(path_text(path)));
            (owner.text(), owner, paths)
        })
        .collect();
    owners.sort_by(|a, b| a.0.cmp(&b.0));
    let mut causes = Vec::new();
    let mut lines = Vec::new();
    for (_, owner, paths) in &owners {
        let owner = owner_text(owner);
        lines.push(format!("conflicts with {owner}:"));
        for path in paths {
            lines.push(format!("- {path}"));
            let message = format!("conflict with {owner}");
            causes.push(Cause { reason: "FieldManagerConflict", message, field: path.clone() });
        }
    }
    let message = match causes.as_slice() {
        [Cause { message, field, .. }] => format!("Apply failed with 1 conflict: {message}: {field}"),
        _ => format!("Apply failed with {} conflicts: {}", causes.len(), lines.join("\n")),
    };
    Refusal { code: 409, reason: Some("Conflict"), message, causes }
}

fn owner_text(owner: &Identity<'_>) -> String {
    let mut text = go::quoted(&owner.manager);
    if !owner.subresource.is_empty() {
        text = format!("{text} with subresource {}", go::quoted(&owner.subresource));
    }
    if owner.operation == Operation::Update {
        text = format!("{text} using {}", owner.version.as_deref().unwrap_or_default());
    }
    text
}
