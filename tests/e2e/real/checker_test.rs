//! The checker finds planted errors, and nothing in correct histories.

use std::collections::BTreeMap;

use crate::harness::safety::checker::{Law, Trouble, Verdict, check};
use crate::harness::safety::history::{History, License, Session};

const SECOND: u64 = 1_000_000;
const TTL: u64 = 5 * SECOND;
const ONE: License = License { grant: 0, name: 0 };
/// Another License that has the same grant at another time.
const OTHER: License = License { grant: 0, name: 1 };

fn law(seats: u32) -> Law {
    Law { seats: vec![seats], moves: BTreeMap::new(), stays: TTL * 21 / 20, waits: (10 * SECOND + TTL) * 21 / 20 }
}

fn judged(seats: u32, troubles: &[Trouble], tell: impl FnOnce(&mut History)) -> Verdict {
    let mut history = History::new(TTL);
    tell(&mut history);
    history.close();
    check(&mut history, &law(seats), troubles)
}

/// Returns the defects that the checker finds, as text.
fn found(seats: u32, tell: impl FnOnce(&mut History)) -> String {
    judged(seats, &[], tell).defects.join("\n")
}

fn takes(history: &mut History, sent: u64, heard: u64, slot: u16) -> Session {
    takes_under(ONE, history, sent, heard, slot)
}

fn takes_under(license: License, history: &mut History, sent: u64, heard: u64, slot: u16) -> Session {
    let session = history.begin(license, 1);
    history.granted(session, sent, heard, &[slot]);
    session
}

fn gives_back(history: &mut History, session: Session, sent: u64, heard: u64) {
    history.releases(session, sent);
    history.over(session, Some(heard));
}

fn is_refused(history: &mut History, sent: u64, heard: u64) {
    let session = history.begin(ONE, 1);
    history.refused(session, sent, heard);
    history.over(session, None);
}

#[test]
fn seats_that_change_hands_are_correct() {
    let verdict = judged(1, &[], |history| {
        let first = takes(history, 10, 20, 0);
        is_refused(history, 21, 22);
        history.kept(first, 30, 40);
        gives_back(history, first, 50, 60);
        // Granted after the release was requested, and before it was answered.
        let second = takes(history, 51, 55, 0);
        gives_back(history, second, 70, 80);
        // After silence, the next session gets the seat once the TTL of the one before is over.
        takes(history, 90, 100, 0);
        takes(history, 91 + TTL, 92 + TTL, 0);
    });
    assert_eq!(verdict.defects, [""; 0]);
    assert_eq!((verdict.beliefs, verdict.refusals, verdict.refusals_in_quiet), (4, 1, 1));
    assert_eq!(verdict.most_believed, [1]);
}

#[test]
fn a_seat_that_two_believe_to_hold_is_found() {
    let twice = found(2, |history| {
        let first = takes(history, 10, 20, 0);
        takes(history, 30, 40, 0);
        gives_back(history, first, 50, 60);
    });
    assert!(twice.contains("held twice"), "{twice}");
    let one_tick_too_early = found(1, |history| {
        takes(history, 10, 20, 0);
        takes(history, 20, 9 + TTL, 0);
    });
    assert!(one_tick_too_early.contains("held twice"), "{one_tick_too_early}");
    // A previous owner kept it after it was granted to another session.
    let kept_too_long = found(1, |history| {
        let first = takes(history, 10, 20, 0);
        takes(history, 11 + TTL, 12 + TTL, 0);
        history.kept(first, 13 + TTL, 14 + TTL);
    });
    assert!(kept_too_long.contains("held twice"), "{kept_too_long}");
    // A longer belief that began earlier covers several.
    let covered = found(3, |history| {
        let first = takes(history, 0, 10, 0);
        history.kept(first, 20, 30);
        let second = takes(history, 40, 50, 0);
        gives_back(history, second, 60, 70);
        takes(history, 80, 90, 0);
    });
    assert_eq!(covered.matches("held twice").count(), 2, "{covered}");
}

#[test]
fn time_counts_from_what_was_sent() {
    // The answer was late: the second may have the seat although the first was answered less than a TTL ago.
    assert_eq!(
        found(1, |history| {
            takes(history, 0, SECOND, 0);
            takes(history, TTL, TTL + 1, 0);
        }),
        ""
    );
}

#[test]
fn more_seats_than_there_are_is_found() {
    let text = found(2, |history| (0..3).for_each(|n| _ = takes(history, 10, 20 + u64::from(n), n)));
    assert!(text.contains("3 of 2 seats of grant 0 were believed to be held at 22"), "{text}");
}

/// A grant that moved while its seats were held, and was granted once more under its new License.
#[test]
fn more_seats_of_a_grant_than_there_are_under_two_licenses_is_found() {
    let twice = |between: u64| {
        found(2, |history| {
            let first: Vec<Session> = (0..2).map(|n| takes_under(ONE, history, 10, 20, n)).collect();
            let second = takes_under(OTHER, history, 30, 40, 0);
            first.into_iter().for_each(|session| gives_back(history, session, between, between + 1));
            gives_back(history, second, 90, 100);
        })
    };
    let text = twice(41);
    let told = "3 of 2 seats of grant 0 were believed to be held at 40, by License: {0: 2, 1: 1}";
    assert!(text.contains(told), "{text}");
    assert!(!text.contains("held twice"), "each License has slots of its own: {text}");
    assert_eq!(twice(40), "");
    // Silent holders count for a TTL, and not longer.
    let after = |time: u64| {
        found(1, |history| {
            takes_under(ONE, history, 10, 20, 0);
            takes_under(OTHER, history, time - 1, time, 0);
        })
    };
    assert!(after(9 + TTL).contains("2 of 1 seats"));
    assert_eq!(after(10 + TTL), "");
}

#[test]
fn another_grant_has_seats_of_its_own() {
    let mut history = History::new(TTL);
    takes_under(ONE, &mut history, 10, 20, 0);
    takes_under(License { grant: 1, name: 0 }, &mut history, 30, 40, 0);
    history.close();
    let verdict = check(&mut history, &Law { seats: vec![1, 1], ..law(1) }, &[]);
    assert_eq!(verdict.defects, [""; 0]);
    assert_eq!((verdict.most_believed, verdict.most_licenses), (vec![1, 1], vec![1, 1]));
}

#[test]
fn seats_held_under_another_license_explain_a_refusal_and_so_does_a_grant_on_its_way() {
    let refused = |moves: &[Trouble], gives: u64| {
        let mut history = History::new(TTL);
        let session = takes_under(ONE, &mut history, 10, 20, 0);
        gives_back(&mut history, session, gives, gives + 1);
        let refused = history.begin(OTHER, 1);
        history.refused(refused, 5 * SECOND, 5 * SECOND + 1);
        history.close();
        let moves = [(0, moves.to_vec())].into();
        check(&mut history, &Law { moves, ..law(1) }, &[])
    };
    assert_eq!(refused(&[], 6 * SECOND).defects, [""; 0]);
    assert!(refused(&[], 30).defects.join("\n").contains("refused wrongly"));
    let on_its_way = refused(&[Trouble { from: 40, to: 4 * SECOND }], 30);
    assert_eq!((on_its_way.defects, on_its_way.refusals_in_moves), (Vec::new(), 1));
    let there = refused(&[Trouble { from: 40, to: SECOND }], 30);
    assert!(there.defects.join("\n").contains("refused wrongly"), "{there:?}");
}

#[test]
fn another_seat_for_the_same_session_is_found() {
    let text = found(2, |history| {
        let session = takes(history, 10, 20, 0);
        history.granted(session, 30, 40, &[1]);
    });
    assert!(text.contains("when it asked again"), "{text}");
    assert_eq!(
        found(2, |history| {
            let session = takes(history, 10, 20, 0);
            history.granted(session, 30, 40, &[0]);
            history.granted(session, 41 + TTL, 42 + TTL, &[1]);
        }),
        ""
    );
    let two = found(2, |history| {
        let session = history.begin(ONE, 1);
        history.granted(session, 10, 20, &[0, 1]);
    });
    assert!(two.contains("asked for 1 seats"), "{two}");
}

#[test]
fn a_seat_lost_before_its_time_or_revived_is_found() {
    let early = found(1, |history| {
        let session = takes(history, 10, 20, 0);
        history.lost(session, 30, 40);
    });
    assert!(early.contains("early"), "{early}");
    let revived = found(1, |history| {
        let session = takes(history, 10, 20, 0);
        history.lost(session, 11 + TTL, 12 + TTL);
        history.lost(session, 13 + TTL, 14 + TTL);
        history.kept(session, 15 + TTL, 16 + TTL);
    });
    assert!(revived.contains("told that its seat is lost"), "{revived}");
}

#[test]
fn a_refusal_with_a_free_seat_is_found() {
    let free = found(1, |history| {
        let session = takes(history, 10, 20, 0);
        gives_back(history, session, 30, 40);
        is_refused(history, 41, 50);
    });
    assert!(free.contains("refused wrongly"), "{free}");
    // Another session's release was on its way, or another session's request.
    assert_eq!(
        found(1, |history| {
            let session = takes(history, 10, 20, 0);
            gives_back(history, session, 30, 40);
            is_refused(history, 39, 50);
            is_refused(history, 45, 61);
            takes(history, 60, 100, 0);
        }),
        ""
    );
    let pair = found(3, |history| {
        takes(history, 10, 20, 0);
        let session = history.begin(ONE, 2);
        history.refused(session, 30, 40);
    });
    assert!(pair.contains("at most 1 of 3"), "{pair}");
    let own = found(1, |history| {
        let session = takes(history, 10, 20, 0);
        history.refused(session, 30, 40);
    });
    assert!(own.contains("refused the seat that it held"), "{own}");
}

#[test]
fn a_refusal_after_a_fault_is_right_as_long_as_the_new_owner_waits() {
    let trouble = Trouble { from: 50, to: SECOND };
    let after = |at: u64| {
        judged(1, &[trouble], |history| {
            let session = takes(history, 10, 20, 0);
            // The release was answered, but perhaps never written.
            gives_back(history, session, 30, 40);
            is_refused(history, at, at + 1);
        })
    };
    assert_eq!(after(10 * SECOND).defects, [""; 0]);
    assert_eq!(after(10 * SECOND).refusals_in_quiet, 0);
    let late = after(30 * SECOND);
    assert!(late.defects.join("\n").contains("refused wrongly"), "{late:?}");
    assert_eq!(late.refusals_in_quiet, 1);
    // Another session has held the seat since then and has given it back, so it was free.
    let had_by_another = judged(1, &[trouble], |history| {
        let session = takes(history, 10, 20, 0);
        gives_back(history, session, 30, 40);
        let other = takes(history, 2 * SECOND, 2 * SECOND + 1, 0);
        gives_back(history, other, 3 * SECOND, 3 * SECOND + 1);
        is_refused(history, 4 * SECOND, 4 * SECOND + 1);
    });
    assert!(had_by_another.defects.join("\n").contains("refused wrongly"), "{had_by_another:?}");
}

#[test]
fn a_seat_may_be_kept_for_a_session_that_was_told_its_place_and_for_no_other() {
    let asks = |history: &mut History, place: bool| {
        let session = history.begin(ONE, 1);
        match place {
            true => history.queued(session, 10, 20),
            false => history.refused(session, 10, 20),
        }
        history.over(session, None);
    };
    let other = |history: &mut History| {
        let session = takes(history, 5, 9, 0);
        gives_back(history, session, 11, 12);
    };
    let refused_after = |place: bool, at: u64| {
        found(1, |history| {
            other(history);
            asks(history, place);
            is_refused(history, at, at + 1);
        })
    };
    assert_eq!(refused_after(true, 30), "");
    assert!(refused_after(false, 30).contains("refused wrongly"));
    assert!(refused_after(true, 20 * SECOND).contains("refused wrongly"));
}

#[test]
fn a_request_without_an_answer_may_hold_a_seat_until_it_is_known_to_hold_none() {
    let asks = |history: &mut History, late: bool| {
        let session = history.begin(ONE, 1);
        history.unanswered(session, 10, 20, late);
        session
    };
    assert_eq!(
        found(1, |history| {
            asks(history, false);
            is_refused(history, 30, 40);
        }),
        ""
    );
    let resolved = found(1, |history| {
        let session = asks(history, false);
        history.granted(session, 25, 30, &[0]);
        gives_back(history, session, 40, 50);
        is_refused(history, 60, 70);
    });
    assert!(resolved.contains("refused wrongly"), "{resolved}");
    // The request may have been carried out a second time afterwards.
    assert_eq!(
        found(1, |history| {
            let session = asks(history, true);
            history.granted(session, 25, 30, &[0]);
            gives_back(history, session, 40, 50);
            is_refused(history, 60, 70);
        }),
        ""
    );
}
