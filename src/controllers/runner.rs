//! Runs a controller: one reconcile at a time for each object, many objects at once, and no object stops another.

use futures::{FutureExt, StreamExt, future::BoxFuture};
use kube::runtime::controller::{Action, Config, Error as ApplierError, ReconcileReason, ReconcileRequest, applier};
use kube::runtime::reflector::store::Store;
use kube::runtime::reflector::{self, ObjectRef};
use kube::{Resource, ResourceExt};
use std::collections::HashMap;
use std::fmt::Debug;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::queue::Queue;
use crate::cluster::client::CallError;
use crate::cluster::clock::{Clock, jittered, monotonic};
use crate::cluster::events::{Events, Note};
use crate::cluster::metrics::Metrics;
use crate::cluster::watch::Guarded;

/// Objects of one kind that are worked on at once.
const CONCURRENCY: u16 = 64;
/// The first retry comes after this, each further one after twice as long, up to the longest.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(300);

/// What a controller does with an object.
pub trait Controller: Send + Sync + 'static {
    type Object: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static;
    const KIND: &'static str;

    /// Makes the world as `object` wants it. Errors are tried again.
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

/// What every controller is given.
#[derive(Clone)]
pub struct Surroundings {
    pub clock: Clock,
    pub events: Events,
    pub metrics: Arc<Metrics>,
}

struct Attempts<K: reflector::Lookup<DynamicType = ()>>(Mutex<HashMap<ObjectRef<K>, u32>>);

/// Works off `queue` until it is closed, then returns once what was under way is done.
pub async fn run<C: Controller>(
    controller: Arc<C>,
    queue: Queue<Guarded<C::Object>>,
    objects: Store<Guarded<C::Object>>,
    with: Surroundings,
) {
    let attempts = Arc::new(Attempts::<Guarded<C::Object>>(Mutex::default()));
    let tried = attempts.clone();
    let requests = queue.objects().map(|object| {
        Ok::<_, std::convert::Infallible>(ReconcileRequest { obj_ref: object, reason: ReconcileReason::Unknown })
    });
    let work = move |object: Arc<Guarded<C::Object>>, _: Arc<()>| {
        let (controller, with, attempts) = (controller.clone(), with.clone(), attempts.clone());
        let reconcile = async move {
            let started = monotonic();
            let done = one(controller.as_ref(), &object, &with).await;
            with.metrics.reconciled(C::KIND, monotonic().saturating_sub(started), done.is_ok());
            if done.is_ok() {
                attempts.lock().remove(&ObjectRef::from_obj(object.as_ref()));
            }
            done.map(|()| Action::await_change())
        };
        reconcile.boxed()
    };
    let retry = move |object: Arc<Guarded<C::Object>>, error: &ReconcileError, _: Arc<()>| {
        let mut attempts = tried.lock();
        let attempt = attempts.entry(ObjectRef::from_obj(object.as_ref())).or_default();
        *attempt += 1;
        let wait = FIRST_RETRY.saturating_mul(1 << (*attempt - 1).min(16)).min(LONGEST_RETRY);
        match error {
            // Somebody else was first, or a cache is behind: ordinary.
            ReconcileError::Call(call) if call.is_conflict() => {
                tracing::debug!(kind = C::KIND, name = object.name_any(), "looking again after a conflict");
            }
            _ => {
                tracing::warn!(kind = C::KIND, namespace = object.namespace(), name = object.name_any(), %error, attempt, "trying again")
            }
        }
        Action::requeue(jittered(wait))
    };
    let config = Config::default().concurrency(CONCURRENCY);
    let mut done = std::pin::pin!(applier(work, retry, Arc::new(()), objects, requests, config));
    while let Some(result) = done.next().await {
        match result {
            // Told by `retry`, or gone meanwhile.
            Ok(_) | Err(ApplierError::ReconcilerFailed(..) | ApplierError::ObjectNotFound(_)) => {}
            Err(error) => tracing::warn!(kind = C::KIND, %error, "the work queue stumbled"),
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
            let text = format!("this object cannot be read and is passed over: {}", malformed.error);
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

impl<K: reflector::Lookup<DynamicType = ()>> Attempts<K> {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectRef<K>, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
