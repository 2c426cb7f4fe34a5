//! What no watch shows: Secrets of another type, quotas, policies and rights. Whether they have changed is found out
//! by looking again.

use chrono::TimeDelta;
use std::time::Duration;

use crate::api::conditions::{Condition, ConditionStatus, ConditionType, find};
use crate::cluster::clock::Clock;
use crate::domain::Instant;
use crate::domain::reason::Reason;

/// The first wait.
const FIRST: Duration = Duration::from_secs(15);
/// The longest waits: while a write is refused, as a licence may depend on it, and while a Secret is missing.
const REFUSED_LONGEST: Duration = Duration::from_secs(5 * 60);
const MISSING_LONGEST: Duration = Duration::from_secs(60 * 60);

/// When to look again at an object with this trouble: after about as long as it has had any trouble, so that what waits
/// for months costs little. `before` are its conditions as they were written last.
pub fn look_again(trouble: Reason, before: &[Condition], clock: &Clock, now: Instant) -> Option<Instant> {
    let longest = match trouble {
        Reason::SecretNotOurs | Reason::WriteRefused => REFUSED_LONGEST,
        Reason::SecretMissing | Reason::SecretTypeMismatch => MISSING_LONGEST,
        _ => return None,
    };
    let is_trouble = |c: &&Condition| match find(before, ConditionType::Ready) {
        Some(ready) if ready.status == ConditionStatus::False => c.type_ == ready.type_,
        _ => c.type_ == ConditionType::SourceMissing.as_str(),
    };
    let since = before.iter().find(is_trouble).map(|c| c.last_transition_time.0);
    let [first, longest] = [FIRST, longest].map(|wait| TimeDelta::from_std(clock.passes_in(wait)));
    let (first, longest) = (first.ok()?, longest.ok()?);
    now.checked_add_signed((now - since.unwrap_or(now)).clamp(first, longest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::conditions::Conditions;

    fn at(seconds: i64) -> Instant {
        Instant::from_timestamp(seconds, 0).expect("a time")
    }

    /// When an object is looked at again at this second whose trouble began at 0.
    fn again(trouble: Reason, clock: &Clock, now: i64) -> Option<i64> {
        let mut list = Conditions::new(&[], None, at(0));
        list.set(ConditionType::Ready, false, trouble, "");
        look_again(trouble, &list.into_list(), clock, at(now)).map(|at| at.timestamp())
    }

    #[test]
    fn the_longer_trouble_lasts_the_later_it_is_looked_at_again() {
        let clock = Clock::of_machine();
        assert_eq!(look_again(Reason::SecretMissing, &[], &clock, at(100)), Some(at(115)));
        assert_eq!(again(Reason::SecretMissing, &clock, 5), Some(20));
        assert_eq!(again(Reason::SecretMissing, &clock, 100), Some(200));
        assert_eq!(again(Reason::SecretMissing, &clock, 86_400), Some(86_400 + 3_600));
        assert_eq!(again(Reason::WriteRefused, &clock, 100), Some(200));
        assert_eq!(again(Reason::WriteRefused, &clock, 86_400), Some(86_400 + 300));
        assert_eq!(again(Reason::PlanMissing, &clock, 100), None, "a watch shows it");
        // The condition names the first trouble, and this is another.
        let mut list = Conditions::new(&[], None, at(0));
        list.set(ConditionType::Ready, false, Reason::TrustMissing, "");
        let second = look_again(Reason::SecretMissing, &list.into_list(), &clock, at(500));
        assert_eq!(second, Some(at(1_000)));
    }

    /// With `up --speed 1d/s`, five minutes are some milliseconds.
    #[test]
    fn a_calendar_that_runs_fast_makes_nobody_look_more_often() {
        let clock = Clock::paced(at(0), 86_400.0);
        assert_eq!(again(Reason::WriteRefused, &clock, 0), Some(15 * 86_400));
    }
}
