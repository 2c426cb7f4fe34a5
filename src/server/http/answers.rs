//! Answers of the API server, each cached for a while. A caller whose question is under way already waits for its
//! answer: when an answer expires under a thousand agents, the API server is asked once.

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::problem::Problem;
use crate::domain::tick::Moment;
use crate::machine::monotonic;

/// How long an answer of the API server counts.
pub const TRUSTED: Duration = Duration::from_secs(10);
/// The most answers kept; the oldest are dropped first.
const MOST_KEPT: usize = 10_000;

/// An answer, and the moment until which it counts.
type Answer<V> = (V, Moment);
/// What was found out, and how long it counts.
pub type Finding<V> = Result<(V, Duration), Problem>;
type Asked<V> = BoxFuture<'static, Result<Answer<V>, Problem>>;

/// A cache of answers.
pub struct CachedAnswers<K, V>(Arc<Mutex<Answers<K, V>>>);

struct Answers<K, V> {
    kept: HashMap<K, Answer<V>>,
    /// The questions under way. Each ends when nobody waits for it any longer.
    asked: HashMap<K, WeakShared<Asked<V>>>,
}

impl<K, V> Default for CachedAnswers<K, V> {
    fn default() -> Self {
        CachedAnswers(Arc::new(Mutex::new(Answers { kept: HashMap::new(), asked: HashMap::new() })))
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
    /// cached.
    pub async fn answer<F>(&self, key: K, ask: impl FnOnce(Option<V>) -> F) -> Result<Answer<V>, Problem>
    where
        F: Future<Output = Finding<V>> + Send + 'static,
    {
        let asked = {
            let mut answers = lock(&self.0);
            let known = answers.kept.get(&key);
            if let Some(known) = known.filter(|(_, until)| monotonic() < *until) {
                return Ok(known.clone());
            }
            let before = known.map(|(value, _)| value.clone());
            match answers.asked.get(&key).and_then(WeakShared::upgrade) {
                Some(asked) => asked,
                None => {
                    let asked = self.asking(key.clone(), ask(before)).boxed().shared();
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
        asking: impl Future<Output = Finding<V>> + Send + 'static,
    ) -> impl Future<Output = Result<Answer<V>, Problem>> + Send + 'static {
        let answers = self.0.clone();
        async move {
            let answer = asking.await;
            let mut answers = lock(&answers);
            answers.asked.remove(&key);
            answer.map(|(value, counts)| answers.keep(key, value, counts))
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

    fn keep(&mut self, key: K, value: V, counts: Duration) -> Answer<V> {
        let now = monotonic();
        if self.kept.len() >= MOST_KEPT {
            self.kept.retain(|_, (_, until)| now < *until);
        }
        if self.kept.len() >= MOST_KEPT {
            let oldest = self.kept.iter().min_by_key(|(_, (_, until))| *until).map(|(key, _)| key.clone());
            oldest.map(|key| self.kept.remove(&key));
        }
        let answer = (value, now + counts);
        self.kept.insert(key, answer.clone());
        answer
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

    async fn a_thousand_at_once(kept: &CachedAnswers<&'static str, u32>, slow: &Slow, answer: &Finding<u32>) -> usize {
        let one = || kept.answer("same", |_| slow.clone().asked(answer.clone()));
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
            let asking = kept.answer("same", |_| slow.clone().asked(Ok((1, TRUSTED))));
            assert!(tokio::time::timeout(Duration::from_millis(1), asking).await.is_err());
        }
        assert_eq!(a_thousand_at_once(&kept, &slow, &Ok((1, TRUSTED))).await, 3);
    }
}
