//! Heartbeats: which seats are kept, and which are lost.

use std::time::Duration;
use tokio::sync::oneshot;

use super::asked::{Denied, Heard, Seat};
use super::decide::is_durable;
use super::desk::{Desk, STUCK, ticks, with_drift};
use crate::machine::monotonic;

/// Heartbeats for lost seats that arrive within this time share one renewal of the Lease.
const TOLD_TOGETHER: Duration = Duration::from_millis(100);

/// What the table answers to a heartbeat.
struct Kept {
    /// For each seat, in the order of the request.
    kept: Vec<bool>,
    /// The epoch of the owner of the table.
    epoch: u64,
    /// Why a seat that was not kept cannot be reported lost even after the ledger shows it free.
    unsure: Option<Denied>,
    /// Notified once the ledger shows free what the table shows free; `None` if it already does.
    durable: Option<oneshot::Receiver<()>>,
}

impl Desk {
    /// Keeps seats. A lost seat stays lost, so it is reported lost only once
    ///
    /// - the ledger shows it free: otherwise the next owner would find it held, and keep it;
    /// - the Lease was renewed after the request: otherwise another owner may have granted it, and this replica may not
    ///   know yet that it is no longer the owner (tests/seat_protocol: LostBeforeDurable, LostWithoutProof).
    pub async fn heartbeat<'s>(&self, seats: impl IntoIterator<Item = &'s Seat>) -> Result<Heard, Denied> {
        let Kept { kept, epoch, unsure, durable } = self.keep(seats)?;
        if !kept.contains(&false) {
            return Ok(Heard { kept, unsure: None });
        }
        let unsure = match unsure {
            None => self.knows_all(epoch, durable).await.err(),
            unsure => unsure,
        };
        Ok(Heard { kept, unsure })
    }

    /// Returns once it is certain that nobody holds a seat that the table of the owner of that epoch does not have now.
    pub(super) async fn knows_all(&self, epoch: u64, durable: Option<oneshot::Receiver<()>>) -> Result<(), Denied> {
        let known = async {
            if let Some(durable) = durable {
                is_durable(durable).await?;
            }
            self.0.proof.of_later_together(TOLD_TOGETHER).await;
            Ok(())
        };
        let known = tokio::time::timeout(STUCK, known).await.unwrap_or(Err(Denied::LedgerUnavailable));
        let owns = self.0.lock().owned.as_ref().is_some_and(|owned| owned.journal.epoch() == epoch);
        if owns { known } else { Err(Denied::NotOwner) }
    }

    fn keep<'s>(&self, seats: impl IntoIterator<Item = &'s Seat>) -> Result<Kept, Denied> {
        let now = monotonic();
        if !self.0.proof.is_there(now) {
            return Err(Denied::NotOwner);
        }
        let mut state = self.0.lock();
        let Some(owned) = &mut state.owned else { return Err(Denied::NotOwner) };
        let epoch = owned.journal.epoch();
        let mut unsure = owned.is_full().then_some(Denied::Overloaded);
        let (seatings, mut writes) = owned.parts();
        if writes.are_stuck(now) {
            unsure = Some(Denied::LedgerUnavailable);
        }
        let until = ticks(now + with_drift(self.0.ttl));
        let mut kept = Vec::new();
        for seat in seats {
            let counter = seatings.get_mut(&seat.license);
            let counter = counter.filter(|counter| counter.seating.since(&seat.held()) == Some(seat.since));
            let Some(counter) = counter else {
                kept.push(false);
                continue;
            };
            let is_kept = counter.seating.heartbeat(&seat.held(), ticks(now), until);
            if !is_kept {
                // The TTL of the seat is over, and the sweep has not freed it yet.
                match self.0.free(&seat.license, counter, &mut writes, &seat.held()) {
                    Ok(_) => _ = self.0.metrics.lost.inc(),
                    Err(denied) => unsure = Some(denied),
                }
            }
            kept.push(is_kept);
        }
        let durable = if unsure.is_some() || !kept.contains(&false) { None } else { writes.until_durable() };
        if durable.is_some() {
            self.0.pending.notify_one();
        }
        Ok(Kept { kept, epoch, unsure, durable })
    }
}
