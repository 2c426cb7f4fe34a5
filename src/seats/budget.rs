//! A limit on the bytes a second that go into the ledger, and on those of each License. Under pressure, batches become
//! larger; a License that writes more than its share waits, and the others do not.
//!
//! If k Licenses use more than R/(k+1) of a rate R, each of them may have R/(k+1), and all others together as much. What the
//! others leave is shared among the k.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::license::name::LicenseName;
use crate::domain::tick::Moment;

/// The default for what writes to the ledger may cost on average (docs/design/seats.md).
pub const BYTES_A_SECOND: u64 = 500_000;
/// The most that may be spent at once, in seconds of the rate.
const BURST_SECONDS: f64 = 4.0;
/// A License waits until it owes no more seconds of the rate than this, also if nobody else writes. Bases are written
/// again as a whole after a change of one seat, so its changes alone do not show what it costs.
const OWED_SECONDS: f64 = 2.0 * BURST_SECONDS;
/// The longest that a write waits for the budget.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The longest that it waits while those who have used more than their share wait instead.
const SHORT_PAUSE: Duration = Duration::from_millis(5);
/// How many Licenses are known before those that have used next to nothing of late are forgotten.
const MOST_KNOWN: usize = 1_024;

/// What a write adds to etcd's log beyond the bytes sent: the key, the fields that the API server sets, the frame of
/// the record. Measured: between 200 and 500 bytes (`make bench-seats`).
const BYTES_AROUND: f64 = 500.0;

/// A bucket that fills with time and empties with bytes, and what each License has taken from it.
#[derive(Debug)]
pub struct Budget {
    /// Bytes a second; infinite if there is no limit.
    rate: f64,
    left: f64,
    at: Moment,
    of: HashMap<LicenseName, Used>,
    /// What a License may have used of late without waiting, in bytes.
    share: f64,
    /// How many Licenses owe too much.
    owing: usize,
}

/// What a License has written of late.
#[derive(Clone, Copy, Debug)]
struct Used {
    at: Moment,
    /// Bytes, of which those of `BURST_SECONDS` ago count 1/e: at a steady pace, `BURST_SECONDS` of it.
    lately: f64,
    /// Bytes beyond the rate, as if it had all of it for itself.
    owed: f64,
}

impl Used {
    fn by(self, now: Moment, rate: f64) -> Self {
        let seconds = (now - self.at).as_secs_f64();
        let lately = self.lately * (-seconds / BURST_SECONDS).exp();
        Used { at: now, lately, owed: (self.owed - seconds * rate).max(0.0) }
    }
}

impl Budget {
    /// No limit if `bytes_a_second` is `None`.
    pub fn new(bytes_a_second: Option<u64>, now: Moment) -> Self {
        let rate = bytes_a_second.map_or(f64::INFINITY, |bytes| bytes as f64);
        Budget { rate, left: rate * BURST_SECONDS, at: now, of: HashMap::new(), share: f64::INFINITY, owing: 0 }
    }

    /// How long to wait before the next write.
    pub fn pause(&mut self, now: Moment) -> Duration {
        if !self.is_overdrawn(now) {
            return Duration::ZERO;
        }
        let longest = if self.share.is_finite() { SHORT_PAUSE } else { LONGEST_PAUSE };
        Duration::from_secs_f64(-self.left / self.rate).min(longest)
    }

    /// Whether some License may have to wait.
    pub fn is_strained(&mut self, now: Moment) -> bool {
        self.is_overdrawn(now) || self.owing > 0
    }

    /// Whether a License has used more than its share, so that nothing more is to be granted to it at present.
    pub fn delays(&mut self, license: &LicenseName, now: Moment) -> bool {
        let is_overdrawn = self.is_overdrawn(now);
        let Some(used) = self.of.get(license).map(|used| used.by(now, self.rate)) else { return false };
        used.owed > self.rate * OWED_SECONDS || is_overdrawn && used.lately > self.share
    }

    /// Counts a write of `bytes` bytes as sent, and what each License has in it.
    pub fn spend<'l>(&mut self, bytes: usize, of: impl IntoIterator<Item = (&'l LicenseName, usize)>, now: Moment) {
        if self.rate.is_infinite() {
            return;
        }
        self.left -= bytes as f64 + BYTES_AROUND;
        for (license, bytes) in of {
            let (bytes, new) = (bytes as f64, Used { at: now, lately: 0.0, owed: 0.0 });
            let used = match self.of.get_mut(license) {
                Some(used) => used,
                None => self.of.entry(license.clone()).or_insert(new),
            };
            *used = used.by(now, self.rate);
            // It alone pays for what it owes beyond a burst.
            let room = (self.rate * BURST_SECONDS - used.owed).max(0.0);
            self.left += (bytes - room).max(0.0);
            used.lately += bytes;
            used.owed += bytes;
        }
        if self.is_overdrawn(now) || self.owing > 0 || self.of.len() > MOST_KNOWN {
            self.settle(now);
        }
    }

    fn is_overdrawn(&mut self, now: Moment) -> bool {
        if self.rate.is_infinite() {
            return false;
        }
        self.left = (self.left + self.rate * (now - self.at).as_secs_f64()).min(self.rate * BURST_SECONDS);
        self.at = now;
        self.left < 0.0
    }

    /// Finds out the share of each License, and forgets those that have used next to nothing of late.
    fn settle(&mut self, now: Moment) {
        let (rate, all) = (self.rate, self.rate * BURST_SECONDS);
        self.of.values_mut().for_each(|used| *used = used.by(now, rate));
        self.of.retain(|_, used| used.lately >= 1.0 || used.owed > 0.0);
        self.owing = self.of.values().filter(|used| used.owed > rate * OWED_SECONDS).count();
        let mut lately: Vec<f64> = self.of.values().map(|used| used.lately).collect();
        lately.sort_unstable_by(|one, other| other.total_cmp(one));
        let share = |among: usize| all / (among as f64 + 1.0);
        let heavy = (1..=lately.len()).rev().find(|among| lately[among - 1] > share(*among));
        self.share = heavy.map_or(f64::INFINITY, share);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Moment {
        Moment::after_start(Duration::from_millis(milliseconds))
    }

    fn license(n: usize) -> LicenseName {
        LicenseName::new("tenant", &format!("license-{n}"))
    }

    #[test]
    fn what_is_spent_beyond_the_burst_has_to_be_waited_for_a_second_at_most() {
        let mut budget = Budget::new(Some(1_000), at(0));
        budget.spend(3_500, [], at(0));
        assert_eq!(budget.pause(at(0)), Duration::ZERO);
        budget.spend(0, [], at(0));
        assert_eq!(budget.pause(at(0)), Duration::from_millis(500));
        assert_eq!(budget.pause(at(500)), Duration::ZERO);
        budget.spend(100_000, [], at(500));
        assert_eq!(budget.pause(at(500)), LONGEST_PAUSE);
        let mut unbounded = Budget::new(None, at(0));
        unbounded.spend(usize::MAX, [(&license(0), usize::MAX)], at(0));
        assert_eq!(unbounded.pause(at(0)), Duration::ZERO);
        assert!(!unbounded.is_strained(at(0)) && !unbounded.delays(&license(0), at(0)));
    }

    #[test]
    fn who_has_written_the_most_waits_and_the_others_do_not() {
        let mut budget = Budget::new(Some(1_000), at(0));
        budget.spend(100, [(&license(0), 100)], at(0));
        budget.spend(5_000, [(&license(1), 5_000)], at(0));
        assert!(budget.is_strained(at(0)) && budget.delays(&license(1), at(0)));
        assert!(!budget.delays(&license(0), at(0)) && !budget.delays(&license(2), at(0)));
        assert_eq!(budget.pause(at(0)), SHORT_PAUSE);
        assert!(!budget.delays(&license(1), at(4_000)), "the budget has recovered");
    }

    /// One seat changes, and ten full bases are written again: nobody else waits for that, and the License for long.
    #[test]
    fn bases_are_paid_for_by_the_license_that_has_them() {
        let mut budget = Budget::new(Some(1_000), at(0));
        budget.spend(30_000, [(&license(0), 30_000)], at(0));
        assert!(budget.delays(&license(0), at(0)));
        assert_eq!(budget.pause(at(1_000)), Duration::ZERO);
        assert!(budget.delays(&license(0), at(21_000)) && !budget.delays(&license(0), at(23_000)));
    }

    /// Of n Licenses that always want to write, beside some that write little, each gets at least 1/(n+1) of the rate over
    /// any ten seconds, less one burst, and those that write little never wait.
    #[test]
    fn each_license_that_always_wants_to_write_gets_its_share() {
        for n in 1..=8 {
            let rate = 500_000.0;
            let mut budget = Budget::new(Some(rate as u64), at(0));
            let mut got = vec![vec![0.0; 70]; n];
            for ms in (0..70_000).step_by(10) {
                let now = at(ms);
                let mut entry: Vec<(LicenseName, usize)> = Vec::new();
                // The first asks for the most.
                for (heavy, got) in got.iter_mut().enumerate() {
                    if !budget.delays(&license(heavy), now) {
                        let bytes = 50_000 / (heavy + 1) + 10_000;
                        entry.push((license(heavy), bytes));
                        got[ms as usize / 1_000] += bytes as f64;
                    }
                }
                assert!(!budget.delays(&license(100), now), "{ms}");
                entry.push((license(100), 100));
                let bytes = entry.iter().map(|(_, bytes)| bytes).sum();
                budget.spend(bytes, entry.iter().map(|(license, bytes)| (license, *bytes)), now);
            }
            for (heavy, got) in got.iter().enumerate() {
                for window in got[10..].windows(10) {
                    let bytes: f64 = window.iter().sum();
                    let least = 10.0 * rate / (n as f64 + 1.0) - 100_000.0;
                    assert!(bytes >= least * 0.8, "License {heavy} of {n}: {bytes} of {least} bytes");
                }
            }
            let all: f64 = got.iter().flatten().sum();
            assert!(all / 70.0 < 1.1 * rate + rate * BURST_SECONDS / 70.0, "{all} bytes in all");
        }
    }
}
