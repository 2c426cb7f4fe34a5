//! What an owner of the ledger answers after it has stood still: another replica may own the ledger by now.

use std::time::Duration;

use futures::FutureExt;
use http::Method;
use seatkeeper::cluster::leader::LEASE_NAME;
use seatkeeper::seats::proof::PROOF_LASTS;
use seatkeeper::seats::{Denied, HeartbeatOutcome, Seat};

use crate::api::must;
use crate::contact_centre::{asks, centre, is_kept, license, open};

/// Lets time pass while nothing runs.
fn stands_still(time: Duration) {
    // The first poll moves the clock; at the second, other tasks would run.
    assert_eq!(tokio::time::advance(time).now_or_never(), None);
}

#[test]
fn i1_an_owner_that_stood_still_for_longer_than_its_proof_lasts_answers_nothing_about_the_seats_it_remembers() {
    let run = open(&centre(2, None));
    let desk = run.desk();
    run.within(async {
        let held = asks(&desk, "a").await.expect("there are two").seats.remove(0);
        assert!(is_kept(&desk, &held).await);
        stands_still(PROOF_LASTS);
        assert!(desk.owns(), "it has not noticed yet");
        assert_eq!(desk.heartbeat([&held]).now_or_never(), Some(Err(Denied::NotOwner)));
        assert_eq!(asks(&desk, "a").now_or_never(), Some(Err(Denied::NotOwner)), "the seat that it holds already");
    });
}

/// A replica believes the owner to be gone if a firewall refuses its requests to the owner; the owner does not know yet
/// that it has been replaced.
#[test]
fn i1_an_owner_whose_lease_another_has_taken_tells_nobody_that_a_seat_is_lost_or_free() {
    let run = open(&centre(2, None));
    let desk = run.desk();
    run.within(async {
        let held = asks(&desk, "a").await.expect("there are two").seats.remove(0);
        let unheard_of = Seat { slot: 1, user: Some("b".into()), session: "of-b".into(), ..held.clone() };
        let lost = HeartbeatOutcome { kept: vec![true, false], unsure: None, of_others: Vec::new() };
        assert_eq!(desk.heartbeat([&held, &unheard_of]).await, Ok(lost), "it owns the ledger");
        assert_eq!(desk.evict(&license(), Some("b")).await, Ok(0));
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/default/leases/{LEASE_NAME}");
        let mut lease = must(&run.shared.api, Method::GET, &path, None).await;
        lease["spec"]["holderIdentity"] = "another".into();
        must(&run.shared.api, Method::PUT, &path, Some(&lease)).await;
        assert!(desk.owns(), "it has not noticed yet");
        let heard = desk.heartbeat([&held, &unheard_of]).await.expect("there is proof still");
        assert_eq!(heard.kept, [true, false]);
        assert!(heard.unsure.is_some(), "the other may have granted it");
        assert!(desk.evict(&license(), Some("b")).await.is_err(), "it can no longer say that no seat was there");
    });
}
