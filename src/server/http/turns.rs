//! Few questions to the API server at once, and a share of them for each group: a group that asks often delays only
//! itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::group::Group;
use crate::domain::tick::Moment;

/// How many groups are remembered before those that are over are forgotten.
const MOST_GROUPS: usize = 1_024;

/// Turns at something that few may do at once. Those who wait get theirs in the order in which they came, and at most
/// `each` of a group are under way or next in line.
pub struct Turns {
    all: Arc<Semaphore>,
    each: usize,
    groups: Mutex<HashMap<Group, Weak<Semaphore>>>,
}

/// Somebody's turn, until it is dropped.
pub struct Turn {
    _own: OwnedSemaphorePermit,
    _any: OwnedSemaphorePermit,
}

impl Turns {
    /// `all` turns at once, and `each` for one group.
    pub fn new(all: usize, each: usize) -> Self {
        Turns { all: Arc::new(Semaphore::new(all)), each, groups: Mutex::default() }
    }

    /// Waits for a turn of this group. `None` if it does not come within `patience`.
    pub async fn take(&self, group: &Group, patience: Duration) -> Option<Turn> {
        let own = self.of(group);
        let waiting = async {
            // The semaphores are never closed.
            let own = own.acquire_owned().await.ok()?;
            Some(Turn { _own: own, _any: self.all.clone().acquire_owned().await.ok()? })
        };
        tokio::time::timeout(patience, waiting).await.ok()?
    }

    fn of(&self, group: &Group) -> Arc<Semaphore> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = groups.get(group).and_then(Weak::upgrade) {
            return own;
        }
        if groups.len() >= MOST_GROUPS {
            groups.retain(|_, own| own.strong_count() > 0);
        }
        let own = Arc::new(Semaphore::new(self.each));
        groups.insert(group.clone(), Arc::downgrade(&own));
        own
    }
}

/// How often something may be done: once every `pause`, and `burst` times in a row after a rest.
#[derive(Clone, Copy)]
pub struct Rate {
    pub pause: Duration,
    pub burst: u32,
}

impl Rate {
    /// Does it once at `now` if that may be. `next` is when all that was done before would be over at an even pace; it
    /// is moved on. The generic cell rate algorithm (ITU-T I.371).
    fn spend(self, next: &mut Moment, now: Moment) -> bool {
        let from = (*next).max(now);
        let may = from - now <= self.pause * self.burst.saturating_sub(1);
        if may {
            *next = from + self.pause;
        }
        may
    }
}

/// How often something was done of late, in all and by each group.
pub struct Spent {
    rate: Rate,
    rate_of_each: Rate,
    all: Mutex<(Moment, HashMap<Group, Moment>)>,
}

impl Spent {
    /// Nothing was done yet.
    pub fn new(rate: Rate, rate_of_each: Rate) -> Self {
        Spent { rate, rate_of_each, all: Mutex::new((Moment::after_start(Duration::ZERO), HashMap::new())) }
    }

    /// Does it once for `group` at `now`; false if it was done too often.
    pub fn spend(&self, group: &Group, now: Moment) -> bool {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let (in_all, groups) = &mut *all;
        if groups.len() >= MOST_GROUPS {
            groups.retain(|_, next| *next > now);
        }
        let mut next = groups.get(group).copied().unwrap_or(now);
        let may = self.rate_of_each.spend(&mut next, now) && self.rate.spend(in_all, now);
        if may {
            groups.insert(group.clone(), next);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    fn group(n: u8) -> Group {
        Group::at([10, 0, 0, n].into())
    }

    /// A thousand questions of one group are under way, each a second long, when another group comes.
    #[tokio::test(start_paused = true)]
    async fn a_group_that_asks_much_waits_behind_itself() {
        let turns = Arc::new(Turns::new(8, 4));
        let most = Arc::new(AtomicUsize::new(0));
        let begin = |group: Group| {
            let (turns, most) = (turns.clone(), most.clone());
            tokio::spawn(async move {
                let turn = turns.take(&group, Duration::from_secs(5)).await?;
                most.fetch_max(8 - turns.all.available_permits(), Relaxed);
                tokio::time::sleep(Duration::from_secs(1)).await;
                drop(turn);
                Some(crate::machine::monotonic())
            })
        };
        let began = crate::machine::monotonic();
        let many: Vec<_> = (0..1_000).map(|n| begin(group(n as u8 % 3))).collect();
        tokio::task::yield_now().await;
        let one = begin(group(9)).await.unwrap().expect("its turn comes");
        assert!(one - began <= Duration::from_secs(3), "{:?}", one - began);
        let done = futures::future::join_all(many).await.into_iter().filter(|one| matches!(one, Ok(Some(_)))).count();
        assert!((30..=60).contains(&done), "{done} of 1,000 within 5 s; the rest is told to ask again");
        assert_eq!(most.load(Relaxed), 8);
    }

    #[test]
    fn each_group_and_all_of_them_have_a_rate() {
        let at = |ms| Moment::after_start(Duration::from_millis(ms));
        let every = |ms, burst| Rate { pause: Duration::from_millis(ms), burst };
        let spent = Spent::new(every(100, 5), every(1_000, 2));
        let times = |group: &Group, now| (0..10).filter(|_| spent.spend(group, now)).count();
        assert_eq!([1, 2, 3, 4].map(|n| times(&group(n), at(0))), [2, 2, 1, 0], "two for each, and five in all");
        assert_eq!(times(&group(4), at(200)), 2, "one more in all every 100 ms");
        assert_eq!(times(&group(1), at(900)), 0);
        assert_eq!(times(&group(1), at(1_000)), 1, "and one more for the group every second");
        assert_eq!(times(&group(1), at(10_000)), 2);
    }

    #[test]
    fn groups_that_are_over_are_forgotten() {
        let at = |s| Moment::after_start(Duration::from_secs(s));
        let rate = Rate { pause: Duration::from_millis(1), burst: u32::MAX };
        let spent = Spent::new(rate, rate);
        let turns = Turns::new(1, 1);
        for n in 0..10_000_u32 {
            let group = Group::at(std::net::Ipv4Addr::from_bits(n).into());
            assert!(spent.spend(&group, at(n.into())));
            turns.of(&group);
        }
        assert!(spent.all.lock().unwrap().1.len() <= MOST_GROUPS);
        assert!(turns.groups.lock().unwrap().len() <= MOST_GROUPS);
    }
}
