//! Shows on the License what happens at the desk: seats in use, and why requests were refused.

use kube::runtime::reflector::ObjectRef;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::LicenseController;
use crate::cluster::events::Note;
use crate::cluster::watch::all;
use crate::domain::license::name::LicenseName;
use crate::domain::tick::Moment;
use crate::machine::{jittered, monotonic};

/// How old the number of seats in use in status is at most.
const SHOWN: Duration = Duration::from_secs(5);
/// The same reason is reported for a License again only after this long.
const TOLD_AGAIN: Duration = Duration::from_secs(10 * 60);

impl LicenseController {
    /// Looks again at Licenses whose seats were taken or given back, and reports refusals as Events. Never returns.
    pub async fn watch_desk(&self) {
        let mut told: HashMap<(LicenseName, &'static str), Moment> = HashMap::new();
        let mut seen = None;
        loop {
            tokio::time::sleep(jittered(SHOWN)).await;
            let epoch = self.with.desk.epoch();
            if epoch.is_some() && epoch != seen {
                seen = epoch;
                self.look_at_used();
            }
            // The desk judged them while they were being deleted.
            for license in self.with.observed.holdings.catch_up() {
                self.kind.queue.add(license);
            }
            for license in self.with.desk.changed_use() {
                self.kind.queue.add(ObjectRef::new(&license.name).within(&license.namespace));
            }
            let now = monotonic();
            told.retain(|_, at| now - *at < TOLD_AGAIN);
            for (license, mut refused) in self.with.desk.refusals() {
                refused.retain(|reason, _| told.insert((license.clone(), reason), now).is_none());
                self.tell_refused(&license, refused);
            }
        }
    }

    /// Looks again at Licenses that show seats in use: a seat may have come free as the previous owner of the ledger
    /// ended, and this owner knows nothing of it.
    fn look_at_used(&self) {
        for object in all(&self.kind.cache) {
            let pools = object.0.as_ref().ok().and_then(|license| license.status.as_ref()).map(|status| &status.pools);
            if pools.is_some_and(|pools| pools.iter().any(|pool| pool.in_use.is_some_and(|held| held > 0))) {
                self.kind.queue.add(ObjectRef::from_obj(&*object));
            }
        }
    }

    fn tell_refused(&self, license: &LicenseName, refused: BTreeMap<&'static str, String>) {
        let name = ObjectRef::new(&license.name).within(&license.namespace);
        let Some(object) = self.kind.cache.get(&name) else { return };
        let note =
            |(reason, text): (&'static str, String)| Note::warning(reason, format!("a seat was refused: {text}"));
        let notes: Vec<Note> = refused.into_iter().map(note).collect();
        if let (Ok(license), false) = (&object.0, notes.is_empty()) {
            self.with.events.tell(license, notes, self.with.clock.now().at);
        }
    }
}
