//! What is wrong with an input, where, and what to do about it.

use std::fmt;

use super::reason::Reason;

/// One reason why an input cannot be acted on. `field` is a path into the object (`spec.plans[1].pools[agents].changes[2026-06-01]`), `message` a sentence that says what to write
/// instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub reason: Reason,
    pub field: String,
    pub message: String,
}

impl Fault {
    pub fn new(reason: Reason, field: impl Into<String>, message: impl Into<String>) -> Self {
        Fault { reason, field: field.into(), message: message.into() }
    }

    /// The same, of a file that is in `place`.
    pub fn within(self, place: &str) -> Self {
        Fault { field: format!("{place}, {}", self.field), ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.is_empty() {
            true => f.write_str(&self.message),
            false => write!(f, "{}: {}", self.field, self.message),
        }
    }
}

impl std::error::Error for Fault {}
