//! A seat belongs to who took it, also for the next owner of the ledger.

use std::time::Duration;

use seatkeeper::domain::seats::taker::Taker;
use seatkeeper::machine::seed_thread;
use seatkeeper::seats::{Ask, Denied, Seat};

use crate::contact_centre::{ask, is_kept};
use crate::replicas::Replicas;

const SECOND: Duration = Duration::from_secs(1);

fn intruder() -> Taker {
    Taker::of("intruder", None, None)
}

fn takes(replicas: &mut Replicas, n: usize, taker: Taker) -> Seat {
    let (desk, wish) = (replicas.desk(n), Ask { taker, user: None, ..ask("a") });
    let mut sent = replicas.send(n, async move { desk.acquire(&[wish]).await.pop().expect("an answer for each") });
    let granted = sent.receive(replicas, SECOND * 5).expect("the owner answers").expect("a seat is free");
    granted.seats[0].clone()
}

/// Whether a heartbeat keeps the seat, and whether a release is let through.
fn does(replicas: &mut Replicas, n: usize, seat: Seat, frees: bool) -> (bool, bool) {
    let desk = replicas.desk(n);
    let of = async move { (is_kept(&desk, &seat).await, frees && desk.release(&seat) != Err(Denied::TakenByAnother)) };
    let mut sent = replicas.send(n, of);
    sent.receive(replicas, SECOND * 5).expect("the owner answers")
}

/// What goes wrong while a seat is held under two owners.
fn story() -> Vec<&'static str> {
    seed_thread(1);
    let mut replicas = Replicas::start(2, [1.0; 2]);
    let holder = ask("a").taker;
    let seat = takes(&mut replicas, 0, holder);
    let mut wrong = Vec::new();
    for n in [0, 1] {
        if n == 1 {
            replicas.kill(0);
            assert!(replicas.until(SECOND * 120, |replicas| replicas.owns(1)), "the second one takes over");
            wrong.extend((takes(&mut replicas, n, holder) != seat).then_some("asked again, it has another id"));
        }
        let others = Seat { taker: Some(intruder()), ..seat.clone() };
        let listed = Seat { tag: None, ..seat.clone() };
        for (named, keeps, frees) in
            [(others, "another keeps it", "another frees it"), (listed, "a listed id keeps it", "a listed id frees it")]
        {
            let (kept, freed) = does(&mut replicas, n, named, true);
            wrong.extend(kept.then_some(keeps).into_iter().chain(freed.then_some(frees)));
        }
        wrong.extend((!does(&mut replicas, n, seat.clone(), false).0).then_some("its holder lost it"));
    }
    let twin = takes(&mut replicas, 1, intruder());
    wrong.extend((twin.slot == seat.slot).then_some("the same session from elsewhere has the same seat"));
    wrong
}

#[test]
fn i1_a_seat_is_kept_and_freed_only_by_who_took_it_under_every_owner() {
    assert_eq!(story(), [""; 0], "the right code");
    #[cfg(feature = "known-wrong")]
    for variant in seatkeeper::wrong::Variant::OF_TAKERS {
        let tell = move || {
            seatkeeper::wrong::be(Some(variant));
            story()
        };
        let wrong = std::thread::spawn(tell).join().expect("no story panics");
        eprintln!("{variant:?}: {wrong:?}");
        assert!(!wrong.is_empty(), "{variant:?} is not caught");
    }
}
