//! Grants a seat of a License: in the table at once, in the ledger soon after. The numbers are those of the steps in
//! `mod.rs`.

use super::asked::{Ask, Denied, Granted};
use super::kept_names::KeptNames;
use super::ownership::{LicenseSeats, Uncommitted};
use super::shared::Shared;
use crate::domain::Instant;
use crate::domain::tick::{Moment, Tick};

/// Grants a request until `until`, or says why not. The table has the grant when this returns, the ledger soon after: it
/// may be answered then (`Outcome`).
pub(super) fn grant(
    shared: &Shared,
    seats: &mut LicenseSeats,
    uncommitted: &mut Uncommitted,
    ask: &Ask,
    (now, at): (Moment, Instant),
    until: Tick,
) -> Result<Granted, Denied> {
    let names = KeptNames::of(ask, &seats.seating, uncommitted.tagger);
    let request = ask.request(names.as_ref().map(KeptNames::keyed));
    // 2. Decide.
    let mut grant = seats.seating.decide(&request, at).map_err(Denied::Refused)?;
    if grant.records.is_empty() {
        if !shared.proof.is_there(now) {
            return Err(Denied::NotOwner);
        }
        seats.seating.assume(&grant, &request, until);
        // A caller that asks again while the seat is being written must not be answered before it is written, or the
        // next owner might not know its seat. The siege (tests/harness/safety) found it.
        return Ok(ask.granted(&grant, request.kept_user(), &mut seats.seating, uncommitted.tagger));
    }
    if let Some(closed) = uncommitted.closed.filter(|closed| now < closed.until) {
        return Err(Denied::LedgerIncomplete { why: closed.why.clone(), wait: closed.until - now });
    }
    if shared.delays(&ask.license, now) {
        return Err(Denied::Overloaded);
    }
    let change = seats.change(&ask.license, std::mem::take(&mut grant.records));
    let place = uncommitted.pending.check(&change)?;
    if uncommitted.is_stuck(now) {
        return Err(Denied::LedgerUnavailable);
    }
    // 3. Assume.
    change.records.iter().for_each(|record| seats.seating.apply(record, until));
    // `change` has the records, so this only extends the seats.
    seats.seating.assume(&grant, &request, until);
    let granted = ask.granted(&grant, request.kept_user(), &mut seats.seating, uncommitted.tagger);
    seats.note_peaks();
    // 4. The next commit writes it.
    uncommitted.pending.add(change, place);
    Ok(granted)
}
