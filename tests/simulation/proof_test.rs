//! What an owner of the ledger answers that has stood still: another may own it by now.

use std::time::Duration;

use futures::FutureExt;
use seatkeeper::cluster::seats::Denied;
use seatkeeper::cluster::seats::desk::PROOF_LASTS;

use crate::centre::{asks, centre, open};

/// Time passes, and nothing runs meanwhile.
fn stands_still(time: Duration) {
    // Its first step moves the clock; in the second, others would run.
    assert_eq!(tokio::time::advance(time).now_or_never(), None);
}

#[test]
fn i1_an_owner_that_stood_still_for_longer_than_its_proof_lasts_says_nothing_of_the_seats_it_remembers() {
    let run = open(&centre(2, None));
    let desk = run.desk();
    run.within(async {
        let held = asks(&desk, "a").await.expect("there are two").seats.remove(0);
        assert_eq!(desk.heartbeat([&held]).await, Ok(vec![true]));
        stands_still(PROOF_LASTS);
        assert!(desk.owns(), "nobody has told it yet");
        assert_eq!(desk.heartbeat([&held]).now_or_never(), Some(Err(Denied::NotOwner)));
        assert_eq!(asks(&desk, "a").now_or_never(), Some(Err(Denied::NotOwner)), "the seat that it holds already");
    });
}
