//! Why there is no seat.

use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The server refused.
    #[error("{0}")]
    Refused(Refused),
    /// The seats are no longer held. They are never revived.
    #[error("the seat is no longer held; ask for a new one")]
    Lost,
    /// It is not known whether the server received the request.
    #[error("{url} does not answer: {why}")]
    NoAnswer { url: String, why: String },
    /// What answers is not a seat server.
    #[error("{url} does not answer as a seat server does: {why}")]
    Nonsense { url: String, why: String },
    /// The token cannot be read.
    #[error("{}: {why}; name the file of a token for audience `seatkeeper`", path.display())]
    NoToken { path: PathBuf, why: String },
    /// The client cannot be made this way.
    #[error("{0}")]
    Setup(String),
}

/// A refusal of the server (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    pub status: u16,
    /// The reason in one word, for programs: `SeatsExhausted`.
    pub reason: String,
    /// For people: why, and what to do.
    pub detail: String,
    /// Seconds after which asking again may help; `None` if the trouble does not pass by itself.
    pub retry_after: Option<u64>,
    /// The place in the queue if the request waited there: 1 is next.
    pub place: Option<u64>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

impl Trouble {
    /// The reason in one word, for programs.
    pub fn reason(&self) -> String {
        match self {
            Trouble::Refused(refused) => refused.reason.clone(),
            Trouble::Lost => "SeatLost".into(),
            Trouble::NoAnswer { .. } => "NoAnswer".into(),
            Trouble::Nonsense { .. } => "NoSeatServer".into(),
            Trouble::NoToken { .. } => "NoToken".into(),
            Trouble::Setup(_) => "Setup".into(),
        }
    }

    /// Whether the trouble may pass without anybody changing the licence, the rights or the request.
    pub fn may_pass(&self) -> bool {
        match self {
            Trouble::Refused(refused) => refused.retry_after.is_some() || refused.is_overload(),
            Trouble::NoAnswer { .. } | Trouble::Lost => true,
            Trouble::Nonsense { .. } | Trouble::NoToken { .. } | Trouble::Setup(_) => false,
        }
    }

    /// How long the server asks to wait before the next request.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Trouble::Refused(refused) => refused.retry_after.map(Duration::from_secs),
            _ => None,
        }
    }

    /// The place in the queue; 1 is next.
    pub fn place(&self) -> Option<u64> {
        match self {
            Trouble::Refused(refused) => refused.place,
            _ => None,
        }
    }

    /// Whether another holder has to give a seat back, which can be waited for in the queue.
    pub(super) fn is_for_want_of_seats(&self) -> bool {
        matches!(self, Trouble::Refused(Refused { status: 409, retry_after: Some(_), .. }))
    }

    /// Whether the same request may be answered in a moment, without any holder giving a seat back.
    pub(super) fn is_momentary(&self) -> bool {
        match self {
            Trouble::Refused(refused) => refused.is_overload(),
            Trouble::NoAnswer { .. } => true,
            _ => false,
        }
    }

    pub(super) fn is_loss(&self) -> bool {
        matches!(self, Trouble::Lost | Trouble::Refused(Refused { status: 410, .. }))
    }
}

impl Refused {
    fn is_overload(&self) -> bool {
        matches!(self.status, 429 | 500 | 502 | 503 | 504)
    }
}

/// How seats were lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The server says so: an administrator freed them, or no heartbeat arrived for their whole time.
    Freed,
    /// Their time is over and no heartbeat was answered. Has why the last one was not.
    Unheard(Option<Trouble>),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::Freed => f.write_str("the seat is lost: the server has freed it"),
            Lost::Unheard(None) => {
                f.write_str("the seat is lost: this process was suspended for longer than a seat is held")
            }
            Lost::Unheard(Some(trouble)) => write!(f, "the seat is lost, no heartbeat was answered in time: {trouble}"),
        }
    }
}
