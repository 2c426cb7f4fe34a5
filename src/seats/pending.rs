//! What the table has and the ledger has not yet. It becomes one entry of the ledger, and must fit into one object.
//!
//! A License may have a quarter of an entry: a large entry takes long to write, and others wait until it is written. If n
//! Licenses have changes in an entry, or found no room in the one before, each may have 1/(n+1) of it, so that there is room
//! for one more. A change that finds no room waits for the next entry.

use std::collections::{HashMap, HashSet};

use super::asked::Denied;
use crate::domain::license::name::LicenseName;
use crate::domain::seats::journal::{Change, Changes, size_of};
use crate::domain::seats::line::size_of_records;
use crate::domain::seats::refusal::Refusal;

/// The most bytes of an entry: a larger one would be refused for ever. An object holds 1 MiB of lines
/// (`api::seat_ledger`), and etcd 1.5 MiB of JSON, in which each character may take two bytes.
const MOST_BYTES: usize = 700_000;
/// The most bytes of an entry that are of one License.
const MOST_OF_ONE: usize = MOST_BYTES / 4;
/// The room in an entry that is left for Licenses without a change in it, and the most bytes of a change that may use it.
const FOR_OTHERS: usize = MOST_BYTES / 16;
const SMALL: usize = FOR_OTHERS / 8;

#[derive(Default)]
pub(super) struct Pending {
    /// One for each License.
    changes: Changes,
    /// Where in `changes` each License is.
    at: HashMap<LicenseName, usize>,
    /// The size of each change as lines of the ledger, or a little more, and of all of them.
    sizes: Vec<usize>,
    bytes: usize,
    /// The Licenses that found no room in the entry before and have no change in this one yet, and those that find none in
    /// this one.
    awaited: HashSet<LicenseName>,
    turned_away: HashSet<LicenseName>,
    /// Whether some License draws on other grants than the ledger and this entry note.
    pub lacks_notes: bool,
}

/// Where a change goes, and by how many bytes it makes the entry larger, or a little more. It is good until something else
/// is added: it is worked out once, because that takes longer than to add the change.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The change of the same License; `None` if there is none yet.
    at: Option<usize>,
    bytes: usize,
}

/// The changes of one entry.
#[derive(Default)]
pub(super) struct Taken {
    pub changes: Changes,
    /// The size of each as lines of the ledger, or a little more.
    pub sizes: Vec<usize>,
}

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub fn concerns(&self, license: &LicenseName) -> bool {
        self.at.contains_key(license)
    }

    /// Where a change goes.
    pub fn place_of(&self, change: &Change) -> Place {
        let at = self.at.get(&change.license).copied();
        Place { at, bytes: at.map_or_else(|| size_of(change), |at| added_to(&self.changes[at], change)) }
    }

    /// Where a change goes that takes seats. Fails if it does not fit into what its License may have of this entry; a change
    /// too large for any entry is refused for good.
    /// Nothing is taken while the entry has no room to note on which grants others draw now: they may have drawn on those of
    /// this License, and the next owner would believe that they still do.
    pub fn check(&mut self, change: &Change) -> Result<Place, Denied> {
        let place = self.place_of(change);
        if !self.lacks_notes && self.fits(&change.license, place) {
            return Ok(place);
        }
        let bytes = size_of(change);
        if bytes > MOST_OF_ONE {
            return Err(Denied::Refused(Refusal::InvalidRequest(format!(
                "these seats take {bytes} bytes in the ledger, and {MOST_OF_ONE} may be written at once: use a smaller \
                 `count` or shorter names"
            ))));
        }
        self.turned_away.insert(change.license.clone());
        Err(Denied::Overloaded)
    }

    /// The same for a seat that its holder gives back, and for a note of grants. They may use all room that is left, because
    /// others wait for them.
    pub fn check_release(&self, change: &Change) -> Result<Place, Denied> {
        let place = self.place_of(change);
        if self.bytes + place.bytes > MOST_BYTES { Err(Denied::Overloaded) } else { Ok(place) }
    }

    /// Whether that many bytes more of a License have room.
    pub fn has_room_for(&self, license: &LicenseName, bytes: usize) -> bool {
        self.fits(license, Place { at: self.at.get(license).copied(), bytes })
    }

    fn fits(&self, license: &LicenseName, Place { at, bytes }: Place) -> bool {
        let own = at.map_or(0, |at| self.sizes[at]);
        let is_new = at.is_none() && !self.awaited.contains(license);
        let licenses = self.changes.len() + self.awaited.len() + usize::from(is_new);
        let share = if own == 0 { MOST_OF_ONE } else { MOST_OF_ONE.min(MOST_BYTES / (licenses + 1)) };
        let most = if own == 0 && bytes <= SMALL { MOST_BYTES } else { MOST_BYTES - FOR_OTHERS };
        own + bytes <= share && self.bytes + bytes <= most
    }

    /// As many of the records that free seats as fit, and where they go; the others follow in a later entry.
    pub fn fitting(&self, mut freed: Change) -> (Change, Place) {
        let mut place = self.place_of(&freed);
        while !freed.records.is_empty() && !self.fits(&freed.license, place) {
            freed.records.truncate(freed.records.len() / 2);
            place = self.place_of(&freed);
        }
        (freed, place)
    }

    /// Adds a change that is already in the table, at its place. The ledger notes the grants of the last change of a License.
    pub fn add(&mut self, change: Change, Place { at, bytes }: Place) {
        self.bytes += bytes;
        match at {
            Some(at) => {
                let before = &mut self.changes[at];
                self.sizes[at] += bytes;
                before.records.extend(change.records);
                before.grants = change.grants;
            }
            None => {
                if !self.awaited.is_empty() {
                    self.awaited.remove(&change.license);
                }
                self.at.insert(change.license.clone(), self.changes.len());
                self.sizes.push(bytes);
                self.changes.push(change);
            }
        }
    }

    /// Takes all changes. Those of a License are in the order in which they were added.
    pub fn take(&mut self) -> Taken {
        self.bytes = 0;
        self.at.clear();
        self.awaited = std::mem::take(&mut self.turned_away);
        Taken { changes: std::mem::take(&mut self.changes), sizes: std::mem::take(&mut self.sizes) }
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

    /// No names make an entry so large that the API server refuses it, and one License leaves room for others.
    #[test]
    fn an_entry_stays_within_an_object_whatever_the_names() {
        let free = |slot| {
            Record::Free(Free { pool: "%".repeat(256).into(), slot, session: "%".repeat(256).into(), taker: None })
        };
        let mut pending = Pending::default();
        let mut slot = 0;
        loop {
            let (some, place) = pending.fitting(change((slot..slot + 1_000).map(free).collect()));
            if some.records.is_empty() {
                break;
            }
            slot += u32::try_from(some.records.len()).unwrap();
            pending.add(some, place);
        }
        assert!(matches!(pending.check(&change(vec![free(slot)])), Err(Denied::Overloaded)));
        let bytes = write_changes(&pending.take().changes).len();
        assert!((MOST_OF_ONE - 10_000..=MOST_OF_ONE).contains(&bytes), "{bytes}");
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
            let place = pending.check_release(&one).unwrap();
            pending.add(one, place);
        }
        let changes = pending.take().changes;
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
        let denied = Pending::default().check(&change(many.clone())).err().map(|denied| denied.to_string());
        assert!(denied.as_ref().is_some_and(|denied| denied.contains("smaller `count`")), "{denied:?}");
        assert_eq!(Pending::default().fitting(change(many)).0.records.len(), 125, "to free them takes several entries");
    }

    /// Of n Licenses that always want to write, each gets at least 1/(n+1) of the bytes of any entries that follow one
    /// another, in whatever order they ask, and a small change of another License finds room in each.
    #[test]
    fn each_license_gets_its_share_of_the_entries() {
        for n in [1_usize, 2, 5, 12] {
            let of = |license: usize, bytes: usize| Change {
                license: LicenseName::new("tenant", &format!("license-{license}")),
                grants: "".into(),
                records: vec![Record::Free(Free {
                    pool: "agents".into(),
                    slot: 0,
                    session: "x".repeat(bytes).into(),
                    taker: None,
                })],
            };
            let mut pending = Pending::default();
            let mut entries: Vec<Vec<usize>> = Vec::new();
            for _ in 0..6 {
                // The first asks until it is turned away, then the next; each with changes of another size.
                for license in 0..n {
                    let one = of(license, 200 + 300 * license);
                    while let Ok(place) = pending.check(&one) {
                        pending.add(one.clone(), place);
                    }
                }
                let small = of(n, 100);
                let place = pending.check(&small).unwrap();
                pending.add(small, place);
                let Taken { changes, sizes } = pending.take();
                let of = |license: &LicenseName| changes.iter().position(|change| change.license == *license);
                let size = |n| of(&LicenseName::new("tenant", &format!("license-{n}"))).map_or(0, |at| sizes[at]);
                entries.push((0..n).map(size).collect());
                assert!(write_changes(&changes).len() <= MOST_BYTES);
            }
            for from in 1..entries.len() {
                for to in from..entries.len() {
                    let window = &entries[from..=to];
                    let all: usize = window.iter().flatten().sum();
                    for license in 0..n {
                        let got: usize = window.iter().map(|entry| entry[license]).sum();
                        assert!(got * (n + 1) >= all, "License {license} of {n}: {got} of {all} bytes");
                    }
                }
            }
        }
    }
}
