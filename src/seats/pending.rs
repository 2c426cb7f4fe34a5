//! What the table has and the ledger has not yet. It becomes one entry of the ledger, and must fit into one object.

use super::asked::Denied;
use crate::domain::license::name::LicenseName;
use crate::domain::seats::hold::Record;
use crate::domain::seats::journal::{Changes, written};
use crate::domain::seats::refusal::Refusal;

/// The most bytes of an entry: a larger one would be refused for ever. An object holds 1 MiB of lines
/// (`api::seat_ledger`), and etcd 1.5 MiB of JSON, in which each character may take two bytes.
const MOST_BYTES: usize = 700_000;
/// The most lost or revoked seats that are freed in one entry.
const FREED_AT_ONCE: usize = 1_000;

#[derive(Default)]
pub(super) struct Pending {
    changes: Changes,
    /// The size of the changes as lines of the ledger, or a little more.
    bytes: usize,
}

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub fn concerns(&self, license: &LicenseName) -> bool {
        self.changes.iter().any(|(other, _)| other == license)
    }

    /// Refuses records that no longer fit into this entry; those that would fit into none are refused for good.
    pub fn check(&self, license: &LicenseName, records: &[Record]) -> Result<(), Denied> {
        let bytes = written(license, records);
        if bytes > MOST_BYTES {
            return Err(Denied::Refused(Refusal::InvalidRequest(format!(
                "these seats take {bytes} bytes in the ledger, and one entry holds {MOST_BYTES}: use a smaller `count` \
                 or shorter names"
            ))));
        }
        if self.bytes + bytes > MOST_BYTES {
            return Err(Denied::Overloaded);
        }
        Ok(())
    }

    /// As many of the records that free seats as fit; the others follow in a later entry.
    pub fn fitting(&self, license: &LicenseName, mut freed: Vec<Record>) -> Vec<Record> {
        freed.truncate(FREED_AT_ONCE);
        while !freed.is_empty() && self.check(license, &freed).is_err() {
            freed.truncate(freed.len() / 2);
        }
        freed
    }

    /// Adds records that are already in the table.
    pub fn add(&mut self, license: &LicenseName, records: Vec<Record>) {
        self.bytes += written(license, &records);
        self.changes.push((license.clone(), records));
    }

    /// Takes all changes, in the order in which they were added.
    pub fn take(&mut self) -> Changes {
        self.bytes = 0;
        std::mem::take(&mut self.changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::seats::hold::Free;
    use crate::domain::seats::journal::write_changes;

    /// No names make an entry so large that the API server refuses it.
    #[test]
    fn an_entry_stays_within_an_object_whatever_the_names() {
        let license = LicenseName::new("centre", "innoacd");
        let free = |slot| Record::Free(Free { pool: "%".repeat(256).into(), slot, session: "%".repeat(256).into() });
        let mut pending = Pending::default();
        let mut slot = 0;
        loop {
            let some = pending.fitting(&license, (slot..slot + 1_000).map(free).collect());
            if some.is_empty() {
                break;
            }
            slot += u32::try_from(some.len()).unwrap();
            pending.add(&license, some);
        }
        assert!(matches!(pending.check(&license, &[free(slot)]), Err(Denied::Overloaded)));
        let bytes = write_changes(&pending.take()).len();
        assert!((MOST_BYTES - 1_000..=MOST_BYTES).contains(&bytes), "{bytes}");
        assert!(pending.check(&license, &[free(slot)]).is_ok());
    }

    /// A request larger than an entry would otherwise be answered "try again" for ever.
    #[test]
    fn what_never_fits_is_refused_with_what_to_change() {
        let license = LicenseName::new("centre", "innoacd");
        let session = "%".repeat(256);
        let free = |slot| Record::Free(Free { pool: "agents".into(), slot, session: session.as_str().into() });
        let many: Vec<_> = (0..1_000).map(free).collect();
        let denied = Pending::default().check(&license, &many);
        assert!(denied.as_ref().is_err_and(|denied| denied.to_string().contains("smaller `count`")), "{denied:?}");
        assert_eq!(Pending::default().fitting(&license, many).len(), 500, "to free them takes two entries");
    }
}
