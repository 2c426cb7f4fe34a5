//! The one place that asks the machine for time and randomness. Everything else takes `now` as an input.

use chrono::{DateTime, Utc};
use std::cell::Cell;
use std::time::Duration;

use crate::domain::tick::Moment;

thread_local! {
    /// The state of this thread's repeatable randomness.
    static SEEDED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Makes the randomness of this thread follow from `seed`, so that it can be repeated: for simulation, and for nothing
/// that keeps a secret. Other threads are not affected.
pub fn seed_thread(seed: u64) {
    SEEDED.set(Some(seed));
}

/// Returns random bytes of the operating system; on a seeded thread, the next ones that follow from its seed.
pub fn random_bytes<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    fill_with_random(&mut bytes)?;
    Ok(bytes)
}

/// Fills `bytes` as `random_bytes` does.
#[expect(clippy::disallowed_methods, reason = "the one source of randomness")]
pub fn fill_with_random(bytes: &mut [u8]) -> std::io::Result<()> {
    if let Some(mut state) = SEEDED.get() {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&split_mix(&mut state).to_le_bytes()[..chunk.len()]);
        }
        SEEDED.set(Some(state));
        return Ok(());
    }
    getrandom::fill(bytes).map_err(std::io::Error::from)
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 14).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Returns `most`, shortened by up to a half at random, so that many waiting tasks do not come back together.
pub fn jittered(most: Duration) -> Duration {
    let fraction = random_bytes::<1>().map_or(0, |[byte]| u32::from(byte));
    most / 2 + most / 512 * fraction
}

/// Returns the time of the machine's clock, for tools that have no API server to ask.
#[expect(clippy::disallowed_methods, reason = "the one clock")]
pub fn machine_time() -> DateTime<Utc> {
    Utc::now()
}

/// Returns the present moment on a clock that is never set back. Inside a runtime it follows the runtime's clock: while
/// that is paused, so is this.
#[expect(clippy::disallowed_methods, reason = "the one clock")]
pub fn monotonic() -> Moment {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    /// The clock of a paused runtime may be a little before the first call.
    const BEFORE: Duration = Duration::from_secs(24 * 60 * 60);
    let start = *START.get_or_init(std::time::Instant::now);
    Moment::after_start((tokio::time::Instant::now().into_std() + BEFORE).saturating_duration_since(start))
}
