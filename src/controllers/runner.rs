//! Runs a controller: one reconcile at a time for each object, many objects at once, and no object holds up another.

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Store;
use kube::{Resource, ResourceExt};
use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::queue::Queue;
use crate::cluster::client::CallError;
use crate::cluster::clock::Clock;
use crate::cluster::events::{Events, Note};
use crate::cluster::metrics::Metrics;
use crate::cluster::watch::Guarded;
use crate::machine::{jittered, monotonic};
use crate::seats::Desk;
use crate::wrong::{self, Variant::*};

/// The most objects of one kind that are worked on at once.
const CONCURRENCY: usize = 64;
/// The wait before the first retry. Each further wait is twice as long, up to the longest.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(300);

/// What a controller does with an object.
pub trait Controller: Send + Sync + 'static {
    type Object: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static;
    const KIND: &'static str;

    /// Makes the world as `object` wants it. After an error it is called again.
    fn reconcile<'a>(&'a self, object: &'a Self::Object) -> BoxFuture<'a, Result<(), ReconcileError>>;
}

/// Why an object has to be looked at again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error("{0}")]
    Call(#[from] CallError),
    #[error("a defect of the operator: {0}")]
    Panicked(String),
}

/// What every controller works with.
#[derive(Clone)]
pub struct Surroundings {
    pub clock: Clock,
    pub events: Events,
    pub metrics: Arc<Metrics>,
    /// Grants the seats of Licenses.
    pub desk: Desk,
}

type Name<C> = ObjectRef<Guarded<<C as Controller>::Object>>;

/// What happens next, to one object.
enum Step<C: Controller> {
    Done(Name<C>, Arc<Guarded<C::Object>>, Result<(), ReconcileError>),
    /// The wait after this many failed attempts is over.
    Retry(Name<C>, u32),
    Next(Name<C>),
    Closed,
}

/// Reconciles the objects of `queue` until it is closed, then returns once the work under way is done.
pub async fn run<C: Controller>(
    controller: Arc<C>,
    queue: Queue<Guarded<C::Object>>,
    objects: Store<Guarded<C::Object>>,
    with: Surroundings,
) {
    let mut attempts: HashMap<Name<C>, u32> = HashMap::new();
    let mut waits = FuturesUnordered::new();
    let mut under_way = FuturesUnordered::new();
    let mut busy: HashSet<Name<C>> = HashSet::new();
    // Objects that changed while they were worked on: each is looked at once more.
    let mut again: HashSet<Name<C>> = HashSet::new();
    let mut next = pin!(queue.objects());
    let mut open = true;
    loop {
        let step = tokio::select! {
            biased;
            Some((name, object, done)) = under_way.next() => Step::<C>::Done(name, object, done),
            Some((name, attempt)) = waits.next(), if open => Step::Retry(name, attempt),
            name = next.next(), if open && under_way.len() < CONCURRENCY => name.map_or(Step::Closed, Step::Next),
            else => return,
        };
        match step {
            Step::Next(name) if busy.contains(&name) => {
                if !wrong::is(ChangeWhileBusyLost) {
                    again.insert(name);
                }
            }
            Step::Next(name) => {
                let Some(object) = objects.get(&name) else {
                    attempts.remove(&name);
                    continue;
                };
                busy.insert(name.clone());
                under_way.push(work(controller.clone(), with.clone(), name, object));
            }
            Step::Done(name, object, done) => {
                busy.remove(&name);
                match done {
                    Ok(()) => _ = attempts.remove(&name),
                    Err(error) => {
                        let attempt = attempts.entry(name.clone()).or_default();
                        *attempt += 1;
                        waits.push(wait::<C>(name.clone(), *attempt));
                        tell(object.as_ref(), C::KIND, &error, *attempt);
                    }
                }
                if again.remove(&name) {
                    queue.add(name);
                }
            }
            // If the object has been looked at since, a later wait counts, or none is needed.
            Step::Retry(name, attempt) if attempts.get(&name) == Some(&attempt) && !wrong::is(NoRetry) => {
                queue.add(name)
            }
            Step::Retry(..) => {}
            Step::Closed => open = false,
        }
    }
}

async fn work<C: Controller>(
    controller: Arc<C>,
    with: Surroundings,
    name: Name<C>,
    object: Arc<Guarded<C::Object>>,
) -> (Name<C>, Arc<Guarded<C::Object>>, Result<(), ReconcileError>) {
    let started = monotonic();
    let done = one(controller.as_ref(), &object, &with).await;
    with.metrics.reconciled(C::KIND, monotonic().saturating_sub(started), done.is_ok());
    (name, object, done)
}

async fn wait<C: Controller>(name: Name<C>, attempt: u32) -> (Name<C>, u32) {
    let wait = FIRST_RETRY.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST_RETRY);
    tokio::time::sleep(jittered(wait)).await;
    (name, attempt)
}

fn tell<K: Resource<DynamicType = ()>>(object: &K, kind: &'static str, error: &ReconcileError, attempt: u32) {
    match error {
        // Another writer was first, or a cache is behind. Both are ordinary.
        ReconcileError::Call(call) if call.is_conflict() => {
            tracing::debug!(kind, name = object.name_any(), "looking again after a conflict");
        }
        _ => {
            tracing::warn!(kind, namespace = object.namespace(), name = object.name_any(), %error, attempt, "trying again")
        }
    }
}

async fn one<C: Controller>(
    controller: &C,
    object: &Guarded<C::Object>,
    with: &Surroundings,
) -> Result<(), ReconcileError> {
    match &object.0 {
        Ok(object) => match AssertUnwindSafe(controller.reconcile(object)).catch_unwind().await {
            Ok(done) => done,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
                Err(ReconcileError::Panicked(text.unwrap_or("a panic").to_owned()))
            }
        },
        Err(malformed) => {
            let text = format!("this object cannot be read and is skipped: {}", malformed.error);
            tracing::warn!(
                kind = C::KIND,
                namespace = object.namespace(),
                name = object.name_any(),
                error = malformed.error,
                "malformed"
            );
            with.events.tell(object, vec![Note::warning("Malformed", text)], with.clock.now().at);
            Ok(())
        }
    }
}
