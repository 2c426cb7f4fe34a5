//! Has the ledger forget the names of a License that no longer keeps them. Those in memory are replaced at once. The ledger
//! follows: its bases are written again, and the entries with names are overwritten, if need be by entries that change
//! nothing.

use super::ownership::{Forgets, Ownership};
use super::shared::Shared;
use crate::domain::license::name::LicenseName;
use crate::domain::seats::journal::RING;
use crate::domain::tick::Moment;

/// Has the ledger go on forgetting the names of a License. Call about once a second.
pub(super) fn forget_names(shared: &Shared, ownership: &mut Ownership, license: &LicenseName, now: Moment) {
    let Some(forgets) = ownership.seats_of.get(license).and_then(|seats| seats.forgets) else { return };
    let last = match forgets {
        Forgets::With(last) => last,
        Forgets::Soon => {
            // What is being written and what waits may have names: two entries.
            ownership.journal.write_again(license, 2);
            ownership.journal.sequence() + 2 + RING
        }
    };
    let is_done = ownership.journal.sequence() >= last;
    let (seats_of, uncommitted) = ownership.parts();
    let Some(seats) = seats_of.get_mut(license) else { return };
    seats.forgets = Some(Forgets::With(last)).filter(|_| !is_done);
    if !is_done && uncommitted.pending.is_empty() && !shared.delays(license, now) {
        let change = seats.change(license, Vec::new());
        if let Ok(place) = uncommitted.pending.check(&change) {
            uncommitted.pending.add(change, place);
        }
    }
}
