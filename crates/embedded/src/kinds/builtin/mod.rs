//! The kinds that are built into Kubernetes, one file each. A new kind is a file, a line in [`ALL`], and its schemas in
//! the recording.
//!
//! | question | file |
//! |---|---|
//! | What is there to say of a built-in kind? | `definition.rs` |
//! | What do Secrets and ConfigMaps have in common? | `data.rs` |
//! | How do the two groups of Events differ? | `event_forms.rs`, `event_rules.rs` |

mod config_map;
mod data;
mod definition;
mod event;
mod event_forms;
mod event_of_new_group;
mod event_rules;
mod lease;
mod namespace;
mod pod;
mod secret;

use super::kind::Kind;
use definition::Builtin;

/// Every built-in kind, in the order in which discovery names their groups.
const ALL: [&Builtin; 7] = [
    &namespace::NAMESPACE,
    &secret::SECRET,
    &config_map::CONFIG_MAP,
    &pod::POD,
    &event::EVENT,
    &event_of_new_group::EVENT_OF_NEW_GROUP,
    &lease::LEASE,
];

/// Returns the built-in kinds.
pub fn kinds() -> Vec<Kind> {
    let position = |group: &str, name: &str| ALL.iter().position(|b| b.names.group == group && b.names.kind == name);
    let kinds = ALL.iter().enumerate().map(|(id, builtin)| {
        let stored_in = builtin.names.stored_in.and_then(|group| position(group, builtin.names.kind));
        builtin.kind(stored_in.unwrap_or(id))
    });
    kinds.collect()
}
