//! Decides who is granted what, on a table that includes every earlier decision. The numbers are those of the steps in
//! `mod.rs`.

use std::time::Duration;
use tokio::sync::oneshot;

use super::asked::{Ask, Denied, Granted};
use super::grant::grant;
use super::limits::with_drift;
use super::look_up::look_up;
use super::ownership::{DeskState, Ownership};
use super::queue::serve;
use super::shared::Shared;
use crate::domain::seats::queue::MOST_QUEUED;
use crate::domain::tick::{Moment, Tick};
use crate::machine::monotonic;

/// How long a request waits for its share of the ledger before it is turned away.
const LONGEST_DELAY: Duration = Duration::from_secs(1);
/// How often it looks whether its turn has come.
const LOOK: Duration = Duration::from_millis(100);
/// The most seats that are decided on before others have their turn.
const SLICE: u32 = 32;
/// The fewest bytes that a seat takes in the ledger.
const LEAST_BYTES: usize = 32;

/// Grants a request, or says why not. The table has the grant when this returns.
pub(super) fn decide(shared: &Shared, state: &mut DeskState, ask: &Ask) -> Result<Granted, Denied> {
    let now = monotonic();
    let Some(ownership) = state.ownership.as_mut().filter(|_| !state.stopping) else { return Err(Denied::NotOwner) };
    if ownership.is_full() {
        return Err(Denied::Overloaded);
    }
    let at = shared.clock.now().at;
    let (seats_of, mut uncommitted) = ownership.parts();
    // 1. Look up.
    let is_new = look_up(shared, seats_of, &ask.license, at, uncommitted.tagger);
    seats_of.note(uncommitted.pending);
    if is_new? {
        serve(shared, &ask.license, seats_of, &mut uncommitted, MOST_QUEUED);
    }
    let Some(seats) = seats_of.get_mut(&ask.license) else { return Err(Denied::UnknownLicense(ask.license.clone())) };
    // 2 to 4.
    let decided = grant(shared, seats, &mut uncommitted, ask, (now, at), Tick::at(now + with_drift(shared.ttl)));
    match &decided {
        Ok(_) if !seats.queue.is_empty() => seats.leaves_queue(ask),
        Err(Denied::Refused(refusal)) => {
            seats.refused.entry(refusal.reason()).or_insert_with(|| refusal.to_string());
        }
        _ => {}
    }
    decided
}

/// Decides on several requests in their order, a slice at a time, and adds what each is answered to `answers`. What is
/// granted may be answered once everything returned has been notified.
pub(super) async fn decide_all(
    shared: &Shared,
    asks: &[Ask],
    answers: &mut Vec<Result<Granted, Denied>>,
) -> Vec<oneshot::Receiver<()>> {
    let (mut notices, mut until) = (Vec::new(), None);
    while answers.len() < asks.len() {
        if !answers.is_empty() {
            tokio::task::yield_now().await;
        }
        let slice = patiently(shared, &mut until, |state, tried| {
            decide_slice(shared, state, &asks[answers.len()..], tried, answers)
        })
        .await;
        match slice {
            Ok(durable) => notices.extend(durable),
            Err(denied) => answers.push(Err(denied)),
        }
    }
    notices
}

/// Decides on at least the first of several requests. Returns one notice of when all that is granted is durable. Fails if
/// the first request has to wait; it may have been `tried` before.
fn decide_slice(
    shared: &Shared,
    state: &mut DeskState,
    asks: &[Ask],
    tried: bool,
    answers: &mut Vec<Result<Granted, Denied>>,
) -> Result<Option<oneshot::Receiver<()>>, Denied> {
    let (before, mut seats) = (answers.len(), 0);
    for ask in asks {
        // What was asked is checked when it is decided.
        seats = u32::saturating_add(seats, ask.count);
        if answers.len() > before && seats > SLICE {
            break;
        }
        match decide_unless_vain(shared, state, ask, tried && answers.len() == before) {
            Err(Denied::Overloaded) if answers.len() > before => break,
            Err(Denied::Overloaded) => return Err(Denied::Overloaded),
            decided => answers.push(decided),
        }
    }
    let is_granted = answers[before..].iter().any(Result::is_ok);
    let owner = state.ownership.as_mut().filter(|_| is_granted);
    let durable = owner.and_then(|ownership| ownership.parts().1.durable_notice());
    if state.is_enough() {
        shared.wake_committer.notify_one();
    }
    Ok(durable)
}

/// Decides on a request, unless it was `tried` before and surely has no room in the ledger yet: to decide on many seats in
/// vain, again and again, would hold up others.
pub(super) fn decide_unless_vain(
    shared: &Shared,
    state: &mut DeskState,
    ask: &Ask,
    tried: bool,
) -> Result<Granted, Denied> {
    if tried && ask.count > SLICE {
        let least = ask.count as usize * LEAST_BYTES;
        let has_room = |owner: &Ownership| owner.pending.has_room_for(&ask.license, least);
        if shared.delays(&ask.license, monotonic()) || !state.ownership.as_ref().is_none_or(has_room) {
            return Err(Denied::Overloaded);
        }
    }
    decide(shared, state, ask)
}

/// Tries until there is room for a License in the ledger, for a second at most after `until` was first set. `tries` gets
/// whether it had to wait before.
pub(super) async fn patiently<T>(
    shared: &Shared,
    until: &mut Option<Moment>,
    mut tries: impl FnMut(&mut DeskState, bool) -> Result<T, Denied>,
) -> Result<T, Denied> {
    loop {
        let room = {
            let mut state = shared.lock();
            match tries(&mut state, until.is_some()) {
                // Under the lock, so that no entry is taken in between.
                Err(Denied::Overloaded) => shared.room.notified(),
                tried => return tried,
            }
        };
        let now = monotonic();
        let until = *until.get_or_insert(now + LONGEST_DELAY);
        if until <= now {
            return Err(Denied::Overloaded);
        }
        let _ = tokio::time::timeout((until - now).min(LOOK), room).await;
    }
}
