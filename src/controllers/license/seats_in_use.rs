//! Shows on the License what happens at the desk: seats in use, and why requests were refused.

use kube::runtime::reflector::ObjectRef;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::LicenseController;
use crate::cluster::events::Note;
use crate::domain::license::name::LicenseName;
use crate::machine::{jittered, monotonic};

/// How old the number of seats in use in status is at most.
const SHOWN: Duration = Duration::from_secs(5);
/// The same reason is reported for a License again only after this long.
const TOLD_AGAIN: Duration = Duration::from_secs(10 * 60);

impl LicenseController {
    /// Looks again at Licenses whose seats were taken or given back, and reports refusals as Events. Never returns.
    pub async fn watch_desk(&self) {
        let mut told: HashMap<(LicenseName, &'static str), Duration> = HashMap::new();
        loop {
            tokio::time::sleep(jittered(SHOWN)).await;
            for license in self.with.desk.changed_use() {
                self.kind.queue.add(ObjectRef::new(&license.name).within(&license.namespace));
            }
            let now = monotonic();
            told.retain(|_, at| now.saturating_sub(*at) < TOLD_AGAIN);
            for (license, mut refused) in self.with.desk.refusals() {
                refused.retain(|reason, _| told.insert((license.clone(), reason), now).is_none());
                self.tell_refused(&license, refused);
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
