//! The desk that grants seats.
//!
//! Decisions are made at once, on a table that includes every earlier decision; they are answered once the ledger has
//! them. What is answered without a write (a heartbeat, a seat already held) is answered only while there is proof that
//! nobody else owns the ledger: a new owner waits that long before it revokes a seat.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

use super::asked::{Ask, Denied, Granted, Licensed, Licenses, Seat, Use};
use super::budget::Budget;
use super::decide::{Outcome, is_durable};
use super::metrics::SeatMetrics;
use super::owned::{Counter, State};
use super::proof::Proof;
use crate::cluster::clock::Clock;
use crate::domain::Instant;
use crate::domain::license::name::LicenseName;
use crate::domain::seats::queue::MOST_QUEUED;
use crate::machine::monotonic;

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
    time + time / DRIFT
}

/// Grants the seats of all Licenses while this process owns the ledger.
#[derive(Clone)]
pub struct Desk(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub state: Mutex<State>,
    /// Notified when something waits to be written.
    pub pending: Notify,
    /// Proof of owning the ledger.
    pub proof: Proof,
    /// Whether a missing ledger is new rather than deleted.
    pub from_nothing: AtomicBool,
    /// Set once the caches are filled.
    pub licenses: OnceLock<Box<dyn Licenses>>,
    pub clock: Clock,
    pub ttl: Duration,
    pub budget: Mutex<Budget>,
    pub metrics: SeatMetrics,
}

pub(super) fn ticks(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}

impl Desk {
    /// A desk that owns nothing yet.
    pub fn new(clock: Clock, ttl: Duration, bytes_a_second: Option<u64>, metrics: SeatMetrics) -> Self {
        Desk(Arc::new(Shared {
            state: Mutex::default(),
            pending: Notify::new(),
            proof: Proof::default(),
            from_nothing: AtomicBool::new(false),
            licenses: OnceLock::new(),
            clock,
            ttl,
            budget: Mutex::new(Budget::new(bytes_a_second, monotonic())),
            metrics,
        }))
    }

    /// Declares that a missing ledger is new rather than deleted. Call before this replica leads.
    pub fn begins_from_nothing(&self) {
        self.0.from_nothing.store(true, Ordering::Relaxed);
    }

    /// Limits what writes of the ledger may cost, in bytes a second; 0 for no limit.
    pub fn set_budget(&self, bytes_a_second: u64) {
        let rate = Some(bytes_a_second).filter(|bytes| *bytes > 0);
        *self.0.budget.lock().unwrap_or_else(PoisonError::into_inner) = Budget::new(rate, monotonic());
    }

    /// Sets the source of what a License grants. Only the first call counts.
    pub fn look_licenses_up_in(&self, licenses: Box<dyn Licenses>) {
        let _ = self.0.licenses.set(licenses);
    }

    /// Whether the seats of a License may be used from that namespace.
    pub fn admits(&self, license: &LicenseName, namespace: &str) -> bool {
        self.0.licenses.get().is_some_and(|licenses| licenses.admits(license, namespace))
    }

    pub fn ttl(&self) -> Duration {
        self.0.ttl
    }

    /// Whether this process owns the ledger, as far as it knows.
    pub fn owns(&self) -> bool {
        self.0.lock().owned.is_some()
    }

    /// Records that the Lease was renewed with a request that was sent at `sent`.
    pub fn proven(&self, sent: Duration) {
        self.0.proof.came(sent);
    }

    /// Notified when the desk must know at once whether this replica still leads.
    pub fn wants_proof(&self) -> Arc<Notify> {
        self.0.proof.wanted.clone()
    }

    /// Call when a License, or something it refers to, has changed.
    pub fn look_again(&self, license: &LicenseName) {
        if let Some(owned) = &mut self.0.lock().owned
            && let Some(counter) = owned.seatings.get_mut(license)
        {
            counter.stale = true;
        }
    }

    /// Asks for seats. Returns one answer for each request, in the same order, once all grants are durable.
    pub async fn acquire(&self, asks: &[Ask]) -> Vec<Result<Granted, Denied>> {
        let began = monotonic();
        let (outcomes, enough) = {
            let mut state = self.0.lock();
            let decide = |ask| self.0.decide(&mut state, ask);
            let outcomes: Vec<Result<Outcome, Denied>> = asks.iter().map(decide).collect();
            (outcomes, state.is_enough())
        };
        if enough {
            self.0.pending.notify_one();
        }
        let mut answers = Vec::with_capacity(outcomes.len());
        for (ask, outcome) in asks.iter().zip(outcomes) {
            let answer = match outcome {
                Ok(outcome) => outcome.answer().await,
                Err(denied) => Err(denied),
            };
            self.0.metrics.answered(&ask.license, &answer);
            answers.push(answer);
        }
        self.0.metrics.wait.observe(monotonic().saturating_sub(began).as_secs_f64());
        answers
    }

    /// Frees a seat. Returns false if it is no longer held. The seat is free for others at once, and in the ledger
    /// soon: a crash in between leaves it taken for a TTL.
    pub fn release(&self, seat: &Seat) -> Result<bool, Denied> {
        let enough = {
            let mut state = self.0.lock();
            let Some(owned) = &mut state.owned else { return Err(Denied::NotOwner) };
            let (seatings, mut writes) = owned.parts();
            let counter = seatings.get_mut(&seat.license);
            let Some(counter) = counter.filter(|counter| counter.seating.since(&seat.held()) == Some(seat.since))
            else {
                return Ok(false);
            };
            if !self.0.free(&seat.license, counter, &mut writes, &seat.held())? {
                return Ok(false);
            }
            self.0.metrics.released.inc();
            state.is_enough()
        };
        if enough {
            self.0.pending.notify_one();
        }
        Ok(true)
    }

    /// Frees every seat of a user, or of all users, for an administrator. Returns how many there were; all of them are
    /// free in the ledger by then.
    pub async fn evict(&self, license: &LicenseName, user: Option<&str>) -> Result<usize, Denied> {
        let epoch = self.0.lock().owned.as_ref().map(|owned| owned.journal.epoch()).ok_or(Denied::NotOwner)?;
        let mut evicted = 0;
        loop {
            let (count, all, durable) = self.evict_some(license, user)?;
            evicted += count;
            if count > 0 {
                is_durable(durable).await?;
            }
            // Holders that came since, also from the queue, are not evicted.
            if count == 0 || all {
                return self.knows_all(epoch, None).await.map(|()| evicted);
            }
        }
    }

    /// Returns how many seats were freed, whether those were all, and a receiver that is notified once they are free in
    /// the ledger.
    fn evict_some(
        &self,
        license: &LicenseName,
        user: Option<&str>,
    ) -> Result<(usize, bool, oneshot::Receiver<()>), Denied> {
        let (told, durable) = oneshot::channel();
        let mut state = self.0.lock();
        let Some(owned) = state.owned.as_mut() else { return Err(Denied::NotOwner) };
        let (seatings, mut writes) = owned.parts();
        let Some(counter) = seatings.get_mut(license) else {
            return self.0.known(license).map(|()| (0, true, durable));
        };
        let mut records = match user {
            Some(user) => counter.seating.table().release_user(user),
            None => counter.seating.table().expired(u64::MAX),
        };
        let wanted = records.len();
        records = writes.pending.fitting(license, records);
        if records.is_empty() && wanted > 0 {
            return Err(Denied::Overloaded);
        }
        records.iter().for_each(|record| counter.seating.apply(record, 0));
        let count = records.len();
        if count > 0 {
            writes.pending.add(license, records);
            writes.waiting.push(told);
            if count == wanted && !counter.queue.is_empty() {
                self.0.serve(license, counter, &mut writes, MOST_QUEUED);
            }
            self.0.pending.notify_one();
        }
        Ok((count, count == wanted, durable))
    }

    /// All holders of seats of a License, by pool and slot, with the machine that each seat is used on.
    pub fn holders(&self, license: &LicenseName) -> Result<Vec<(Seat, Option<String>)>, Denied> {
        let state = self.0.lock();
        let Some(owned) = &state.owned else { return Err(Denied::NotOwner) };
        let Some(counter) = owned.seatings.get(license) else {
            return self.0.known(license).map(|()| Vec::new());
        };
        let shown = counter.seating.table().holders().map(|(pool, held)| {
            let seat = Seat {
                license: license.clone(),
                pool: pool.to_string(),
                slot: held.slot,
                user: held.user.map(str::to_owned),
                session: held.session.to_owned(),
                since: held.since,
            };
            (seat, held.client.map(str::to_owned))
        });
        Ok(shown.collect())
    }

    /// How many seats of each pool of a License are in use; `None` if this process does not own the ledger.
    pub fn in_use(&self, license: &LicenseName) -> Option<BTreeMap<String, Use>> {
        let mut state = self.0.lock();
        let owned = state.owned.as_mut()?;
        let Some(counter) = owned.seatings.get_mut(license) else { return Some(BTreeMap::new()) };
        Some(counter.uses().into_iter().map(|(pool, u)| (pool.to_string(), u)).collect())
    }

    /// The Licenses whose use has changed since the last call.
    pub fn changed_use(&self) -> Vec<LicenseName> {
        let mut state = self.0.lock();
        let Some(owned) = &mut state.owned else { return Vec::new() };
        let changed = |counter: &mut Counter| {
            let now = counter.uses();
            let before = std::mem::replace(&mut counter.told, now);
            before != counter.told && before.values().chain(counter.told.values()).any(|u| *u != Use::default())
        };
        owned.seatings.iter_mut().filter_map(|(license, c)| changed(c).then(|| license.clone())).collect()
    }

    /// The refusals since the last call: for each License and reason, the message of the first one.
    pub fn refusals(&self) -> Vec<(LicenseName, BTreeMap<&'static str, String>)> {
        let mut state = self.0.lock();
        let Some(owned) = &mut state.owned else { return Vec::new() };
        let refused = owned.seatings.iter_mut().filter(|(_, counter)| !counter.refused.is_empty());
        refused.map(|(license, counter)| (license.clone(), std::mem::take(&mut counter.refused))).collect()
    }

    /// Frees the seats whose holders have stopped sending heartbeats and those that demo mode has ended, and serves the
    /// queues. Returns how many seats were freed.
    pub fn sweep(&self) -> usize {
        let now = ticks(monotonic());
        let at = self.0.clock.now().at;
        let (mut swept, mut queued) = (0, 0);
        {
            let mut state = self.0.lock();
            let Some(owned) = &mut state.owned else { return 0 };
            let (seatings, mut writes) = owned.parts();
            for (license, counter) in seatings {
                let mut records = counter.seating.table().expired(now);
                // A deleted License ends no session.
                if records.is_empty() && self.0.look_up(license, counter, at).is_ok() {
                    records = counter.seating.ended(at);
                }
                records = writes.pending.fitting(license, records);
                if !records.is_empty() {
                    records.iter().for_each(|record| counter.seating.apply(record, 0));
                    swept += records.len();
                    writes.pending.add(license, records);
                }
                if !counter.queue.is_empty() {
                    counter.queue.forget(now);
                    queued += counter.queue.len();
                    self.0.serve(license, counter, &mut writes, MOST_QUEUED);
                }
            }
        }
        self.0.metrics.queued.set(i64::try_from(queued).unwrap_or(i64::MAX));
        self.0.metrics.lost.inc_by(swept as u64);
        if swept > 0 || queued > 0 {
            self.0.pending.notify_one();
        }
        swept
    }
}

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn licensed(&self, license: &LicenseName, now: Instant) -> Option<Licensed> {
        self.licenses.get()?.licensed(license, now)
    }

    fn known(&self, license: &LicenseName) -> Result<(), Denied> {
        let known = self.licensed(license, self.clock.now().at);
        known.map(|_| ()).ok_or_else(|| Denied::UnknownLicense(license.clone()))
    }
}
