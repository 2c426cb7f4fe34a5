//! Why a request was not fulfilled, as problem details (RFC 9457).

use http::{HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

use super::reply::{self, Reply};
use crate::domain::text::spelt_out;

/// How long to wait if the trouble passes in a moment.
pub const A_MOMENT: Duration = Duration::from_secs(1);

/// How much is said of a request, in characters. What it says of itself may be much longer, and one body may have a thousand.
const MOST_SAID: usize = 1000;

/// Why a request was not fulfilled.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    #[serde(rename = "type")]
    kind: Box<str>,
    title: &'static str,
    pub status: u16,
    pub detail: String,
    /// The reason in one word, for programs.
    pub reason: &'static str,
    /// Seconds after which asking again may help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The place in the queue if the request waited there: 1 is next. The place is kept for 5 s, so ask again at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<u32>,
    /// If the request was about several seats: those of which it is not yet known whether they are lost. A request
    /// about the others is answered.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    #[schemars(default)]
    pub unsure: Box<[String]>,
}

impl Problem {
    /// `reason` is one word, for programs; `detail` says to people what is wrong and what to do.
    pub fn new(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Self {
        Problem {
            kind: format!("https://seatkeeper.dev/problems/{reason}").into(),
            title: status.canonical_reason().unwrap_or("Problem"),
            status: status.as_u16(),
            detail: cut(detail.into()),
            reason,
            retry_after: None,
            place: None,
            unsure: Box::default(),
        }
    }

    /// Asking again after `wait` may help.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait.as_secs().max(1));
        self
    }

    /// The request itself is wrong; `detail` says where, and what is possible. It may quote the request: it is cut, and
    /// what a reader would not see is spelt out.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, "InvalidRequest", spelt_out(&detail.into()))
    }

    /// The response to the caller.
    pub fn reply(&self) -> Reply {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let text = serde_json::to_vec(self).unwrap_or_default();
        let mut reply = reply::of(status, "application/problem+json", text);
        if let Some(seconds) = self.retry_after {
            reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            reply.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        reply
    }
}

fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MOST_SAID) {
        text.truncate(end);
    }
    text
}
