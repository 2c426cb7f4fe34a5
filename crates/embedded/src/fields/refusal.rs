//! A request that the API server refuses, in its words.

/// What the `Status` of the answer says. `details.name`, `kind` and `group` are the caller's to add where it knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub code: u16,
    /// The reason; none where the API server gives none.
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
    /// 400 `BadRequest`.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Refusal { code: 400, reason: Some("BadRequest"), message: message.into(), causes: Vec::new() }
    }

    /// 500 without a reason: what the API server answers where it has no better word.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Refusal { code: 500, reason: None, message: message.into(), causes: Vec::new() }
    }

    /// 422 `Invalid`, with the only words that the API server has for a patch that does not apply.
    pub(super) fn unprocessable() -> Self {
        Refusal {
            code: 422,
            reason: Some("Invalid"),
            message: "the server rejected our request due to an error in our request".into(),
            causes: Vec::new(),
        }
    }
}
