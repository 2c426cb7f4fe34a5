//! Decides who is granted what, on a table that includes every earlier decision. The numbers are those of the steps in
//! `mod.rs`.

use super::asked::{Ask, Denied};
use super::grant::grant;
use super::limits::with_drift;
use super::look_up::look_up;
use super::outcome::Outcome;
use super::ownership::DeskState;
use super::queue::serve;
use super::shared::Shared;
use crate::domain::seats::queue::MOST_QUEUED;
use crate::domain::tick::Tick;
use crate::machine::monotonic;

/// Grants a request, or says why not. The table has the grant when this returns.
pub(super) fn decide(shared: &Shared, state: &mut DeskState, ask: &Ask) -> Result<Outcome, Denied> {
    let now = monotonic();
    let Some(ownership) = state.ownership.as_mut().filter(|_| !state.stopping) else { return Err(Denied::NotOwner) };
    if ownership.is_full() {
        return Err(Denied::Overloaded);
    }
    let at = shared.clock.now().at;
    let (seats_of, mut uncommitted) = ownership.parts();
    // 1. Look up.
    if look_up(shared, seats_of, &ask.license, at)? {
        seats_of.note(uncommitted.pending);
        serve(shared, &ask.license, seats_of, &mut uncommitted, MOST_QUEUED);
    }
    let Some(seats) = seats_of.get_mut(&ask.license) else { return Err(Denied::UnknownLicense(ask.license.clone())) };
    // 2 to 4.
    let outcome = grant(shared, seats, &mut uncommitted, ask, (now, at), Tick::at(now + with_drift(shared.ttl)));
    match &outcome {
        Ok(_) if !seats.queue.is_empty() => seats.leaves_queue(ask),
        Err(Denied::Refused(refusal)) => {
            seats.refused.entry(refusal.reason()).or_insert_with(|| refusal.to_string());
        }
        _ => {}
    }
    outcome
}
