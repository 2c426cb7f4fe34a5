//! How an owner begins: it seals the ledger, so that no previous owner can write any longer, and takes over the seats
//! that are held.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

use super::commit;
use super::desk::{Desk, ticks, with_drift};
use super::ledger::{Ledger, LedgerError};
use super::owned::{Counter, Owned, Shut};
use super::proof::PROOF_LASTS;
use crate::domain::license::mode::Mode;
use crate::domain::license::name::LicenseName;
use crate::domain::seats::journal::{Found, Incomplete};
use crate::domain::seats::pool::Terms;
use crate::domain::seats::roster::People;
use crate::domain::seats::seating::Seating;
use crate::machine::{jittered, monotonic};

/// How often the sweep frees seats whose holders have stopped sending heartbeats.
const SWEEP: Duration = Duration::from_secs(1);
/// How long pending changes may take to be written when another replica is to take over.
const HAND_OVER: Duration = Duration::from_secs(2);
/// How long to wait before a failed take-over is tried again.
const AGAIN: Duration = Duration::from_millis(500);

impl Desk {
    /// Owns the ledger until `stop` turns true or another replica takes over. On `stop`, everything that waits is
    /// written first.
    pub async fn own(&self, ledger: Arc<Ledger>, stop: &mut watch::Receiver<bool>) {
        let own = async {
            loop {
                match self.take_over(&ledger).await {
                    Ok(all_know) => {
                        tokio::select! {
                            fenced = commit::run(self.0.clone(), ledger.clone()) => {
                                tracing::warn!(%fenced, "taking over the ledger again: this replica still leads");
                            }
                            () = self.sweep_forever() => {}
                            () = self.clear_forever(&ledger) => {}
                            () = self.forget_ttl_before(all_know) => {}
                        }
                        self.0.lock().owned = None;
                        self.0.metrics.queued.set(0);
                    }
                    Err(error) => tracing::warn!(%error, "the ledger cannot be taken over yet; trying again"),
                }
                tokio::time::sleep(jittered(AGAIN)).await;
            }
        };
        let told = async { _ = stop.wait_for(|stop| *stop).await };
        let mut own = pin!(own);
        tokio::select! {
            biased;
            () = told => {
                self.0.lock().close();
                self.0.pending.notify_one();
                tokio::select! {
                    biased;
                    () = self.idle() => {}
                    () = &mut own => {}
                    () = tokio::time::sleep(HAND_OVER) => tracing::warn!("not every change was written in time"),
                }
            }
            () = &mut own => {}
        }
        let mut state = self.0.lock();
        (state.owned, state.closing) = (None, false);
        self.0.metrics.owns.set(0);
        self.0.metrics.queued.set(0);
    }

    /// Returns once nothing waits to be written.
    async fn idle(&self) {
        loop {
            let idle = self.0.lock().owned.as_ref().is_none_or(|owned| {
                owned.pending.is_empty() && owned.waiting.is_empty() && owned.writing_since.is_none()
            });
            if idle {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn sweep_forever(&self) {
        loop {
            tokio::time::sleep(SWEEP).await;
            self.sweep();
        }
    }

    /// From `all_know` on, no holder relies on a seat for longer than this owner grants it, so the next owner need not
    /// wait longer either.
    async fn forget_ttl_before(&self, all_know: Duration) {
        tokio::time::sleep(all_know.saturating_sub(monotonic())).await;
        if let Some(owned) = &mut self.0.lock().owned {
            owned.journal.forget_ttl_before(self.ttl().as_secs());
        }
        std::future::pending().await
    }

    /// Takes over the ledger. Returns the time at which the last holder stops relying on what a previous owner granted.
    async fn take_over(&self, ledger: &Arc<Ledger>) -> Result<Duration, LedgerError> {
        let Found { mut journal, holds, incomplete } = ledger.seal(self.ttl()).await?;
        // Between taking the Lease and sealing, another replica may have taken both and granted seats: then this seal
        // has only fenced that replica's writes, not the answers it gives from memory, and nothing may be granted here.
        // The Lease, renewed without a gap, shows that nobody has (tests/seat_protocol: LeaseThenSeal).
        self.0.proof.of_later(monotonic()).await;
        let now = monotonic();
        // A previous owner may have confirmed a seat up to the last moment at which it could prove ownership. The
        // holder may rely on it for a whole TTL from then: the TTL of that owner, which may have been started with
        // another one.
        let ttl = journal.ttl().map_or(self.ttl(), Duration::from_secs).max(self.ttl());
        let wait = with_drift(PROOF_LASTS + ttl);
        let until = ticks(now + wait);
        let at = self.0.clock.now().at;
        let mut seatings: HashMap<LicenseName, Counter> = HashMap::new();
        for (license, record) in &holds {
            let counter = seatings.entry(license.clone()).or_insert_with(|| {
                let known = self.0.licensed(license, at);
                let (terms, people) = known.map_or_else(nothing, |known| (known.terms, known.people));
                Counter::new(Seating::new(terms, people, at))
            });
            counter.seating.apply(record, until);
        }
        let held: u64 = seatings.values().map(|counter| counter.seating.table().in_use_at_all()).sum();
        tracing::info!(epoch = journal.epoch(), entry = journal.sequence(), held, "took over the ledger and the seats");
        let new = self.0.from_nothing.swap(false, Ordering::Relaxed);
        let shut = match incomplete {
            Some(Incomplete::Empty) if new => None,
            Some(why) => Some(Shut { why: why.to_string(), until: now + wait, licenses: ledger.licenses().await? }),
            None => None,
        };
        if let Some(shut) = &shut {
            let (why, licenses) = (&shut.why, shut.licenses.len());
            tracing::warn!(%why, ?wait, licenses, "existing Licenses get no new seats until `wait` is over");
        }
        let mut owned = Owned::new(std::mem::take(&mut journal), seatings, shut);
        for name in owned.journal.due() {
            let base = commit::base(&owned, name, owned.journal.sequence());
            let epoch = owned.journal.epoch();
            ledger.write_base(&base, epoch).await?;
            owned.journal.wrote_base(&base.name, base.sequence);
        }
        self.0.lock().owned = Some(owned);
        self.0.metrics.owns.set(1);
        Ok(now + wait)
    }
}

/// What a License that does not exist grants.
fn nothing() -> (Arc<Terms>, Arc<People>) {
    let terms = Terms { mode: Mode::Demo, ever_licensed: false, demo_seats: 0, ending: None, pools: Vec::new() };
    (Arc::new(terms), Arc::new(People::unite(&[])))
}
