//! A limit on the bytes a second that go into the ledger. Under pressure, batches become larger; requests do not fail.

use std::time::Duration;

use crate::domain::tick::Moment;

/// The default for what writes to the ledger may cost on average (docs/design/seats.md).
pub const BYTES_A_SECOND: u64 = 500_000;
/// The most that may be spent at once, in seconds of the rate.
const BURST_SECONDS: f64 = 4.0;

/// What a write adds to etcd's log beyond the bytes sent: the key, the fields that the API server sets, the frame of
/// the record. Measured: between 200 and 500 bytes (`make bench-seats`).
const BYTES_AROUND: f64 = 500.0;

/// A bucket that fills with time and empties with bytes.
#[derive(Debug)]
pub struct Budget {
    /// Bytes a second; infinite if there is no limit.
    rate: f64,
    left: f64,
    at: Moment,
}

impl Budget {
    /// No limit if `bytes_a_second` is `None`.
    pub fn new(bytes_a_second: Option<u64>, now: Moment) -> Self {
        let rate = bytes_a_second.map_or(f64::INFINITY, |bytes| bytes as f64);
        Budget { rate, left: rate * BURST_SECONDS, at: now }
    }

    /// How long to wait before the next write.
    pub fn wait(&mut self, now: Moment) -> Duration {
        if self.rate.is_infinite() {
            return Duration::ZERO;
        }
        self.left = (self.left + self.rate * (now - self.at).as_secs_f64()).min(self.rate * BURST_SECONDS);
        self.at = now;
        Duration::from_secs_f64((-self.left / self.rate).max(0.0))
    }

    /// Counts a write of `bytes` bytes as sent.
    pub fn spend(&mut self, bytes: usize) {
        self.left -= bytes as f64 + BYTES_AROUND;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Moment {
        Moment::after_start(Duration::from_millis(milliseconds))
    }

    #[test]
    fn what_is_spent_beyond_the_burst_has_to_be_waited_for() {
        let mut budget = Budget::new(Some(1_000), at(0));
        budget.spend(3_500);
        assert_eq!(budget.wait(at(0)), Duration::ZERO);
        budget.spend(0);
        assert_eq!(budget.wait(at(0)), Duration::from_millis(500));
        assert_eq!(budget.wait(at(500)), Duration::ZERO);
        let mut unbounded = Budget::new(None, at(0));
        unbounded.spend(usize::MAX);
        assert_eq!(unbounded.wait(at(0)), Duration::ZERO);
    }
}
