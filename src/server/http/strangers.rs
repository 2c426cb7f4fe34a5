//! Tokens of which nobody here can tell whether they are good, such as those of an identity provider: a review is asked for
//! few of them at a time. An address from which a good one came of late does not share that with all others.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::group::Group;
use super::turns::{Rate, Spent, Turn, Turns};
use crate::domain::tick::Moment;

/// How many reviews are under way at once, and how many of one group.
const UNDER_WAY: (usize, usize) = (1, 1);
/// How often such a token is reviewed, in all and for one group.
const RATES: [Rate; 2] =
    [Rate { pause: Duration::from_millis(200), burst: 10 }, Rate { pause: Duration::from_secs(1), burst: 5 }];
/// An address counts as known for this long after a good token.
const OF_LATE: Duration = Duration::from_secs(3_600);
/// How many addresses are remembered.
const MOST_KNOWN: usize = 1_024;

/// Whose turn it is.
pub struct Strangers {
    others: Lane,
    known: Lane,
    /// Who showed a good token from each address last, and when.
    of_late: Mutex<HashMap<Group, (Group, Moment)>>,
}

struct Lane {
    turns: Turns,
    spent: Spent,
}

impl Default for Strangers {
    fn default() -> Self {
        let lane = || Lane { turns: Turns::new(UNDER_WAY.0, UNDER_WAY.1), spent: Spent::new(RATES[0], RATES[1]) };
        Strangers { others: lane(), known: lane(), of_late: Mutex::default() }
    }
}

impl Strangers {
    /// Waits for a turn for a token from `address`. `None` if it does not come within `patience`.
    pub async fn take(&self, address: &Group, patience: Duration, now: Moment) -> Option<Turn> {
        let known =
            self.of_late().get(address).filter(|(_, last)| now - *last < OF_LATE).map(|(group, _)| group.clone());
        // A group has one share, from however many addresses it comes.
        let (lane, group) = known.as_ref().map_or((&self.others, address), |group| (&self.known, group));
        if !lane.spent.spend(group, now) {
            return None;
        }
        lane.turns.take(group, patience).await
    }

    /// Notes that `group` showed a good token from `address`.
    pub fn note_good(&self, address: Group, group: &Group, now: Moment) {
        let mut of_late = self.of_late();
        if of_late.len() >= MOST_KNOWN {
            of_late.retain(|_, (_, last)| now - *last < OF_LATE);
        }
        if of_late.len() < MOST_KNOWN || of_late.contains_key(&address) {
            of_late.insert(address, (group.clone(), now));
        }
    }

    fn of_late(&self) -> MutexGuard<'_, HashMap<Group, (Group, Moment)>> {
        self.of_late.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u8) -> Group {
        Group::at([10, 0, 0, n].into())
    }

    /// The attack: made-up tokens from a hundred addresses. They took every review, and people who log in by an identity
    /// provider were turned away.
    #[tokio::test(start_paused = true)]
    async fn a_crowd_of_strangers_takes_no_review_from_somebody_who_was_here_before() {
        let (strangers, now) = (Strangers::default(), Moment::after_start(Duration::from_secs(1)));
        let a_second = Duration::from_secs(1);
        strangers.note_good(at(200), &Group::of("alice"), now);
        let mut taken = 0;
        for n in 0..100 {
            taken += u32::from(strangers.take(&at(n), a_second, now).await.is_some());
        }
        assert_eq!(taken, RATES[0].burst);
        assert!(strangers.take(&at(200), a_second, now).await.is_some());
        assert!(strangers.take(&at(201), a_second, now).await.is_none(), "a stranger has to wait");
        assert!(strangers.take(&at(200), a_second, now + OF_LATE).await.is_some(), "like anybody, an hour later");
    }

    /// The attack: somebody with one good token and many pods.
    #[tokio::test(start_paused = true)]
    async fn a_group_has_one_share_from_however_many_addresses_it_comes() {
        let (strangers, now) = (Strangers::default(), Moment::after_start(Duration::from_secs(1)));
        let mut taken = 0;
        for n in 0..100 {
            strangers.note_good(at(n), &Group::of("system:serviceaccount:intruder:a"), now);
            taken += u32::from(strangers.take(&at(n), Duration::from_secs(1), now).await.is_some());
        }
        assert_eq!(taken, RATES[1].burst);
        strangers.note_good(at(100), &Group::of("alice"), now);
        assert!(strangers.take(&at(100), Duration::from_secs(1), now).await.is_some());
    }

    #[test]
    fn addresses_are_remembered_within_bounds() {
        let strangers = Strangers::default();
        for n in 0..10_000_u32 {
            let now = Moment::after_start(Duration::from_secs(n.into()));
            strangers.note_good(Group::at(std::net::Ipv4Addr::from_bits(n).into()), &Group::of("alice"), now);
        }
        assert!(strangers.of_late().len() <= MOST_KNOWN);
    }
}
