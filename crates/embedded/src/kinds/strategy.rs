//! What a kind does differently from others, on which the code for all kinds acts.

use serde_json::Value;

use super::names::subdomain_faults;
use crate::schema::FieldError;

/// What a kind does differently from others.
#[derive(Clone, Copy, Debug)]
pub struct Strategy {
    /// Whether the kind has a status subresource.
    pub status: bool,
    /// Whether `metadata.generation` counts the changes to the desired state.
    pub generation: bool,
    /// Whether PUT creates an object that does not exist.
    pub created_by_update: bool,
    /// Whether PUT without a resourceVersion overwrites.
    pub updated_unconditionally: bool,
    /// Whether the answer to a delete shows the object marked as deleted, although it is gone already.
    pub shown_as_marked: bool,
    /// The most objects that are kept, the newest; `None` if all are.
    pub most_kept: Option<usize>,
    /// Fills in the defaults that no schema states.
    pub complete: fn(&mut Value),
    /// Fills in the first state of a new object, which no manager owns.
    pub begin: fn(&mut Value),
    /// Returns what is wrong with the content of an object, beyond its schema. The second is the object that it
    /// replaces; `None` if it is new.
    pub faults: fn(&Value, Option<&Value>) -> Vec<FieldError>,
    /// Returns what is wrong with the name of an object.
    pub name_faults: fn(&str) -> Vec<String>,
    /// How often the metadata of a changed object is checked.
    pub change_checks: ChangeChecks,
    /// Returns the value of a field label that is not simply that of the field with this path; `None` if it is.
    pub field_value: fn(&Value, &str) -> Option<String>,
    /// The forms in which objects are written; `None` if there is only one version.
    pub versions: Option<Versions>,
}

/// How often the API server checks the metadata of a changed object. Each check repeats the errors that the one before
/// has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeChecks {
    /// By the rules for every kind.
    Once,
    /// By those, and again with the kind's own.
    Twice,
    /// Like `Twice`, and the finalizers once more.
    Finalizers,
    /// Like `Finalizers`, and the metadata once more as that of a new object.
    Repeated,
}

/// The forms of an object that is written in two versions.
#[derive(Clone, Copy, Debug)]
pub struct Versions {
    /// The other version.
    pub other: &'static str,
    /// Converts a stored object to the form in which this version shows it; `None` if it is stored in that form.
    pub shown: Option<fn(Value) -> Value>,
    /// Converts a stored object like `shown`, and gives the fields that are owned in the other version their names in
    /// this one.
    pub as_written: fn(Value) -> Value,
    /// The reverse of `as_written`.
    pub as_stored: fn(Value) -> Value,
}

impl Strategy {
    /// What most built-in kinds do.
    pub const BUILTIN: Strategy = Strategy {
        status: false,
        generation: false,
        created_by_update: false,
        updated_unconditionally: true,
        shown_as_marked: false,
        most_kept: None,
        complete: |_| {},
        begin: |_| {},
        faults: |_, _| Vec::new(),
        name_faults: subdomain_faults,
        change_checks: ChangeChecks::Twice,
        field_value: |_, _| None,
        versions: None,
    };

    /// What custom resources do.
    pub const CUSTOM: Strategy = Strategy { generation: true, updated_unconditionally: false, ..Strategy::BUILTIN };
}
