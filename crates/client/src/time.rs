//! Time that is never set back, and chance.

use std::time::Duration;

/// A moment on the runtime's monotonic clock.
pub type Moment = tokio::time::Instant;

/// Now.
#[expect(clippy::disallowed_methods, reason = "what this crate knows of time, it asks here")]
pub fn now() -> Moment {
    Moment::now()
}

/// `most`, shortened by up to a half at random, so that many clients do not come back together.
#[expect(clippy::disallowed_methods, reason = "what this crate has of chance, it asks here")]
pub fn jittered(most: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness the pause is the shortest one.
    let _ = getrandom::fill(&mut byte);
    most / 2 + most / 512 * u32::from(byte[0])
}
