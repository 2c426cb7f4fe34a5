//! Errors of commands.

use crate::domain::fault::Fault;

/// Why a command could not do its work, and the exit status that says so.
#[derive(Debug)]
pub struct Failure {
    pub status: u8,
    pub message: String,
}

impl Failure {
    /// The work cannot be done.
    pub fn new(message: impl Into<String>) -> Self {
        Failure { status: 1, message: message.into() }
    }

    /// The command was called wrongly.
    pub fn usage(message: impl Into<String>) -> Self {
        Failure { status: 2, message: message.into() }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure::new(fault.to_string())
    }
}
