//! When a grant is Full, when in Grace, and when it has ended (`design.md` §4 "Mode", `requirements.md` I8–I10).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::key::Claims;
use crate::domain::Instant;

/// What a License grants now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// All that the keys say.
    Full,
    /// The keys have ended and everything keeps working for a while (I8).
    Grace,
    /// Only the demo seats (I9).
    #[default]
    Demo,
}

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Full => "Full",
            Mode::Grace => "Grace",
            Mode::Demo => "Demo",
        }
    }
}

/// What the keys of one grant amount to at an instant. The keys that supersede one another are all here; none is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct GrantState<'k> {
    /// Demo: ended, or not begun.
    pub mode: Mode,
    /// The key that counts, or counted last. None: every key is still to come.
    pub key: Option<&'k Claims>,
    /// When the grant ends, keys that continue it already counted in; once ended, when it did. None: never, or not begun.
    pub expires_at: Option<Instant>,
    /// When grace after that ends.
    pub grace_ends_at: Option<Instant>,
}

/// Of keys in force together the latest `nbf` counts, then the latest `iat`, then the greatest serial.
fn rank(key: &Claims) -> (i64, i64, &str) {
    (key.nbf, key.iat, &key.jti)
}

/// What `keys`, all of one grant, amount to at `now`.
pub fn grant_state<'k>(keys: &[&'k Claims], now: Instant) -> GrantState<'k> {
    let in_force = keys.iter().copied().filter(|key| key.in_force_at(now)).max_by_key(|key| rank(key));
    if let Some(key) = in_force {
        let expires_at = covered_until(keys, key.ends_at());
        return GrantState {
            mode: Mode::Full,
            key: Some(key),
            expires_at,
            grace_ends_at: expires_at.and_then(|end| grace_after(keys, end)),
        };
    }
    let ended_last = keys
        .iter()
        .copied()
        .filter(|key| key.ends_at().is_some_and(|end| end <= now))
        .max_by_key(|key| (key.exp, rank(key)));
    let Some(key) = ended_last else {
        return GrantState { mode: Mode::Demo, key: None, expires_at: None, grace_ends_at: None };
    };
    let grace_ends_at = grace_after(keys, now);
    let mode = if grace_ends_at.is_some_and(|end| now < end) { Mode::Grace } else { Mode::Demo };
    GrantState { mode, key: Some(key), expires_at: key.ends_at(), grace_ends_at }
}

/// The end of `end` once every key that begins before it and ends after it is counted in.
fn covered_until(keys: &[&Claims], end: Option<Instant>) -> Option<Instant> {
    let mut end = end?;
    loop {
        let next: Vec<&&Claims> = keys.iter().filter(|key| key.in_force_at(end)).collect();
        if next.is_empty() {
            return Some(end);
        }
        if next.iter().any(|key| key.exp.is_none()) {
            return None;
        }
        end = next.iter().filter_map(|key| key.ends_at()).max().unwrap_or(end);
    }
}

/// The greatest end of grace among the keys that have ended by `end`.
fn grace_after(keys: &[&Claims], end: Instant) -> Option<Instant> {
    keys.iter().filter(|key| key.ends_at().is_some_and(|e| e <= end)).filter_map(|key| key.grace_ends_at()).max()
}
