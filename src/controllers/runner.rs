//! Runs a controller: one reconcile at a time for each object, many objects at once, and no object holds up another.
//! ARCHITECTURE.md says why kube's `Controller` is not used.

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use kube::core::object::HasStatus;
use kube::{Resource, ResourceExt};
use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

use super::kind::{Kind, Name, Object, name_of};
use super::metrics::LookMetrics;
use crate::cluster::client::CallError;
use crate::cluster::clock::{Clock, Now};
use crate::cluster::events::{Events, Note};
use crate::cluster::health::Health;
use crate::cluster::metrics::Metrics;
use crate::cluster::specs::left_out;
use crate::cluster::watch::Guarded;
use crate::domain::Instant;
use crate::domain::event::Happening;
use crate::domain::fault::Fault;
use crate::machine::{jittered, monotonic};
use crate::observed::Observed;
use crate::seats::Desk;
use crate::wrong::{self, Variant::*};

/// How long one object may take, so that none holds up the others for ever. Ended at any moment, a look is taken up again
/// from what exists.
const LONGEST_LOOK: Duration = Duration::from_secs(60);
/// The wait before the first retry. Each further wait is twice as long, up to the longest.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(300);

/// What a controller does with the objects of one kind.
pub trait Controller: Sized + Send + Sync + 'static {
    type Object: Object;
    const KIND: &'static str;

    fn new(kind: &Arc<Kind<Self::Object>>, with: &Surroundings) -> Self;

    /// What an object refers to, in the form of [`target`](crate::observed::references::target).
    fn references(_: &Self::Object) -> Vec<String> {
        Vec::new()
    }

    /// Brings the world in line with `object`, and says what to show. After an error it is called again. `before` is the
    /// newest known status.
    fn look(
        &self,
        object: &Self::Object,
        before: &StatusOf<Self>,
        now: Now,
    ) -> impl Future<Output = Result<Look<StatusOf<Self>>, CallError>> + Send;

    /// Says what to show of an object that is not read because there is no room for it, and lets it count for nothing.
    fn leave_out(&self, object: &Self::Object, why: Fault, before: &StatusOf<Self>, now: Now) -> Look<StatusOf<Self>>;

    /// Drops what the controller keeps of an object that is gone.
    fn forget(&self, _: &Guarded<Self::Object>) {}
}

type StatusOf<C> = <<C as Controller>::Object as HasStatus>::Status;

/// The result of a look at an object. Side effects, such as issued keys, have already happened.
pub struct Look<S> {
    pub status: S,
    /// The Events, which are sent if the status is new.
    pub notes: Vec<Note>,
    /// When to look again even if nothing changes; `None` if never.
    pub wake: Option<Instant>,
    /// Writes the status only on the version of the object that was looked at: what cannot be undone must not be
    /// written on the basis of an outdated cache.
    pub only_on_this_version: bool,
}

/// Why an object has to be looked at again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error("{0}")]
    Call(#[from] CallError),
    #[error("a defect of the operator: {0}")]
    Panicked(String),
    #[error("it took longer than {} s", LONGEST_LOOK.as_secs())]
    TookTooLong,
}

/// What every controller works with.
#[derive(Clone)]
pub struct Surroundings {
    pub observed: Observed,
    pub clock: Clock,
    pub events: Events,
    pub metrics: Arc<Metrics>,
    pub look_metrics: LookMetrics,
    /// Grants the seats of Licenses.
    pub desk: Desk,
    /// Where each controller shows that it runs.
    pub health: Arc<Health>,
}

/// A kind with its controller.
pub struct RunningKind<C: Controller> {
    pub kind: Arc<Kind<C::Object>>,
    pub controller: C,
    with: Surroundings,
}

/// A kind with its controller, whatever the kind.
pub trait AnyKind: Send + Sync {
    /// Returns once the cache has listed, or its watch has ended.
    fn synced(&self) -> BoxFuture<'_, ()>;
    /// Looks at objects until `close`, and returns once the work under way is done.
    fn run(self: Arc<Self>) -> BoxFuture<'static, ()>;
    /// Begins nothing new.
    fn close(&self);
    fn read_references(&self);
    fn look_at_all(&self);
    fn look_at_referrers(&self, target: &str);
}

impl<C: Controller> AnyKind for RunningKind<C> {
    fn synced(&self) -> BoxFuture<'_, ()> {
        self.kind.cache.wait_until_ready().map(|_| ()).boxed()
    }

    fn run(self: Arc<Self>) -> BoxFuture<'static, ()> {
        async move {
            tokio::select! {
                biased;
                () = run(&self) => {}
                () = self.with.health.beat(C::KIND) => {}
                () = self.kind.wakes.run(&self.with.clock, &self.kind.queue) => {}
            }
        }
        .boxed()
    }

    fn close(&self) {
        self.kind.queue.close();
    }

    fn read_references(&self) {
        self.kind.read_references(C::references);
    }

    fn look_at_all(&self) {
        self.kind.look_at_all();
    }

    fn look_at_referrers(&self, target: &str) {
        self.kind.look_at_referrers(target);
    }
}

impl<C: Controller> RunningKind<C> {
    pub fn new(kind: Arc<Kind<C::Object>>, with: &Surroundings) -> Self {
        RunningKind { controller: C::new(&kind, with), kind, with: with.clone() }
    }

    /// Drops what is kept of an object that is gone.
    pub fn forget(&self, object: &Guarded<C::Object>) {
        self.kind.forget(object);
        self.controller.forget(object);
    }

    async fn reconcile(&self, object: &C::Object) -> Result<(), ReconcileError> {
        let now = self.with.clock.now();
        let before = self.kind.status_of(object);
        // 1. Look, and act.
        let look = self.controller.look(object, &before, now).await?;
        // 2. Look again in time.
        self.kind.wakes.set(&name_of(object), look.wake);
        // 3. Write the status, if it is new.
        let version = object.meta().resource_version.as_deref().filter(|_| look.only_on_this_version);
        if self.kind.write_status(object, &before, &look.status, version).await? {
            self.with.look_metrics.status_written(C::KIND);
            // 4. Tell what has changed.
            self.with.events.tell(object, look.notes, now.at);
        }
        Ok(())
    }

    /// Shows on an object why it is not read.
    async fn leave_out(&self, object: &Guarded<C::Object>, why: Fault) -> Result<(), ReconcileError> {
        let _turn = self.kind.reading.acquire().await;
        let Some(object) = self.kind.read(object).await? else { return Ok(()) };
        let now = self.with.clock.now();
        let before = object.status().cloned().unwrap_or_default();
        let look = self.controller.leave_out(&object, why, &before, now);
        self.kind.wakes.set(&name_of(&object), look.wake);
        if self.kind.write_status_on(&object, &look.status).await? {
            self.with.look_metrics.status_written(C::KIND);
            self.with.events.tell(&object, look.notes, now.at);
        }
        Ok(())
    }
}

type NameOf<C> = Name<<C as Controller>::Object>;

/// What happens next, to one object.
enum Step<C: Controller> {
    Done(NameOf<C>, Arc<Guarded<C::Object>>, Result<(), ReconcileError>),
    /// The wait after this many failed attempts is over.
    Retry(NameOf<C>, u32),
    Next(NameOf<C>),
    Closed,
}

/// Reconciles the objects of the queue until it is closed, then returns once the work under way is done.
async fn run<C: Controller>(running: &RunningKind<C>) {
    let Kind { queue, cache, .. } = &*running.kind;
    let mut attempts: HashMap<NameOf<C>, Failures> = HashMap::new();
    let mut waits = FuturesUnordered::new();
    let mut under_way = FuturesUnordered::new();
    let mut next = pin!(queue.objects());
    let mut open = true;
    loop {
        let step = tokio::select! {
            biased;
            Some((name, object, done)) = under_way.next() => Step::<C>::Done(name, object, done),
            Some((name, attempt)) = waits.next(), if open => Step::Retry(name, attempt),
            name = next.next(), if open => name.map_or(Step::Closed, Step::Next),
            else => return,
        };
        match step {
            Step::Next(name) => match cache.get(&name) {
                Some(object) => under_way.push(work(running, name, object)),
                None => {
                    attempts.remove(&name);
                    queue.done(&name);
                }
            },
            Step::Done(name, object, done) => {
                queue.done(&name);
                match done {
                    Ok(()) => {
                        if attempts.remove(&name).is_some_and(|failures| failures.told.is_some()) {
                            tracing::info!(
                                kind = C::KIND,
                                namespace = name.namespace,
                                name = name.name,
                                "it works again"
                            );
                        }
                    }
                    Err(error) => {
                        let failures = attempts.entry(name.clone()).or_default();
                        failures.attempts += 1;
                        waits.push(wait::<C>(name.clone(), failures.attempts));
                        failures.tell(object.as_ref(), C::KIND, &error);
                        if let Some(note) = failures.refused(&error) {
                            running.with.events.tell(object.as_ref(), vec![note], running.with.clock.now().at);
                        }
                    }
                }
                // The object was deleted during the look, which may have noted it again after it was forgotten.
                if cache.get(&name).is_none_or(|there| there.uid() != object.uid()) {
                    running.forget(&object);
                    queue.add(name);
                }
            }
            // If the object has been looked at since, a later wait counts, or none is needed.
            Step::Retry(name, attempt)
                if attempts.get(&name).map(|failures| failures.attempts) == Some(attempt) && !wrong::is(NoRetry) =>
            {
                queue.add(name)
            }
            Step::Retry(..) => {}
            Step::Closed => open = false,
        }
    }
}

async fn work<C: Controller>(
    running: &RunningKind<C>,
    name: NameOf<C>,
    object: Arc<Guarded<C::Object>>,
) -> (NameOf<C>, Arc<Guarded<C::Object>>, Result<(), ReconcileError>) {
    let started = monotonic();
    let done = one(running, &object).await;
    running.with.look_metrics.reconciled(C::KIND, monotonic() - started, done.is_ok());
    (name, object, done)
}

async fn wait<C: Controller>(name: NameOf<C>, attempt: u32) -> (NameOf<C>, u32) {
    let wait = FIRST_RETRY.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST_RETRY);
    tokio::time::sleep(jittered(wait)).await;
    (name, attempt)
}

/// The looks at an object that have failed, one after the other.
#[derive(Default)]
struct Failures {
    attempts: u32,
    /// How often the API server has refused a request for good.
    refusals: u32,
    /// What was logged last; the same is not logged again.
    told: Option<String>,
}

impl Failures {
    /// The Event of requests that the API server keeps refusing, once: the status of the object may be what cannot be
    /// written. A single refusal may come from an API server that has just started.
    fn refused(&mut self, error: &ReconcileError) -> Option<Note> {
        let ReconcileError::Call(call) = error else { return None };
        self.refusals += u32::from(call.is_for_good());
        let text = format!("the API server refuses what the operator needs for this object: {call}");
        (call.is_for_good() && self.refusals == 2).then(|| Note::warning(Happening::RequestRefused, text))
    }

    fn tell<K: Resource<DynamicType = ()>>(&mut self, object: &K, kind: &'static str, error: &ReconcileError) {
        let (namespace, name) = (object.namespace(), object.name_any());
        match error {
            // Another writer was first, a cache is behind, or the object is gone by now. All are ordinary.
            ReconcileError::Call(call) if call.is_conflict() || call.is_not_found() => {
                tracing::debug!(kind, name, "looking again after a conflict, or for the last time");
            }
            _ => {
                let why = error.to_string();
                if self.told.as_ref() != Some(&why) {
                    tracing::warn!(kind, namespace, name, error = why, "trying again until it works");
                    self.told = Some(why);
                }
            }
        }
    }
}

/// Does the work at one object, which ends in time and without a panic.
async fn safely(work: impl Future<Output = Result<(), ReconcileError>>) -> Result<(), ReconcileError> {
    match timeout(LONGEST_LOOK, AssertUnwindSafe(work).catch_unwind()).await {
        Err(_) => Err(ReconcileError::TookTooLong),
        Ok(Ok(done)) => done,
        Ok(Err(panic)) => {
            let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            Err(ReconcileError::Panicked(text.unwrap_or("a panic").to_owned()))
        }
    }
}

async fn one<C: Controller>(running: &RunningKind<C>, object: &Guarded<C::Object>) -> Result<(), ReconcileError> {
    if let Some(why) = left_out(object) {
        return safely(running.leave_out(object, why)).await;
    }
    match &object.0 {
        Ok(object) => safely(running.reconcile(object)).await,
        Err(malformed) => {
            let text = format!("this object cannot be read and is skipped: {}", malformed.error);
            tracing::warn!(
                kind = C::KIND,
                namespace = object.namespace(),
                name = object.name_any(),
                error = malformed.error,
                "malformed"
            );
            let with = &running.with;
            with.events.tell(object, vec![Note::warning(Happening::Malformed, text)], with.clock.now().at);
            Ok(())
        }
    }
}
