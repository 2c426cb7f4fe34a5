//! Waiting for a seat, in simulated time: who gets it, when, and what happens to a turn that nobody takes.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use seatkeeper::domain::seats::queue::{MOST_QUEUED, PLACE_LASTS};
use seatkeeper::domain::seats::refusal::Refusal;
use seatkeeper::machine::monotonic;
use seatkeeper::seats::{Denied, Desk, Granted, Seat};
use tokio::task::{JoinHandle, LocalSet, spawn_local};

use crate::contact_centre::{ask, asks, centre, is_kept, license, open};
use crate::run::{Run, holders};

/// The longest that the server lets a request wait.
const WAIT: Duration = Duration::from_secs(30);
/// Longer than anything takes that does not have to wait.
const SOON: Duration = Duration::from_millis(100);
/// The longest after its TTL that a seat is freed.
const SWEEP: Duration = Duration::from_secs(1);

fn waits(desk: &Desk, user: &str, most: Duration) -> JoinHandle<Result<Granted, Denied>> {
    let (desk, ask) = (desk.clone(), ask(user));
    spawn_local(async move { desk.acquire_in_turn(ask, most).await })
}

/// Starts a request that waits, and returns once it is in the queue.
async fn joins(desk: &Desk, user: &str) -> JoinHandle<Result<Granted, Denied>> {
    let waiting = waits(desk, user, WAIT);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished(), "{user} has to wait");
    waiting
}

async fn within<T>(most: Duration, answer: JoinHandle<T>) -> T {
    tokio::time::timeout(most, answer).await.expect("an answer in time").expect("no panic")
}

fn is_exhausted<T: std::fmt::Debug>(answer: &Result<T, Denied>) -> bool {
    matches!(answer, Err(Denied::Refused(Refusal::SeatsExhausted { .. })))
}

fn place<T>(answer: &Result<T, Denied>) -> Option<usize> {
    match answer {
        Err(Denied::Queued { refusal: Refusal::SeatsExhausted { .. }, place }) => Some(*place),
        _ => None,
    }
}

/// Runs `story` while `a` and `b` keep the only two seats.
fn full(story: impl AsyncFnOnce(&Run, &Desk, [Seat; 2])) {
    let run = open(&centre(2, None));
    let desk = run.desk();
    run.within(LocalSet::new().run_until(async {
        let mut seats = Vec::new();
        for user in ["a", "b"] {
            seats.push(asks(&desk, user).await.unwrap_or_else(|denied| panic!("{user}: {denied}")).seats.remove(0));
        }
        let (kept, keeper) = (seats.clone(), desk.clone());
        let keeping = spawn_local(async move {
            loop {
                let _ = keeper.heartbeat(&kept).await;
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
        });
        story(&run, &desk, [seats.remove(0), seats.remove(0)]).await;
        keeping.abort();
    }));
}

#[test]
fn i2_waiters_get_a_seat_in_the_order_in_which_they_came_and_a_newcomer_after_them() {
    full(async |_, desk, [mut free, _]| {
        let mut waiting = Vec::new();
        for user in ["c", "d", "e"] {
            waiting.push((user, joins(desk, user).await));
        }
        // The newcomer asks all the time, and never waits in the queue.
        let (log, newcomer) = (Rc::new(RefCell::new(Vec::new())), desk.clone());
        let asked = log.clone();
        let newcomer = spawn_local(async move {
            loop {
                let answer = asks(&newcomer, "x").await;
                asked.borrow_mut().push(answer.clone());
                match answer {
                    Ok(granted) => return granted,
                    refused => assert!(is_exhausted(&refused), "{refused:?}"),
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        for (user, waiting) in waiting {
            assert!(!newcomer.is_finished(), "before {user}");
            assert_eq!(desk.release(&free), Ok(true));
            let granted = within(SOON, waiting).await.unwrap_or_else(|denied| panic!("{user}: {denied}"));
            free = granted.seats[0].clone();
            assert_eq!(free.user.as_deref(), Some(user));
            tokio::time::sleep(SOON).await;
        }
        assert!(!newcomer.is_finished() && log.borrow().len() > 100);
        desk.release(&free).expect("it owns");
        assert_eq!(within(SOON, newcomer).await.seats[0].user.as_deref(), Some("x"));
    });
}

#[test]
fn a_waiter_that_asks_again_within_the_grace_keeps_its_turn() {
    full(async |_, desk, [free, _]| {
        assert_eq!(place(&within(WAIT, waits(desk, "c", Duration::from_secs(1))).await), Some(1));
        let behind = joins(desk, "d").await;
        assert_eq!(place(&within(WAIT, waits(desk, "c", Duration::from_secs(1))).await), Some(1), "it came first");
        assert_eq!(place(&within(WAIT, waits(desk, "e", Duration::from_secs(1))).await), Some(3));
        assert_eq!(place(&within(WAIT, waits(desk, "c", Duration::from_secs(1))).await), Some(1));
        // The seat comes free between two requests of `c`.
        desk.release(&free).expect("it owns");
        tokio::time::sleep(PLACE_LASTS - SOON).await;
        assert!(is_exhausted(&asks(desk, "x").await));
        assert!(!behind.is_finished());
        let granted = within(SOON, waits(desk, "c", WAIT)).await.expect("its turn");
        // The seat is held for a whole TTL, not only for the rest of the grace.
        tokio::time::sleep(desk.ttl() - Duration::from_secs(1)).await;
        assert!(is_kept(desk, &granted.seats[0]).await);
    });
}

#[test]
fn a_waiter_that_goes_away_loses_its_turn_after_the_grace_and_the_next_one_gets_it() {
    full(async |_, desk, [free, _]| {
        let gone = joins(desk, "c").await;
        let behind = joins(desk, "d").await;
        gone.abort();
        assert!(gone.await.is_err());
        desk.release(&free).expect("it owns");
        let began = monotonic();
        let granted = within(WAIT, behind).await.expect("its turn");
        let took = monotonic() - began;
        assert!(PLACE_LASTS - SOON < took && took < PLACE_LASTS + SWEEP + SOON, "{took:?}");
        assert_eq!(granted.seats[0].user.as_deref(), Some("d"));
        assert_eq!(place(&within(WAIT, waits(desk, "c", SOON)).await), Some(1), "it is now at the end of the queue");
    });
}

/// The waiter goes away after its turn has come and before it is answered.
#[test]
fn a_seat_whose_waiter_went_away_comes_free_again() {
    full(async |run, desk, [free, _]| {
        let gone = joins(desk, "c").await;
        run.shared.lock().write_takes = Duration::from_secs(1);
        desk.release(&free).expect("it owns");
        tokio::time::sleep(SOON).await;
        assert!(holders(desk, &license()).expect("it owns").iter().any(|(seat, _)| seat.user.as_deref() == Some("c")));
        gone.abort();
        let next = waits(desk, "d", WAIT);
        let granted = within(PLACE_LASTS + SWEEP * 3, next).await.expect("its turn");
        assert_eq!(granted.seats[0].user.as_deref(), Some("d"));
    });
}

#[test]
fn i2_a_waiter_is_answered_once_its_seat_is_in_the_ledger() {
    full(async |run, desk, [free, _]| {
        let waiting = joins(desk, "c").await;
        run.shared.lock().write_takes = Duration::from_secs(2);
        desk.release(&free).expect("it owns");
        let began = monotonic();
        let again = waits(desk, "c", WAIT);
        within(WAIT, waiting).await.expect("its turn");
        assert!(monotonic() - began >= Duration::from_secs(2), "{:?}", monotonic() - began);
        within(SOON, again).await.expect("the same seat");
    });
}

/// If a session asks again while its earlier request still waits, the new request takes over the place.
#[test]
fn a_session_waits_once() {
    full(async |_, desk, [free, _]| {
        let lost = joins(desk, "c").await;
        let _behind = joins(desk, "d").await;
        let again = joins(desk, "c").await;
        assert!(is_exhausted(&within(SOON, lost).await), "the earlier request is answered");
        desk.release(&free).expect("it owns");
        let granted = within(SOON, again).await.expect("its turn");
        // The seat is held like any other, not only for the grace.
        tokio::time::sleep(desk.ttl() - Duration::from_secs(1)).await;
        assert!(is_kept(desk, &granted.seats[0]).await);
    });
}

#[test]
fn a_thousand_wait_and_the_next_one_is_refused() {
    full(async |_, desk, [free, _]| {
        let mut waiting = Vec::new();
        for n in 0..MOST_QUEUED {
            waiting.push(joins(desk, &n.to_string()).await);
        }
        assert_eq!(desk.acquire_in_turn(ask("late"), WAIT).await, Err(Denied::Overloaded));
        assert!(is_exhausted(&asks(desk, "late").await), "a request that does not wait is refused as always");
        desk.release(&free).expect("it owns");
        within(SOON, waiting.remove(0)).await.expect("its turn");
        let last = joins(desk, "late").await;
        assert_eq!(desk.evict(&license(), None).await, Ok(2), "the two holders, not the waiters who get their seats");
        for waiting in waiting.drain(..2) {
            within(SOON, waiting).await.expect("its turn");
        }
        assert!(!last.is_finished());
    });
}
