//! Objects that were made a moment ago. What they refer to is often applied with them and comes a moment later:
//! their status says what is missing, but it is no trouble yet, and no Event warns of it.

use chrono::TimeDelta;
use kube::Resource;
use std::time::Duration;

use crate::api::conditions::Condition;
use crate::cluster::clock::Clock;
use crate::domain::Instant;
use crate::domain::fault::Fault;
use crate::domain::reason::Reason;

/// How long what an object refers to may take to come.
const MOMENT: Duration = Duration::from_secs(10);
/// What may come.
const COMES: [Reason; 4] = [Reason::SecretMissing, Reason::PlanMissing, Reason::LicenseMissing, Reason::TrustMissing];
/// Stands behind the message of what may come.
const MAY_COME: &str = "; this was made a moment ago, and what is missing may be on its way";

/// The first moment of an object.
#[derive(Clone, Copy, Debug)]
pub struct Youth {
    /// When it is over.
    ends: Instant,
    is_over: bool,
}

impl Youth {
    pub fn of(object: &impl Resource, clock: &Clock, now: Instant) -> Youth {
        let created = object.meta().creation_timestamp.as_ref();
        let created = created.and_then(|time| Instant::from_timestamp(time.0.as_second(), 0));
        let moment = TimeDelta::from_std(clock.passes_in(MOMENT)).unwrap_or(TimeDelta::MAX);
        let ends = created.and_then(|created| created.checked_add_signed(moment)).unwrap_or(Instant::MIN_UTC);
        // An object that is dated ahead is not young until then: a clock was set.
        let is_over = ends <= now || ends - now > moment;
        Youth { ends, is_over }
    }

    /// Marks what a young object waits for. Returns when it has to be looked at again for that.
    pub fn soften<'f>(&self, faults: impl IntoIterator<Item = &'f mut Fault>) -> Option<Instant> {
        if self.is_over {
            return None;
        }
        let mut any = false;
        for fault in faults.into_iter().filter(|fault| COMES.contains(&fault.reason)) {
            fault.message.push_str(MAY_COME);
            any = true;
        }
        any.then_some(self.ends)
    }

    /// Whether to warn people of this trouble: it is new, or nobody was warned of it while the object was young.
    pub fn is_news(&self, before: Option<&Condition>, now: &Condition) -> bool {
        let may_come = COMES.iter().any(|reason| now.reason == reason.as_str());
        let Some(was) = before.filter(|was| (was.status, &was.reason) == (now.status, &now.reason)) else {
            return self.is_over || !may_come;
        };
        // It was softened when it was last seen, and no longer is.
        self.is_over && may_come && was.message.contains(MAY_COME)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

    use super::*;
    use crate::api::conditions::{ConditionType, Conditions, find};

    fn at(seconds: i64) -> Instant {
        Instant::from_timestamp(seconds, 0).expect("a time")
    }

    /// The youth of an object that was made at 100, at this second.
    fn youth(now: i64) -> Youth {
        let created = k8s_openapi::jiff::Timestamp::from_second(100).ok().map(Time);
        let meta = ObjectMeta { creation_timestamp: created, ..ObjectMeta::default() };
        Youth::of(&Secret { metadata: meta, ..Secret::default() }, &Clock::of_machine(), at(now))
    }

    fn condition(since: i64, message: &str) -> Condition {
        let mut list = Conditions::new(&[], None, at(since));
        list.set(ConditionType::Ready, false, Reason::SecretMissing, message);
        find(&list.into_list(), ConditionType::Ready).cloned().expect("it was set")
    }

    #[test]
    fn what_is_missing_is_told_once_and_only_when_it_had_time_to_come() {
        let mut fault = Fault::new(Reason::SecretMissing, "", "Secret a is missing");
        let late = condition(101, &fault.message);
        assert_eq!(youth(101).soften([&mut fault]), Some(at(110)));
        let soon = condition(101, &fault.message);
        assert!(soon.message.len() > late.message.len());
        assert!(!youth(101).is_news(None, &soon));
        assert!(!youth(105).is_news(Some(&soon), &soon));
        assert!(youth(110).is_news(Some(&soon), &late));
        assert!(!youth(115).is_news(Some(&late), &late));
        assert!(youth(115).is_news(None, &late));
        assert_eq!(youth(110).soften([&mut fault]), None);
        let other = Fault::new(Reason::SecretNotOurs, "", "another's");
        assert_eq!(youth(101).soften([&mut other.clone()]), None, "it will not go away by itself");
    }

    #[test]
    fn what_went_missing_later_is_told_at_once_and_so_is_that_of_an_object_dated_ahead() {
        let now = condition(500, "Secret a is missing");
        assert!(youth(500).is_news(None, &now));
        assert!(!youth(600).is_news(Some(&now), &condition(500, "Secret b is missing")));
        assert!(youth(50).is_news(None, &condition(50, "Secret a is missing")), "the clock was set back");
        // Another Secret is missing for the same reason as the one before.
        assert!(
            !youth(700).is_news(Some(&condition(101, "Secret a is missing")), &condition(101, "Secret b is missing"))
        );
    }
}
