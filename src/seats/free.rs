//! How a seat comes free: its holder releases it, an administrator evicts its user, its TTL is over, or demo mode ends
//! it. Each time, the queue is served at once.

use std::time::Duration;
use tokio::sync::oneshot;

use super::asked::Denied;
use super::forget_names::forget_names;
use super::kept_names::kept_user;
use super::look_up::{count_after_freeing, count_uncovered, look_up};
use super::ownership::{SeatsOf, Uncommitted};
use super::queue::serve;
use super::shared::Shared;
use super::waiting::HEAD;
use crate::domain::license::name::LicenseName;
use crate::domain::seats::hold::HeldSeat;
use crate::domain::seats::queue::MOST_QUEUED;
use crate::domain::seats::table::MOST_FREED;
use crate::domain::tick::Tick;
use crate::machine::monotonic;

/// How long the sweep goes on before others have their turn.
const LONGEST_SWEEP: Duration = Duration::from_millis(1);

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
    seats_of: &mut SeatsOf,
    uncommitted: &mut Uncommitted,
    seat: &HeldSeat,
) -> Result<bool, Denied> {
    let Some(seats) = seats_of.get_mut(license) else { return Ok(false) };
    let Some(record) = seats.seating.release(seat) else { return Ok(false) };
    let change = seats.change(license, vec![record]);
    let place = uncommitted.pending.check_release(&change)?;
    seats.apply_freed(&change);
    uncommitted.pending.add(change, place);
    // Each of these looks the License up, and nearly always there is nothing to do.
    let (owes, is_awaited) = (!seats.draws.owes().is_empty(), !seats.queue.is_empty());
    if owes {
        count_after_freeing(seats_of, license);
    }
    if is_awaited {
        serve(shared, license, seats_of, uncommitted, HEAD);
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
    let records = match user {
        Some(user) => {
            let kept = kept_user(license, user, &seats.seating, uncommitted.tagger);
            seats.seating.table().release_user(kept.as_deref().unwrap_or(user))
        }
        None => seats.seating.table().expired(Tick::MAX),
    };
    let wanted = records.len();
    let are_all = wanted < MOST_FREED;
    let (change, place) = uncommitted.pending.fitting(seats.change(license, records));
    let count = change.records.len();
    if count == 0 && wanted > 0 {
        return Err(Denied::Overloaded);
    }
    if count > 0 {
        seats.apply_freed(&change);
        uncommitted.pending.add(change, place);
        uncommitted.waiting.push(notify);
        count_after_freeing(seats_of, license);
        if are_all && count == wanted {
            serve(shared, license, seats_of, &mut uncommitted, MOST_QUEUED);
        }
        shared.wake_committer.notify_one();
    }
    Ok(Evicted { count, all: are_all && count == wanted, durable })
}

/// Frees the seats whose holders have stopped sending heartbeats and those that demo mode has ended, and serves the
/// queues: one License after another, and others have their turn in between.
pub(super) async fn sweep(shared: &Shared) {
    let licenses: Vec<LicenseName> = {
        let mut state = shared.lock();
        let Some(ownership) = &mut state.ownership else { return };
        count_uncovered(&mut ownership.seats_of);
        ownership.seats_of.keys().cloned().collect()
    };
    let (mut queued, mut since) = (0, monotonic());
    for license in &licenses {
        queued += sweep_license(shared, license);
        if monotonic() - since > LONGEST_SWEEP {
            tokio::task::yield_now().await;
            since = monotonic();
        }
    }
    let waits = {
        let mut state = shared.lock();
        let Some(ownership) = &mut state.ownership else { return };
        ownership.seats_of.note(&mut ownership.pending);
        !ownership.pending.is_empty()
    };
    shared.metrics.queued.set(i64::try_from(queued).unwrap_or(i64::MAX));
    if waits || queued > 0 {
        shared.wake_committer.notify_one();
    }
}

/// The sweep of one License. Returns how many still wait for its seats.
fn sweep_license(shared: &Shared, license: &LicenseName) -> usize {
    let (now, at) = (Tick::at(monotonic()), shared.clock.now().at);
    let mut state = shared.lock();
    let Some(ownership) = &mut state.ownership else { return 0 };
    forget_names(shared, ownership, license, monotonic());
    let (seats_of, mut uncommitted) = ownership.parts();
    let Some(seats) = seats_of.get(license) else { return 0 };
    // What has expired is freed first, because looking up costs more.
    let mut records = seats.seating.table().expired(now);
    let looked_up = match records.is_empty() {
        true => look_up(shared, seats_of, license, at, uncommitted.tagger).map(|_| ()),
        false => Ok(()),
    };
    let Some(seats) = seats_of.get_mut(license) else { return 0 };
    // A deleted License ends no session.
    if records.is_empty() && looked_up.is_ok() {
        records = seats.seating.ended(at);
    }
    let (change, place) = uncommitted.pending.fitting(seats.change(license, records));
    if !change.records.is_empty() {
        seats.apply_freed(&change);
        shared.metrics.lost.inc_by(change.records.len() as u64);
        uncommitted.pending.add(change, place);
        count_after_freeing(seats_of, license);
    }
    let Some(seats) = seats_of.get_mut(license) else { return 0 };
    if !seats.queue.is_empty() {
        seats.queue.forget(now);
        let queued = seats.queue.len();
        serve(shared, license, seats_of, &mut uncommitted, MOST_QUEUED);
        return queued;
    }
    if looked_up.is_err() && seats.seating.table().in_use_at_all() == 0 {
        seats_of.forget(license);
    }
    0
}
