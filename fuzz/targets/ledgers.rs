//! A whole ledger, as a replica reads it that takes it over: blocks with a line `%` between them, each with a line that
//! says which object it is.
//!
//! `entry EPOCH SEQUENCE BASES`, and its lines. `base NAMESPACE NAME POOL NUMBER SEQUENCE [GRANT…]`, its lines, and after
//! an empty one its takers.

use seatkeeper::domain::license::name::LicenseName;
use seatkeeper::domain::seats::journal::{Base, BaseName, Entry, LedgerContents, place, read};
use seatkeeper::domain::seats::line::read_base;
use seatkeeper::domain::seats::table::Table;
use seatkeeper::domain::tick::Tick;
use std::collections::{BTreeMap, BTreeSet};

pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (entries, bases) = objects(&text);
    let found = read(&entries, &bases);
    let _ = (found.latest(), found.incomplete.as_ref().map(ToString::to_string));
    let folded = found.fold();
    for base in &folded {
        let held = read_base(&base.name.pool, &base.lines, &base.takers);
        assert!(held.is_ok_and(|held| held.iter().all(|hold| base.name.slots().contains(&hold.slot))));
    }
    let seal = found.journal.seal("owner");
    assert!(entries.iter().all(|entry| entry.epoch < seal.epoch && entry.sequence < seal.sequence));
    if found.incomplete.is_some() || !is_sound(&entries, &bases) {
        return;
    }
    // The next owner writes what is in the way, then the seal in the place of the oldest entry.
    let is_kept = |base: &&Base| folded.iter().all(|new| new.name != base.name);
    let bases: Vec<Base> = bases.iter().filter(is_kept).chain(&folded).cloned().collect();
    let place_of_seal = place(seal.sequence);
    let there = entries.into_iter().filter(|entry| place(entry.sequence) != place_of_seal);
    let entries: Vec<Entry> = there.chain([seal]).collect();
    let again = read(&entries, &bases);
    assert_eq!(again.incomplete, None);
    assert_eq!(held(&again), held(&found), "after a seal the same seats are held");
}

/// Whether the ledger is one that replicas have written, so that something can be expected of it.
fn is_sound(entries: &[Entry], bases: &[Base]) -> bool {
    let last = entries.iter().map(|entry| entry.sequence).max().unwrap_or(0);
    let places: BTreeSet<u64> = entries.iter().map(|entry| place(entry.sequence)).collect();
    let names: BTreeSet<&BaseName> = bases.iter().map(|base| &base.name).collect();
    let is_within = |base: &Base| {
        let held = read_base(&base.name.pool, &base.lines, &base.takers).unwrap_or_default();
        base.sequence <= last && held.iter().all(|hold| base.name.slots().contains(&hold.slot))
    };
    places.len() == entries.len()
        && entries.iter().all(|entry| entry.sequence > 0)
        && names.len() == bases.len()
        && bases.iter().all(is_within)
        && entries.iter().all(|entry| entry.bases <= bases.len() as u64)
}

/// The seats of each License.
fn held(ledger: &LedgerContents) -> BTreeMap<LicenseName, BTreeSet<String>> {
    let mut tables: BTreeMap<LicenseName, Table> = BTreeMap::new();
    for (license, record) in &ledger.holds {
        tables.entry(license.clone()).or_default().apply(record, Tick::MIN);
    }
    tables.retain(|_, table| table.in_use_at_all() > 0);
    let seats = |table: Table| table.holders().map(|(pool, occupant)| format!("{pool} {occupant:?}")).collect();
    tables.into_iter().map(|(license, table)| (license, seats(table))).collect()
}

fn objects(text: &str) -> (Vec<Entry>, Vec<Base>) {
    let (mut entries, mut bases) = (Vec::new(), Vec::new());
    for block in text.split("\n%\n") {
        let (head, lines) = block.split_once('\n').unwrap_or((block, ""));
        let words: Vec<&str> = head.split(' ').collect();
        let word = |n: usize| words.get(n).copied().unwrap_or_default();
        // As the API server has them: no number is greater.
        let number = |n: usize| word(n).parse::<i64>().map_or(0, |number| number.max(0) as u64);
        match word(0) {
            "base" => {
                let license = LicenseName::new(word(1), word(2));
                let name = BaseName { license, pool: word(3).into(), number: number(4).min(1_000_000) as u32 };
                let (lines, takers) = lines.split_once("\n\n").unwrap_or((lines, ""));
                let grants = words.get(6..).unwrap_or_default().join(" ");
                bases.push(Base { name, sequence: number(5), grants, lines: lines.into(), takers: takers.into() });
            }
            _ => {
                let (epoch, sequence, bases) = (number(1), number(2), number(3));
                entries.push(Entry { epoch, sequence, bases, lines: lines.into() });
            }
        }
    }
    (entries, bases)
}
