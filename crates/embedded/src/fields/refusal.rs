//! Requests that the API server refuses.

use serde::de::DeserializeOwned;

/// The content of the `Status` in the answer. The caller adds `details.name`, `kind` and `group` if it knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status code.
    pub code: u16,
    /// The reason; `None` if the API server gives none.
    pub reason: Option<&'static str>,
    pub message: String,
    /// `details.causes`.
    pub causes: Vec<Cause>,
}

/// One of `details.causes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    pub reason: &'static str,
    pub message: String,
    pub field: String,
}

impl Refusal {
    /// Reads a patch of JSON. The error is a 400.
    pub(super) fn read<T: DeserializeOwned>(patch: &[u8]) -> Result<T, Self> {
        serde_json::from_slice(patch).map_err(|why| Refusal::bad_request(format!("the patch cannot be read: {why}")))
    }

    /// A 400 `BadRequest`.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Refusal { code: 400, reason: Some("BadRequest"), message: message.into(), causes: Vec::new() }
    }

    /// A 500 without a reason, which the API server answers when it has nothing more specific.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Refusal { code: 500, reason: None, message: message.into(), causes: Vec::new() }
    }

    /// A 422 `Invalid`, with the only message that the API server has for a patch that cannot be applied.
    pub(super) fn unprocessable() -> Self {
        Refusal {
            code: 422,
            reason: Some("Invalid"),
            message: "the server rejected our request due to an error in our request".into(),
            causes: Vec::new(),
        }
    }
}
