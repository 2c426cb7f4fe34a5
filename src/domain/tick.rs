//! Time on the process's clock, which is never set back. Seats and places in a queue are kept by it. It means nothing
//! outside the process, so it is not an `Instant`.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment of the process's clock that is never set back. Moments of the same process can be compared, and no others:
/// they are never written or sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// After every other moment, or the same.
    pub const MAX: Moment = Moment(Duration::MAX);

    /// The moment this long after the beginning of the clock.
    pub const fn after_start(time: Duration) -> Moment {
        Moment(time)
    }

    /// The time since the beginning of the clock.
    pub const fn since_start(self) -> Duration {
        self.0
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, time: Duration) -> Moment {
        Moment(self.0.saturating_add(time))
    }
}

/// The time since `earlier`; zero if `earlier` is later.
impl Sub for Moment {
    type Output = Duration;

    fn sub(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// A moment in milliseconds: half the size, for tables of seats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Tick(pub u64);

impl Tick {
    /// Before every other tick, or the same.
    pub const MIN: Tick = Tick(0);
    /// After every other tick, or the same.
    pub const MAX: Tick = Tick(u64::MAX);

    /// The tick of a moment. Parts of a millisecond are dropped.
    pub fn at(moment: Moment) -> Tick {
        Tick(milliseconds(moment.since_start()))
    }

    /// The first tick after this one.
    pub fn next(self) -> Tick {
        Tick(self.0.saturating_add(1))
    }
}

impl Add<Duration> for Tick {
    type Output = Tick;

    fn add(self, time: Duration) -> Tick {
        Tick(self.0.saturating_add(milliseconds(time)))
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
