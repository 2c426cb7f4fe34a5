//! The journal and its bases: whenever an owner dies, the next one finds everything that was durable, or reports that
//! it may not have found it (docs/design/seats.md: a missing ledger is not an empty one).

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use seatkeeper::domain::license::grant::GrantId;
use seatkeeper::domain::license::name::LicenseName;
use seatkeeper::domain::seats::elsewhere::{Draws, MOST_NOTED};
use seatkeeper::domain::seats::hold::{Free, Hold, Record};
use seatkeeper::domain::seats::journal::{
    Base, BaseName, Change, Changes, Entry, Incomplete, Journal, LONGEST_TTL, LedgerContents, RING, place, read,
};
use seatkeeper::domain::seats::line::{size_of_records, size_of_seat, write_base, write_records};
use seatkeeper::domain::seats::table::Table;
use seatkeeper::domain::seats::taker::Taker;
use seatkeeper::domain::tick::Tick;

/// The durable objects, by name.
#[derive(Clone, Default)]
struct Store {
    ring: BTreeMap<u64, Entry>,
    bases: BTreeMap<BaseName, Base>,
}

impl Store {
    fn read(&self) -> LedgerContents {
        read(&self.ring.values().cloned().collect::<Vec<_>>(), &self.bases.values().cloned().collect::<Vec<_>>())
    }
}

/// An owner: what it has read, and what it has in memory.
struct Owner {
    journal: Journal,
    tables: BTreeMap<LicenseName, Table>,
}

/// The grants on which the seats of a License draw.
fn grants(license: &LicenseName) -> String {
    format!("product.grant-of-{0}.signer product.another-of-{0}.signer", license.name)
}

/// What a commit changes of a License.
fn of(license: LicenseName, records: Vec<Record>) -> Change {
    Change { grants: grants(&license).into(), license, records }
}

type Held = BTreeSet<(LicenseName, String, u32, String, Option<Taker>)>;

fn held(tables: &BTreeMap<LicenseName, Table>) -> Held {
    let of = |(license, table): (&LicenseName, &Table)| {
        let seat = |(pool, held): (&std::sync::Arc<str>, seatkeeper::domain::seats::hold::Occupant<'_>)| {
            (license.clone(), pool.to_string(), held.slot, held.session.to_owned(), held.taker)
        };
        table.holders().map(seat).collect::<Vec<_>>()
    };
    tables.iter().flat_map(of).collect()
}

impl Owner {
    fn begin(store: &mut Store) -> (Self, Option<Incomplete>) {
        Self::begin_with(store, None)
    }

    /// Starts an owner that records the TTL of its seats; with `None` it records none, like owners of an older version.
    fn begin_with(store: &mut Store, ttl: Option<u64>) -> (Self, Option<Incomplete>) {
        let found = store.read();
        let folded = found.fold();
        let LedgerContents { mut journal, holds, incomplete, grants: noted } = found;
        for (license, record) in &holds {
            let of = noted.get(license).into_iter().flatten().map(GrantId::to_string);
            let expected: BTreeSet<String> = grants(license).split(' ').map(str::to_owned).collect();
            assert_eq!(of.collect::<BTreeSet<_>>(), expected, "{license}: {record:?}");
        }
        for base in folded {
            journal.wrote_base(&base.name, base.sequence);
            store.bases.insert(base.name.clone(), base);
        }
        if let Some(ttl) = ttl {
            journal.grant_for(ttl);
        }
        let seal = journal.seal("owner-0123456789abcdef");
        store.ring.insert(place(seal.sequence), seal.clone());
        journal.wrote(&seal, &Changes::new());
        let mut tables: BTreeMap<LicenseName, Table> = BTreeMap::new();
        for (license, record) in holds {
            tables.entry(license).or_default().apply(&record, Tick::MIN);
        }
        (Owner { journal, tables }, incomplete)
    }

    fn write_bases(&mut self, store: &mut Store, names: Vec<BaseName>) {
        for name in names {
            let table = self.tables.entry(name.license.clone()).or_default();
            let base = Base::of(table, grants(&name.license), self.journal.sequence(), name.clone());
            self.journal.wrote_base(&name, base.sequence);
            store.bases.insert(name, base);
        }
    }

    fn commit(&mut self, store: &mut Store, changes: &Changes) {
        self.write_bases(store, self.journal.in_the_way());
        assert_eq!(self.journal.in_the_way(), [], "a base that is written is not in the way");
        let entry = self.journal.entry(changes);
        for Change { license, records, .. } in changes {
            let table = self.tables.entry(license.clone()).or_default();
            records.iter().for_each(|record| table.apply(record, Tick::MIN));
        }
        store.ring.insert(place(entry.sequence), entry.clone());
        self.journal.wrote(&entry, changes);
    }
}

/// Some seats are from a version that noted no taker.
fn taker(slot: u32) -> Option<Taker> {
    let pod = (slot / 2).to_string();
    (!slot.is_multiple_of(3)).then(|| Taker::of("system:serviceaccount:acme:a", Some("uid"), Some(&pod)))
}

/// Takes the seat if it is free, else frees it.
fn change(held: &mut Held, license: usize, pool: usize, slot: u32) -> (LicenseName, Record) {
    let name = LicenseName::new("acme", ["acd", "smath"][license]);
    let pool = ["agents", "für alle"][pool];
    let there = held.iter().find(|(l, p, s, ..)| (l, p.as_str(), *s) == (&name, pool, slot)).cloned();
    match there {
        Some(seat) => {
            held.remove(&seat);
            let record = Record::Free(Free { pool: pool.into(), slot, session: seat.3.into(), taker: taker(slot) });
            (name, record)
        }
        None => {
            let session = format!("s {slot}%");
            held.insert((name.clone(), pool.to_owned(), slot, session.clone(), taker(slot)));
            let hold = Hold {
                pool: pool.into(),
                slot,
                user: None,
                session: session.into(),
                since: 1_800_000_000,
                client: None,
                request: None,
                taker: taker(slot),
            };
            (name, Record::Hold(hold))
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(usize, usize, u32)>),
    WriteDue,
    Die,
}

impl Owner {
    /// Takes one step. If the owner dies in it, returns the next owner and what that one misses.
    fn goes_through(
        &mut self,
        step: &Step,
        store: &mut Store,
        wanted: &mut Held,
    ) -> Option<(Owner, Option<Incomplete>)> {
        match step {
            Step::Commit(changes) => {
                let record = |(license, pool, slot): &(usize, usize, u32)| {
                    let (name, record) = change(wanted, *license, *pool, *slot);
                    of(name, vec![record])
                };
                let changes: Changes = changes.iter().map(record).collect();
                self.commit(store, &changes);
                None
            }
            Step::WriteDue => {
                self.write_bases(store, self.journal.due());
                None
            }
            Step::Die => Some(Owner::begin(store)),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    // The slots lie in three bases.
    let change = (0..2usize, 0..2usize, prop_oneof![0..3u32, 254..258u32, 600..602u32]);
    prop_oneof![
        8 => proptest::collection::vec(change, 1..6).prop_map(Step::Commit),
        3 => Just(Step::WriteDue),
        1 => Just(Step::Die),
    ]
}

/// Holds and releases with all kinds of names, slots and times.
fn record() -> impl Strategy<Value = Record> {
    let name = || prop_oneof![4 => "[a-z0-9.-]{1,8}", 1 => Just("-".to_owned()), 2 => "[a-z% \\u{0}-\\u{7ff}]{1,6}"];
    let given = move || proptest::option::of(name());
    let pool = prop_oneof![Just("agents".to_owned()), Just("super visors".to_owned())];
    let taker = prop_oneof![Just(None), (0..2u32).prop_map(|n| Some(Taker::of("user", None, Some(&n.to_string()))))];
    let when = prop_oneof![-20..20i64, 0..2_000_000_000i64, Just(i64::MAX), Just(i64::MIN)];
    let slot = prop_oneof![0..20u32, any::<u32>()];
    (pool, slot, given(), name(), given(), given(), when, (taker, any::<bool>())).prop_map(
        |(pool, slot, user, session, client, request, since, (taker, holds))| {
            let (pool, session) = (pool.as_str().into(), session.into_boxed_str());
            let [user, client, request] = [user, client, request].map(|name| name.map(String::into_boxed_str));
            match holds {
                true => Record::Hold(Hold { pool, slot, user, session, since, client, request, taker }),
                false => Record::Free(Free { pool, slot, session, taker }),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_next_owner_finds_every_seat_that_was_durable(steps in proptest::collection::vec(step(), 1..80)) {
        let mut store = Store::default();
        let mut wanted = Held::new();
        let (mut owner, incomplete) = Owner::begin(&mut store);
        prop_assert_eq!(incomplete, Some(Incomplete::Empty));
        for step in steps {
            let epoch = owner.journal.epoch();
            if let Some(next) = owner.goes_through(&step, &mut store, &mut wanted) {
                prop_assert_eq!(next.1, None);
                prop_assert!(next.0.journal.epoch() > epoch);
                owner = next.0;
            }
            prop_assert_eq!(&held(&owner.tables), &wanted);
            prop_assert!(store.ring.len() as u64 <= RING);
        }
    }

    /// What is said to fit into an entry or a base is what will be written, whatever the names.
    #[test]
    fn the_size_of_seats_is_what_they_take_once_written(records in proptest::collection::vec(record(), 0..20)) {
        prop_assert_eq!(size_of_records(&records), write_records(&records).len());
        for record in &records {
            if let Record::Hold(hold) = record {
                prop_assert_eq!(size_of_seat(&hold.occupant()) as usize, write_base([hold.occupant()]).len());
            }
        }
    }

    /// A holder may rely on its seat for the TTL that the owner answered: the next owner finds at least that TTL,
    /// however often the ring has wrapped since. Once no holder relies on it any longer, it is forgotten.
    #[test]
    fn the_next_owner_finds_the_ttl_on_which_holders_rely(
        steps in proptest::collection::vec((5..=LONGEST_TTL, any::<bool>(), 0..2 * RING), 1..12),
    ) {
        let mut store = Store::default();
        let mut counted_on = Vec::new();
        for (ttl, others_are_forgotten, commits) in steps {
            let (mut owner, _) = Owner::begin_with(&mut store, Some(ttl));
            counted_on.push(ttl);
            prop_assert_eq!(owner.journal.ttl(), counted_on.iter().copied().max());
            if others_are_forgotten {
                owner.journal.forget_ttl_before(ttl);
                // The next owner reads it from an entry.
                owner.commit(&mut store, &Changes::new());
                counted_on = vec![ttl];
            }
            (0..commits).for_each(|_| owner.commit(&mut store, &Changes::new()));
            prop_assert_eq!(store.read().journal.ttl(), counted_on.iter().copied().max());
        }
    }

    #[test]
    fn what_was_deleted_by_hand_is_missed_or_was_not_needed(
        steps in proptest::collection::vec(step(), 20..60), victim: prop::sample::Index,
    ) {
        let mut store = Store::default();
        let mut wanted = Held::new();
        let (mut owner, _) = Owner::begin(&mut store);
        for step in steps {
            if let Some((next, _)) = owner.goes_through(&step, &mut store, &mut wanted) {
                owner = next;
            }
        }
        // The next entry that is written contains the number of bases.
        owner.commit(&mut store, &Changes::new());
        let objects = store.ring.len() + store.bases.len();
        let nth = victim.index(objects);
        match nth.checked_sub(store.ring.len()) {
            None => _ = store.ring.remove(&store.ring.keys().copied().nth(nth).expect("one of them")),
            Some(nth) => _ = store.bases.remove(&store.bases.keys().nth(nth).cloned().expect("one of them")),
        }
        let LedgerContents { holds, incomplete, .. } = store.read();
        let mut tables: BTreeMap<LicenseName, Table> = BTreeMap::new();
        for (license, record) in holds {
            tables.entry(license).or_default().apply(&record, Tick::MIN);
        }
        prop_assert!(incomplete.is_some() || held(&tables) == wanted, "{:?} of {wanted:?}", held(&tables));
    }
}

#[test]
fn owners_that_die_one_after_another_seal_over_nothing_that_no_base_holds() {
    for commits in 0..3 * RING as usize {
        let mut store = Store::default();
        let mut wanted = Held::new();
        let (mut owner, _) = Owner::begin(&mut store);
        for n in 0..commits {
            let (name, record) = change(&mut wanted, 0, 0, u32::try_from(n).expect("few"));
            owner.commit(&mut store, &vec![of(name, vec![record])]);
        }
        for nth in 0..RING + 3 {
            let (next, incomplete) = Owner::begin(&mut store);
            assert_eq!((held(&next.tables), incomplete), (wanted.clone(), None), "{commits} commits, owner {nth}");
        }
    }
}

#[test]
fn a_corrupted_entry_is_named() {
    let mut store = Store::default();
    let (mut owner, _) = Owner::begin(&mut store);
    let (name, record) = change(&mut Held::new(), 0, 0, 1);
    owner.commit(&mut store, &vec![of(name, vec![record])]);
    store.ring.get_mut(&2).expect("the second entry").lines.push_str("+seven\n");
    let LedgerContents { incomplete: Some(incomplete), holds, .. } = store.read() else { panic!("it cannot be read") };
    assert!(holds.is_empty());
    let said = incomplete.to_string();
    assert!(said.starts_with("entry 2 of the journal cannot be read: line 6: "), "{said}");
}

/// Found by fuzzing: a base that somebody else wrote commanded the terminal of the reader of the log.
#[test]
fn what_is_said_of_a_corrupted_base_is_safe_on_a_terminal() {
    let license = LicenseName::new("dp\0emo", "icdonan\u{1b}[2J");
    let name = BaseName { license, pool: "agents\u{202e}".into(), number: 0 };
    let base = Base { name, sequence: 6, grants: String::new(), takers: String::new(), lines: "=agents".into() };
    let entry = Journal::default().seal("owner");
    let said = read(&[entry], &[base]).incomplete.expect("the base cannot be read").to_string();
    let names = r"base 0 of pool agents\u{202e} of dp\u{0}emo/icdonan\u{1b}[2J cannot be read: line 1: ";
    assert!(said.starts_with(names), "{said:?}");
}

#[test]
fn a_ledger_of_an_older_version_has_no_ttl_and_one_that_it_continues_keeps_its_ttl() {
    let mut store = Store::default();
    let (mut old, _) = Owner::begin(&mut store);
    old.commit(&mut store, &Changes::new());
    assert_eq!(store.read().journal.ttl(), None);
    let (new, _) = Owner::begin_with(&mut store, Some(90));
    assert_eq!((new.journal.ttl(), store.read().journal.ttl()), (Some(90), Some(90)));
    // A version that does not know the TTL writes entries without it.
    let Store { ring, .. } = &mut store;
    ring.insert(4, Entry { epoch: 3, sequence: 4, bases: 0, lines: "!an-older-one-0123456789abcdef\n".into() });
    assert_eq!(store.read().journal.ttl(), Some(90));
}

#[test]
fn a_ttl_longer_than_can_be_set_is_ignored() {
    let lines = format!("!{}\n", u64::MAX);
    let found = read(&[Entry { epoch: 1, sequence: 1, bases: 0, lines }], &[]);
    assert_eq!((found.journal.ttl(), found.incomplete), (Some(LONGEST_TTL), None));
}

/// A License had 256 keys, then 256 others, and again others, while a seat was held: each time, its grants covered the seat.
/// The next owner finds all of them in the entries, and a base takes 512 (`api::seat_ledger`).
#[test]
fn the_next_owner_notes_no_more_grants_than_a_base_takes() {
    let name = LicenseName::new("acme", "acd");
    let grants = |from: usize| (from..from + 256).map(|n| format!("p.grant-{n}.signer")).collect::<Vec<_>>().join(" ");
    let mut journal = Journal::default();
    let mut ring = Vec::new();
    for n in 0..3 {
        let changes = [Change { license: name.clone(), grants: grants(n * 256).into(), records: Vec::new() }];
        let entry = journal.entry(&changes);
        journal.wrote(&entry, &changes);
        ring.push(entry);
    }
    let mut draws = Draws::noted(read(&ring, &[]).grants.remove(&name).expect("they are noted"));
    draws.now_has(grants(512).split(' ').filter_map(GrantId::read).collect());
    let noted = draws.note().split(' ').count();
    assert!(noted <= MOST_NOTED, "{noted} grants");
}
