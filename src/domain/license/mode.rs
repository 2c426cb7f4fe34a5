//! When a grant is Full, when it is in Grace, and when it has ended (docs/design/domain.md, Mode; docs/requirements.md,
//! I8–I10).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::key::Claims;
use crate::domain::Instant;

/// What a License grants now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Everything that the keys state.
    Full,
    /// The keys have ended, and everything keeps working for a while.
    Grace,
    /// Only the demo seats.
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

/// The state of one grant at an instant. Its keys include those that were superseded, but no refused key.
#[derive(Clone, Debug, PartialEq)]
pub struct GrantState<'k> {
    /// `Demo` if the grant has ended or has not begun.
    pub mode: Mode,
    /// The key that counts, or counted last. `None` if no key has begun.
    pub key: Option<&'k Claims>,
    /// When the grant ends, including keys that continue it, or when it ended: it says until when the customer is
    /// licensed, not when one key ends. `None` if it never ends or has not begun.
    pub expires_at: Option<Instant>,
    /// The key that ends then: the days of the grant are those of its zone. `None` as `expires_at` is.
    pub ends_with: Option<&'k Claims>,
    /// When grace after that ends.
    pub grace_ends_at: Option<Instant>,
}

impl GrantState<'_> {
    /// Whether the same key grants the same seats.
    pub fn is_as(&self, other: &Self) -> bool {
        self.mode == other.mode && self.key.map(std::ptr::from_ref) == other.key.map(std::ptr::from_ref)
    }
}

/// The order of keys that are in force at the same time. The key that counts is the one with the latest `nbf`, then the
/// latest `iat`, then the greatest serial. If an issuer has used a serial twice, what the keys say decides, because the
/// order of entries in a Secret must not.
fn rank(key: &Claims) -> impl Ord {
    (key.nbf, key.iat, &key.jti, key.content())
}

/// Returns the state at `now` of the grant that all `keys` belong to.
pub fn grant_state<'k>(keys: &[&'k Claims], now: Instant) -> GrantState<'k> {
    let in_force = keys.iter().copied().filter(|key| key.in_force_at(now)).max_by_key(|key| rank(key));
    if let Some(key) = in_force {
        let ends_with = covered_until(keys, key);
        let expires_at = ends_with.and_then(Claims::ends_at);
        return GrantState {
            mode: Mode::Full,
            key: Some(key),
            expires_at,
            ends_with,
            grace_ends_at: expires_at.and_then(|end| grace_after(keys, end)),
        };
    }
    let ended_last = keys
        .iter()
        .copied()
        .filter(|key| key.ends_at().is_some_and(|end| end <= now))
        .max_by_key(|key| (key.exp, rank(key)));
    let Some(key) = ended_last else {
        return GrantState { mode: Mode::Demo, key: None, expires_at: None, ends_with: None, grace_ends_at: None };
    };
    let grace_ends_at = grace_after(keys, now);
    let mode = if grace_ends_at.is_some_and(|end| now < end) { Mode::Grace } else { Mode::Demo };
    GrantState { mode, key: Some(key), expires_at: key.ends_at(), ends_with: Some(key), grace_ends_at }
}

/// The last of the keys that follow `key` without a gap, one after the other. `None` if one of them never ends. Of two that end
/// together it is the one that counts.
fn covered_until<'k>(keys: &[&'k Claims], key: &'k Claims) -> Option<&'k Claims> {
    let mut last = key;
    let mut end = key.ends_at()?;
    let mut by_start: Vec<&Claims> = keys.to_vec();
    by_start.sort_unstable_by_key(|key| key.nbf);
    for key in by_start {
        if key.starts_at() > end {
            break;
        }
        let ends_at = key.ends_at()?;
        if ends_at > end || (ends_at == end && rank(key) > rank(last)) {
            (last, end) = (key, ends_at);
        }
    }
    Some(last)
}

/// The latest end of grace among the keys that have ended by `end`.
fn grace_after(keys: &[&Claims], end: Instant) -> Option<Instant> {
    keys.iter().filter(|key| key.ends_at().is_some_and(|e| e <= end)).filter_map(|key| key.grace_ends_at()).max()
}
