//! Which time to trust when clocks disagree (docs/design/domain.md, Trusted time).

use chrono::Duration;

use super::Instant;
use super::reason::Reason;

/// The largest difference between two clocks that agree.
pub const TOLERANCE: Duration = Duration::minutes(5);

/// What the clocks read at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReadings {
    /// The operator's own clock.
    pub own: Instant,
    /// The API server's `Date` plus the time that has passed since. `None` if the API server has not answered recently.
    pub server: Option<Instant>,
    /// The last time that the own clock and the API server agreed on, plus the monotonic time that has passed since.
    pub last_agreed: Option<Instant>,
    /// The latest time ever trusted, as stored.
    pub mark: Option<Instant>,
}

/// The time to act on, and how far to trust it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedTime {
    pub now: Instant,
    /// Why the clocks cannot be trusted. `None` if they can.
    pub doubt: Option<Doubt>,
    /// How the stored mark changes.
    pub mark: MarkChange,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkChange {
    Keep,
    /// Only a time that the API server confirms moves the mark.
    Move(Instant),
    /// The mark is ahead of every clock: a single boot in 2036 must not expire everything for good.
    Drop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The own clock and the API server's differ; the API server's is used.
    ClocksDisagree,
    /// The clock is behind a time that was trusted before; time stands still at that time.
    BehindMark,
    /// A time that was trusted before is ahead of every clock and was dropped.
    MarkAhead,
}

impl Doubt {
    pub fn reason(self) -> Reason {
        match self {
            Doubt::ClocksDisagree => Reason::ClocksDisagree,
            Doubt::BehindMark => Reason::ClockBehind,
            Doubt::MarkAhead => Reason::ClockWasAhead,
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            Doubt::ClocksDisagree => {
                "the operator's clock and the API server's differ by more than 5 minutes; the API server's is used. Check NTP on both"
            }
            Doubt::BehindMark => {
                "the clock is behind a time seen earlier; licences are judged at that time until the clock has passed it. Check NTP"
            }
            Doubt::MarkAhead => {
                "a time seen earlier is ahead of both the operator's clock and the API server's, so it was dropped. A clock was wrong then; check NTP"
            }
        }
    }
}

/// Works out the time to act on.
pub fn trusted_time(clocks: ClockReadings) -> TrustedTime {
    let agree = |a: Instant, b: Instant| (a - b).abs() <= TOLERANCE;
    let (candidate, mut doubt) = match (clocks.server, clocks.last_agreed) {
        (Some(server), _) if agree(clocks.own, server) => (clocks.own, None),
        (Some(server), _) => (server, Some(Doubt::ClocksDisagree)),
        (None, Some(carried_on)) if agree(clocks.own, carried_on) => (clocks.own, None),
        (None, Some(carried_on)) => (carried_on, Some(Doubt::ClocksDisagree)),
        (None, None) => (clocks.own, None),
    };
    let borne_out = clocks.server.is_some();
    let Some(mark) = clocks.mark else {
        let mark = if borne_out { MarkChange::Move(candidate) } else { MarkChange::Keep };
        return TrustedTime { now: candidate, doubt, mark };
    };
    if mark <= candidate {
        let mark = if borne_out { MarkChange::Move(candidate) } else { MarkChange::Keep };
        return TrustedTime { now: candidate, doubt, mark };
    }
    // If the mark is a moment ahead of either clock, two replicas have read slightly different clocks. That is no
    // fault: time waits at the mark and nothing is reported. Comparing with the own clock alone would not be enough: it
    // may now be as far behind the server as it was ahead when it moved the mark.
    let borne_out_by = clocks.server.or(clocks.last_agreed);
    if agree(mark, candidate) || borne_out_by.is_some_and(|server| agree(mark, server)) {
        return TrustedTime { now: mark, doubt, mark: MarkChange::Keep };
    }
    let ahead_of_both = borne_out && mark > clocks.own && clocks.server.is_some_and(|server| mark > server);
    let (now, mark_change) = match ahead_of_both {
        true => (candidate, MarkChange::Drop),
        false => (mark, MarkChange::Keep),
    };
    doubt = Some(if ahead_of_both { Doubt::MarkAhead } else { Doubt::BehindMark });
    TrustedTime { now, doubt, mark: mark_change }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        format!("{text}Z").parse().unwrap()
    }

    fn readings(own: &str, server: Option<&str>, mark: Option<&str>) -> ClockReadings {
        ClockReadings { own: at(own), server: server.map(at), last_agreed: None, mark: mark.map(at) }
    }

    #[test]
    fn the_own_clock_counts_where_the_server_bears_it_out() {
        let t = trusted_time(readings("2026-01-01T00:04:00", Some("2026-01-01T00:00:00"), Some("2025-12-31T00:00:00")));
        assert_eq!(
            (t.now, t.doubt, t.mark),
            (at("2026-01-01T00:04:00"), None, MarkChange::Move(at("2026-01-01T00:04:00")))
        );
    }

    #[test]
    fn a_wrong_own_clock_ends_nothing_early() {
        let t = trusted_time(readings("2036-01-01T00:00:00", Some("2026-01-01T00:00:00"), Some("2025-12-31T00:00:00")));
        assert_eq!((t.now, t.doubt), (at("2026-01-01T00:00:00"), Some(Doubt::ClocksDisagree)));
    }

    #[test]
    fn a_clock_behind_the_mark_stands_still_and_a_mark_ahead_of_both_is_dropped() {
        let t = trusted_time(readings("2026-03-01T00:00:00", Some("2026-01-01T00:00:00"), Some("2026-02-01T00:00:00")));
        assert_eq!((t.now, t.doubt), (at("2026-02-01T00:00:00"), Some(Doubt::BehindMark)));
        let t = trusted_time(readings("2026-01-01T00:00:00", Some("2026-01-01T00:00:00"), Some("2036-02-01T00:00:00")));
        assert_eq!((t.now, t.doubt, t.mark), (at("2026-01-01T00:00:00"), Some(Doubt::MarkAhead), MarkChange::Drop));
    }

    #[test]
    fn without_an_api_server_the_last_agreed_time_goes_on_and_moves_no_mark() {
        let mut clocks = readings("2030-01-01T00:00:00", None, Some("2026-01-01T00:00:00"));
        clocks.last_agreed = Some(at("2026-01-01T01:00:00"));
        let t = trusted_time(clocks);
        assert_eq!((t.now, t.mark), (at("2026-01-01T01:00:00"), MarkChange::Keep));
    }
}
