//! Answers of the API server, each cached for a while. A caller whose question is under way already waits for its
//! answer: when an answer expires under a thousand agents, the API server is asked once.
//!
//! What is kept is bounded in number and in bytes. When there is no room, the group that has the most of it loses its oldest
//! answers, so nobody can push out the answers of others.

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::group::Group;
use super::problem::Problem;
use crate::domain::tick::Moment;
use crate::machine::monotonic;

/// How long an answer of the API server counts.
pub const TRUSTED: Duration = Duration::from_secs(10);
/// The most answers kept, and their most bytes.
const MOST_KEPT: usize = 10_000;
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// What an answer takes beyond what is counted: its key and its place.
const BYTES_AROUND: usize = 256;

/// An answer, and the moment until which it counts.
type Answer<V> = (V, Moment);

/// Whose an answer is, and how many bytes it takes.
#[derive(Clone, Debug)]
pub struct Share {
    pub group: Group,
    pub bytes: usize,
}

struct Kept<V> {
    answer: Answer<V>,
    share: Share,
}

/// What was found out, and how long it counts.
pub type Finding<V> = Result<(V, Duration), Problem>;
type Asked<V> = BoxFuture<'static, Result<Answer<V>, Problem>>;

/// A cache of answers.
pub struct CachedAnswers<K, V>(Arc<Mutex<Answers<K, V>>>);

struct Answers<K, V> {
    kept: HashMap<K, Kept<V>>,
    /// The bytes of all that is kept.
    bytes: usize,
    /// The questions under way. Each ends when nobody waits for it any longer.
    asked: HashMap<K, WeakShared<Asked<V>>>,
}

impl<K, V> Default for CachedAnswers<K, V> {
    fn default() -> Self {
        CachedAnswers(Arc::new(Mutex::new(Answers { kept: HashMap::new(), bytes: 0, asked: HashMap::new() })))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K, V> CachedAnswers<K, V>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Returns what is known of `key`, and the time until which it counts. If nothing is known or it has expired, `ask`
    /// finds it out, given what was known last. A failure is returned to all who wait for the answer, and is not
    /// cached. `share` says whose the answer is.
    pub async fn answer<F>(
        &self,
        key: K,
        share: impl FnOnce(&V) -> Share + Send + 'static,
        ask: impl FnOnce(Option<V>) -> F,
    ) -> Result<Answer<V>, Problem>
    where
        F: Future<Output = Finding<V>> + Send + 'static,
    {
        let asked = {
            let mut answers = lock(&self.0);
            let known = answers.kept.get(&key).map(|kept| &kept.answer);
            if let Some(known) = known.filter(|(_, until)| monotonic() < *until) {
                return Ok(known.clone());
            }
            let before = known.map(|(value, _)| value.clone());
            match answers.asked.get(&key).and_then(WeakShared::upgrade) {
                Some(asked) => asked,
                None => {
                    let asked = self.asking(key.clone(), share, ask(before)).boxed().shared();
                    answers.note(key, &asked);
                    asked
                }
            }
        };
        asked.await
    }

    fn asking(
        &self,
        key: K,
        share: impl FnOnce(&V) -> Share + Send + 'static,
        asking: impl Future<Output = Finding<V>> + Send + 'static,
    ) -> impl Future<Output = Result<Answer<V>, Problem>> + Send + 'static {
        let answers = self.0.clone();
        async move {
            let answer = asking.await;
            let mut answers = lock(&answers);
            answers.asked.remove(&key);
            answer.map(|(value, counts)| {
                let share = share(&value);
                answers.keep(key, value, counts, share)
            })
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Answers<K, V> {
    fn note(&mut self, key: K, asked: &Shared<Asked<V>>) {
        if self.asked.len() >= MOST_KEPT {
            self.asked.retain(|_, asked| asked.upgrade().is_some());
        }
        self.asked.extend(asked.downgrade().map(|asked| (key, asked)));
    }

    fn keep(&mut self, key: K, value: V, counts: Duration, mut share: Share) -> Answer<V> {
        let now = monotonic();
        share.bytes += BYTES_AROUND;
        if self.is_full(share.bytes) {
            self.forget(|kept| kept.answer.1 <= now);
        }
        while self.is_full(share.bytes) && !self.kept.is_empty() {
            self.make_room();
        }
        let answer = (value, now + counts);
        self.bytes += share.bytes;
        if let Some(before) = self.kept.insert(key, Kept { answer: answer.clone(), share }) {
            self.bytes -= before.share.bytes;
        }
        answer
    }

    fn is_full(&self, more: usize) -> bool {
        self.kept.len() >= MOST_KEPT || self.bytes + more > MOST_BYTES
    }

    /// Forgets the older half of the answers of the group that has the most bytes.
    fn make_room(&mut self) {
        let mut bytes: HashMap<&Group, usize> = HashMap::new();
        for Kept { share, .. } in self.kept.values() {
            *bytes.entry(&share.group).or_default() += share.bytes;
        }
        let Some(group) = bytes.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(group, _)| group.clone()) else {
            return;
        };
        let of_group = self.kept.values().filter(|kept| kept.share.group == group);
        let mut until: Vec<Moment> = of_group.map(|kept| kept.answer.1).collect();
        until.sort_unstable();
        let middle = until[until.len() / 2];
        // At least one, also if all are equally old.
        let mut left = until.len().div_ceil(2);
        self.forget(|kept| {
            let goes = left > 0 && kept.share.group == group && kept.answer.1 <= middle;
            left -= usize::from(goes);
            goes
        });
    }

    fn forget(&mut self, mut which: impl FnMut(&Kept<V>) -> bool) {
        let Answers { kept, bytes, .. } = self;
        kept.retain(|_, kept| {
            let goes = which(kept);
            *bytes -= if goes { kept.share.bytes } else { 0 };
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    /// An API server that takes a second for each question, and counts them.
    #[derive(Clone, Default)]
    struct Slow(Arc<AtomicUsize>);

    impl Slow {
        async fn asked(self, answer: Finding<u32>) -> Finding<u32> {
            self.0.fetch_add(1, Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            answer
        }
    }

    fn share(namespace: &str, bytes: usize) -> Share {
        Share { group: Group::Namespace(namespace.into()), bytes }
    }

    /// The attack: a tenant asks about thousands of Licenses, or with thousands of tokens, until the answers about others
    /// are forgotten. The API server is then asked again and again.
    #[tokio::test(start_paused = true)]
    async fn a_group_that_fills_the_cache_loses_its_own_answers() {
        for bytes in [0, 100_000] {
            let kept = CachedAnswers::<String, u32>::default();
            let keep = |namespace: &'static str, n: usize| {
                let found = async { Ok((1, TRUSTED)) };
                kept.answer(format!("{namespace}/{n}"), move |_| share(namespace, bytes), |_| found)
            };
            for n in 0..20 {
                keep("victim", n).await.unwrap();
            }
            for n in 0..2 * MOST_KEPT {
                keep("hostile", n).await.unwrap();
            }
            let answers = lock(&kept.0);
            assert!(answers.kept.len() <= MOST_KEPT && answers.bytes <= MOST_BYTES);
            assert_eq!(answers.bytes, answers.kept.values().map(|kept| kept.share.bytes).sum::<usize>());
            assert!((0..20).all(|n| answers.kept.contains_key(&format!("victim/{n}"))), "{bytes}");
        }
    }

    async fn a_thousand_at_once(kept: &CachedAnswers<&'static str, u32>, slow: &Slow, answer: &Finding<u32>) -> usize {
        let one = || kept.answer("same", |_| share("a", 0), |_| slow.clone().asked(answer.clone()));
        let all = futures::future::join_all((0..1_000).map(|_| one())).await;
        assert!(all.iter().all(|one| one.is_ok() == answer.is_ok()));
        slow.0.swap(0, Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_at_once_are_one_question_and_one_more_once_it_has_run_out() {
        let (kept, slow) = (CachedAnswers::default(), Slow::default());
        assert_eq!(a_thousand_at_once(&kept, &slow, &Ok((1, TRUSTED))).await, 1);
        assert_eq!(a_thousand_at_once(&kept, &slow, &Ok((1, TRUSTED))).await, 0);
        tokio::time::advance(TRUSTED).await;
        assert_eq!(a_thousand_at_once(&kept, &slow, &Ok((1, TRUSTED))).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_told_to_all_who_wait_and_not_kept() {
        let (kept, slow) = (CachedAnswers::default(), Slow::default());
        let failure = Err(Problem::invalid("it is away"));
        assert_eq!(a_thousand_at_once(&kept, &slow, &failure).await, 1);
        assert_eq!(a_thousand_at_once(&kept, &slow, &Ok((1, TRUSTED))).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_goes_away_while_asking_leaves_nothing_behind() {
        let (kept, slow) = (CachedAnswers::default(), Slow::default());
        for _ in 0..2 {
            let asking = kept.answer("same", |_| share("a", 0), |_| slow.clone().asked(Ok((1, TRUSTED))));
            assert!(tokio::time::timeout(Duration::from_millis(1), asking).await.is_err());
        }
        assert_eq!(a_thousand_at_once(&kept, &slow, &Ok((1, TRUSTED))).await, 3);
    }
}
