//! What `seatkeeper up` prints: a first screen, then a line for each thing that happens.

use futures::TryStreamExt;
use k8s_openapi::api::events::v1::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use std::collections::BTreeSet;

use crate::cli::output::{printable, say, utc};
use crate::cluster::clock::Clock;
use crate::domain::Instant;

/// The most Events remembered as printed, so that a watch that starts again does not print them again.
const REMEMBERED: usize = 5_000;

/// Standard output, with the calendar's time before each line.
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

    fn line(&self, at: Instant, text: &str) {
        let time = match self.days_only {
            true => at.format("%Y-%m-%d").to_string(),
            false => utc(at),
        };
        self.show(&format!("{time}  {}\n", printable(text)));
    }

    pub fn applied(&self, title: &str) {
        self.line(self.clock.now().at, &format!("applied {title}"));
    }

    pub fn tell(&self, text: &str) {
        self.line(self.clock.now().at, text);
    }

    /// Prints something that the user should fix.
    pub fn warn(&self, text: &str) {
        self.line(self.clock.now().at, &format!("! {text}"));
    }

    /// Prints every Event from now on. Never returns.
    pub async fn follow_events(&self, client: Client) {
        let mut told: BTreeSet<String> = BTreeSet::new();
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
                    self.line(at.unwrap_or(began), &sentence(&event));
                }
                // A watch that broke resumes by itself.
                Ok(None) | Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            }
        }
    }
}

/// `License innoacd/innoacd  GraceStarted: until 2026-12-24 …`
fn sentence(event: &Event) -> String {
    let object = event.regarding.clone().unwrap_or_default();
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    let mark = if event.type_.as_deref() == Some("Warning") { "! " } else { "" };
    let (kind, namespace, name) = (part(&object.kind), part(&object.namespace), part(&object.name));
    format!("{mark}{kind} {namespace}/{name}  {}: {}", part(&event.reason), part(&event.note))
}
