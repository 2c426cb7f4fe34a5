//! What `seatkeeper up` prints: a first screen, then a line for each thing that happens.

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use std::collections::{BTreeMap, BTreeSet};

use crate::cli::output::{local, printable, say};
use crate::cluster::clock::Clock;
use crate::domain::Instant;
use crate::domain::days::day;
use crate::domain::zone::Zone;

/// The most Events remembered as printed, so that a watch that starts again does not print them again, and the most objects
/// whose time zone is remembered.
const REMEMBERED: usize = 5_000;

/// Standard output, with the calendar's time before each line, in the time zone of what the line is about.
#[derive(Clone)]
pub struct Screen {
    clock: Clock,
    /// Minutes make no sense where days pass in seconds.
    days_only: bool,
}

impl Screen {
    pub fn new(clock: Clock, days_only: bool) -> Self {
        Screen { clock, days_only }
    }

    /// Prints text as it is.
    pub fn show(&self, text: &str) {
        // If standard output is gone, there is nobody left to notify.
        let _ = say(text);
    }

    fn line(&self, at: Instant, zone: &Zone, text: &str) {
        let time = match self.days_only {
            true => day(at, zone).to_string(),
            false => local(at, zone),
        };
        self.show(&format!("{time}  {}\n", printable(text)));
    }

    pub fn applied(&self, title: &str) {
        self.tell(&format!("applied {title}"));
    }

    pub fn tell(&self, text: &str) {
        self.line(self.clock.now().at, &Zone::utc(), text);
    }

    /// Prints something that the user should fix.
    pub fn warn(&self, text: &str) {
        self.tell(&format!("! {text}"));
    }

    /// Prints every Event from now on. Never returns.
    pub async fn follow_events(&self, client: Client) {
        let mut told: BTreeSet<String> = BTreeSet::new();
        let mut zones = Zones { client: client.clone(), known: BTreeMap::new() };
        let events = watcher(Api::<Event>::all(client), watcher::Config::default()).default_backoff().applied_objects();
        let mut events = std::pin::pin!(events);
        // Events of earlier starts come first and are not printed again.
        let began = self.clock.now().at;
        loop {
            match events.try_next().await {
                Ok(Some(event)) => {
                    let at = event.event_time.as_ref().and_then(|time| time.0.to_string().parse::<Instant>().ok());
                    let key = format!("{}/{}", event.namespace().unwrap_or_default(), event.name_any());
                    if at.is_some_and(|at| at < began) || !told.insert(key) {
                        continue;
                    }
                    if told.len() > REMEMBERED {
                        told.pop_first();
                    }
                    let zone = zones.of(event.regarding.clone().unwrap_or_default()).await;
                    self.line(at.unwrap_or(began), &zone, &sentence(&event));
                }
                // A watch that broke resumes by itself.
                Ok(None) | Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            }
        }
    }
}

/// The time zones of the objects that Events are about.
struct Zones {
    client: Client,
    known: BTreeMap<String, Zone>,
}

impl Zones {
    /// The zone that the object names in its spec, which is kept, or its keys through its status; UTC if there is none.
    async fn of(&mut self, object: ObjectReference) -> Zone {
        let uid = object.uid.clone();
        if let Some(zone) = uid.as_ref().and_then(|uid| self.known.get(uid)) {
            return zone.clone();
        }
        let Some(object) = self.asked(object).await else { return Zone::utc() };
        let of = |part: &str| Zone::named(object.data[part]["timeZone"].as_str()?);
        if let (Some(zone), Some(uid)) = (of("spec"), uid) {
            if self.known.len() >= REMEMBERED {
                self.known.pop_first();
            }
            self.known.insert(uid, zone.clone());
            return zone;
        }
        of("status").unwrap_or_else(Zone::utc)
    }

    async fn asked(&self, object: ObjectReference) -> Option<DynamicObject> {
        let (group, version) = object.api_version.as_deref()?.split_once('/')?;
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, object.kind.as_deref()?));
        let objects: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), object.namespace.as_deref()?, &resource);
        objects.get_opt(object.name.as_deref()?).await.ok()?
    }
}

/// `License innoacd/innoacd  GraceStarted: agents 50 for …`
fn sentence(event: &Event) -> String {
    let object = event.regarding.clone().unwrap_or_default();
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    let mark = if event.type_.as_deref() == Some("Warning") { "! " } else { "" };
    let (kind, namespace, name) = (part(&object.kind), part(&object.namespace), part(&object.name));
    format!("{mark}{kind} {namespace}/{name}  {}: {}", part(&event.reason), part(&event.note))
}
