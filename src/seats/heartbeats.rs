//! Heartbeats: which seats are kept, and which are lost.

use std::time::Duration;
use tokio::sync::oneshot;

use super::asked::{Denied, HeartbeatOutcome, Seat};
use super::free::free;
use super::kept_names::replaced_since;
use super::limits::{STUCK, with_drift};
use super::outcome::until_durable;
use super::shared::Shared;
use super::whose::{May, Whose, whose};
use crate::domain::tick::Tick;
use crate::machine::monotonic;
use crate::wrong::{self, Variant::*};

/// Heartbeats for lost seats that arrive within this time share one renewal of the Lease.
const SHARED_RENEWAL: Duration = Duration::from_millis(100);

/// The most seats that are kept before others have their turn.
const SLICE: usize = 64;

/// What the table answers to a heartbeat.
struct TableAnswer {
    /// For each seat, in the order of the request.
    kept: Vec<bool>,
    /// The epoch of the owner of the table.
    epoch: u64,
    /// Why a seat that was not kept cannot be reported lost even after the ledger shows it free.
    unsure: Option<Denied>,
    /// Notified once the ledger shows free what the table shows free; `None` if it already does.
    durable: Option<oneshot::Receiver<()>>,
    of_others: Vec<usize>,
}

/// Keeps seats. A lost seat stays lost, so it is reported lost only once
///
/// - the ledger shows it free: otherwise the next owner would find it held, and keep it;
/// - the Lease was renewed after the request: otherwise another owner may have granted it, and this replica may not
///   know yet that it is no longer the owner (tests/seat_protocol: LostBeforeDurable, LostWithoutProof).
pub(super) async fn heartbeat<'s>(
    shared: &Shared,
    seats: impl IntoIterator<Item = &'s Seat>,
    may: May,
) -> Result<HeartbeatOutcome, Denied> {
    let TableAnswer { kept, epoch, unsure, durable, of_others } = keep_all(shared, seats, may).await?;
    if !kept.contains(&false) {
        return Ok(HeartbeatOutcome { kept, unsure: None, of_others });
    }
    let unsure = match unsure {
        None => knows_all(shared, epoch, durable).await.err(),
        unsure => unsure,
    };
    Ok(HeartbeatOutcome { kept, unsure, of_others })
}

/// Returns once it is certain that nobody holds a seat that the table of the owner of that epoch does not have now.
pub(super) async fn knows_all(
    shared: &Shared,
    epoch: u64,
    durable: Option<oneshot::Receiver<()>>,
) -> Result<(), Denied> {
    let known = async {
        if let Some(durable) = durable.filter(|_| !wrong::is(LostBeforeDurable)) {
            until_durable(durable).await?;
        }
        if !wrong::is(LostWithoutProof) {
            shared.proof.of_later_together(SHARED_RENEWAL).await;
        }
        Ok(())
    };
    let known = tokio::time::timeout(STUCK, known).await.unwrap_or(Err(Denied::LedgerUnavailable));
    let owns = shared.lock().ownership.as_ref().is_some_and(|ownership| ownership.journal.epoch() == epoch);
    if owns { known } else { Err(Denied::NotOwner) }
}

/// Keeps all seats, a slice at a time.
async fn keep_all<'s>(
    shared: &Shared,
    asked: impl IntoIterator<Item = &'s Seat>,
    may: May,
) -> Result<TableAnswer, Denied> {
    let mut asked = asked.into_iter();
    let mut all = keep(shared, asked.by_ref().take(SLICE), may)?;
    while all.kept.len().is_multiple_of(SLICE) && !all.kept.is_empty() {
        tokio::task::yield_now().await;
        let more = keep(shared, asked.by_ref().take(SLICE), may)?;
        if more.kept.is_empty() {
            break;
        }
        if more.epoch != all.epoch {
            return Err(Denied::NotOwner);
        }
        let before = all.kept.len();
        all.kept.extend(more.kept);
        all.of_others.extend(more.of_others.into_iter().map(|at| before + at));
        all.unsure = all.unsure.or(more.unsure);
        // Entries are written one after the other: the last one comes after all before.
        all.durable = more.durable.or(all.durable);
    }
    Ok(all)
}

fn keep<'s>(shared: &Shared, asked: impl Iterator<Item = &'s Seat>, may: May) -> Result<TableAnswer, Denied> {
    let now = monotonic();
    if !shared.proof.is_there(now) && !wrong::is(HeartbeatWithoutProof) {
        return Err(Denied::NotOwner);
    }
    let mut state = shared.lock();
    let Some(ownership) = &mut state.ownership else { return Err(Denied::NotOwner) };
    let epoch = ownership.journal.epoch();
    let mut unsure = ownership.is_full().then_some(Denied::Overloaded);
    let (seats_of, mut uncommitted) = ownership.parts();
    if uncommitted.is_stuck(now) {
        unsure = Some(Denied::LedgerUnavailable);
    }
    let until = Tick::at(now + with_drift(shared.ttl));
    let (mut kept, mut of_others) = (Vec::new(), Vec::new());
    for seat in asked {
        let Some(seats) = seats_of.get_mut(&seat.license) else {
            kept.push(false);
            continue;
        };
        let replaced = replaced_since(seat, &seats.seating, uncommitted.tagger);
        let held = match whose(seat, replaced.as_deref(), may, &seats.seating, uncommitted.tagger) {
            Whose::Callers(held) => held,
            whose => {
                of_others.extend(matches!(whose, Whose::Anothers).then_some(kept.len()));
                kept.push(false);
                continue;
            }
        };
        let is_kept = seats.seating.heartbeat(&held, Tick::at(now), until);
        if !is_kept {
            // The TTL of the seat is over, and the sweep has not freed it yet.
            match free(shared, &seat.license, seats_of, &mut uncommitted, &held) {
                Ok(_) => _ = shared.metrics.lost.inc(),
                Err(denied) => unsure = Some(denied),
            }
        }
        kept.push(is_kept);
    }
    let durable = if unsure.is_some() || !kept.contains(&false) { None } else { uncommitted.durable_notice() };
    if durable.is_some() {
        shared.wake_committer.notify_one();
    }
    Ok(TableAnswer { kept, epoch, unsure, durable, of_others })
}
