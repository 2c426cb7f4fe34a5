//! A calendar that stands until a test sets it.

use futures::FutureExt;
use futures::future::BoxFuture;
use seatkeeper::cluster::clock::{Calendar, Clock};
use seatkeeper::domain::Instant;
use tokio::sync::watch;

/// Sets the clock that came with it.
pub struct Hands(watch::Sender<Instant>);

struct Face(watch::Receiver<Instant>);

/// A clock that shows `start` until its hands are set.
pub fn clock_with_hands(start: Instant) -> (Clock, Hands) {
    let (sender, receiver) = watch::channel(start);
    (Clock::following(Face(receiver)), Hands(sender))
}

impl Hands {
    pub fn set(&self, now: Instant) {
        self.0.send_replace(now);
    }
}

impl Calendar for Face {
    fn now(&self) -> Instant {
        *self.0.borrow()
    }

    fn sleep_until(&self, at: Instant) -> BoxFuture<'_, ()> {
        let mut face = self.0.clone();
        async move {
            // An error means that the hands are gone: the clock shows the same time for ever.
            if face.wait_for(|now| *now >= at).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }
}
