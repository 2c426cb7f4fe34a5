//! What is wrong with an input, where, and what to do about it.

use std::fmt;

/// One reason why an input cannot be acted on. `reason` is a CamelCase word for programs to match on, `field` a path
/// into the object (`spec.plans[1].pools[agents].changes[2026-06-01]`), `message` a sentence that says what to write
/// instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub reason: &'static str,
    pub field: String,
    pub message: String,
}

impl Fault {
    pub fn new(reason: &'static str, field: impl Into<String>, message: impl Into<String>) -> Self {
        Fault { reason, field: field.into(), message: message.into() }
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
