//! The one true time of a simulation: tokio's paused time moves it by seconds, and the simulator jumps it by months.
//!
//! The API server's Date is this time. The operator's own clock is this time plus an error.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;
use seatkeeper::domain::Instant;
use seatkeeper::domain::tick::Moment;
use seatkeeper::machine::monotonic;
use tokio::sync::Notify;

#[derive(Clone)]
pub struct Calendar(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    jumped: Notify,
}

struct State {
    base: Instant,
    since: Moment,
    /// The time that had passed by `since`, without jumps.
    lived: Moment,
    /// How far the operator's clock is ahead of the true time.
    error: TimeDelta,
    /// The time to jump to at the next request for the Lease, whose answer tells the operator at once.
    ahead: Option<Instant>,
}

impl Calendar {
    /// Must be called inside a runtime, like everything here: outside of one, the machine's time would count.
    pub fn new(start: Instant) -> Self {
        let state = State {
            base: start,
            since: monotonic(),
            lived: Moment::after_start(std::time::Duration::ZERO),
            error: TimeDelta::zero(),
            ahead: None,
        };
        Calendar(Arc::new(Inner { state: Mutex::new(state), jumped: Notify::new() }))
    }

    pub fn now(&self) -> Instant {
        self.lock().now()
    }

    /// Returns the time that the operator's machine shows.
    pub fn own(&self) -> Instant {
        let state = self.lock();
        state.now() + state.error
    }

    pub fn set_error(&self, error: TimeDelta) {
        self.lock().error = error;
    }

    /// Jumps to a time, but never back.
    pub fn jump(&self, to: Instant) {
        let mut state = self.lock();
        state.base = to.max(state.now());
        state.lived = state.lived();
        state.since = monotonic();
        state.ahead = None;
    }

    /// Returns the time that has passed, without jumps, by a clock that outlives the operator.
    pub fn lived(&self) -> Moment {
        self.lock().lived()
    }

    /// Continues at the same time in another runtime.
    pub fn go_on(&self, from: Instant, lived: Moment) {
        let mut state = self.lock();
        (state.base, state.lived) = (from, lived);
        state.since = monotonic();
    }

    pub fn jump_with_lease(&self, to: Instant) {
        self.lock().ahead = Some(to);
    }

    /// Call when a request for the Lease has arrived.
    pub fn lease_asked(&self) {
        let ahead = self.lock().ahead;
        if let Some(to) = ahead {
            self.jump(to);
            self.0.jumped.notify_one();
        }
    }

    pub async fn jumped(&self) {
        self.0.jumped.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn lived(&self) -> Moment {
        self.lived + (monotonic() - self.since)
    }

    fn now(&self) -> Instant {
        self.base + (monotonic() - self.since)
    }
}
