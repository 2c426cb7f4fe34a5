//! A seat that was reported lost stays lost, whichever replica owns the ledger.

use std::time::Duration;

use seatkeeper::seats::limits::with_drift;
use seatkeeper::seats::{Desk, HeartbeatOutcome, Seat};

use crate::contact_centre::{asks, centre, license, open};
use crate::run::holders;

/// How long a write of the ledger takes here.
const A_WRITE: Duration = Duration::from_secs(2);

/// Waits for an owner, and returns whether it answers that the seat is kept.
async fn says_kept(desk: &Desk, seat: &Seat) -> bool {
    loop {
        match desk.heartbeat([seat]).await {
            Ok(HeartbeatOutcome { kept, unsure: None, .. }) => return kept[0],
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Waits until the owner has freed the seat in its table; the ledger still has it.
async fn is_freed(desk: &Desk) {
    while !holders(desk, &license()).expect("it owns").is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_seat_is_reported_lost_once_the_ledger_shows_it_free_and_the_next_owner_agrees() {
    let mut run = open(&centre(2, None));
    let (mut desk, slow) = (run.desk(), run.shared.clone());
    let held = run.within(async {
        let held = asks(&desk, "a").await.expect("there are two").seats.remove(0);
        slow.lock().write_takes = A_WRITE;
        is_freed(&desk).await;
        let told = tokio::time::timeout(A_WRITE / 2, desk.heartbeat([&held])).await;
        assert!(told.is_err(), "{told:?}, but the next owner will find it held");
        held
    });
    run.kill();
    run.restart();
    desk = run.desk();
    run.within(async {
        assert!(says_kept(&desk, &held).await, "it was never reported lost");
        is_freed(&desk).await;
        assert!(!says_kept(&desk, &held).await);
    });
    run.kill();
    run.restart();
    desk = run.desk();
    run.within(async { assert!(!says_kept(&desk, &held).await, "it was reported lost") });
}

/// The seat's TTL is over, but the owner has not looked at it yet.
#[test]
fn a_heartbeat_after_the_ttl_finds_the_seat_lost_and_frees_it() {
    let run = open(&centre(2, None));
    let desk = run.desk();
    run.within(async {
        let held = asks(&desk, "a").await.expect("there are two").seats.remove(0);
        tokio::time::sleep(with_drift(desk.ttl())).await;
        assert_eq!(holders(&desk, &license()).expect("it owns").len(), 1, "the owner has not looked at it yet");
        assert_eq!(
            desk.heartbeat([&held]).await,
            Ok(HeartbeatOutcome { kept: vec![false], unsure: None, of_others: Vec::new() })
        );
        assert!(holders(&desk, &license()).expect("it owns").is_empty());
    });
}
