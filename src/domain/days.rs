//! Instants as people say them: by civil days in a contract's time zone (docs/design/domain.md, Conventions).
//!
//! A contract ends with a day. Programs are told the first instant after it, people its last day.

use chrono::{NaiveDate, TimeDelta};

use super::Instant;
use super::zone::Zone;

const LAST: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 31).expect("a date");

/// The last day that is covered by a time that is over at `end`.
pub fn last_day(end: Instant, zone: &Zone) -> NaiveDate {
    day(last_second(end), zone)
}

/// `from 2026-01-01`, or `from 2026-01-01 12:30` if no day begins at `start`.
pub fn from(start: Instant, zone: &Zone) -> String {
    match is_between_days(start, zone) {
        true => format!("from {}", day(start, zone)),
        false => format!("from {}", minute(start, zone)),
    }
}

/// `to the end of 2026-12-31`, or `until 2026-12-31 12:30` if no day ends at `end`.
pub fn to(end: Instant, zone: &Zone) -> String {
    match is_between_days(end, zone) {
        true => format!("to the end of {}", last_day(end, zone)),
        false => format!("until {}", minute(end, zone)),
    }
}

/// `ended with 2026-12-31`, or `ended at 2026-12-31 12:30` if no day ended at `end`.
pub fn ended(end: Instant, zone: &Zone) -> String {
    match is_between_days(end, zone) {
        true => format!("ended with {}", last_day(end, zone)),
        false => format!("ended at {}", minute(end, zone)),
    }
}

/// The civil day of an instant; no later than 9999-12-31, which is the last that everybody reads.
pub fn day(at: Instant, zone: &Zone) -> NaiveDate {
    local_day(at, zone).min(LAST)
}

fn local_day(at: Instant, zone: &Zone) -> NaiveDate {
    at.with_timezone(zone).date_naive()
}

fn minute(at: Instant, zone: &Zone) -> String {
    match local_day(at, zone) > LAST {
        true => format!("{LAST} 23:59"),
        false => at.with_timezone(zone).format("%Y-%m-%d %H:%M").to_string(),
    }
}

fn last_second(end: Instant) -> Instant {
    end.checked_sub_signed(TimeDelta::seconds(1)).unwrap_or(end)
}

/// Whether one civil day ends and another begins at `at`.
fn is_between_days(at: Instant, zone: &Zone) -> bool {
    local_day(last_second(at), zone) != local_day(at, zone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::contract::term::start_of_day;

    fn at(text: &str) -> Instant {
        text.parse().expect("RFC 3339")
    }

    fn zone(name: &str) -> Zone {
        Zone::named(name).expect("a zone")
    }

    #[test]
    fn a_contract_ends_with_its_last_day_wherever_it_is() {
        let berlin = zone("Europe/Berlin");
        let end = at("2026-12-31T23:00:00Z");
        assert_eq!(to(end, &berlin), "to the end of 2026-12-31");
        assert_eq!(ended(end, &berlin), "ended with 2026-12-31");
        assert_eq!(from(end, &berlin), "from 2027-01-01");
        assert_eq!(last_day(end, &berlin).to_string(), "2026-12-31");
        assert_eq!(to(end, &Zone::utc()), "until 2026-12-31 23:00", "no day ends then in UTC");
        assert_eq!(ended(end, &zone("Asia/Kolkata")), "ended at 2027-01-01 04:30");
        assert_eq!(from(end, &zone("Asia/Kolkata")), "from 2027-01-01 04:30");
    }

    #[test]
    fn a_day_ends_once_also_where_midnight_is_skipped_or_comes_twice() {
        for (name, next) in
            [("America/Sao_Paulo", "2018-11-04"), ("America/Havana", "2017-11-05"), ("Pacific/Apia", "2011-12-31")]
        {
            let (zone, next): (Zone, NaiveDate) = (zone(name), next.parse().expect("a date"));
            let end = start_of_day(next, &zone);
            assert!(to(end, &zone).starts_with("to the end of "), "{name}: {}", to(end, &zone));
            assert!(last_day(end, &zone) < next, "{name}");
        }
        // Samoa had no 30 December 2011.
        assert_eq!(last_day(at("2011-12-30T10:00:00Z"), &zone("Pacific/Apia")).to_string(), "2011-12-29");
    }

    #[test]
    fn nothing_is_too_early_or_too_late_to_be_said() {
        for zone in Zone::all() {
            let last = last_day(at("9999-12-31T23:59:59Z"), &zone).to_string();
            assert!(last.len() == 10 && last.starts_with("9999-12-3"), "{zone}: {last}");
        }
        for end in [Instant::MIN_UTC, Instant::MAX_UTC, Instant::UNIX_EPOCH] {
            let said = [to(end, &Zone::utc()), ended(end, &Zone::utc()), from(end, &Zone::utc())];
            assert!(said.iter().all(|text| text.len() > 10), "{said:?}");
        }
    }
}
