//! How long things may take and how many there may be.

use std::time::Duration;

use crate::wrong::{self, Variant::*};

/// A seat without a heartbeat for this long is free again. The holder counts from when it sent its request.
pub const TTL: Duration = Duration::from_secs(60);
/// How far two clocks may drift apart: one part in this many.
const DRIFT: u32 = 20;
/// The most requests that may wait for the ledger. Further ones are turned away at once.
pub const MOST_WAITING: usize = 20_000;
/// How long a request waits for the ledger before it is answered that the ledger cannot be written.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Once a write has been under way for this long, no new request is made to wait for it.
pub const STUCK: Duration = Duration::from_secs(3);

/// The longest that `time`, counted by a slow clock, may last on a fast one.
pub fn with_drift(time: Duration) -> Duration {
    if wrong::is(NoDriftMargin) { time } else { time + time / DRIFT }
}
