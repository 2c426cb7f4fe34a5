//! The journal in front of the ledger, and the bases behind it (docs/design/seats.md).
//!
//! Every commit is one entry. Entry n is in object n modulo the size of a small ring, so writing it overwrites the
//! oldest one. A base holds the slots of one range of a pool as they were after some entry. What a base does not hold
//! yet must be in the ring: an entry is overwritten only once the bases of every slot in it hold it.
//!
//! Entries are written one after the other, each only once the previous one is known to be durable, and each on the
//! version of the object that the writer read. So a new owner needs to write only one entry, of a higher epoch and
//! after the last one, and no write of the previous owner can succeed any longer: it would go to that very object.
//!
//! Every entry says how long holders may rely on a seat. Replicas may differ in `--seat-ttl`, and the ring overwrites the
//! entry with which an owner began. That line begins with `!`, so a version that does not know it skips it. The
//! lines with the grants of a License and with the taker of seats (`line.rs`) begin with `!` too. The next owner must
//! know the grants, even if the License and its keys are gone by then.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::sync::Arc;

use super::elsewhere::MOST_NOTED;
use super::hold::{Hold, Record};
use super::line::{
    BASE_SLOTS, BY, LineError, read_base, read_records, size_of_records, write_base, write_records, write_takers,
};
use super::table::Table;
use crate::domain::license::grant::GrantId;
use crate::domain::license::name::LicenseName;
use crate::domain::text::spelt_out;
use crate::domain::tick::Tick;

/// Objects in the ring.
pub const RING: u64 = 16;
/// A base is written again once the ring has advanced this far since the base's first missing change: well before it
/// must be.
const BEHIND: u64 = RING / 2;
/// Begins a line that is not about a seat: who took over, for how long a holder may rely on a seat, or the grants of a
/// License.
const ASIDE: char = '!';
/// Begins the line with the grants of a License.
const GRANTS: &str = "!grants ";
/// The longest TTL of a seat in seconds (`--seat-ttl`). A longer one found in a ledger is taken as this.
pub const LONGEST_TTL: u64 = 3_600;

/// A range of slots of a pool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaseName {
    pub license: LicenseName,
    pub pool: Arc<str>,
    /// The first slot of the range is `number * BASE_SLOTS`.
    pub number: u32,
}

impl BaseName {
    pub fn of(license: &LicenseName, record: &Record) -> Self {
        BaseName { license: license.clone(), pool: record.pool().clone(), number: record.slot() / BASE_SLOTS }
    }

    pub fn slots(&self) -> std::ops::Range<u32> {
        let first = self.number.saturating_mul(BASE_SLOTS);
        first..first.saturating_add(BASE_SLOTS)
    }
}

/// What one commit changed.
pub type Changes = Vec<Change>;

/// What changed of a License.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub license: LicenseName,
    /// The grants on which its seats draw, as `Draws::note` writes them.
    pub grants: Arc<str>,
    pub records: Vec<Record>,
}

/// An entry, as in its object of the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub epoch: u64,
    pub sequence: u64,
    /// How many bases existed. If fewer are found later, some were lost.
    pub bases: u64,
    pub lines: String,
}

/// A base, as in its object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    pub name: BaseName,
    /// The last entry that the base includes; it includes all before.
    pub sequence: u64,
    /// The grants on which the seats of the License draw, as `Draws::note` writes them.
    pub grants: String,
    pub lines: String,
    /// The takers of the lines, as `write_takers` writes them.
    pub takers: String,
}

impl Base {
    /// The base of that name, which includes every entry up to `sequence`: its seats in the table, and these grants.
    pub fn of(table: &Table, grants: String, sequence: u64, name: BaseName) -> Self {
        let held = || table.holders_within(&name.pool, name.slots());
        Base { lines: write_base(held()), takers: write_takers(held()), grants, sequence, name }
    }
}

/// The object of the ring that holds an entry.
pub fn place(sequence: u64) -> u64 {
    sequence % RING
}

/// The lines of an entry: `@namespace/name` and the grants of each License, before its records.
pub fn write_changes(changes: &[Change]) -> String {
    let mut text = String::new();
    for Change { license, grants, records } in changes {
        let _ = writeln!(text, "@{license}");
        if !grants.is_empty() {
            let _ = writeln!(text, "{GRANTS}{grants}");
        }
        text.push_str(&write_records(records));
    }
    text
}

/// The bytes that a change takes in the lines of an entry, or a little more.
pub fn size_of(change: &Change) -> usize {
    let name = "@/\n".len() + change.license.namespace.len() + change.license.name.len();
    name + GRANTS.len() + change.grants.len() + "\n".len() + size_of_records(&change.records)
}

fn read_grants(text: &str) -> impl Iterator<Item = GrantId> {
    text.split(' ').filter_map(GrantId::read)
}

/// The part of an entry that is about one License.
struct Part<'e> {
    license: LicenseName,
    grants: &'e str,
    /// The number of the line with the name of the License, counted from 1.
    line: usize,
    records: String,
}

impl Part<'_> {
    fn read(self) -> Result<Change, LineError> {
        let fail = |error: LineError| LineError { line: self.line + error.line, what: error.what };
        let records = read_records(&self.records).map_err(fail)?;
        Ok(Change { license: self.license, grants: self.grants.into(), records })
    }
}

fn read_changes(lines: &str) -> Result<Changes, LineError> {
    let mut changes = Changes::new();
    let mut part: Option<Part> = None;
    for (n, line) in lines.lines().enumerate() {
        if let Some(name) = line.strip_prefix('@') {
            changes.extend(part.take().map(Part::read).transpose()?);
            let wrong = || LineError { line: n + 1, what: "`@namespace/name` has one part".into() };
            let (namespace, name) = name.split_once('/').ok_or_else(wrong)?;
            let license = LicenseName::new(namespace, name);
            part = Some(Part { license, grants: "", line: n + 1, records: String::new() });
        } else if line.starts_with(ASIDE) && !line.starts_with(BY) {
            if let (Some(part), Some(grants)) = (&mut part, line.strip_prefix(GRANTS)) {
                part.grants = grants;
                part.line += 1;
            }
        } else {
            let wrong = || LineError { line: n + 1, what: "no `@namespace/name` comes before it".into() };
            let part = part.as_mut().ok_or_else(wrong)?;
            part.records.push_str(line);
            part.records.push('\n');
        }
    }
    changes.extend(part.map(Part::read).transpose()?);
    Ok(changes)
}

/// Seconds for which a holder may rely on a seat, as an entry states it. Names of owners are never numbers.
fn read_ttl(lines: &str) -> Option<u64> {
    let ttl = lines.lines().find_map(|line| line.strip_prefix(ASIDE)?.parse::<u64>().ok());
    ttl.map(|ttl| ttl.min(LONGEST_TTL))
}

/// What an owner knows of the ledger in order to write to it.
#[derive(Debug, Default)]
pub struct Journal {
    epoch: u64,
    /// The sequence of the last durable entry.
    sequence: u64,
    /// Bases that exist, each with the last entry that it includes.
    bases: BTreeMap<BaseName, u64>,
    /// Bases that lack entries, each with the first and the last entry that it lacks.
    behind: BTreeMap<BaseName, (u64, u64)>,
    /// What the last entry about a License notes of its grants, and all of its bases note or will.
    noted: BTreeMap<LicenseName, Arc<str>>,
    /// Seconds for which a holder may rely on a seat that this owner or a previous one granted or kept.
    ttl: Option<u64>,
}

/// The ledger, as a replica that takes it over reads it.
#[derive(Debug)]
pub struct LedgerContents {
    pub journal: Journal,
    /// Every seat that is held, in an order in which the records can be applied.
    pub holds: Vec<(LicenseName, Record)>,
    /// The grants on which these seats draw, and perhaps some more.
    pub grants: BTreeMap<LicenseName, BTreeSet<GrantId>>,
    /// Why the ledger may not show every seat that is held. If set, nothing may be granted for a TTL.
    pub incomplete: Option<Incomplete>,
}

impl LedgerContents {
    /// The latest time at which a seat that is held was taken, in seconds since 1970. It was not earlier than that.
    pub fn latest(&self) -> Option<i64> {
        let holds = self.holds.iter().filter_map(|(_, record)| match record {
            Record::Hold(hold) => Some(hold.since),
            Record::Free(_) => None,
        });
        holds.max()
    }

    /// The bases that must be written before a seal may overwrite the entry in its place, as of the last entry. Writing
    /// them does no harm, whichever replica owns the ledger: they hold only what is durable.
    pub fn fold(&self) -> Vec<Base> {
        let sequence = self.journal.sequence;
        let table = |name: &BaseName| {
            let mut table = Table::default();
            let of_base = |(license, record): &&(LicenseName, Record)| BaseName::of(license, record) == *name;
            self.holds.iter().filter(of_base).for_each(|(_, record)| table.apply(record, Tick::MIN));
            table
        };
        let grants = |name: &BaseName| {
            let grants = self.grants.get(&name.license).into_iter().flatten().take(MOST_NOTED);
            grants.map(GrantId::to_string).collect::<Vec<_>>().join(" ")
        };
        let in_the_way = self.journal.in_the_way().into_iter();
        let base = |name: BaseName| Base::of(&table(&name), grants(&name), sequence, name);
        in_the_way.map(base).collect()
    }
}

/// Why a ledger is incomplete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incomplete {
    /// There is no entry at all: the ledger is new, or it was lost.
    Empty,
    /// Entries that the bases may not include are missing.
    EntriesMissing {
        first: u64,
        last: u64,
    },
    BasesMissing {
        found: u64,
        expected: u64,
    },
    Unreadable {
        object: String,
        error: LineError,
    },
    /// A backup was restored: the ledger ends before an entry that was durable.
    SetBack {
        found: u64,
        written: u64,
    },
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Incomplete::Empty => f.write_str("there is no ledger: it is new, or it was deleted"),
            Incomplete::EntriesMissing { first, last } => {
                write!(f, "entries {first} to {last} of the journal are missing")
            }
            Incomplete::BasesMissing { found, expected } => {
                write!(f, "only {found} of {expected} bases were found: the others were deleted")
            }
            Incomplete::SetBack { found, written } => {
                write!(f, "the ledger ends with entry {found}, but entry {written} had been written: it was set back")
            }
            // The names in a base that somebody else wrote can be any text.
            Incomplete::Unreadable { object, error } => {
                f.write_str(&spelt_out(&format!("{object} cannot be read: {error}")))
            }
        }
    }
}

/// Reads a ledger. What cannot be read is left out and reported in `incomplete`.
pub fn read(entries: &[Entry], bases: &[Base]) -> LedgerContents {
    let mut entries: Vec<&Entry> = entries.iter().collect();
    entries.sort_by_key(|entry| entry.sequence);
    let last = entries.last().map_or(0, |entry| entry.sequence);
    let mut journal = Journal {
        epoch: entries.iter().map(|entry| entry.epoch).max().unwrap_or(0),
        sequence: last,
        ttl: entries.iter().rev().find_map(|entry| read_ttl(&entry.lines)),
        ..Journal::default()
    };
    let mut incomplete = entries.is_empty().then_some(Incomplete::Empty);
    let mut holds = Vec::new();
    let mut notes: BTreeMap<LicenseName, Notes> = BTreeMap::new();
    for base in bases {
        notes.entry(base.name.license.clone()).or_default().add(base.sequence, &base.grants);
        match read_base(&base.name.pool, &base.lines, &base.takers) {
            Ok(held) => {
                let license = &base.name.license;
                holds.extend(held.into_iter().map(|hold: Hold| (license.clone(), Record::Hold(hold))));
                journal.bases.insert(base.name.clone(), base.sequence);
            }
            Err(error) => {
                let object = format!("base {} of pool {} of {}", base.name.number, base.name.pool, base.name.license);
                incomplete.get_or_insert(Incomplete::Unreadable { object, error });
            }
        }
    }
    // The ring is too large for these entries to have been overwritten, so they must be present.
    let oldest = last.saturating_sub(RING - 1).max(1);
    let there: BTreeSet<u64> = entries.iter().map(|entry| entry.sequence).collect();
    if let Some(first) = (oldest..=last).find(|sequence| !there.contains(sequence)) {
        incomplete.get_or_insert(Incomplete::EntriesMissing { first, last });
    }
    for entry in &entries {
        match read_changes(&entry.lines) {
            Ok(changes) => {
                for Change { license, grants: noted, records } in changes {
                    notes.entry(license.clone()).or_default().add(entry.sequence, &noted);
                    for record in records {
                        let base = BaseName::of(&license, &record);
                        if journal.bases.get(&base).is_none_or(|holds| *holds < entry.sequence) {
                            journal.lacks(base, entry.sequence);
                            holds.push((license.clone(), record));
                        }
                    }
                }
            }
            Err(error) => {
                let object = format!("entry {} of the journal", entry.sequence);
                incomplete.get_or_insert(Incomplete::Unreadable { object, error });
            }
        }
    }
    let found = journal.bases.len() as u64;
    if let Some(expected) = entries.last().map(|entry| entry.bases).filter(|expected| found < *expected) {
        incomplete.get_or_insert(Incomplete::BasesMissing { found, expected });
    }
    let same = |(license, notes): (&LicenseName, &Notes)| Some((license.clone(), notes.same.clone()??));
    journal.noted = notes.iter().filter_map(same).collect();
    let grants = notes.into_iter().map(|(license, notes)| (license, notes.grants())).collect();
    LedgerContents { journal, holds, grants, incomplete }
}

/// What a ledger notes of the grants of a License, in its bases and entries.
#[derive(Default)]
struct Notes {
    all: BTreeSet<GrantId>,
    newest: (u64, Arc<str>),
    /// The only note that there is; `Some(None)` if they differ.
    same: Option<Option<Arc<str>>>,
}

impl Notes {
    /// Adds what is noted at a sequence. A base without seats notes nothing.
    fn add(&mut self, sequence: u64, note: &str) {
        if note.is_empty() {
            return;
        }
        self.all.extend(read_grants(note));
        if self.newest.0 <= sequence {
            self.newest = (sequence, note.into());
        }
        let same = self.same.get_or_insert_with(|| Some(note.into()));
        if same.as_deref() != Some(note) {
            *same = None;
        }
    }

    /// All of them, if so many can be noted again; else the newest, which alone is complete.
    fn grants(self) -> BTreeSet<GrantId> {
        if self.all.len() <= MOST_NOTED { self.all } else { read_grants(&self.newest.1).collect() }
    }
}

impl Journal {
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The sequence of the last durable entry.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The most seconds for which a holder may rely on a seat; `None` if no entry states it, as in ledgers of earlier
    /// versions.
    pub fn ttl(&self) -> Option<u64> {
        self.ttl
    }

    /// From now on seats are granted for `ttl` seconds, and holders of seats of previous owners may rely on them for as
    /// long as those owners said. Every entry carries the longer of both, because the ring overwrites what an owner
    /// wrote when it began.
    pub fn grant_for(&mut self, ttl: u64) {
        self.ttl = self.ttl.max(Some(ttl));
    }

    /// Every holder that a previous owner granted a seat has lost it since, or has been answered with the TTL of this
    /// owner.
    pub fn forget_ttl_before(&mut self, ttl: u64) {
        self.ttl = Some(ttl);
    }

    /// The entry that makes this owner the only one that can write. `who` distinguishes it from the same entry of
    /// another replica that takes over at the same time.
    pub fn seal(&self, who: &str) -> Entry {
        let mut seal = Entry { epoch: self.epoch + 1, ..self.entry(&[]) };
        let _ = writeln!(seal.lines, "{ASIDE}{who}");
        seal
    }

    /// The next entry. It may be written once `in_the_way` is empty.
    pub fn entry(&self, changes: &[Change]) -> Entry {
        Entry {
            epoch: self.epoch,
            sequence: self.sequence + 1,
            bases: self.bases.len() as u64,
            lines: self.ttl.map_or_else(String::new, |ttl| format!("{ASIDE}{ttl}\n")) + &write_changes(changes),
        }
    }

    /// The bases that must be written before the next entry may overwrite the one in its place.
    pub fn in_the_way(&self) -> Vec<BaseName> {
        let overwritten = (self.sequence + 1).saturating_sub(RING);
        self.lacking_since(overwritten)
    }

    /// The bases that should be written now, so that none ever delays an entry.
    pub fn due(&self) -> Vec<BaseName> {
        self.lacking_since(self.sequence.saturating_sub(BEHIND))
    }

    fn lacking_since(&self, sequence: u64) -> Vec<BaseName> {
        self.behind.iter().filter(|(_, (first, _))| *first <= sequence).map(|(base, _)| base.clone()).collect()
    }

    /// Records that `entry`, with these changes, is durable.
    pub fn wrote(&mut self, entry: &Entry, changes: &[Change]) {
        (self.epoch, self.sequence) = (entry.epoch, entry.sequence);
        for Change { license, grants, records } in changes {
            // Once this entry is overwritten, only the bases note what the License draws on: all of them, for any may be the
            // last with a seat, and also those that are being written for the first time.
            if self.noted.get(license).map_or("", |noted| noted) != &**grants {
                self.all_of(license).into_iter().for_each(|base| self.lacks(base, entry.sequence));
                match grants.is_empty() {
                    true => _ = self.noted.remove(license),
                    false => _ = self.noted.insert(license.clone(), grants.clone()),
                }
            }
            for record in records {
                self.lacks(BaseName::of(license, record), entry.sequence);
            }
        }
    }

    /// Records that a base which includes every entry up to `sequence` is durable.
    pub fn wrote_base(&mut self, base: &BaseName, sequence: u64) {
        self.bases.insert(base.clone(), sequence);
        if let Some((first, last)) = self.behind.get_mut(base) {
            if *last <= sequence {
                self.behind.remove(base);
            } else {
                *first = (*first).max(sequence + 1);
            }
        }
    }

    /// The bases of a License, to delete them when the License no longer exists.
    pub fn bases_of(&self, license: &LicenseName) -> Vec<BaseName> {
        of_license(&self.bases, license).cloned().collect()
    }

    /// The same, with those that do not exist yet: one of them may be on its way.
    fn all_of(&self, license: &LicenseName) -> BTreeSet<BaseName> {
        of_license(&self.bases, license).chain(of_license(&self.behind, license)).cloned().collect()
    }

    /// Every License that has a base, or an entry that no base includes.
    pub fn licenses(&self) -> BTreeSet<LicenseName> {
        self.bases.keys().chain(self.behind.keys()).map(|base| base.license.clone()).collect()
    }

    /// Has the bases of a License written again, as they are some entries from now or later.
    pub fn write_again(&mut self, license: &LicenseName, entries: u64) {
        let sequence = self.sequence + entries;
        self.all_of(license).into_iter().for_each(|base| self.lacks(base, sequence));
    }

    /// Forgets the bases of a License, which are about to be deleted: the next entry no longer counts them.
    pub fn drop_bases(&mut self, license: &LicenseName) {
        self.bases.retain(|base, _| base.license != *license);
        self.behind.retain(|base, _| base.license != *license);
        self.noted.remove(license);
    }

    fn lacks(&mut self, base: BaseName, sequence: u64) {
        let (_, last) = self.behind.entry(base).or_insert((sequence, sequence));
        *last = sequence.max(*last);
    }
}

fn of_license<'b, V>(bases: &'b BTreeMap<BaseName, V>, license: &LicenseName) -> impl Iterator<Item = &'b BaseName> {
    let first = BaseName { license: license.clone(), pool: "".into(), number: 0 };
    let of = first.license.clone();
    bases.range(first..).map(|(base, _)| base).take_while(move |base| base.license == of)
}
