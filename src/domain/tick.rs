//! The time by which seats and places in a queue are kept. It is not a point in time that anyone outside could name, so
//! it is apart from `Instant`.

use std::ops::Add;
use std::time::Duration;

/// A moment of a clock that is never set back, in milliseconds. Ticks of the same process can be compared, and no
/// others: they are never written or sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Tick(pub u64);

impl Tick {
    /// Before every other tick, or the same.
    pub const MIN: Tick = Tick(0);
    /// After every other tick, or the same.
    pub const MAX: Tick = Tick(u64::MAX);

    /// The tick of a moment, which is given as the time since the beginning of the clock. Parts of a millisecond are
    /// dropped.
    pub fn at(moment: Duration) -> Tick {
        Tick(u64::try_from(moment.as_millis()).unwrap_or(u64::MAX))
    }

    /// The first tick after this one.
    pub fn next(self) -> Tick {
        Tick(self.0.saturating_add(1))
    }
}

impl Add<Duration> for Tick {
    type Output = Tick;

    fn add(self, time: Duration) -> Tick {
        Tick(self.0.saturating_add(Tick::at(time).0))
    }
}
