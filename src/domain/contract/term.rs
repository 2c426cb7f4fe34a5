//! The calendar of contracts: civil dates, periods, and the instants that they mean (docs/design/domain.md, Calendar).

use chrono::{Duration, Months, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::Instant;
use crate::domain::zone::Zone;

/// The first civil date that a contract may name. Outside this range calendars and time zones are guesswork.
pub const FIRST_DATE: NaiveDate = NaiveDate::from_ymd_opt(1970, 1, 1).expect("a date");
/// The last civil date that a contract may name.
pub const LAST_DATE: NaiveDate = NaiveDate::from_ymd_opt(2099, 12, 31).expect("a date");

/// A calendar period with at least one positive part, such as `{months: 3}`. To add a period, its years and months are
/// added first, limited to the last day of the month, then its weeks and days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Period {
    /// How many days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 36500))]
    pub days: Option<u32>,
    /// How many weeks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 5200))]
    pub weeks: Option<u32>,
    /// How many months.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1200))]
    pub months: Option<u32>,
    /// How many years.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub years: Option<u32>,
}

impl Period {
    pub fn of_months(months: u32) -> Self {
        Period { months: Some(months), ..Period::default() }
    }

    pub fn of_days(days: u32) -> Self {
        Period { days: Some(days), ..Period::default() }
    }

    /// The years and months as months, the weeks and days as days. Two periods are equal if both numbers are: 12 months
    /// equal 1 year, 30 days do not equal 1 month (P7).
    pub fn months_and_days(self) -> (i64, i64) {
        let part = |p: Option<u32>| i64::from(p.unwrap_or(0));
        (part(self.years) * 12 + part(self.months), part(self.weeks) * 7 + part(self.days))
    }

    /// Whether both periods are equal, in the sense of [`Period::months_and_days`].
    pub fn same_as(self, other: Period) -> bool {
        self.months_and_days() == other.months_and_days()
    }

    /// Whether this period is never longer than `other`, wherever both begin. A run of n months has at least 30·n − 2
    /// days. The Plan contains the same rule in CEL.
    pub fn never_longer_than(self, other: Period) -> bool {
        let ((months, days), (other_months, other_days)) = (self.months_and_days(), other.months_and_days());
        match other_months - months {
            0 => days <= other_days,
            more if more > 0 => days <= other_days + 30 * more - 2,
            fewer => days - 31 * fewer <= other_days,
        }
    }

    /// The most days that this period can have, wherever it begins.
    pub fn most_days(self) -> i64 {
        let (months, days) = self.months_and_days();
        months * 31 + days
    }

    /// The fewest days that this period can have, wherever it begins.
    pub fn least_days(self) -> i64 {
        let (months, days) = self.months_and_days();
        months * 28 + days
    }

    pub fn is_positive(self) -> bool {
        let (months, days) = self.months_and_days();
        months + days > 0
    }

    /// Returns `date` plus `count` times this period, or `None` if the calendar does not reach that far. The months are
    /// added in one step, so 31 January plus two months is 31 March, whatever lies between.
    pub fn after(self, date: NaiveDate, count: u32) -> Option<NaiveDate> {
        let (months, days) = self.months_and_days();
        let months = u32::try_from(months.checked_mul(count.into())?).ok()?;
        let days = Duration::try_days(days.checked_mul(count.into())?)?;
        date.checked_add_months(Months::new(months))?.checked_add_signed(days)
    }

    /// Returns `date` minus this period, or `None` if the calendar does not reach that far back.
    pub fn before(self, date: NaiveDate) -> Option<NaiveDate> {
        let (months, days) = self.months_and_days();
        date.checked_sub_months(Months::new(u32::try_from(months).ok()?))?.checked_sub_signed(Duration::try_days(days)?)
    }
}

impl std::fmt::Display for Period {
    /// "1 year", "3 months", "1 month 14 days".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [(self.years, "year"), (self.months, "month"), (self.weeks, "week"), (self.days, "day")];
        let words: Vec<String> = parts
            .into_iter()
            .filter_map(|(count, unit)| count.filter(|c| *c > 0).map(|c| (c, unit)))
            .map(|(count, unit)| format!("{count} {unit}{}", if count == 1 { "" } else { "s" }))
            .collect();
        f.write_str(&if words.is_empty() { "no time".to_owned() } else { words.join(" ") })
    }
}

/// Returns the instant at which civil day `day` begins in `zone`: the first instant whose local date is that day or
/// later. If midnight does not exist, the day begins at the first instant after the gap; if midnight comes twice, at
/// the first of the two. A day that does not exist at all begins when the next day does.
pub fn start_of_day(day: NaiveDate, zone: &Zone) -> Instant {
    let midnight = day.and_time(NaiveTime::MIN);
    // No local time is more than 16 hours from UTC, and no zone has ever skipped or repeated more than a day.
    let (from, to) = (midnight - Duration::hours(42), midnight + Duration::hours(42));
    // No zone has ever returned to an offset within these days: if both ends have the same offset, so does everything
    // between them.
    let offset = offset_at(from, zone);
    if offset == offset_at(to, zone) {
        return (midnight - offset).and_utc();
    }
    let mut segment = (from, offset);
    let mut at = from;
    while at < to {
        let next = at + SAMPLE;
        let offset = offset_at(next, zone);
        if offset != segment.1 {
            let change = first_with_another_offset(at, next, zone);
            if let Some(found) = first_in_segment(segment, change, midnight) {
                return found.and_utc();
            }
            segment = (change, offset);
        }
        at = next;
    }
    first_in_segment(segment, to, midnight).unwrap_or(midnight).and_utc()
}

/// The step in which offsets are sampled. Zones change their offset far less often.
const SAMPLE: Duration = Duration::minutes(15);

fn offset_at(utc: NaiveDateTime, zone: &Zone) -> Duration {
    Duration::seconds(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc().into())
}

/// The first instant of the segment (UTC start and offset) whose local time is `midnight` or later, before `end`.
fn first_in_segment(
    segment: (NaiveDateTime, Duration),
    end: NaiveDateTime,
    midnight: NaiveDateTime,
) -> Option<NaiveDateTime> {
    let (start, offset) = segment;
    let first = start.max(midnight - offset);
    (first < end).then_some(first)
}

/// The second within `(low, high]` from which the offset of `high` applies.
fn first_with_another_offset(mut low: NaiveDateTime, mut high: NaiveDateTime, zone: &Zone) -> NaiveDateTime {
    let after = offset_at(high, zone);
    while high - low > Duration::seconds(1) {
        let middle = low + Duration::seconds((high - low).num_seconds() / 2);
        match offset_at(middle, zone) == after {
            true => high = middle,
            false => low = middle,
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn terms_are_counted_from_the_start_so_january_31_finds_its_day_again() {
        let month = Period::of_months(1);
        assert_eq!(month.after(date("2026-01-31"), 1), Some(date("2026-02-28")));
        assert_eq!(month.after(date("2026-01-31"), 2), Some(date("2026-03-31")));
        assert_eq!(month.after(date("2024-01-31"), 1), Some(date("2024-02-29")));
    }

    #[test]
    fn months_go_before_days() {
        let period = Period { months: Some(1), days: Some(1), ..Period::default() };
        assert_eq!(period.after(date("2026-01-31"), 1), Some(date("2026-03-01")));
        assert_eq!(period.before(date("2026-03-31")), Some(date("2026-02-27")));
    }

    #[test]
    fn days_begin_where_the_zone_says() {
        let cases = [
            ("2026-01-01", "Europe/Berlin", "2025-12-31T23:00:00Z"),
            ("2026-07-01", "Europe/Berlin", "2026-06-30T22:00:00Z"),
            ("2026-01-01", "UTC", "2026-01-01T00:00:00Z"),
            // midnight skipped: clocks went from 00:00 to 01:00
            ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z"),
            // midnight comes twice: at 00:00 on the 30th (summer time) clocks went back to 23:00 of the 29th, or at
            // 01:00 to 00:00
            ("2017-11-05", "America/Havana", "2017-11-05T04:00:00Z"),
            // the day does not exist
            ("2011-12-30", "Pacific/Apia", "2011-12-30T10:00:00Z"),
            ("2011-12-31", "Pacific/Apia", "2011-12-30T10:00:00Z"),
        ];
        for (day, zone, expected) in cases {
            let zone = Zone::named(zone).unwrap();
            assert_eq!(start_of_day(date(day), &zone), expected.parse::<Instant>().unwrap(), "{day} {zone}");
        }
    }

    #[test]
    fn issue_before_is_compared_without_a_calendar() {
        let weeks = Period { weeks: Some(4), ..Period::default() };
        assert!(weeks.never_longer_than(Period::of_months(3)));
        assert!(weeks.never_longer_than(Period::of_months(1)));
        assert!(!Period::of_months(1).never_longer_than(Period::of_days(30)));
        assert!(Period::of_months(1).never_longer_than(Period::of_days(31)));
        assert!(!Period::of_days(29).never_longer_than(Period::of_months(1)));
        assert!(Period::of_months(12).never_longer_than(Period { years: Some(1), ..Period::default() }));
    }
}
