//! What becomes of seats whose holders send heartbeats.

use std::time::Duration;
use tokio::sync::oneshot;

use super::asked::{Denied, Heard, Seat};
use super::decide::is_durable;
use super::desk::{Desk, STUCK, ticks, with_drift};
use crate::machine::monotonic;

/// Those who ask for lost seats within this time have one renewal of the Lease made for all of them.
const TOLD_TOGETHER: Duration = Duration::from_millis(100);

/// What a table says of seats.
struct Kept {
    /// Of each, in the order of what was asked.
    kept: Vec<bool>,
    /// Of the owner whose table it was.
    epoch: u64,
    /// Why it would not be known of some that are not kept when the ledger has them free.
    unsure: Option<Denied>,
    /// Told once the ledger has free what is free in the table; none: it has already.
    durable: Option<oneshot::Receiver<()>>,
}

impl Desk {
    /// Keeps seats. One that is lost stays lost, so that is told only once
    ///
    /// - the ledger has it free: the owner after this one would find it held, and keep it;
    /// - the Lease was renewed after the question: another owner may have granted it, where this one does not know yet
    ///   that it is none any more (tests/seat_protocol: LostBeforeDurable, LostWithoutProof).
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

    /// Returns once it is sure that nobody holds a seat that the owner of that epoch does not have in its table now.
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
                // Its time is over, and nobody has looked yet.
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
