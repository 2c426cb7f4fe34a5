//! The desk that grants seats: what everyone else calls.
//!
//! Decisions are made at once, on a table that includes every earlier decision; they are answered once the ledger has
//! them. What is answered without a write (a heartbeat, a seat already held) is answered only while there is proof that
//! nobody else owns the ledger: a new owner waits that long before it revokes a seat.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, watch};

use super::asked::{Ask, Denied, Granted, HeartbeatOutcome, Seat, Use};
use super::budget::Budget;
use super::decide::{decide_all, decide_unless_vain, patiently};
use super::free::{Evicted, evict, free};
use super::heartbeats::{heartbeat, knows_all};
use super::kept_names::replaced_since;
use super::ledger::Ledger;
use super::list::{Holder, Which, list};
use super::metrics::SeatMetrics;
use super::outcome::until_durable;
use super::proof::Proof;
use super::queue::{hand_over, join};
use super::shared::Shared;
use super::shown::Shown;
use super::take_over::own;
use super::whose::{May, Whose, whose};
use crate::cluster::clock::Clock;
use crate::domain::license::name::LicenseName;
use crate::domain::seats::request::MAX_NAME_BYTES;
use crate::domain::seats::table::Place;
use crate::domain::tick::Moment;
use crate::machine::monotonic;
use crate::observed::Observed;
use crate::wrong::{self, Variant::AnsweredBeforeDurable};

/// Grants the seats of all Licenses while this process owns the ledger.
#[derive(Clone)]
pub struct Desk(Arc<Shared>);

impl Desk {
    /// A desk that owns nothing yet.
    pub fn new(
        observed: Observed,
        clock: Clock,
        ttl: Duration,
        bytes_a_second: Option<u64>,
        metrics: SeatMetrics,
    ) -> Self {
        Desk(Arc::new(Shared {
            state: Mutex::default(),
            wake_committer: Notify::new(),
            proof: Proof::default(),
            from_nothing: AtomicBool::new(false),
            observed,
            clock,
            ttl,
            budget: Mutex::new(Budget::new(bytes_a_second, monotonic())),
            is_strained: AtomicBool::new(false),
            room: Notify::new(),
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
        *self.0.budget() = Budget::new(rate, monotonic());
    }

    /// Whether the seats of a License may be used from that namespace.
    pub fn admits(&self, license: &LicenseName, namespace: &str) -> bool {
        self.0.observed.admits(license, namespace)
    }

    pub fn ttl(&self) -> Duration {
        self.0.ttl
    }

    /// Owns the ledger until `stop` turns true or another replica takes over. On `stop`, everything that waits is
    /// written first.
    pub async fn own(&self, ledger: Arc<Ledger>, stop: &mut watch::Receiver<bool>) {
        own(&self.0, ledger, stop).await;
    }

    /// Whether this process owns the ledger, as far as it knows.
    pub fn owns(&self) -> bool {
        self.0.lock().ownership.is_some()
    }

    /// Whether this process owns the ledger and writes to it without delay, so that it can grant seats.
    pub fn can_write(&self) -> bool {
        let mut state = self.0.lock();
        state.ownership.as_mut().is_some_and(|ownership| !ownership.parts().1.is_stuck(monotonic()))
    }

    /// Records that the Lease was renewed with a request that was sent at `sent`.
    pub fn proven(&self, sent: Moment) {
        self.0.proof.came(sent);
    }

    /// Notified when the desk must know at once whether this replica still leads.
    pub fn wants_proof(&self) -> Arc<Notify> {
        self.0.proof.wanted.clone()
    }

    /// Call when a License, or something it refers to, has changed.
    pub fn look_again(&self, license: &LicenseName) {
        if let Some(ownership) = &mut self.0.lock().ownership
            && let Some(seats) = ownership.seats_of.get_mut(license)
        {
            seats.stale = true;
        }
    }

    /// Call when a License is gone.
    pub fn forget(&self, license: &LicenseName) {
        self.look_again(license);
        self.0.metrics.forget(license);
    }

    /// Replaces the session of each request with what stands for it. A session that is empty or too long is left as it is,
    /// and refused later. Fails if this process does not own the ledger, because it may not know the key.
    pub fn hide_sessions(&self, asks: &mut [Ask]) -> Result<(), Denied> {
        let state = self.0.lock();
        let tagger = &state.ownership.as_ref().ok_or(Denied::NotOwner)?.tagger;
        for ask in asks.iter_mut().filter(|ask| (1..=MAX_NAME_BYTES).contains(&ask.session.len())) {
            ask.session = tagger.session(&ask.license, &ask.session);
        }
        Ok(())
    }

    /// Asks for seats. Returns one answer for each request, in the same order, once all grants are durable.
    pub async fn acquire(&self, asks: &[Ask]) -> Vec<Result<Granted, Denied>> {
        let began = monotonic();
        let mut answers = Vec::with_capacity(asks.len());
        // 5. Answer (see `mod.rs`). Entries are written one after the other, so the last notice alone would do, if the
        // owner were the same all the time.
        let notices = decide_all(&self.0, asks, &mut answers).await;
        for durable in notices.into_iter().filter(|_| !wrong::is(AnsweredBeforeDurable)) {
            if let Err(denied) = until_durable(durable).await {
                answers.iter_mut().filter(|answer| answer.is_ok()).for_each(|answer| *answer = Err(denied.clone()));
            }
        }
        for (ask, answer) in asks.iter().zip(&answers) {
            self.0.metrics.answered(&ask.license, answer);
        }
        self.0.metrics.wait.observe((monotonic() - began).as_secs_f64());
        answers
    }

    /// Asks for seats. If there are none now but some may come free, waits in the queue for at most `most`. The answer
    /// comes once the grant is durable.
    pub async fn acquire_in_turn(&self, ask: Ask, most: Duration) -> Result<Granted, Denied> {
        let ask = Arc::new(ask);
        let answer = self.in_turn(&ask, most).await;
        self.0.metrics.answered(&ask.license, &answer);
        answer
    }

    async fn in_turn(&self, ask: &Arc<Ask>, most: Duration) -> Result<Granted, Denied> {
        let decided =
            patiently(&self.0, &mut None, |state, tried| match decide_unless_vain(&self.0, state, ask, tried) {
                Err(Denied::Refused(refusal)) if refusal.may_pass() => Ok(Err(join(&self.0, state, ask, refusal)?)),
                decided => state.outcome(decided?).map(Ok),
            })
            .await;
        self.0.wake_committer.notify_one();
        match decided? {
            Ok(outcome) => outcome.answer().await,
            Err(mut turn) => {
                let granted = turn.comes(most).await?.answer().await?;
                hand_over(&self.0, &ask.license, &granted)?;
                Ok(granted)
            }
        }
    }

    /// Keeps seats, and says which of them are lost. A lost seat stays lost.
    pub async fn heartbeat<'s>(&self, seats: impl IntoIterator<Item = &'s Seat>) -> Result<HeartbeatOutcome, Denied> {
        heartbeat(&self.0, seats, May::Own).await
    }

    /// Keeps seats that others took too: the caller has the right to evict.
    pub async fn heartbeat_of_others<'s>(
        &self,
        seats: impl IntoIterator<Item = &'s Seat>,
    ) -> Result<HeartbeatOutcome, Denied> {
        heartbeat(&self.0, seats, May::Any).await
    }

    /// Frees a seat. Returns false if it is no longer held. The seat is free for others at once, and in the ledger
    /// soon: a crash in between leaves it taken for a TTL. Fails if another caller took it.
    pub fn release(&self, seat: &Seat) -> Result<bool, Denied> {
        self.free(seat, May::Own)
    }

    /// Frees a seat that another caller may have taken: this one has the right to evict.
    pub fn release_of_others(&self, seat: &Seat) -> Result<bool, Denied> {
        self.free(seat, May::Any)
    }

    fn free(&self, seat: &Seat, may: May) -> Result<bool, Denied> {
        let enough = {
            let mut state = self.0.lock();
            let Some(ownership) = &mut state.ownership else { return Err(Denied::NotOwner) };
            let (seats_of, mut uncommitted) = ownership.parts();
            let Some(seats) = seats_of.get(&seat.license) else { return Ok(false) };
            let replaced = replaced_since(seat, &seats.seating, uncommitted.tagger);
            let held = match whose(seat, replaced.as_deref(), may, &seats.seating, uncommitted.tagger) {
                Whose::Callers(held) => held,
                Whose::Anothers => return Err(Denied::TakenByAnother),
                Whose::Nobodys => return Ok(false),
            };
            if !free(&self.0, &seat.license, seats_of, &mut uncommitted, &held)? {
                return Ok(false);
            }
            self.0.metrics.released.inc();
            state.is_enough()
        };
        if enough {
            self.0.wake_committer.notify_one();
        }
        Ok(true)
    }

    /// Frees every seat of a user, or of all users, for an administrator. Returns how many there were; all of them are
    /// free in the ledger by then.
    pub async fn evict(&self, license: &LicenseName, user: Option<&str>) -> Result<usize, Denied> {
        let epoch = self.epoch().ok_or(Denied::NotOwner)?;
        let mut evicted = 0;
        loop {
            let Evicted { count, all, durable } = evict(&self.0, license, user)?;
            evicted += count;
            if count > 0 {
                until_durable(durable).await?;
            }
            // Holders that have come since, from the queue too, are not evicted.
            if count == 0 || all {
                return knows_all(&self.0, epoch, None).await.map(|()| evicted);
            }
        }
    }

    /// A page of the holders of seats of a License, and where the next one begins.
    pub async fn holders(
        &self,
        license: &LicenseName,
        which: Which<'_>,
    ) -> Result<(Vec<Holder>, Option<Place>), Denied> {
        list(&self.0, license, which).await
    }

    /// How the holders of a License are to be shown.
    pub fn shown(&self, license: &LicenseName) -> Result<Shown, Denied> {
        let tagger = self.0.lock().ownership.as_ref().ok_or(Denied::NotOwner)?.tagger.clone();
        let holders = self.0.observed.holders(license);
        let today = tagger.of_day(self.0.clock.now().at.date_naive());
        Ok(Shown { holders, license: license.clone(), tagger, today })
    }

    /// The epoch of the ledger that this process owns; `None` if it owns none.
    pub fn epoch(&self) -> Option<u64> {
        self.0.lock().ownership.as_ref().map(|ownership| ownership.journal.epoch())
    }

    /// How many seats of each pool of a License are in use; `None` if this process does not own the ledger.
    pub fn in_use(&self, license: &LicenseName) -> Option<BTreeMap<String, Use>> {
        let mut state = self.0.lock();
        let ownership = state.ownership.as_mut()?;
        let Some(seats) = ownership.seats_of.get_mut(license) else { return Some(BTreeMap::new()) };
        Some(seats.uses().into_iter().map(|(pool, u)| (pool.to_string(), u)).collect())
    }

    /// The Licenses under which seats are held on the grants of this one.
    pub fn held_under(&self, license: &LicenseName) -> Vec<LicenseName> {
        let state = self.0.lock();
        let seats = state.ownership.as_ref().and_then(|ownership| ownership.seats_of.get(license));
        seats.map(|seats| seats.seating.elsewhere().under.iter().cloned().collect()).unwrap_or_default()
    }

    /// The Licenses whose use has changed since the last call.
    pub fn changed_use(&self) -> Vec<LicenseName> {
        let mut state = self.0.lock();
        let Some(ownership) = &mut state.ownership else { return Vec::new() };
        let changed = ownership.seats_of.iter_mut().filter_map(|(license, seats)| {
            let changed = seats.take_changed_use();
            changed.then(|| license.clone())
        });
        changed.collect()
    }

    /// The refusals since the last call: for each License and reason, the message of the first one.
    pub fn refusals(&self) -> Vec<(LicenseName, BTreeMap<&'static str, String>)> {
        let mut state = self.0.lock();
        let Some(ownership) = &mut state.ownership else { return Vec::new() };
        let refused = ownership.seats_of.iter_mut().filter(|(_, seats)| !seats.refused.is_empty());
        refused.map(|(license, seats)| (license.clone(), std::mem::take(&mut seats.refused))).collect()
    }
}
