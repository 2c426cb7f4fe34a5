//! The one place that asks the machine for time and randomness. Everything else takes `now` as an input.

use chrono::{DateTime, TimeDelta, Utc};
use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, watch};

use crate::domain::Instant;
use crate::domain::trusted_time::{ClockReadings, Doubt, MarkChange, trusted_time};
use crate::wrong::{self, Variant::*};

/// How long the API server's Date is believed after it was received. Watches are renewed every five minutes.
const SERVER_DATE_LASTS: Duration = Duration::from_secs(15 * 60);
/// How long a dropped mark is reported.
const DOUBT_LASTS: Duration = Duration::from_secs(60 * 60);
/// How often a sleeper looks at the clock: the clock may be set, and a machine may sleep.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// A Date that differs from the expected one by more than this means that a clock was set. Dates are in whole seconds.
const CLOCK_WAS_SET: TimeDelta = TimeDelta::seconds(2);

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
#[expect(clippy::disallowed_methods, reason = "the one source of randomness")]
pub fn random_bytes<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    if let Some(mut state) = SEEDED.get() {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&split_mix(&mut state).to_le_bytes()[..chunk.len()]);
        }
        SEEDED.set(Some(state));
        return Ok(bytes);
    }
    getrandom::fill(&mut bytes).map_err(std::io::Error::from)?;
    Ok(bytes)
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
pub fn machine_time() -> Instant {
    Utc::now()
}

/// Returns the time since a fixed moment; it is never set back. Inside a runtime it follows the runtime's clock: while
/// that is paused, so is this.
#[expect(clippy::disallowed_methods, reason = "the one clock")]
pub fn monotonic() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    /// The clock of a paused runtime may be a little before the first call.
    const BEFORE: Duration = Duration::from_secs(24 * 60 * 60);
    let start = *START.get_or_init(std::time::Instant::now);
    (tokio::time::Instant::now().into_std() + BEFORE).saturating_duration_since(start)
}

/// Trusted time: the machine's own clock, if the API server's clock confirms it (docs/design/domain.md, Trusted time).
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    own: Own,
    state: Mutex<State>,
    /// Notified when a Date shows that a clock was set: sleepers look again.
    set: Notify,
}

enum Own {
    Machine(Box<dyn Fn() -> Instant + Send + Sync>),
    Hands(watch::Receiver<Instant>),
    /// Runs from `start`, `pace` times as fast as the machine's clock.
    Paced {
        start: Instant,
        began: Duration,
        pace: f64,
    },
}

#[derive(Default)]
struct State {
    /// The API server's Date, and when it was received.
    server: Option<(Instant, Duration)>,
    last_agreed: Option<(Instant, Duration)>,
    mark: Option<Instant>,
    mark_dropped: Option<Duration>,
}

/// Sets a clock that was created by `Clock::with_hands`.
pub struct Hands(watch::Sender<Instant>);

impl Hands {
    pub fn set(&self, now: Instant) {
        self.0.send_replace(now);
    }
}

/// The time, and why it is in doubt.
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

    /// A clock that stands still until it is set, and is believed whatever the API server says.
    pub fn with_hands(start: Instant) -> (Self, Hands) {
        let (sender, receiver) = watch::channel(start);
        (Clock::new(Own::Hands(receiver)), Hands(sender))
    }

    fn new(own: Own) -> Self {
        Clock(Arc::new(Inner { own, state: Mutex::default(), set: Notify::new() }))
    }

    /// A calendar that begins at `start`, runs `pace` times as fast as the machine's clock, and is believed whatever
    /// the API server says.
    pub fn paced(start: Instant, pace: f64) -> Self {
        Clock(Arc::new(Inner {
            own: Own::Paced { start, began: monotonic(), pace },
            state: Mutex::default(),
            set: Notify::new(),
        }))
    }

    /// Takes note of a `Date` header of the API server, in the answer to a request that was sent at `asked`
    /// (`monotonic`). An answer that a later request's answer overtook is ignored: if the own clock is wrong too, its
    /// late Date would set time back.
    pub fn heard(&self, date: &str, asked: Duration) {
        let Ok(date) = DateTime::parse_from_rfc2822(date).map(|date| date.to_utc()) else { return };
        let now = monotonic();
        let before = {
            let mut state = self.state();
            if state.server.is_some_and(|(_, heard)| asked <= heard) {
                return;
            }
            state.server.replace((date, now))
        };
        let as_expected =
            |(at, heard): (Instant, Duration)| (date - (at + now.saturating_sub(heard))).abs() <= CLOCK_WAS_SET;
        if !before.is_some_and(as_expected) {
            self.0.set.notify_waiters();
        }
    }

    /// Returns the time to act on.
    pub fn now(&self) -> Now {
        let read = match &self.0.own {
            Own::Hands(hands) => return Now { at: *hands.borrow(), doubt: None },
            Own::Paced { start, began, pace } => {
                let passed = monotonic().saturating_sub(*began).mul_f64(*pace);
                return Now {
                    at: start
                        .checked_add_signed(TimeDelta::from_std(passed).unwrap_or(TimeDelta::MAX))
                        .unwrap_or(Instant::MAX_UTC),
                    doubt: None,
                };
            }
            Own::Machine(read) => read,
        };
        if wrong::is(WallClock) {
            return Now { at: read(), doubt: None };
        }
        let elapsed = monotonic();
        let mut state = self.state();
        let carried = |(at, heard): (Instant, Duration)| at + (elapsed.saturating_sub(heard));
        let time = trusted_time(ClockReadings {
            own: read(),
            server: state.server.filter(|(_, heard)| elapsed.saturating_sub(*heard) < SERVER_DATE_LASTS).map(carried),
            last_agreed: state.last_agreed.map(carried),
            mark: state.mark,
        });
        match time.mark {
            MarkChange::Keep => {}
            MarkChange::Move(mark) => {
                state.mark = Some(mark);
                state.last_agreed = Some((mark, elapsed));
            }
            MarkChange::Drop => {
                state.mark = None;
                state.mark_dropped = Some(elapsed);
            }
        }
        let dropped = state.mark_dropped.filter(|at| elapsed.saturating_sub(*at) < DOUBT_LASTS);
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
            Own::Hands(hands) => {
                let mut hands = hands.clone();
                // An error means that nobody can set the clock any longer: it stands still for ever.
                if hands.wait_for(|now| *now >= at).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            Own::Paced { pace, .. } => {
                while let Ok(left) = (at - self.now().at).to_std() {
                    if left.is_zero() {
                        return;
                    }
                    // Never shorter than the resolution of timers.
                    let left = left.div_f64(*pace).max(Duration::from_millis(1));
                    tokio::time::sleep(left.min(LOOK_AGAIN)).await;
                }
            }
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
