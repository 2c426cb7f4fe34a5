//! Deletes the ledger of a deleted License, some time after the License itself. A missing ledger is not an empty one
//! (docs/design/seats.md).

use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::oneshot;

use super::desk::Desk;
use super::ledger::Ledger;
use crate::domain::license::name::LicenseName;
use crate::domain::seats::journal::BaseName;

/// How often to look for deleted Licenses. A License must be missing twice in a row: for longer than a TTL.
const LOOK: Duration = Duration::from_secs(90);

impl Desk {
    /// Deletes the ledgers of deleted Licenses. Never returns.
    pub(super) async fn clear_forever(&self, ledger: &Ledger) {
        let mut before: BTreeSet<LicenseName> = BTreeSet::new();
        loop {
            tokio::time::sleep(LOOK.max(self.ttl() * 2)).await;
            let gone = self.gone();
            for license in gone.intersection(&before) {
                let Some((bases, durable)) = self.drop_bases(license) else { continue };
                // Delete the bases only once the journal no longer counts them: missing bases stop grants for every
                // License. A License that was created again meanwhile keeps its bases; seats that they still list are
                // freed after a TTL.
                if durable.await.is_ok() && !self.has_seats(license) {
                    for base in bases {
                        if let Err(error) = ledger.delete_base(&base).await {
                            tracing::warn!(%error, %license, "the ledger of a deleted License could not be deleted");
                        }
                    }
                }
            }
            before = gone;
        }
    }

    /// The Licenses in the ledger that no longer exist and whose seats nobody holds.
    fn gone(&self) -> BTreeSet<LicenseName> {
        let at = self.0.clock.now().at;
        let state = self.0.lock();
        let Some(owned) = &state.owned else { return BTreeSet::new() };
        let is_empty = |license: &LicenseName| {
            owned.seatings.get(license).is_none_or(|counter| counter.seating.table().in_use_at_all() == 0)
        };
        let mut licenses = owned.journal.licenses();
        licenses.retain(|license| is_empty(license) && self.0.licensed(license, at).is_none());
        licenses
    }

    fn has_seats(&self, license: &LicenseName) -> bool {
        self.0.lock().owned.as_ref().is_none_or(|owned| owned.seatings.contains_key(license))
    }

    /// Forgets the bases of a License. Returns them, with a receiver that is notified once the journal has durably
    /// forgotten them too; `None` if the License has a change that waits to be written.
    fn drop_bases(&self, license: &LicenseName) -> Option<(Vec<BaseName>, oneshot::Receiver<()>)> {
        let mut state = self.0.lock();
        let owned = state.owned.as_mut()?;
        if owned.pending.concerns(license) {
            return None;
        }
        let bases = owned.journal.bases_of(license);
        owned.journal.drop_bases(license);
        owned.seatings.remove(license);
        let (told, durable) = oneshot::channel();
        owned.pending.add(license, Vec::new());
        owned.waiting.push(told);
        self.0.pending.notify_one();
        Some((bases, durable))
    }
}
