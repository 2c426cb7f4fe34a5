//! Deletes the ledger of a deleted License, some time after the License itself. A missing ledger is not an empty one
//! (docs/design/seats.md).

use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::oneshot;

use super::ledger::Ledger;
use super::shared::Shared;
use crate::domain::license::name::LicenseName;
use crate::domain::seats::journal::{BaseName, Change};

/// How often to look for deleted Licenses. A License must be missing twice in a row: for longer than a TTL.
const LOOK: Duration = Duration::from_secs(90);

/// Deletes the ledgers of deleted Licenses. Never returns.
pub(super) async fn clear_forever(shared: &Shared, ledger: &Ledger) {
    let mut before: BTreeSet<LicenseName> = BTreeSet::new();
    loop {
        tokio::time::sleep(LOOK.max(shared.ttl * 2)).await;
        let now = gone(shared);
        for license in now.intersection(&before) {
            let Some((bases, durable)) = drop_bases(shared, license) else { continue };
            // Delete the bases only once the journal no longer counts them: missing bases stop grants for every
            // License. A License that was created again meanwhile keeps its bases; seats that they still list are
            // freed after a TTL.
            if durable.await.is_ok() {
                // Each deletion takes a while, and fails if the base was written meanwhile.
                for base in bases.into_iter().take_while(|_| !is_used_again(shared, license)) {
                    if let Err(error) = ledger.delete_base(&base).await {
                        tracing::warn!(%error, %license, "the ledger of a deleted License could not be deleted");
                    }
                }
            }
        }
        before = now;
    }
}

/// The Licenses in the ledger that no longer exist and whose seats nobody holds.
fn gone(shared: &Shared) -> BTreeSet<LicenseName> {
    let state = shared.lock();
    let Some(ownership) = &state.ownership else { return BTreeSet::new() };
    let is_empty = |license: &LicenseName| {
        ownership.seats_of.get(license).is_none_or(|seats| seats.seating.table().in_use_at_all() == 0)
    };
    let mut licenses = ownership.journal.licenses();
    licenses.retain(|license| is_empty(license) && !shared.observed.has_license(license));
    licenses
}

fn is_used_again(shared: &Shared, license: &LicenseName) -> bool {
    shared.lock().ownership.as_ref().is_none_or(|ownership| ownership.seats_of.contains_key(license))
}

/// Forgets the bases of a License. Returns them, with a receiver that is notified once the journal has durably
/// forgotten them too; `None` if the License has a change that waits to be written, or is back.
fn drop_bases(shared: &Shared, license: &LicenseName) -> Option<(Vec<BaseName>, oneshot::Receiver<()>)> {
    let mut state = shared.lock();
    let ownership = state.ownership.as_mut()?;
    // It may have come back, and granted seats, while the ledgers of others were cleared.
    let has_seats = ownership.seats_of.get(license).is_some_and(|seats| seats.seating.table().in_use_at_all() > 0);
    if has_seats || ownership.pending.concerns(license) || shared.observed.has_license(license) {
        return None;
    }
    let bases = ownership.journal.bases_of(license);
    ownership.journal.drop_bases(license);
    ownership.seats_of.forget(license);
    let (notify, durable) = oneshot::channel();
    let change = Change { license: license.clone(), grants: "".into(), records: Vec::new() };
    let place = ownership.pending.place_of(&change);
    ownership.pending.add(change, place);
    ownership.waiting.push(notify);
    shared.wake_committer.notify_one();
    Some((bases, durable))
}
