//! Whose seat is it? Seats belong to who took them, and each id has a part that only the holder knows.

use std::sync::Arc;

use seatkeeper::domain::Instant;
use seatkeeper::domain::license::entitlement::{Entitlement, PoolLimit, entitlement};
use seatkeeper::domain::license::mode::Mode;
use seatkeeper::domain::license::name::LicenseName;
use seatkeeper::domain::license::pool::PoolModel;
use seatkeeper::domain::seats::hold::{HeldSeat, Occupant, Record};
use seatkeeper::domain::seats::journal::{Base, BaseName, Change, Entry, Journal, LedgerContents, read};
use seatkeeper::domain::seats::line::{read_base, read_records, write_records};
use seatkeeper::domain::seats::request::{Grant, Request};
use seatkeeper::domain::seats::roster::Members;
use seatkeeper::domain::seats::seating::Seating;
use seatkeeper::domain::seats::tag::{KEY_BYTES, Tag, Tagger};
use seatkeeper::domain::seats::taker::Taker;
use seatkeeper::domain::seats::terms::SeatTerms;
use seatkeeper::domain::tick::Tick;

fn pod(name: &str) -> Option<Taker> {
    Some(Taker::of("system:serviceaccount:centre:agents", Some("uid"), Some(name)))
}

fn agents(seats: u64) -> Seating {
    let pool = PoolLimit { name: "agents".into(), model: PoolModel::Concurrent, limit: Some(seats) };
    let none = entitlement(&[], Instant::default());
    let all = Entitlement { mode: Mode::Full, ever_licensed: true, pools: vec![pool], ..none };
    Seating::new(Arc::new(SeatTerms::new(&all, &[], &[])), Arc::new(Members::unite(&[])), Instant::default())
}

fn takes(seating: &mut Seating, user: Option<&str>, session: &str, taker: Option<Taker>) -> Grant {
    let request = Request { user, taker, ..Request::of(session) };
    let grant = seating.decide(&request, Instant::default()).expect("a seat is free");
    seating.assume(&grant, &request, Tick(100));
    grant
}

fn held<'a>(slot: u32, user: Option<&'a str>, session: &'a str, taker: Option<Taker>) -> HeldSeat<'a> {
    HeldSeat { pool: "agents", slot, user, session, taker }
}

#[test]
fn the_same_session_from_another_pod_is_another_start_and_each_gets_its_own_seat_again() {
    let mut seating = agents(2);
    let [one, two] = [pod("one"), pod("two")].map(|taker| takes(&mut seating, None, "main", taker).seats);
    assert_eq!((one[0].slot, two[0].slot), (0, 1));
    for (taker, seats) in [(pod("one"), one), (pod("two"), two)] {
        let again = takes(&mut seating, None, "main", taker);
        assert_eq!((again.seats, again.records), (seats, Vec::new()));
    }
    let third = Request { taker: pod("three"), ..Request::of("main") };
    assert!(seating.decide(&third, Instant::default()).is_err(), "it counts as a start");
}

#[test]
fn only_the_pod_that_took_a_seat_keeps_it_and_gives_it_back() {
    let mut seating = agents(1);
    takes(&mut seating, None, "main", pod("one"));
    for other in [pod("two"), None] {
        let named = held(0, None, "main", other);
        assert!(!seating.heartbeat(&named, Tick(1), Tick(200)), "{other:?}");
        assert_eq!((seating.release(&named), seating.holding(&named)), (None, None), "{other:?}");
    }
    let own = held(0, None, "main", pod("one"));
    assert!(seating.heartbeat(&own, Tick(1), Tick(200)));
    assert_eq!(seating.taker(&held(0, None, "main", None), 0), Some(pod("one")));
    let freed = seating.release(&own).expect("it is held");
    seating.apply(&freed, Tick::MIN);
    assert_eq!(seating.table().in_use("agents"), 0);
}

/// All sessions of a user share a seat, and two of them may have one name.
#[test]
fn pods_of_one_user_share_a_seat_and_end_one_by_one() {
    let mut seating = agents(1);
    let mut log: Vec<Record> = Vec::new();
    for taker in [pod("one"), pod("two")] {
        let grant = takes(&mut seating, Some("a.kern"), "main", taker);
        assert_eq!(grant.seats[0].slot, 0);
        log.extend(grant.records);
    }
    let freed = seating.release(&held(0, Some("a.kern"), "main", pod("one"))).expect("it is held");
    seating.apply(&freed, Tick::MIN);
    log.push(freed);
    assert!(seating.heartbeat(&held(0, Some("a.kern"), "main", pod("two")), Tick(1), Tick(200)));
    let mut loaded = agents(1);
    read_records(&write_records(&log)).expect("it was just written").iter().for_each(|r| loaded.apply(r, Tick(9)));
    let takers = |seating: &Seating| seating.table().holders().map(|(_, held)| held.taker).collect::<Vec<_>>();
    assert_eq!((takers(&loaded), takers(&seating)), (vec![pod("two")], vec![pod("two")]));
}

#[test]
fn a_seat_of_a_version_that_noted_no_taker_is_kept_by_everybody_with_the_right() {
    let mut seating = agents(2);
    takes(&mut seating, None, "main", None);
    let again = takes(&mut seating, None, "main", pod("one"));
    assert_eq!((again.seats[0].slot, again.records), (0, Vec::new()), "the pod has its seat still");
    assert!(seating.heartbeat(&held(0, None, "main", pod("one")), Tick(1), Tick(200)));
    assert!(seating.release(&held(0, None, "main", pod("two"))).is_some());
}

#[test]
fn the_ledger_says_who_took_a_seat_and_an_older_version_reads_the_seats_all_the_same() {
    let mut seating = agents(9);
    let mut records = Vec::new();
    for (session, taker) in [("a", pod("one")), ("b", pod("one")), ("c", None), ("d", pod("two"))] {
        records.extend(takes(&mut seating, None, session, taker).records);
    }
    let (one, two) = (pod("one").unwrap(), pod("two").unwrap());
    let text = write_records(&records);
    let expected = format!("=agents\n!by {one}\n+0 - a 0\n+1 - b 0\n=agents\n+2 - c 0\n!by {two}\n+3 - d 0\n");
    assert_eq!((&text, one.to_string().len()), (&expected, 12));
    assert_eq!(read_records(&text).as_ref(), Ok(&records));
    assert!(read_records("=a\n!by x\n").is_err() && read_records("!else\n").is_err());

    let license = LicenseName::new("centre", "innoacd");
    let name = BaseName { license: license.clone(), pool: "agents".into(), number: 0 };
    let base = Base::of(seating.table(), String::new(), 0, name);
    assert_eq!(base.takers, format!("{one} {one} - {two}"));
    for wrong in ["-", "- - - x", "- - - - -"] {
        assert!(read_base(&"agents".into(), &base.lines, wrong).is_err(), "{wrong}");
    }
    // Found by fuzzing: lines are counted from 1.
    let of_nobody = read_base(&"agents".into(), "", "--a").expect_err("takers of no lines");
    assert_eq!(of_nobody.to_string(), "line 1: more takers follow than lines");

    // An older version skips lines that begin with `!`, and does not know the field.
    let entry = Journal::default().entry(&[Change { license, grants: "".into(), records }]);
    let older =
        |text: &str| text.lines().filter(|line| !line.starts_with('!')).fold(String::new(), |t, l| t + l + "\n");
    let older_entry = Entry { lines: older(&entry.lines), ..entry.clone() };
    let older_base = Base { takers: String::new(), ..base.clone() };
    let seats = |contents: LedgerContents| {
        assert_eq!(contents.incomplete, None);
        let mut loaded = agents(9);
        contents.holds.iter().for_each(|(_, record)| loaded.apply(record, Tick(9)));
        let of = |(_, held): (&Arc<str>, Occupant)| (held.slot, held.session.to_owned(), held.taker);
        loaded.table().holders().map(of).collect::<Vec<_>>()
    };
    for (entries, bases) in [(vec![entry.clone()], vec![]), (vec![Entry { sequence: 1, ..entry.clone() }], vec![base])]
    {
        let found: Vec<_> = seats(read(&entries, &bases)).into_iter().map(|seat| seat.2).collect();
        assert_eq!(found, [Some(one), Some(one), None, Some(two)]);
    }
    for (entry, bases) in [(&older_entry, vec![]), (&older_entry, vec![older_base])] {
        let found: Vec<_> = seats(read(std::slice::from_ref(entry), &bases)).into_iter().map(|seat| seat.1).collect();
        assert_eq!(found, ["a", "b", "c", "d"]);
    }
}

#[test]
fn takers_differ_if_any_part_of_them_does() {
    let all = [
        Taker::of("ab", Some("c"), None),
        Taker::of("a", Some("bc"), None),
        Taker::of("a", None, Some("bc")),
        Taker::of("ab", None, Some("c")),
        Taker::of("abc", None, None),
    ];
    for (n, one) in all.iter().enumerate() {
        assert_eq!(Taker::read(&one.to_string()), Some(*one));
        assert!(all[n + 1..].iter().all(|other| other != one));
    }
    assert_eq!([Taker::read(""), Taker::read("AAAA"), Taker::read("AAAAAAAAAAA?")], [None; 3]);
}

#[test]
fn only_the_tag_of_this_very_holding_opens_it() {
    let license = LicenseName::new("centre", "innoacd");
    let tagger = Tagger::new(&[7; KEY_BYTES], 100);
    let seat = held(3, Some("a"), "main", None);
    let tag = tagger.tag(&license, &seat, 200);
    let opens = |tagger: &Tagger, tag, license: &LicenseName, seat: &HeldSeat, since| {
        tagger.admits(tag, since, || tagger.tag(license, seat, since))
    };
    assert!(opens(&tagger, Some(tag), &license, &seat, 200));
    assert!(opens(&tagger, Tag::read(&tag.to_string()), &license, &seat, 200), "as text it is the same");
    let others = [
        (HeldSeat { slot: 4, ..seat }, 200),
        (HeldSeat { user: None, ..seat }, 200),
        (HeldSeat { user: Some("am"), session: "ain", ..seat }, 200),
        (HeldSeat { pool: "other", ..seat }, 200),
        (seat, 201),
    ];
    assert!(others.iter().all(|(other, since)| !opens(&tagger, Some(tag), &license, other, *since)));
    assert!(!opens(&tagger, Some(tag), &LicenseName::new("centr", "einnoacd"), &seat, 200));
    assert!(!opens(&Tagger::new(&[8; KEY_BYTES], 100), Some(tag), &license, &seat, 200), "another key");
    assert!(!opens(&tagger, None, &license, &seat, 100));
    assert!(opens(&tagger, None, &license, &seat, 99), "it was granted before there was this key");
    assert_eq!(format!("{tag:?}"), "Tag", "it is a secret");
}

/// A tag that was noted for an earlier holding, or for names that were replaced since, would refuse the holder its own seat.
#[test]
fn a_tag_is_noted_for_one_holding_under_its_names_alone() {
    let license = LicenseName::new("centre", "innoacd");
    let tagger = Tagger::new(&[7; KEY_BYTES], 100);
    let key = |name: &str| tagger.user(&license, name);
    let mut seating = agents(2);
    takes(&mut seating, Some("anna"), "s1", pod("one"));
    let seat = held(0, Some("anna"), "s1", pod("one"));
    assert!(seating.tag(&seat).is_none());
    let tag = tagger.tag(&license, &seat, 200);
    seating.note_tag(&seat, tag);
    takes(&mut seating, Some("anna"), "s1", pod("one"));
    assert!(seating.tag(&seat) == Some(tag), "it asked again, and has the same seat");
    assert!(seating.tag(&held(0, Some("anna"), "s1", pod("two"))).is_none(), "another pod");

    seating.set_hides(true, key, key);
    let name = key("anna");
    assert!(seating.tag(&held(0, Some(&name), "s1", pod("one"))).is_none(), "under another name");

    seating.note_tag(&held(0, Some(&name), "s1", pod("one")), tag);
    let freed = seating.release(&held(0, Some(&name), "s1", pod("one"))).expect("it is held");
    seating.apply(&freed, Tick::MIN);
    takes(&mut seating, Some(&name), "s1", pod("one"));
    assert!(seating.tag(&held(0, Some(&name), "s1", pod("one"))).is_none(), "another holding");
}
