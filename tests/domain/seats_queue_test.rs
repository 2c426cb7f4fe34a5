//! The queue for seats, compared with its simplest model: a list.

use proptest::prelude::*;
use seatkeeper::domain::seats::queue::{Full, Left, MOST_QUEUED, PLACE_LASTS, Queue, Session};
use seatkeeper::domain::seats::taker::Taker;
use seatkeeper::domain::tick::Tick;
use std::sync::Arc;

const GRACE_MILLIS: u64 = PLACE_LASTS.as_millis() as u64;

#[derive(Clone, Debug)]
enum Step {
    Join(u8),
    Ended(u8),
    Leave(u8),
    Pass(u64),
    Forget,
    /// Calls up to `most` waiters; those with an even number leave the queue; nobody behind `stop` is called.
    Call {
        most: usize,
        stop: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..12_u8;
    prop_oneof![
        6 => who.clone().prop_map(Step::Join),
        4 => who.clone().prop_map(Step::Ended),
        1 => who.clone().prop_map(Step::Leave),
        3 => (0..GRACE_MILLIS).prop_map(Step::Pass),
        2 => Just(Step::Forget),
        1 => (0..8_usize, who).prop_map(|(most, stop)| Step::Call { most, stop }),
    ]
}

/// Returns the session of a waiter; each session name is used by two users, and each user's in two pods.
fn session(who: u8) -> Session {
    let taker = (who / 3 % 2 == 1).then(|| Taker::of("other", None, None));
    Session::of(Some(if who < 6 { "a" } else { "b" }), &(who % 3).to_string(), taker)
}

fn namespace(who: u8) -> Option<Arc<str>> {
    (who < 4).then(|| "one".into())
}

/// A waiter: its number, the number of its request, and when that ended.
type One = (u8, usize, Option<u64>);

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_queue_is_a_list_in_which_everybody_keeps_their_place(steps in prop::collection::vec(step(), 1..80)) {
        let (mut queue, mut list): (Queue<usize>, Vec<One>) = (Queue::default(), Vec::new());
        let mut now = 0;
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Join(who) => {
                    let before = list.iter_mut().find(|one| one.0 == who);
                    let replaced = before.as_ref().map(|one| one.1);
                    match before {
                        Some(one) => (one.1, one.2) = (number, None),
                        None => list.push((who, number, None)),
                    }
                    prop_assert_eq!(queue.join(session(who), namespace(who), number), Ok(replaced.map(Left::Replaced)));
                }
                Step::Ended(who) => {
                    queue.ended(&session(who), Tick(now));
                    list.iter_mut().filter(|one| one.0 == who).for_each(|one| one.2 = Some(now));
                }
                Step::Leave(who) => {
                    let there = list.iter().find(|one| one.0 == who).map(|one| one.1);
                    prop_assert_eq!(queue.leave(&session(who)), there);
                    list.retain(|one| one.0 != who);
                }
                Step::Pass(time) => now += time,
                Step::Forget => {
                    queue.forget(Tick(now));
                    list.retain(|one| one.2.is_none_or(|ended| now - ended < GRACE_MILLIS));
                }
                Step::Call { most, stop } => {
                    let stop = list.iter().find(|one| one.0 == stop).map(|one| one.1);
                    let mut called = Vec::new();
                    queue.call(most, |waiting| {
                        called.push((waiting.ask, waiting.kept_until()));
                        (Some(waiting.ask) != stop).then_some(waiting.ask % 2 == 1)
                    });
                    let end = list.iter().position(|one| Some(one.1) == stop).unwrap_or(list.len());
                    let expected: Vec<_> = list[..list.len().min(end + 1).min(most)].to_vec();
                    let expected_called: Vec<_> =
                        expected.iter().map(|one| (one.1, one.2.map(|ended| Tick(ended + GRACE_MILLIS)))).collect();
                    prop_assert_eq!(called, expected_called);
                    let gone: Vec<usize> = expected.iter().map(|one| one.1)
                        .filter(|ask| Some(*ask) != stop && ask % 2 == 0).collect();
                    list.retain(|one| !gone.contains(&one.1));
                }
            }
            prop_assert_eq!((queue.len(), queue.is_empty()), (list.len(), list.is_empty()));
            for who in 0..12 {
                let place = list.iter().position(|one| one.0 == who);
                prop_assert_eq!(queue.place(&session(who)), place.map(|place| place + 1));
                prop_assert_eq!(queue.ask(&session(who)).copied(), place.map(|place| list[place].1));
            }
        }
    }
}

#[test]
fn no_more_than_a_thousand_wait_for_one_license_and_those_keep_their_places() {
    let mut queue = Queue::default();
    let session = |n: usize| Session::of(None, &n.to_string(), None);
    for n in 0..MOST_QUEUED {
        assert_eq!(queue.join(session(n), None, n), Ok(None));
    }
    assert_eq!(queue.join(session(MOST_QUEUED), None, 0), Err(Full));
    assert_eq!(queue.join(session(7), None, 4711), Ok(Some(Left::Replaced(7))), "one who already waits may ask again");
    assert_eq!((queue.place(&session(7)), queue.len()), (Some(8), MOST_QUEUED));
    queue.leave(&session(0));
    assert_eq!(queue.join(session(MOST_QUEUED), None, 0), Ok(None));
    assert_eq!(queue.place(&session(MOST_QUEUED)), Some(MOST_QUEUED));
}
