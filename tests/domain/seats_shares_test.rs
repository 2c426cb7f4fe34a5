//! What one who may take seats of a License may have of what all who may share: places in the queue, sessions on a seat,
//! room in memory and in the ledger.

use std::sync::Arc;
use std::time::Duration;

use seatkeeper::domain::Instant;
use seatkeeper::domain::license::entitlement::{Entitlement, PoolLimit, entitlement};
use seatkeeper::domain::license::mode::Mode;
use seatkeeper::domain::license::pool::PoolModel;
use seatkeeper::domain::seats::hold::{Hold, Record};
use seatkeeper::domain::seats::line::{BASE_SLOTS, write_base, write_takers};
use seatkeeper::domain::seats::queue::{Full, Left, MOST_QUEUED, Queue, Session};
use seatkeeper::domain::seats::refusal::Refusal;
use seatkeeper::domain::seats::request::{MAX_NAME_BYTES, MAX_NAMES_BYTES, Request};
use seatkeeper::domain::seats::roster::Members;
use seatkeeper::domain::seats::seating::Seating;
use seatkeeper::domain::seats::table::{MOST_FREED, Table};
use seatkeeper::domain::seats::taker::Taker;
use seatkeeper::domain::seats::terms::SeatTerms;
use seatkeeper::domain::tick::Tick;
use seatkeeper::machine::monotonic;

fn pod(name: &str) -> Option<Taker> {
    Some(Taker::of("system:serviceaccount:centre:agents", Some("uid"), Some(name)))
}

fn seats_of(model: PoolModel, limit: Option<u64>) -> Seating {
    let pool = PoolLimit { name: "pool".into(), model, limit };
    let none = entitlement(&[], Instant::default());
    let all = Entitlement { mode: Mode::Full, ever_licensed: true, pools: vec![pool], ..none };
    Seating::new(Arc::new(SeatTerms::new(&all, &[], &[])), Arc::new(Members::unite(&[])), Instant::default())
}

fn takes(seating: &mut Seating, request: &Request) -> Result<(), Refusal> {
    let grant = seating.decide(request, Instant::default())?;
    seating.assume(&grant, request, Tick(100));
    Ok(())
}

/// The attack: 1,000 sessions of one pod wait, and nobody else can.
#[test]
fn i2_a_pod_that_fills_the_queue_makes_room_for_the_others() {
    let mut queue = Queue::default();
    let session = |pod: Option<Taker>, n: usize| Session::of(None, &n.to_string(), pod);
    for n in 0..MOST_QUEUED {
        assert_eq!(queue.join(session(pod("hostile"), n), None, n), Ok(None));
    }
    assert_eq!(queue.join(session(pod("hostile"), MOST_QUEUED), None, 0), Err(Full), "for itself there is no room");
    for n in 0..MOST_QUEUED / 2 {
        let last = MOST_QUEUED - 1 - n;
        assert_eq!(queue.join(session(pod("other"), n), None, n), Ok(Some(Left::MadeRoom(last))));
    }
    assert_eq!(queue.len(), MOST_QUEUED);
    assert_eq!(queue.join(session(pod("other"), MOST_QUEUED), None, 0), Err(Full), "each has half of it");
    assert_eq!(queue.join(session(pod("third"), 0), None, 0).map(|left| left.is_some()), Ok(true));
    assert_eq!(queue.place(&session(pod("hostile"), 0)), Some(1), "those that wait longest keep their places");
}

/// The attack: 1,000 ServiceAccounts of one namespace wait, each in one place, and nobody of another namespace can.
#[test]
fn i2_a_namespace_that_fills_the_queue_with_service_accounts_makes_room_for_others() {
    let mut queue = Queue::default();
    let join = |queue: &mut Queue<usize>, account: &str, namespace: &str, n: usize| {
        let taker = Some(Taker::of(account, None, None));
        queue.join(Session::of(None, &n.to_string(), taker), Some(namespace.into()), n)
    };
    for n in 0..MOST_QUEUED {
        assert_eq!(join(&mut queue, &format!("hostile-{n}"), "intruder", n), Ok(None));
    }
    assert_eq!(join(&mut queue, "hostile", "intruder", MOST_QUEUED), Err(Full), "for itself there is no room");
    for n in 0..MOST_QUEUED / 2 {
        let last = MOST_QUEUED - 1 - n;
        assert_eq!(join(&mut queue, "agents", "victim", n), Ok(Some(Left::MadeRoom(last))));
    }
    assert_eq!(join(&mut queue, "agents", "victim", MOST_QUEUED), Err(Full), "each has half of it");
    assert!(join(&mut queue, "supervisors", "victim", MOST_QUEUED).is_ok(), "which those of a namespace share");
}

/// The attack: 32 sessions in a user's name, and the user is locked out.
#[test]
fn i2_sessions_of_one_pod_do_not_lock_a_user_out() {
    let mut seating = seats_of(PoolModel::Concurrent, Some(2));
    let mut of = |name: &str, session: String| {
        takes(&mut seating, &Request { user: Some("m.huber"), taker: pod(name), ..Request::of(&session) })
    };
    for n in 0..32 {
        assert_eq!(of("hostile", format!("s{n}")), Ok(()));
    }
    let refused = of("hostile", "one-more".into());
    assert!(matches!(refused, Err(Refusal::TooManySessions { limit: 32, .. })), "{refused:?}");
    assert_eq!(of("own", "main".into()), Ok(()));
}

/// The attack: seats of an unlimited pool until memory and ledger are full.
#[test]
fn i2_an_unlimited_pool_has_a_bound_that_is_stated() {
    let mut seating = seats_of(PoolModel::Unlimited, None);
    let take = |seating: &mut Seating, n: u32, count| {
        let session = format!("s{n}");
        takes(seating, &Request { count, ..Request::of(&session) })
    };
    (0..100).for_each(|n| assert_eq!(take(&mut seating, n, 1_000), Ok(())));
    let refused = take(&mut seating, 100, 1).unwrap_err();
    assert_eq!(refused, Refusal::UnlimitedPoolFull { pool: "pool".into(), limit: 100_000 });
    assert!(refused.may_pass() && refused.to_string().contains("release some"), "{refused}");
    assert_eq!(take(&mut seating, 7, 1_000), Ok(()), "who has its seats asks again and gets them");
}

/// The attack: names as long as each may be, where each byte takes three in the ledger.
#[test]
fn i2_the_names_of_a_session_have_a_bound_together() {
    let mut seating = seats_of(PoolModel::Concurrent, Some(10));
    let long = "%".repeat(MAX_NAME_BYTES);
    let two = Request { user: Some(&long), ..Request::of(&long) };
    assert_eq!(takes(&mut seating, &two), Ok(()), "{MAX_NAMES_BYTES} bytes");
    let three = Request { client: Some("c"), ..two };
    let refused = takes(&mut seating, &Request { session: &long[1..], client: Some("ab"), ..three }).unwrap_err();
    assert!(matches!(&refused, Refusal::InvalidRequest(why) if why.contains("513 bytes together")), "{refused}");
}

/// The attack: as many sessions as eight pods may have on each of 48 seats. The ledger names who took each of them in a field
/// of its own, which holds 131,072 characters (`api::seat_ledger`).
#[test]
fn i2_the_takers_of_a_base_fit_into_their_field() {
    let mut seating = seats_of(PoolModel::Concurrent, Some(48));
    for (user, n) in (0..48).flat_map(|user| (0..256).map(move |n| (user, n))) {
        let (user, session) = (format!("u{user}"), format!("{n:012}"));
        let taker = pod(&(n / 32).to_string());
        _ = takes(&mut seating, &Request { user: Some(&user), taker, ..Request::of(&session) });
    }
    let takers = write_takers(seating.table().holders_within("pool", 0..BASE_SLOTS));
    assert!(takers.len() <= 131_072, "{} characters", takers.len());
}

/// The attack: names of `<`, which the API server stores as `\\u003c`: Go's JSON writes `<`, `>` and `&` in six bytes. etcd takes
/// 1.5 MiB.
#[test]
fn i2_a_base_fits_into_etcd_as_the_api_server_writes_it() {
    let mut seating = seats_of(PoolModel::Concurrent, Some(17));
    let (client, request) = ("<".repeat(240), "<".repeat(240));
    for (user, n) in (0..17).flat_map(|user| (0..32).map(move |n| (user, n))) {
        let (user, session) = (format!("u{user}"), format!("{n:012}"));
        let of_session = Request { user: Some(&user), taker: pod("one"), ..Request::of(&session) };
        _ = takes(&mut seating, &Request { client: Some(&client), request: Some(&request), ..of_session });
    }
    let held = || seating.table().holders_within("pool", 0..BASE_SLOTS);
    let (lines, takers) = (write_base(held()), write_takers(held()));
    let escaped = lines.chars().filter(|c| matches!(c, '<' | '>' | '&')).count();
    let stored = lines.len() + 5 * escaped + takers.len();
    assert!(stored <= 1_572_864, "{stored} bytes, of {} bytes of lines", lines.len());
}

/// The attack: one user with very many sessions. To remove each used to take as long as there were others.
#[test]
fn i2_the_seats_of_a_user_come_free_in_linear_time() {
    const SEATS: u32 = 100_000;
    let mut table = Table::default();
    let pool: Arc<str> = "pool".into();
    for slot in 0..SEATS {
        let hold = Hold {
            pool: pool.clone(),
            slot,
            user: Some("m.huber".into()),
            session: "main".into(),
            since: 0,
            client: None,
            request: None,
            taker: None,
        };
        table.apply(&Record::Hold(hold), Tick(1));
    }
    let began = monotonic();
    for _ in 0..SEATS as usize / MOST_FREED {
        let freed = table.release_user("m.huber");
        assert_eq!(freed.len(), MOST_FREED);
        freed.iter().rev().for_each(|record| table.apply(record, Tick::MIN));
    }
    assert_eq!(table.in_use_at_all(), 0);
    let took = monotonic() - began;
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// Three spellings of one name took three seats.
#[test]
fn i2_a_user_with_blanks_around_the_name_has_no_further_seat() {
    let mut seating = seats_of(PoolModel::Concurrent, Some(3));
    for name in [" anna", "anna ", "\u{a0}anna", "anna\n", " "] {
        for request in
            [Request { user: Some(name), ..Request::of("s") }, Request { client: Some(name), ..Request::of("s") }]
        {
            let refused = takes(&mut seating, &request);
            assert!(matches!(refused, Err(Refusal::InvalidRequest(_))), "{name:?}: {refused:?}");
        }
    }
    assert_eq!(takes(&mut seating, &Request { user: Some("Anna Maria"), ..Request::of("s") }), Ok(()));
}
