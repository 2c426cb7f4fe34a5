//! Trusted time: the machine's clock where the API server bears it out, or a calendar that the caller sets.

use chrono::{DateTime, TimeDelta};
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

use crate::domain::Instant;
use crate::domain::tick::Moment;
use crate::domain::trusted_time::{ClockReadings, Doubt, MarkChange, trusted_time};
use crate::machine::{machine_time, monotonic};
use crate::wrong::{self, Variant::*};

/// How long the API server's Date is believed after it was received. Watches are renewed every five minutes.
const SERVER_DATE_LASTS: Duration = Duration::from_secs(15 * 60);
/// How long a dropped mark is reported.
const DOUBT_LASTS: Duration = Duration::from_secs(60 * 60);
/// How often a sleeper looks at the clock: the clock may be set, and a machine may sleep.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// A Date that differs from the expected one by more than this means that a clock was set. Dates are in whole seconds.
const CLOCK_WAS_SET: TimeDelta = TimeDelta::seconds(2);

/// Trusted time (docs/design/domain.md, Trusted time): the machine's clock as long as the API server confirms it.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    own: Own,
    state: Mutex<State>,
    /// Notified when a Date shows that a clock was set: sleepers look again.
    set: Notify,
}

enum Own {
    /// Checked against the API server's clock.
    Machine(Box<dyn Fn() -> Instant + Send + Sync>),
    /// Believed as it is.
    Calendar(Box<dyn Calendar>),
}

/// A calendar that takes the place of the machine's clock and is believed whatever the API server says.
pub trait Calendar: Send + Sync + 'static {
    /// The time it shows.
    fn now(&self) -> Instant;

    /// Returns once it shows `at` or later.
    fn sleep_until(&self, at: Instant) -> BoxFuture<'_, ()>;

    /// How many seconds of it pass in one second.
    fn pace(&self) -> f64 {
        1.0
    }
}

/// Begins at `start` and runs `pace` times as fast as the machine's clock.
struct Paced {
    start: Instant,
    began: Moment,
    pace: f64,
}

impl Calendar for Paced {
    fn now(&self) -> Instant {
        let passed = (monotonic() - self.began).mul_f64(self.pace);
        let passed = TimeDelta::from_std(passed).unwrap_or(TimeDelta::MAX);
        self.start.checked_add_signed(passed).unwrap_or(Instant::MAX_UTC)
    }

    fn sleep_until(&self, at: Instant) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            while let Ok(left) = (at - self.now()).to_std() {
                if left.is_zero() {
                    return;
                }
                // Never shorter than a timer can tell apart.
                let left = left.div_f64(self.pace).max(Duration::from_millis(1));
                tokio::time::sleep(left.min(LOOK_AGAIN)).await;
            }
        })
    }

    fn pace(&self) -> f64 {
        self.pace
    }
}

#[derive(Default)]
struct State {
    /// The API server's Date, and when it was received.
    server: Option<(Instant, Moment)>,
    last_agreed: Option<(Instant, Moment)>,
    mark: Option<Instant>,
    mark_dropped: Option<Moment>,
}

/// Time, and why it is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    pub at: Instant,
    pub doubt: Option<Doubt>,
}

impl Clock {
    /// The machine's clock.
    pub fn of_machine() -> Self {
        Clock::reading(machine_time)
    }

    /// Any clock in place of the machine's; it is checked against the API server's in the same way.
    pub fn reading(own: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Clock::new(Own::Machine(Box::new(own)))
    }

    /// A clock that shows what `calendar` shows.
    pub fn following(calendar: impl Calendar) -> Self {
        Clock::new(Own::Calendar(Box::new(calendar)))
    }

    fn new(own: Own) -> Self {
        Clock(Arc::new(Inner { own, state: Mutex::default(), set: Notify::new() }))
    }

    /// A calendar that begins at `start`, runs `pace` times as fast as the machine's clock, and is believed whatever
    /// the API server says.
    pub fn paced(start: Instant, pace: f64) -> Self {
        Clock::following(Paced { start, began: monotonic(), pace })
    }

    /// The time that this clock shows to have passed after `time` of the machine.
    pub fn passes_in(&self, time: Duration) -> Duration {
        match &self.0.own {
            Own::Machine(_) => time,
            Own::Calendar(calendar) => time.mul_f64(calendar.pace()),
        }
    }

    /// Takes note of a `Date` header of the API server, in the answer to a request that was sent at `asked`.
    /// An answer is ignored if a later request's answer came first: if the operator's own clock is wrong too, the late
    /// Date would set time back.
    pub fn heard(&self, date: &str, asked: Moment) {
        let Ok(date) = DateTime::parse_from_rfc2822(date).map(|date| date.to_utc()) else { return };
        let now = monotonic();
        let before = {
            let mut state = self.state();
            if state.server.is_some_and(|(_, heard)| asked <= heard) {
                return;
            }
            state.server.replace((date, now))
        };
        let as_expected = |(at, heard): (Instant, Moment)| (date - (at + (now - heard))).abs() <= CLOCK_WAS_SET;
        if !before.is_some_and(as_expected) {
            self.0.set.notify_waiters();
        }
    }

    /// Returns the time to act on.
    pub fn now(&self) -> Now {
        let read = match &self.0.own {
            Own::Calendar(calendar) => return Now { at: calendar.now(), doubt: None },
            Own::Machine(read) => read,
        };
        if wrong::is(WallClock) {
            return Now { at: read(), doubt: None };
        }
        let now = monotonic();
        let mut state = self.state();
        let carried = |(at, heard): (Instant, Moment)| at + (now - heard);
        let time = trusted_time(ClockReadings {
            own: read(),
            server: state.server.filter(|(_, heard)| now - *heard < SERVER_DATE_LASTS).map(carried),
            last_agreed: state.last_agreed.map(carried),
            mark: state.mark,
        });
        match time.mark {
            MarkChange::Keep => {}
            MarkChange::Move(mark) => {
                state.mark = Some(mark);
                state.last_agreed = Some((mark, now));
            }
            MarkChange::Drop => {
                state.mark = None;
                state.mark_dropped = Some(now);
            }
        }
        let dropped = state.mark_dropped.filter(|at| now - *at < DOUBT_LASTS);
        Now { at: time.now, doubt: time.doubt.or(dropped.map(|_| Doubt::MarkAhead)) }
    }

    /// The latest time believed so far, which is stored with the leader's Lease.
    pub fn mark(&self) -> Option<Instant> {
        self.state().mark
    }

    /// Adopts a mark that was stored earlier.
    pub fn remember(&self, mark: Instant) {
        let mut state = self.state();
        state.mark = state.mark.max(Some(mark));
    }

    /// Returns once it is `at`, even if the clock is set or the machine sleeps meanwhile.
    pub async fn sleep_until(&self, at: Instant) {
        match &self.0.own {
            Own::Calendar(calendar) => calendar.sleep_until(at).await,
            Own::Machine(_) => {
                while let Ok(left) = (at - self.now().at).to_std() {
                    if left.is_zero() {
                        return;
                    }
                    if wrong::is(SleepsThrough) {
                        tokio::time::sleep(left).await;
                        continue;
                    }
                    tokio::select! {
                        biased;
                        () = self.0.set.notified() => {}
                        () = tokio::time::sleep(left.min(LOOK_AGAIN)) => {}
                    }
                }
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_that_was_overtaken_does_not_set_time_back() {
        let own = DateTime::UNIX_EPOCH;
        let clock = Clock::reading(move || own);
        let asked_early = monotonic();
        let asked = monotonic();
        clock.heard("Thu, 20 Jan 2028 13:53:41 GMT", asked);
        let before = clock.now();
        assert_eq!(before.doubt, Some(Doubt::ClocksDisagree));
        clock.heard("Sun, 28 Nov 2027 09:00:00 GMT", asked_early);
        assert!(clock.now().at >= before.at, "{:?}", clock.now());
        assert_eq!(clock.now().doubt, before.doubt);

        clock.heard("Sun, 28 Nov 2027 09:00:00 GMT", monotonic());
        assert_eq!(clock.now().doubt, Some(Doubt::MarkAhead), "what was asked later and says so was set back");
    }
}
