//! How a seat comes free: its holder releases it, an administrator evicts its user, its TTL is over, or demo mode ends
//! it. Each time, the queue is served at once.

use tokio::sync::oneshot;

use super::asked::Denied;
use super::grant::look_up;
use super::ownership::{LicenseSeats, Uncommitted};
use super::queue::serve;
use super::shared::Shared;
use super::waiting::HEAD;
use crate::domain::license::name::LicenseName;
use crate::domain::seats::hold::HeldSeat;
use crate::domain::seats::queue::MOST_QUEUED;
use crate::domain::tick::Tick;
use crate::machine::monotonic;

/// Some of the seats that an administrator wants freed.
pub(super) struct Evicted {
    pub count: usize,
    /// Whether those were all.
    pub all: bool,
    /// Notified once they are free in the ledger.
    pub durable: oneshot::Receiver<()>,
}

/// Frees a seat in the table now and in the ledger soon. Returns false if the seat is not held.
pub(super) fn free(
    shared: &Shared,
    license: &LicenseName,
    seats: &mut LicenseSeats,
    uncommitted: &mut Uncommitted,
    seat: &HeldSeat,
) -> Result<bool, Denied> {
    let Some(record) = seats.seating.release(seat) else { return Ok(false) };
    uncommitted.pending.check(license, std::slice::from_ref(&record))?;
    seats.seating.apply(&record, Tick::MIN);
    uncommitted.pending.add(license, vec![record]);
    if !seats.queue.is_empty() {
        serve(shared, license, seats, uncommitted, HEAD);
    }
    Ok(true)
}

/// Frees as many seats of a user, or of all users, as fit into one entry of the ledger.
pub(super) fn evict(shared: &Shared, license: &LicenseName, user: Option<&str>) -> Result<Evicted, Denied> {
    let (notify, durable) = oneshot::channel();
    let mut state = shared.lock();
    let Some(ownership) = state.ownership.as_mut() else { return Err(Denied::NotOwner) };
    let (seats_of, mut uncommitted) = ownership.parts();
    let Some(seats) = seats_of.get_mut(license) else {
        return shared.known(license).map(|()| Evicted { count: 0, all: true, durable });
    };
    let mut records = match user {
        Some(user) => seats.seating.table().release_user(user),
        None => seats.seating.table().expired(Tick::MAX),
    };
    let wanted = records.len();
    records = uncommitted.pending.fitting(license, records);
    if records.is_empty() && wanted > 0 {
        return Err(Denied::Overloaded);
    }
    records.iter().for_each(|record| seats.seating.apply(record, Tick::MIN));
    let count = records.len();
    if count > 0 {
        uncommitted.pending.add(license, records);
        uncommitted.waiting.push(notify);
        if count == wanted && !seats.queue.is_empty() {
            serve(shared, license, seats, &mut uncommitted, MOST_QUEUED);
        }
        shared.wake_committer.notify_one();
    }
    Ok(Evicted { count, all: count == wanted, durable })
}

/// Frees the seats whose holders have stopped sending heartbeats and those that demo mode has ended, and serves the
/// queues. Returns how many seats were freed.
pub(super) fn sweep(shared: &Shared) -> usize {
    let now = Tick::at(monotonic());
    let at = shared.clock.now().at;
    let (mut swept, mut queued) = (0, 0);
    {
        let mut state = shared.lock();
        let Some(ownership) = &mut state.ownership else { return 0 };
        let (seats_of, mut uncommitted) = ownership.parts();
        for (license, seats) in seats_of {
            let mut records = seats.seating.table().expired(now);
            // A deleted License ends no session.
            if records.is_empty() && look_up(shared, license, seats, at).is_ok() {
                records = seats.seating.ended(at);
            }
            records = uncommitted.pending.fitting(license, records);
            if !records.is_empty() {
                records.iter().for_each(|record| seats.seating.apply(record, Tick::MIN));
                swept += records.len();
                uncommitted.pending.add(license, records);
            }
            if !seats.queue.is_empty() {
                seats.queue.forget(now);
                queued += seats.queue.len();
                serve(shared, license, seats, &mut uncommitted, MOST_QUEUED);
            }
        }
    }
    shared.metrics.queued.set(i64::try_from(queued).unwrap_or(i64::MAX));
    shared.metrics.lost.inc_by(swept as u64);
    if swept > 0 || queued > 0 {
        shared.wake_committer.notify_one();
    }
    swept
}
