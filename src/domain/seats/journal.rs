//! The journal in front of the ledger, and the bases behind it (`design.md` §5).
//!
//! Every commit is one entry. Entry n stands in object n modulo the size of a small ring, so writing it overwrites the
//! oldest one. A base holds the slots of one range of a pool as they were after some entry. What a base does not hold yet
//! must stand in the ring: an entry is overwritten only once the bases of every slot in it hold it.
//!
//! Entries are written one after the other, each only once the one before is known to be durable, and each on the version
//! of the object that the writer read. So whoever takes over needs to write one entry of a higher epoch, behind the last
//! one, and no write of the owner before can succeed any more: it would go to that very object.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::sync::Arc;

use super::line::{LineError, read_base, read_records, write_base, write_records};
use super::table::{Hold, Record, Table};
use crate::domain::license::name::LicenseName;

/// Objects in the ring.
pub const RING: u64 = 16;
/// Slots in a base.
pub const BASE_SLOTS: u32 = 256;
/// A base is written anew once the ring has gone this far since its first change: well before it has to be.
const BEHIND: u64 = RING / 2;
/// Begins a line that is about no seat: who took over, or for how long seats may be counted on.
const ASIDE: char = '!';
/// Seconds that a seat may be granted for at most (`--seat-ttl`). More than that in a ledger is not believed.
pub const LONGEST_TTL: u64 = 3_600;

/// A range of slots of a pool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaseName {
    pub license: LicenseName,
    pub pool: Arc<str>,
    /// It holds the slots from `number * BASE_SLOTS`.
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
pub type Changes = Vec<(LicenseName, Vec<Record>)>;

/// An entry as it stands in an object of the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub epoch: u64,
    pub sequence: u64,
    /// How many bases there were. Fewer that are found later were lost.
    pub bases: u64,
    pub lines: String,
}

/// A base as it stands in its object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    pub name: BaseName,
    /// The entry up to which it holds everything.
    pub sequence: u64,
    pub lines: String,
}

/// The object of the ring that an entry stands in.
pub fn place(sequence: u64) -> u64 {
    sequence % RING
}

/// The lines of an entry: `@namespace/name` before the records of each License.
pub fn write_changes(changes: &Changes) -> String {
    let mut text = String::new();
    for (license, records) in changes {
        let _ = writeln!(text, "@{license}");
        text.push_str(&write_records(records));
    }
    text
}

/// Bytes of an entry's lines for the records of a License.
pub fn written(license: &LicenseName, records: &[Record]) -> usize {
    "@/\n".len() + license.namespace.len() + license.name.len() + write_records(records).len()
}

fn read_changes(lines: &str) -> Result<Changes, LineError> {
    let mut changes = Changes::new();
    let mut at = 0;
    let mut part = String::new();
    let mut license: Option<LicenseName> = None;
    let mut finish = |license: &mut Option<LicenseName>, part: &mut String, before: usize| match license.take() {
        Some(license) => {
            let records =
                read_records(part).map_err(|error| LineError { line: before + error.line, what: error.what })?;
            part.clear();
            changes.push((license, records));
            Ok(())
        }
        None if part.is_empty() => Ok(()),
        None => Err(LineError { line: 1, what: "no `@namespace/name` comes before it".into() }),
    };
    for (n, line) in lines.lines().enumerate().filter(|(_, line)| !line.starts_with(ASIDE)) {
        match line.strip_prefix('@') {
            Some(name) => {
                finish(&mut license, &mut part, at)?;
                let wrong = || LineError { line: n + 1, what: "`@namespace/name` has one part".into() };
                let (namespace, name) = name.split_once('/').ok_or_else(wrong)?;
                license = Some(LicenseName::new(namespace, name));
                at = n + 1;
            }
            None => {
                part.push_str(line);
                part.push('\n');
            }
        }
    }
    finish(&mut license, &mut part, at)?;
    Ok(changes)
}

/// Seconds for which somebody may count on a seat, as an entry says it. The names of owners are no numbers.
fn read_ttl(lines: &str) -> Option<u64> {
    let ttl = lines.lines().find_map(|line| line.strip_prefix(ASIDE)?.parse::<u64>().ok());
    ttl.map(|ttl| ttl.min(LONGEST_TTL))
}

/// What is known of the ledger, for writing on it.
#[derive(Debug, Default)]
pub struct Journal {
    epoch: u64,
    /// Of the last entry that is durable.
    sequence: u64,
    /// Bases that exist, and the entry up to which each holds everything.
    bases: BTreeMap<BaseName, u64>,
    /// Bases that do not hold everything: the first entry they lack, and the last.
    behind: BTreeMap<BaseName, (u64, u64)>,
    /// Seconds for which somebody may count on a seat that was granted or kept by this owner or one before.
    ttl: Option<u64>,
}

/// What was found in the ledger.
#[derive(Debug)]
pub struct Found {
    pub journal: Journal,
    /// Everything that is held, in an order in which it can be applied.
    pub holds: Vec<(LicenseName, Record)>,
    /// Why the ledger may not tell of every seat that is held. Then nothing may be granted for a TTL.
    pub incomplete: Option<Incomplete>,
}

impl Found {
    /// The bases that have to be written before a seal may overwrite the entry in its place, as they stand after the last
    /// entry. To write them harms nobody: they hold nothing but what is durable.
    pub fn fold(&self) -> Vec<Base> {
        let sequence = self.journal.sequence;
        let lines = |name: &BaseName| {
            let mut table = Table::default();
            let of_base = |(license, record): &&(LicenseName, Record)| BaseName::of(license, record) == *name;
            self.holds.iter().filter(of_base).for_each(|(_, record)| table.apply(record, 0));
            write_base(table.holders_within(&name.pool, name.slots()))
        };
        let in_the_way = self.journal.in_the_way().into_iter();
        in_the_way.map(|name| Base { lines: lines(&name), sequence, name }).collect()
    }
}

/// Why a ledger does not tell everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incomplete {
    /// There is nothing at all: it is new, or it was lost.
    Empty,
    /// Entries that no base holds are not there.
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
                write!(f, "entries {first} to {last} of the journal are gone")
            }
            Incomplete::BasesMissing { found, expected } => {
                write!(f, "{found} bases were found of {expected}: the others were deleted")
            }
            Incomplete::SetBack { found, written } => {
                write!(f, "the ledger ends with entry {found}, and {written} had been written: it was set back")
            }
            Incomplete::Unreadable { object, error } => write!(f, "{object} cannot be read: {error}"),
        }
    }
}

/// Reads a ledger. Whatever cannot be read is left out and said in `incomplete`.
pub fn read(entries: &[Entry], bases: &[Base]) -> Found {
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
    for base in bases {
        match read_base(&base.name.pool, &base.lines) {
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
    // Entries that no ring of this size can have overwritten have to be there.
    let oldest = last.saturating_sub(RING - 1).max(1);
    let there: BTreeSet<u64> = entries.iter().map(|entry| entry.sequence).collect();
    if let Some(first) = (oldest..=last).find(|sequence| !there.contains(sequence)) {
        incomplete.get_or_insert(Incomplete::EntriesMissing { first, last });
    }
    for entry in &entries {
        match read_changes(&entry.lines) {
            Ok(changes) => {
                for (license, records) in changes {
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
    Found { journal, holds, incomplete }
}

impl Journal {
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Of the last entry that is durable.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Seconds for which somebody may count on a seat at most; None: no entry says so, as before entries did.
    pub fn ttl(&self) -> Option<u64> {
        self.ttl
    }

    /// Seats are granted for so many seconds from now on, and those of the owners before may be counted on for as long as
    /// they said. Every entry carries the longer of both: the ring overwrites what an owner wrote when it began.
    pub fn grant_for(&mut self, ttl: u64) {
        self.ttl = self.ttl.max(Some(ttl));
    }

    /// Whoever was granted a seat by an owner before has lost it, or has been told the time of this one since.
    pub fn forget_ttl_before(&mut self, ttl: u64) {
        self.ttl = Some(ttl);
    }

    /// The entry that makes this owner the only one that can write. `who` tells it from the same entry of another who
    /// takes over at the same time.
    pub fn seal(&self, who: &str) -> Entry {
        let mut seal = Entry { epoch: self.epoch + 1, ..self.entry(&Changes::new()) };
        let _ = writeln!(seal.lines, "{ASIDE}{who}");
        seal
    }

    /// The next entry. It may be written once `in_the_way` is empty.
    pub fn entry(&self, changes: &Changes) -> Entry {
        Entry {
            epoch: self.epoch,
            sequence: self.sequence + 1,
            bases: self.bases.len() as u64,
            lines: self.ttl.map_or_else(String::new, |ttl| format!("{ASIDE}{ttl}\n")) + &write_changes(changes),
        }
    }

    /// The bases that have to be written before the next entry may overwrite the one in its place.
    pub fn in_the_way(&self) -> Vec<BaseName> {
        let overwritten = (self.sequence + 1).saturating_sub(RING);
        self.lacking_since(overwritten)
    }

    /// The bases that should be written now, so that none is ever in the way.
    pub fn due(&self) -> Vec<BaseName> {
        self.lacking_since(self.sequence.saturating_sub(BEHIND))
    }

    fn lacking_since(&self, sequence: u64) -> Vec<BaseName> {
        self.behind.iter().filter(|(_, (first, _))| *first <= sequence).map(|(base, _)| base.clone()).collect()
    }

    /// `entry` with these changes is durable.
    pub fn wrote(&mut self, entry: &Entry, changes: &Changes) {
        (self.epoch, self.sequence) = (entry.epoch, entry.sequence);
        for (license, records) in changes {
            for record in records {
                self.lacks(BaseName::of(license, record), entry.sequence);
            }
        }
    }

    /// A base that holds everything up to the entry `sequence` is durable.
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

    /// The bases of a License, for a License that is no more.
    pub fn bases_of(&self, license: &LicenseName) -> Vec<BaseName> {
        self.bases.keys().filter(|base| base.license == *license).cloned().collect()
    }

    /// Every License that has a base or an entry that no base holds.
    pub fn licenses(&self) -> BTreeSet<LicenseName> {
        self.bases.keys().chain(self.behind.keys()).map(|base| base.license.clone()).collect()
    }

    /// The bases of a License are about to be deleted: the next entry does not count them any more.
    pub fn drop_bases(&mut self, license: &LicenseName) {
        self.bases.retain(|base, _| base.license != *license);
        self.behind.retain(|base, _| base.license != *license);
    }

    fn lacks(&mut self, base: BaseName, sequence: u64) {
        let (_, last) = self.behind.entry(base).or_insert((sequence, sequence));
        *last = sequence.max(*last);
    }
}
