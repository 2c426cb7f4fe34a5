//! What the table has and the ledger has not yet. It becomes one entry of the ledger, and must fit into one object.

use std::collections::HashMap;

use super::asked::Denied;
use crate::domain::license::name::LicenseName;
use crate::domain::seats::journal::{Change, Changes, size_of};
use crate::domain::seats::line::size_of_records;
use crate::domain::seats::refusal::Refusal;

/// The most bytes of an entry: a larger one would be refused for ever. An object holds 1 MiB of lines
/// (`api::seat_ledger`), and etcd 1.5 MiB of JSON, in which each character may take two bytes.
const MOST_BYTES: usize = 700_000;
/// The most lost or revoked seats that are freed in one entry.
const FREED_AT_ONCE: usize = 1_000;

#[derive(Default)]
pub(super) struct Pending {
    /// One for each License.
    changes: Changes,
    /// Where in `changes` each License is.
    at: HashMap<LicenseName, usize>,
    /// The size of the changes as lines of the ledger, or a little more.
    bytes: usize,
}

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub fn concerns(&self, license: &LicenseName) -> bool {
        self.at.contains_key(license)
    }

    /// Refuses a change that no longer fits into this entry; a change too large for any entry is refused for good.
    pub fn check(&self, change: &Change) -> Result<(), Denied> {
        let bytes = size_of(change);
        if bytes > MOST_BYTES {
            return Err(Denied::Refused(Refusal::InvalidRequest(format!(
                "these seats take {bytes} bytes in the ledger, and one entry holds {MOST_BYTES}: use a smaller `count` \
                 or shorter names"
            ))));
        }
        if self.bytes + bytes > MOST_BYTES && self.bytes + self.added_by(change) > MOST_BYTES {
            return Err(Denied::Overloaded);
        }
        Ok(())
    }

    /// As many of the records that free seats as fit; the others follow in a later entry.
    pub fn fitting(&self, mut freed: Change) -> Change {
        freed.records.truncate(FREED_AT_ONCE);
        while !freed.records.is_empty() && self.check(&freed).is_err() {
            freed.records.truncate(freed.records.len() / 2);
        }
        freed
    }

    /// The bytes by which a change makes the entry larger, or a little more.
    fn added_by(&self, change: &Change) -> usize {
        self.at.get(&change.license).map_or_else(|| size_of(change), |at| added_to(&self.changes[*at], change))
    }

    /// Adds a change that is already in the table. The ledger notes the grants of the last change of a License.
    pub fn add(&mut self, change: Change) {
        match self.at.get(&change.license) {
            Some(at) => {
                let before = &mut self.changes[*at];
                self.bytes += added_to(before, &change);
                before.records.extend(change.records);
                before.grants = change.grants;
            }
            None => {
                self.bytes += size_of(&change);
                self.at.insert(change.license.clone(), self.changes.len());
                self.changes.push(change);
            }
        }
    }

    /// Takes all changes. Those of a License are in the order in which they were added.
    pub fn take(&mut self) -> Changes {
        self.bytes = 0;
        self.at.clear();
        std::mem::take(&mut self.changes)
    }
}

/// The bytes by which a change of the same License makes one larger, or a little more.
fn added_to(before: &Change, change: &Change) -> usize {
    let grants = if before.grants == change.grants { 0 } else { change.grants.len() };
    grants + size_of_records(&change.records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::seats::hold::{Free, Record};
    use crate::domain::seats::journal::write_changes;

    fn change(records: Vec<Record>) -> Change {
        Change { license: LicenseName::new("centre", "innoacd"), grants: "%".repeat(5_000).into(), records }
    }

    /// No names make an entry so large that the API server refuses it.
    #[test]
    fn an_entry_stays_within_an_object_whatever_the_names() {
        let free = |slot| {
            Record::Free(Free { pool: "%".repeat(256).into(), slot, session: "%".repeat(256).into(), taker: None })
        };
        let mut pending = Pending::default();
        let mut slot = 0;
        loop {
            let some = pending.fitting(change((slot..slot + 1_000).map(free).collect()));
            if some.records.is_empty() {
                break;
            }
            slot += u32::try_from(some.records.len()).unwrap();
            pending.add(some);
        }
        assert!(matches!(pending.check(&change(vec![free(slot)])), Err(Denied::Overloaded)));
        let bytes = write_changes(&pending.take()).len();
        assert!((MOST_BYTES - 10_000..=MOST_BYTES).contains(&bytes), "{bytes}");
        assert!(pending.check(&change(vec![free(slot)])).is_ok());
    }

    /// Ten thousand releases at once fit, because the License and its grants are named once.
    #[test]
    fn the_changes_of_a_license_are_merged() {
        let free =
            |slot| Record::Free(Free { pool: "agents".into(), slot, session: format!("s{slot}").into(), taker: None });
        let mut pending = Pending::default();
        for slot in 0..10_000 {
            let one = change(vec![free(slot)]);
            assert!(pending.check(&one).is_ok(), "{slot}");
            pending.add(one);
        }
        let changes = pending.take();
        assert_eq!((changes.len(), changes[0].records.len()), (1, 10_000));
        assert!(write_changes(&changes).len() < MOST_BYTES);
    }

    /// A request larger than an entry would otherwise be answered "try again" for ever.
    #[test]
    fn what_never_fits_is_refused_with_what_to_change() {
        let session = "%".repeat(256);
        let free =
            |slot| Record::Free(Free { pool: "agents".into(), slot, session: session.as_str().into(), taker: None });
        let many: Vec<_> = (0..1_000).map(free).collect();
        let denied = Pending::default().check(&change(many.clone()));
        assert!(denied.as_ref().is_err_and(|denied| denied.to_string().contains("smaller `count`")), "{denied:?}");
        assert_eq!(Pending::default().fitting(change(many)).records.len(), 500, "to free them takes two entries");
    }
}
