//! What happens to sessions when demo mode begins.

use chrono::{NaiveDate, TimeDelta};
use seatkeeper::domain::seats::refusal::Refusal;
use seatkeeper::seats::{Denied, Seat};
use std::time::Duration;

use crate::contact_centre::{asks, centre, is_kept, open};
use crate::run::Run;
use crate::vendor;
use crate::world::Edit;

/// Sends heartbeats for `minutes`, and returns whether the seat was kept all the time.
fn keeps(run: &Run, seat: &Seat, minutes: u64) -> bool {
    let desk = run.desk();
    run.within(async {
        for _ in 0..minutes * 3 {
            tokio::time::sleep(Duration::from_secs(20)).await;
            if !is_kept(&desk, seat).await {
                return false;
            }
        }
        true
    })
}

/// I9: `onDemo: EndAfterMinutes`.
#[test]
fn i9_a_session_from_before_demo_mode_is_ended_half_an_hour_after_it_began_and_makes_room_for_a_demo_seat() {
    let world = centre(3, Some(30));
    let mut run = open(&world);
    let desk = run.desk();
    let ends = NaiveDate::from_ymd_opt(2031, 1, 1).expect("a date").and_hms_opt(0, 0, 0).expect("a time").and_utc();
    let cancelled = Edit::Cancel { contract: 0, received_on: NaiveDate::from_ymd_opt(2030, 5, 1).expect("a date") };
    run.within(vendor::carry_out(&run.shared, &cancelled));
    run.jump(ends + TimeDelta::days(14) - TimeDelta::minutes(2));
    run.settle().unwrap_or_else(|failure| panic!("{failure}"));
    let seats: Vec<Seat> = ["a", "b"]
        .iter()
        .map(|user| run.within(asks(&desk, user)).unwrap_or_else(|denied| panic!("{user}: {denied}")).seats[0].clone())
        .collect();
    run.within(async { assert_eq!(desk.release(&seats[1]), Ok(true)) });
    assert!(keeps(&run, &seats[0], 31), "it was ended before the 30 minutes were over");
    let late = run.within(asks(&desk, "c"));
    assert!(late.is_ok(), "one of two demo seats is free: {late:?}");
    let too_late = run.within(asks(&desk, "d"));
    assert!(matches!(too_late, Err(Denied::Refused(Refusal::DemoSeatsExhausted { .. }))), "{too_late:?}");
    assert!(!keeps(&run, &seats[0], 2), "it was not ended after 30 minutes");
    let next = run.within(asks(&desk, "d"));
    assert!(next.is_ok(), "{next:?}");
}
