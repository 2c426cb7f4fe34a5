//! Events: one for each change of state, on the object the user looks at.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{PostParams, Request};
use kube::{Client, Resource, ResourceExt};
use prometheus_client::metrics::counter::Counter;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

use super::client::{self, call};
use crate::domain::Instant;
use crate::domain::event::Happening;
use crate::domain::text::spelt_out;
use crate::machine::monotonic;

/// The most Events that wait to be sent. One namespace has at most as many waiting as are free; more are dropped and counted.
const QUEUE: usize = 20_000;
/// After a burst, a pause follows each Event: at least this long, and this many times as long as sending the Event
/// took. Ten thousand licences that change at once must not crowd out their own status writes, least of all on a busy
/// API server.
const BURST: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_TIMES: u32 = 5;
/// The longest pause, even after an Event that ran into its time-out.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The most characters of a note, which is cut beyond them; the API allows 1,024.
const MAX_NOTE: usize = 1_000;

/// A note about an object, to be sent as an Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub warning: bool,
    /// In CamelCase, and specific.
    pub reason: Cow<'static, str>,
    pub text: String,
}

impl From<Happening> for Cow<'static, str> {
    fn from(happening: Happening) -> Self {
        happening.as_str().into()
    }
}

impl Note {
    pub fn normal(reason: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Note { warning: false, reason: reason.into(), text: text.into() }
    }

    pub fn warning(reason: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Note { warning: true, reason: reason.into(), text: text.into() }
    }
}

/// Sends Events in the background, in order, and never delays a caller.
#[derive(Clone)]
pub struct Events {
    queue: Arc<Sender>,
    dropped: Counter,
    identity: Arc<str>,
}

impl Events {
    /// Starts the task that sends. `dropped` counts the Events for which there was no room.
    pub fn start(client: Client, identity: &str, dropped: Counter) -> Self {
        let queue = Arc::new(Queue::default());
        tokio::spawn(send_all(client, queue.clone()));
        let queue = Arc::new(Sender(queue));
        Events { queue, dropped, identity: identity.into() }
    }

    /// Queues Events about `object`. An Event's name follows from its content and from the version of the object on
    /// which it was decided: deciding again on the same version, for example after a crash, does not send it twice.
    pub fn tell<K: Resource<DynamicType = ()>>(&self, object: &K, notes: Vec<Note>, now: Instant) {
        for note in notes {
            if !self.queue.0.add(self.event(object, note, now)) {
                self.dropped.inc();
            }
        }
    }

    fn event<K: Resource<DynamicType = ()>>(&self, object: &K, note: Note, now: Instant) -> Event {
        let meta = object.meta();
        let unique = format!("{:?} {:?} {} {}", meta.uid, meta.resource_version, note.reason, note.text);
        let digest: String = Sha256::digest(unique).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let stem: String = object.name_any().chars().take(200).collect();
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{stem}.{digest}")),
                namespace: meta.namespace.clone(),
                ..ObjectMeta::default()
            },
            event_time: Timestamp::from_microsecond(now.timestamp_micros()).ok().map(MicroTime),
            reporting_controller: Some("seatkeeper.dev/operator".into()),
            reporting_instance: Some(self.identity.chars().take(128).collect()),
            action: Some(note.reason.to_string()),
            reason: Some(note.reason.into_owned()),
            note: Some(spelt_out(&note.text).chars().take(MAX_NOTE).collect()),
            type_: Some(if note.warning { "Warning" } else { "Normal" }.into()),
            regarding: Some(ObjectReference {
                api_version: Some(K::api_version(&()).into()),
                kind: Some(K::kind(&()).into()),
                name: meta.name.clone(),
                namespace: meta.namespace.clone(),
                uid: meta.uid.clone(),
                resource_version: meta.resource_version.clone(),
                field_path: None,
            }),
            ..Event::default()
        }
    }
}

/// Events that wait. Namespaces take turns, so those of a tenant whose objects change without end delay no other's.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

/// Adds to the queue; once it is gone, what waits is sent and nothing more.
struct Sender(Arc<Queue>);

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.changed.notify_one();
    }
}

#[derive(Default)]
struct Waiting {
    of_namespace: HashMap<Option<String>, VecDeque<Event>>,
    /// The namespaces of which something waits.
    turns: VecDeque<Option<String>>,
    all: usize,
    is_closed: bool,
}

impl Waiting {
    /// Returns false if there is no room.
    fn add(&mut self, event: Event) -> bool {
        let namespace = event.metadata.namespace.clone();
        if self.of_namespace.get(&namespace).map_or(0, VecDeque::len) >= QUEUE - self.all {
            return false;
        }
        let of_namespace = self.of_namespace.entry(namespace.clone()).or_default();
        if of_namespace.is_empty() {
            self.turns.push_back(namespace);
        }
        of_namespace.push_back(event);
        self.all += 1;
        true
    }

    fn next(&mut self) -> Option<Event> {
        let namespace = self.turns.pop_front()?;
        let of_namespace = self.of_namespace.get_mut(&namespace)?;
        let event = of_namespace.pop_front()?;
        self.all -= 1;
        match of_namespace.is_empty() {
            true => _ = self.of_namespace.remove(&namespace),
            false => self.turns.push_back(namespace),
        }
        Some(event)
    }
}

impl Queue {
    fn add(&self, event: Event) -> bool {
        let added = self.lock().add(event);
        self.changed.notify_one();
        added
    }

    /// The next Event; `None` once no more can come.
    async fn next(&self) -> Option<Event> {
        loop {
            {
                let mut waiting = self.lock();
                let event = waiting.next();
                if event.is_some() || waiting.is_closed {
                    return event;
                }
            }
            self.changed.notified().await;
        }
    }

    fn is_empty(&self) -> bool {
        self.lock().all == 0
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn send_all(client: Client, queue: Arc<Queue>) {
    let mut burst = BURST;
    while let Some(event) = queue.next().await {
        let began = monotonic();
        let request = Request::new(Event::url_path(&(), Some(&event.namespace().unwrap_or_default())));
        let request = request.create(&PostParams::default(), serde_json::to_vec(&event).unwrap_or_default());
        match call(client::write(&client, request)).await {
            Ok(_) => {}
            // The Event was sent before.
            Err(error) if error.is_conflict() => {}
            Err(error) => tracing::debug!(%error, reason = event.reason, "an Event could not be sent"),
        }
        burst = if queue.is_empty() { BURST } else { burst.saturating_sub(1) };
        if burst == 0 {
            tokio::time::sleep(((monotonic() - began) * PAUSE_TIMES).clamp(PAUSE, LONGEST_PAUSE)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(namespace: &str, n: usize) -> Event {
        let meta = ObjectMeta { namespace: Some(namespace.into()), name: Some(n.to_string()), ..ObjectMeta::default() };
        Event { metadata: meta, ..Event::default() }
    }

    /// The attack: a thousand Licenses that name one Secret, which comes and goes. Everybody's Events came minutes later.
    #[test]
    fn namespaces_take_turns_and_none_takes_all_room() {
        let mut waiting = Waiting::default();
        let taken = (0..2 * QUEUE).filter(|n| waiting.add(event("crowd", *n))).count();
        assert_eq!(taken, QUEUE / 2);
        assert!((0..3).all(|n| waiting.add(event("a", n))));
        let next = |waiting: &mut Waiting| {
            let event = waiting.next().expect("some wait");
            format!("{}/{}", event.metadata.namespace.unwrap_or_default(), event.metadata.name.unwrap_or_default())
        };
        let first = [(); 6].map(|()| next(&mut waiting));
        assert_eq!(first, ["crowd/0", "a/0", "crowd/1", "a/1", "crowd/2", "a/2"]);
        assert_eq!(std::iter::from_fn(|| waiting.next()).count(), QUEUE / 2 - 3);
        assert_eq!((waiting.all, waiting.turns.len(), waiting.of_namespace.len()), (0, 0, 0));
    }
}
