//! How an owner begins: it seals the ledger, so that no previous owner can write any longer, and takes over the seats
//! that are held.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

use super::clear::clear_forever;
use super::commit;
use super::free::sweep;
use super::kept_names::unite_forms;
use super::ledger::{Ledger, LedgerError};
use super::limits::with_drift;
use super::look_up::look_up;
use super::ownership::{Closed, LicenseSeats, Ownership, SeatsOf};
use super::proof::PROOF_LASTS;
use super::shared::Shared;
use super::tag_key::read_or_make;
use crate::cluster::trouble::Trouble;
use crate::domain::license::name::LicenseName;
use crate::domain::license::trust::believed_issue;
use crate::domain::seats::elsewhere::Draws;
use crate::domain::seats::hold::Record;
use crate::domain::seats::journal::{Incomplete, LedgerContents};
use crate::domain::seats::seating::Seating;
use crate::domain::tick::{Moment, Tick};
use crate::machine::{jittered, monotonic};
use crate::wrong::{self, Variant::*};

/// How often the sweep frees seats whose holders have stopped sending heartbeats.
const SWEEP: Duration = Duration::from_secs(1);
/// How long pending changes may take to be written when another replica is to take over.
const HAND_OVER: Duration = Duration::from_secs(2);
/// How long to wait before a failed take-over is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// Owns the ledger until `stop` turns true or another replica takes over. On `stop`, everything that waits is written
/// first.
pub(super) async fn own(shared: &Arc<Shared>, ledger: Arc<Ledger>, stop: &mut watch::Receiver<bool>) {
    let own = async {
        let mut trouble = Trouble::with("the ledger cannot be taken over yet");
        loop {
            match take_over(shared, &ledger).await {
                Ok(all_know) => {
                    trouble.is_over();
                    tokio::select! {
                        biased;
                        fenced = commit::run(shared.clone(), ledger.clone()) => {
                            tracing::warn!(%fenced, "taking over the ledger again: this replica still leads");
                        }
                        () = sweep_forever(shared) => {}
                        () = clear_forever(shared, &ledger) => {}
                        () = forget_ttl_before(shared, all_know) => {}
                    }
                    // 6. Forget (see `mod.rs`): callers that still wait are answered `NotOwner`.
                    shared.lock().ownership = None;
                    shared.metrics.queued.set(0);
                }
                Err(error) => trouble.lasts(error),
            }
            tokio::time::sleep(jittered(AGAIN)).await;
        }
    };
    let stopped = async { _ = stop.wait_for(|stop| *stop).await };
    let mut own = pin!(own);
    tokio::select! {
        biased;
        () = stopped => {
            shared.lock().stop_deciding();
            shared.wake_committer.notify_one();
            tokio::select! {
                biased;
                () = idle(shared) => {}
                () = &mut own => {}
                () = tokio::time::sleep(HAND_OVER) => tracing::warn!("not every change was written in time"),
            }
        }
        () = &mut own => {}
    }
    let mut state = shared.lock();
    (state.ownership, state.stopping) = (None, false);
    shared.metrics.owns.set(0);
    shared.metrics.queued.set(0);
}

/// Returns once nothing waits to be written.
async fn idle(shared: &Shared) {
    loop {
        let idle = shared.lock().ownership.as_ref().is_none_or(|ownership| {
            ownership.pending.is_empty() && ownership.waiting.is_empty() && ownership.writing_since.is_none()
        });
        if idle {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn sweep_forever(shared: &Shared) {
    loop {
        tokio::time::sleep(SWEEP).await;
        sweep(shared).await;
    }
}

/// From `all_know` on, no holder relies on a seat for longer than this owner grants it, so the next owner need not wait
/// longer either.
async fn forget_ttl_before(shared: &Shared, all_know: Moment) {
    tokio::time::sleep(all_know - monotonic()).await;
    if let Some(ownership) = &mut shared.lock().ownership {
        ownership.journal.forget_ttl_before(shared.ttl.as_secs());
    }
    std::future::pending().await
}

/// Takes over the ledger. Returns the time at which the last holder stops relying on what a previous owner granted.
async fn take_over(shared: &Shared, ledger: &Ledger) -> Result<Moment, LedgerError> {
    let found = ledger.seal(shared.ttl).await?;
    // The ledger shows what time it was, even if the Lease no longer does.
    if let Some(latest) = found.latest().and_then(believed_issue) {
        shared.clock.remember(latest);
    }
    let LedgerContents { mut journal, mut holds, grants, incomplete } = found;
    let tagger = read_or_make(ledger, shared.clock.now().at).await?;
    unite_forms(&mut holds, &tagger);
    // Between taking the Lease and sealing, another replica may have taken both and granted seats: then this seal has
    // only fenced that replica's writes, not the answers it gives from memory, and nothing may be granted here. The
    // Lease, renewed without a gap, shows that nobody has (tests/seat_protocol: LeaseThenSeal).
    shared.proof.of_later(monotonic()).await;
    let now = monotonic();
    // A previous owner may have confirmed a seat up to the last moment at which it could prove ownership. The holder
    // may rely on it for a whole TTL from then: the TTL of that owner, which may have been started with another one.
    let ttl = journal.ttl().map_or(shared.ttl, Duration::from_secs).max(shared.ttl);
    let proof_lasts = if wrong::is(WaitsForTtlOnly) { Duration::ZERO } else { PROOF_LASTS };
    let wait = if wrong::is(ReclaimWithoutWaiting) { Duration::ZERO } else { with_drift(proof_lasts + ttl) };
    let until = Tick::at(now + wait);
    let at = shared.clock.now().at;
    let mut seats_of = SeatsOf::default();
    for (license, mut record) in holds {
        if wrong::is(TakersNotNoted)
            && let Record::Hold(hold) = &mut record
        {
            hold.taker = None;
        }
        let seats = seats_of.entry(license.clone()).or_insert_with(|| LicenseSeats::new(Seating::empty(at)));
        seats.seating.apply(&record, until);
    }
    for (license, noted) in grants.into_iter().filter(|_| !wrong::is(GrantsNotNoted)) {
        seats_of.draw(&license, |draws| *draws = Draws::noted(noted));
    }
    let licenses: Vec<LicenseName> = seats_of.keys().cloned().collect();
    for license in &licenses {
        // Seats of a License that is gone are kept too.
        let _ = look_up(shared, &mut seats_of, license, at, &tagger);
    }
    let held: u64 = seats_of.values().map(|seats| seats.seating.table().in_use_at_all()).sum();
    tracing::info!(epoch = journal.epoch(), entry = journal.sequence(), held, "took over the ledger and the seats");
    let new = shared.from_nothing.swap(false, Ordering::Relaxed) || wrong::is(MissingLedgerIsNew);
    let closed = match incomplete {
        Some(Incomplete::Empty) if new => None,
        Some(why) => Some(Closed { why: why.to_string(), until: now + wait }),
        None => None,
    };
    if let Some(closed) = &closed {
        tracing::warn!(why = closed.why, ?wait, "no new seats are granted until `wait` is over");
    }
    let mut ownership = Ownership::new(std::mem::take(&mut journal), seats_of, closed, tagger);
    for name in ownership.journal.due() {
        let base = commit::base(&ownership, name, ownership.journal.sequence());
        let epoch = ownership.journal.epoch();
        ledger.write_base(&base, epoch).await?;
        ownership.journal.wrote_base(&base.name, base.sequence);
    }
    // While the bases were written there was no owner that could be asked to look again (`Desk::look_again`): a License may
    // have lost a grant that another one has now.
    if !wrong::is(LookedUpBeforeOwning) {
        ownership.seats_of.values_mut().for_each(|seats| seats.stale = true);
    }
    shared.lock().ownership = Some(ownership);
    shared.metrics.owns.set(1);
    Ok(now + wait)
}
