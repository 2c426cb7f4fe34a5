//! A held seat takes at most 200 bytes, all indexes included. This is a separate program, because it counts every
//! allocation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use seatkeeper::domain::Instant;
use seatkeeper::domain::license::entitlement::{Entitlement, PoolLimit, entitlement};
use seatkeeper::domain::license::mode::Mode;
use seatkeeper::domain::license::pool::PoolModel;
use seatkeeper::domain::seats::request::Request;
use seatkeeper::domain::seats::roster::{MemberMode, Members, Roster, RosterEntry};
use seatkeeper::domain::seats::seating::Seating;
use seatkeeper::domain::seats::terms::SeatTerms;
use seatkeeper::domain::tick::Tick;

const SEATS: usize = 10_000;
const MOST_BYTES: usize = 200;

struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

/// Returns the size that the system's allocator takes: a header of 8 bytes, in steps of 16, and never less than 32.
fn taken(layout: Layout) -> usize {
    (layout.size() + 8).next_multiple_of(16).max(32)
}

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(taken(layout), Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(taken(layout), Relaxed);
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn terms(model: PoolModel) -> Arc<SeatTerms> {
    let pool = PoolLimit { name: "pool".into(), model, limit: Some(SEATS as u64) };
    let none = entitlement(&[], Instant::default());
    let all = Entitlement { mode: Mode::Full, ever_licensed: true, pools: vec![pool], ..none };
    Arc::new(SeatTerms::new(&all, &[], &[]))
}

/// Returns the bytes for each seat if every seat belongs to another user.
fn bytes_a_seat(model: PoolModel, people: &Arc<Members>) -> usize {
    let before = ALLOCATED.load(Relaxed);
    let mut seating = Seating::new(terms(model), people.clone(), Instant::default());
    let empty = ALLOCATED.load(Relaxed);
    for n in 0..SEATS {
        let (user, session) = (format!("user-{n:05}"), format!("session-{n:08}"));
        let client = Some("pc-0001.example");
        let request = Request { user: Some(&user), client, request: Some("r-000001"), ..Request::of(&session) };
        let grant = seating.decide(&request, Instant::default()).unwrap();
        seating.assume(&grant, &request, Tick(10));
    }
    assert_eq!(seating.table().in_use("pool"), SEATS as u64);
    let held = (ALLOCATED.load(Relaxed) - empty) / SEATS;
    loop {
        let expired = seating.table().expired(Tick(10));
        if expired.is_empty() {
            break;
        }
        expired.iter().for_each(|record| seating.apply(record, Tick::MIN));
    }
    assert_eq!(seating.table().in_use("pool"), 0);
    drop(seating);
    assert_eq!(ALLOCATED.load(Relaxed), before, "everything allocated is freed");
    held
}

#[test]
fn a_held_seat_takes_at_most_200_bytes() {
    let nobody = Arc::new(Members::unite(&[]));
    let date = |text: &str| text.parse().unwrap();
    let member = |n| RosterEntry {
        user: format!("user-{n:05}"),
        login_mode: MemberMode::Active,
        entry_date: date("1970-01-01"),
        exit_date: None,
        team: None,
    };
    let staff = Roster {
        name: "staff".into(),
        guest: None,
        is_equal: false,
        time_zone: seatkeeper::domain::zone::Zone::utc(),
        entries: (0..SEATS).map(member).collect(),
    };
    let staff = Arc::new(Members::unite(&[staff]));
    for (model, people) in [(PoolModel::Concurrent, &nobody), (PoolModel::PerEmployee, &staff)] {
        let bytes = bytes_a_seat(model, people);
        println!("{model:?}: {bytes} bytes for each held seat");
        assert!(bytes <= MOST_BYTES, "{model:?}: {bytes} bytes");
    }
}
