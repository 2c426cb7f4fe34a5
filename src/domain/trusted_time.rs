//! Which time to believe when clocks disagree (`design.md` §4 "Trusted time").

use chrono::Duration;

use super::Instant;

/// Clocks closer than this agree.
pub const TOLERANCE: Duration = Duration::minutes(5);

/// What the clocks say at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReadings {
    /// This machine's clock.
    pub own: Instant,
    /// The API server's `Date`, carried on by the time that has passed since. None: not heard from lately.
    pub server: Option<Instant>,
    /// The last time that was agreed with the API server, carried on by monotonic time.
    pub last_agreed: Option<Instant>,
    /// The latest time ever believed, as stored.
    pub mark: Option<Instant>,
}

/// What is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedTime {
    pub now: Instant,
    /// Why the clocks are not to be trusted; none: they are.
    pub doubt: Option<Doubt>,
    /// What to store as the mark, where that changes.
    pub mark: MarkChange,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkChange {
    Keep,
    /// Only a time that the API server bears out moves the mark.
    Move(Instant),
    /// Ahead of every clock: one boot in 2036 must not expire everything for good.
    Drop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The own clock and the API server's differ; the API server's is taken.
    ClocksDisagree,
    /// The clock is older than a time that was believed before; time stands still at that.
    BehindMark,
    /// A time that was believed before is ahead of every clock and was dropped.
    MarkAhead,
}

impl Doubt {
    pub fn reason(self) -> &'static str {
        match self {
            Doubt::ClocksDisagree => "ClocksDisagree",
            Doubt::BehindMark => "ClockBehind",
            Doubt::MarkAhead => "ClockWasAhead",
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            Doubt::ClocksDisagree => {
                "the operator's clock and the API server's differ by more than 5 minutes; the API server's is used. Check NTP on both"
            }
            Doubt::BehindMark => {
                "the clock is behind a time that was seen before; licences stand at that time until it has passed. Check NTP"
            }
            Doubt::MarkAhead => {
                "a time seen before is ahead of the operator's clock and the API server's; it was dropped. A clock was wrong then; check NTP"
            }
        }
    }
}

/// The time to act on.
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
    // A mark a moment ahead of either clock is two replicas reading theirs, not a fault: time waits for it without a word.
    // The own clock alone would not do: it may be as far behind the server now as it was ahead when it moved the mark.
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
