//! The calendar, compared with slow and simple calculations (docs/design/domain.md, Calendar).

use chrono::{Duration, NaiveDate, NaiveTime, Offset, TimeZone};
use proptest::prelude::*;
use seatkeeper::domain::Instant;
use seatkeeper::domain::contract::term::{FIRST_DATE, LAST_DATE, Period, start_of_day};
use seatkeeper::domain::zone::Zone;

/// Returns the first instant of the day, found the slow way: minute by minute through the three days around it.
fn start_of_day_by_walking(day: NaiveDate, zone: &Zone) -> Instant {
    let mut at = (day.and_time(NaiveTime::MIN) - Duration::hours(42)).and_utc();
    while at.with_timezone(zone).date_naive() < day {
        at += Duration::minutes(1);
    }
    at
}

/// `start_of_day` relies on this: if an offset is the same at two instants three and a half days apart, it was the same
/// in between.
#[test]
fn no_zone_keeps_an_offset_for_less_than_four_days() {
    for zone in Zone::all() {
        let offset = |day: NaiveDate| zone.offset_from_utc_datetime(&day.and_time(NaiveTime::MIN)).fix();
        let mut since = (FIRST_DATE, offset(FIRST_DATE));
        for day in FIRST_DATE.iter_days().take_while(|day| *day <= LAST_DATE) {
            if offset(day) != since.1 {
                let kept = day - since.0;
                assert!(since.0 == FIRST_DATE || kept > Duration::days(4), "{zone}: {kept} until {day}");
                since = (day, offset(day));
            }
        }
    }
}

proptest! {
    #[test]
    fn a_day_begins_at_its_first_minute_in_every_zone(zone in prop::sample::select(Zone::all()), day in 0..47_000i64) {
        let day = FIRST_DATE + Duration::days(day);
        let start = start_of_day(day, &zone);
        // Africa/Monrovia was at −0:44:30 until 1972: a walk by minutes may arrive up to 59 seconds late.
        let walked = start_of_day_by_walking(day, &zone);
        prop_assert!(walked - start < Duration::minutes(1) && walked >= start, "{day} {zone}: {start} {walked}");
        prop_assert!(start.with_timezone(&zone).date_naive() >= day);
        prop_assert!((start - Duration::seconds(1)).with_timezone(&zone).date_naive() < day);
    }

    #[test]
    fn a_period_is_never_longer_only_if_no_start_makes_it_so(
        (m1, d1, m2, d2) in (0..15u32, 0..100u32, 0..15u32, 0..100u32), start in 0..20_000i64
    ) {
        let one = Period { months: Some(m1), days: Some(d1), ..Period::default() };
        let other = Period { months: Some(m2), days: Some(d2), ..Period::default() };
        let end = FIRST_DATE + Duration::days(start + 2_000);
        if one.never_longer_than(other) {
            prop_assert!(one.before(end).unwrap() >= other.before(end).unwrap(), "{one} {other} before {end}");
        }
    }
}
