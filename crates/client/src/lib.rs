//! A client of the seat server, `/v1/seats`: takes seats, keeps them, gives them back. `seatkeeper hold` uses it.
//!
//! The README has an example.
//!
//! # Guarantees
//!
//! - If a reply is lost, the client asks again with the same session, which gets the same seats: none is taken twice.
//! - The time for which seats are held counts from when the request was *sent*, on a clock that is never set. Once it
//!   has run out without an answer, the seats are lost, whatever the server may still believe.
//! - `keep` ends when seats are lost, and not before. Lost seats are never revived: take new ones.
//! - Nothing is retried without end except waiting in the queue, and nothing is sent sooner than the server's
//!   `Retry-After` except a heartbeat that would come too late.
//!
//! # Caveats
//!
//! Nothing runs in the background. A future that is dropped stops; a seat whose `Lease` is dropped comes free when its
//! time is over.

mod connection;
mod lease;
mod time;
mod token;
mod trouble;
pub mod wire;

pub use lease::{Lease, Request};
pub use token::Token;
pub use trouble::{Lost, Refused, Trouble};
pub use wire::{Access, GrantedSeat};

use http::Method;
use std::path::Path;
use std::time::Duration;

use connection::Connection;
use time::{Moment, jittered, now};
use wire::{Grant, HeartbeatAnswer, Heartbeats};

/// How long to wait for one answer. The server gives up after 10 s, or 12 s if it passed the request on. This is longer,
/// so that its own answer arrives.
const ANSWER: Duration = Duration::from_secs(15);
/// How long taking is retried if there is no answer, or the server says that the trouble passes in a moment.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same for giving back. Shorter, because the caller wants to end.
const RELEASE_PATIENCE: Duration = Duration::from_secs(4);
const ATTEMPTS: u32 = 6;
/// The pause after the first attempt; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// How long the server is asked to let a request wait in the queue: at first, short, to learn the place soon; and then
/// each time. The server allows up to 30 s.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(25);
/// The pause before asking again if the server names none.
const PAUSE: Duration = Duration::from_secs(5);
/// The same if the trouble does not pass by itself, but somebody may fix it.
const UNTIL_MENDED: Duration = Duration::from_secs(60);

/// Talks to one seat server. Clones share its connections.
#[derive(Clone)]
pub struct SeatClient(Connection);

impl SeatClient {
    /// `url` is the server's, `http://` or `https://`, without `/v1/seats`. `authority` is a PEM file of the
    /// certificates to trust for https; without it, those of the system count.
    pub fn new(url: &str, token: Token, authority: Option<&Path>) -> Result<Self, Trouble> {
        Connection::new(url, token, authority).map(SeatClient)
    }

    /// Takes what is asked for, all or nothing. Retries for a short while if an answer was lost or the server asks for
    /// a moment; a refusal because no seat is free is returned at once.
    pub async fn take(&self, request: &Request) -> Result<Lease, Trouble> {
        self.take_within(request, Duration::ZERO).await
    }

    /// The same, after at most `wait` in the queue.
    async fn take_within(&self, request: &Request, wait: Duration) -> Result<Lease, Trouble> {
        let body = serde_json::to_vec(&request.waiting(wait)).unwrap_or_default();
        let (patience, answer) = (PATIENCE + wait, ANSWER + wait);
        let (sent, answer) = self.ask(&Method::POST, "/v1/seats", &body, patience, answer).await?;
        let granted: Grant = self.0.read(&answer)?;
        Ok(Lease::of(granted, sent))
    }

    /// Takes the seats as soon as they are free, first come, first served, and waits at most `most` for them (`None`:
    /// without end). Calls `told` with the reason, at first and when the reason or the place in the queue changes. If
    /// the trouble does not pass unless somebody acts, it waits only if `stubborn`.
    pub async fn take_in_turn(
        &self,
        request: &Request,
        most: Option<Duration>,
        stubborn: bool,
        mut told: impl FnMut(&Trouble),
    ) -> Result<Lease, Trouble> {
        let began = now();
        // How long the request is to wait in the queue, and the longest wait asked for so far.
        let (mut wait, mut before) = (Duration::ZERO, Duration::ZERO);
        let mut said: Option<(String, Option<u64>)> = None;
        loop {
            let trouble = match self.take_within(request, wait).await {
                // The seats' time counts from before the wait. The same seats are asked for again, for their whole
                // time.
                Ok(lease) if !wait.is_zero() && lease.left() < lease.ttl() - lease.ttl() / 3 => {
                    wait = Duration::ZERO;
                    continue;
                }
                Ok(lease) => return Ok(lease),
                Err(trouble) => trouble,
            };
            if !trouble.may_pass() && !stubborn {
                return Err(trouble);
            }
            let left = most.map(|most| most.saturating_sub(began.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(trouble);
            }
            let this = (trouble.reason(), trouble.place());
            if said.as_ref().is_none_or(|said| said.0 != this.0 || this.1.is_some() && said.1 != this.1) {
                told(&trouble);
                said = Some(this);
            }
            let longest = if before.is_zero() { FIRST_WAIT } else { LONGEST_WAIT };
            let whole_seconds = left.map_or(longest, |left| Duration::from_secs(left.as_secs()));
            let next = if trouble.is_for_want_of_seats() { longest.min(whole_seconds) } else { Duration::ZERO };
            let pause = match wait.is_zero() && !next.is_zero() {
                // The next request is a different one, which waits: it needs no pause.
                true => Duration::ZERO,
                false => trouble.retry_after().unwrap_or(if trouble.may_pass() { PAUSE } else { UNTIL_MENDED }),
            };
            (before, wait) = (before.max(next), next);
            // Never sooner than the server asks, and not together with all the others that wait.
            let pause = pause + jittered(pause / 4);
            tokio::time::sleep(left.map_or(pause, |left| pause.min(left))).await;
        }
    }

    /// Sends one heartbeat. From when it is sent, the seats are held for their whole time again.
    pub async fn heartbeat(&self, lease: &mut Lease) -> Result<(), Trouble> {
        let ids = lease.seats().iter().map(|seat| seat.id.clone()).collect();
        let body = serde_json::to_vec(&Heartbeats { ids }).unwrap_or_default();
        let patience = lease.left().min(lease.ttl() / 3).min(ANSWER);
        let sent = now();
        let kept: HeartbeatAnswer = self.0.read(&self.0.ask(&Method::PUT, "/v1/seats", &body, patience).await?)?;
        if !kept.lost.is_empty() {
            return Err(Trouble::Lost);
        }
        lease.renew(sent, Duration::from_secs(kept.ttl_seconds));
        Ok(())
    }

    /// Sends heartbeats for as long as the seats are held, each after at most a third of their time. Returns when they
    /// are lost.
    pub async fn keep(&self, lease: &mut Lease) -> Lost {
        let mut trouble: Option<Trouble> = None;
        loop {
            let pause = match &trouble {
                None => jittered(lease.ttl() / 3),
                Some(trouble) => jittered(lease.ttl() / 12).max(trouble.retry_after().unwrap_or_default()),
            };
            // If the server asks for a longer pause than is left, it gets one more heartbeat before it is too late.
            tokio::time::sleep(pause.min(lease.left() / 2)).await;
            if lease.left() < lease.ttl() / 100 {
                return Lost::Unheard(trouble);
            }
            trouble = match self.heartbeat(lease).await {
                Ok(()) => None,
                Err(trouble) if trouble.is_loss() => return Lost::Freed,
                Err(trouble) => Some(trouble),
            };
        }
    }

    /// Gives seats back. Releasing seats that are no longer held succeeds. It ends at the first that cannot be given
    /// back, because a server that does not answer would delay the caller for each; the others come free after their TTL.
    pub async fn release(&self, lease: Lease) -> Result<(), Trouble> {
        for seat in lease.seats() {
            self.ask(&Method::DELETE, &format!("/v1/seats/{}", seat.id), b"", RELEASE_PATIENCE, ANSWER).await?;
        }
        Ok(())
    }

    /// Asks until there is an answer that counts. Returns it, and when its request was sent.
    async fn ask(
        &self,
        method: &Method,
        path: &str,
        body: &[u8],
        patience: Duration,
        answer: Duration,
    ) -> Result<(Moment, bytes::Bytes), Trouble> {
        let began = now();
        let mut attempt = 1;
        let mut pause = FIRST_PAUSE;
        loop {
            let sent = now();
            let trouble = match self.0.ask(method, path, body, answer.min(patience)).await {
                Ok(answer) => return Ok((sent, answer)),
                Err(trouble) => trouble,
            };
            let wait = jittered(pause) + trouble.retry_after().unwrap_or_default();
            let late = began.elapsed() + wait > patience;
            if !trouble.is_momentary() || attempt == ATTEMPTS || late {
                return Err(trouble);
            }
            tokio::time::sleep(wait).await;
            (attempt, pause) = (attempt + 1, pause * 2);
        }
    }
}

/// The examples of the README, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
