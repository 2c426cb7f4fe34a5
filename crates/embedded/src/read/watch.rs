//! Watches: the changes to the objects of a kind, from a version on, as a stream of JSON lines.

use bytes::{BufMut, Bytes, BytesMut};
use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::list::{check_options, own_version};
use super::selector::Selector;
use super::shown::{Include, Shown};
use crate::http::answer::Body;
use crate::http::failure::Failure;
use crate::http::request::{Form, Query, Resource, Wanted};
use crate::kinds::columns::Column;
use crate::state::{Event, Object, Served, State, at_revision};

/// How often a client that asked for bookmarks gets one.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// How long a watch lasts that does not say how long.
const LASTS: Duration = Duration::from_secs(30 * 60);
/// The longest that a watch may last.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// The most changes taken at a time, so that a slow client takes up little memory.
const BATCH: usize = 100;

/// A moment on the runtime's clock, which is never set back: how long a watch lasts has nothing to do with the calendar.
#[expect(clippy::disallowed_methods, reason = "not what objects say of time, which comes from `Setup::now`")]
fn moment() -> Instant {
    Instant::now()
}

/// A running watch.
struct Watch {
    api: Arc<Served>,
    kind: usize,
    prefix: String,
    selector: Selector,
    wanted: Wanted,
    include: Include,
    /// Changes up to and including this revision have been handled.
    told: u64,
    changed: Arc<Notify>,
    waiting: VecDeque<Bytes>,
    /// The next bookmark; `None` if none were asked for.
    bookmarks: Option<Instant>,
    ends: Instant,
    /// Whether nothing has been sent yet: the first table carries the columns.
    first: bool,
    over: bool,
}

/// Begins a watch.
pub fn begin(
    api: &Arc<Served>,
    state: &State,
    resource: &Resource,
    query: &Query,
    wanted: Wanted,
) -> Result<Body, Failure> {
    let kind = api.kinds.get(resource.kind);
    let selector = Selector::read(kind, query.get("labelSelector"), query.get("fieldSelector"))?;
    check_options(query)?;
    let include = Include::read(query)?;
    let lasts = query.number("timeoutSeconds")?.and_then(|s| u64::try_from(s).ok()).filter(|s| *s > 0);
    let initial = query.flag("sendInitialEvents");
    let from = query.get("resourceVersion").map(own_version).transpose()?.unwrap_or(0);
    let shelf = state.shelf(kind.stored_as);
    let bookmarks = query.flag("allowWatchBookmarks");
    let now = moment();
    let mut watch = Watch {
        api: api.clone(),
        kind: resource.kind,
        prefix: match &resource.name {
            Some(_) => resource.key() + "\0",
            None => resource.key(),
        },
        selector,
        wanted,
        include,
        told: from,
        changed: shelf.subscribe(),
        waiting: VecDeque::new(),
        bookmarks: bookmarks.then(|| now + BOOKMARK_EVERY),
        ends: now + lasts.map_or(LASTS, Duration::from_secs).min(LONGEST),
        first: true,
        over: false,
    };
    let none_wanted = query.get("sendInitialEvents").is_some() && !initial;
    if (from == 0 && !none_wanted) || initial {
        let prefix = resource.key();
        for (_, object) in shelf.range(&prefix).filter(|(key, _)| watch.concerns(key)).collect::<Vec<_>>() {
            if watch.selector.meets(kind, &object.value) {
                watch.tell("ADDED", object);
            }
        }
        watch.told = state.revision;
        if initial && bookmarks {
            watch.bookmark(state.revision, true);
        }
    } else if from == 0 {
        watch.told = state.revision;
    }
    let lines = stream::unfold(watch, |mut watch| async move {
        let line = watch.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(line)), watch))
    });
    Ok(BodyExt::boxed_unsync(StreamBody::new(lines)))
}

impl Watch {
    /// Returns the next line; `None` when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.waiting.pop_front() {
                return Some(line);
            }
            if self.over {
                return None;
            }
            let changed = self.changed.clone();
            let mut told = pin!(changed.notified());
            told.as_mut().enable();
            self.gather();
            if !self.waiting.is_empty() || self.over {
                continue;
            }
            let wake = self.bookmarks.map_or(self.ends, |at| at.min(self.ends));
            tokio::select! {
                biased;
                () = told => {}
                () = sleep_until(wake) => {
                    if wake == self.ends {
                        self.over = true;
                    } else {
                        let revision = self.api.read().revision;
                        self.gather();
                        if self.waiting.is_empty() {
                            self.bookmark(revision, false);
                        }
                        self.bookmarks = Some(wake + BOOKMARK_EVERY);
                    }
                }
            }
        }
    }

    /// Takes the changes since the last look.
    fn gather(&mut self) {
        let api = self.api.clone();
        let kind = api.kinds.get(self.kind);
        let state = api.read();
        let shelf = state.shelf(kind.stored_as);
        let Some(events) = shelf.since(self.told) else {
            let message = format!("too old resource version: {} ({})", self.told, state.revision);
            let status = Failure::gone(message).status();
            self.waiting.push_back(line("ERROR", &status.to_string().into()));
            self.over = true;
            return;
        };
        let events: Vec<Event> = events.take(BATCH).cloned().collect();
        drop(state);
        for event in events {
            self.told = event.revision;
            if !self.concerns(&event.key) {
                continue;
            }
            let meets = |object: &&Arc<Object>| self.selector.meets(kind, &object.value);
            let (before, after) = (event.before.as_ref().filter(meets), event.after.as_ref().filter(meets));
            match (before, after) {
                (None, Some(after)) => self.tell("ADDED", after),
                (Some(_), Some(after)) => self.tell("MODIFIED", after),
                (Some(before), None) => self.tell("DELETED", &at_revision(before, event.revision)),
                (None, None) => {}
            }
        }
    }

    /// Returns whether this watch includes the object with that key.
    fn concerns(&self, key: &str) -> bool {
        match self.prefix.strip_suffix('\0') {
            Some(one) => key == one,
            None => key.starts_with(&self.prefix),
        }
    }

    fn tell(&mut self, type_: &str, object: &Arc<Object>) {
        let shown = Shown {
            kind: self.api.kinds.get(self.kind),
            wanted: self.wanted,
            include: self.include,
            now: self.api.now(),
        };
        self.waiting.push_back(line(type_, &shown.watched(object, self.first)));
        self.first = false;
    }

    /// Queues a bookmark: the revision that the watch has reached, from which the client can continue later.
    fn bookmark(&mut self, revision: u64, initial_end: bool) {
        let kind = self.api.kinds.get(self.kind);
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = match self.wanted.form {
            Form::Metadata { .. } => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
            }
            Form::Table { .. } => {
                let partial =
                    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata});
                let cells: Vec<Value> = kind.columns.iter().map(Column::empty_cell).collect();
                json!({
                    "kind": "Table", "apiVersion": "meta.k8s.io/v1",
                    "metadata": {"resourceVersion": revision.to_string()},
                    "columnDefinitions": Value::Null, "rows": [{"cells": cells, "object": partial}],
                })
            }
            _ => {
                let mut object = json!({"kind": kind.kind, "apiVersion": kind.api_version(), "metadata": metadata});
                // The zero values of Go's types, which clients never look at.
                for part in ["spec", "status"]
                    .into_iter()
                    .filter(|part| !kind.custom && kind.node.properties.contains_key(*part))
                {
                    object[part] = json!({});
                }
                object
            }
        };
        self.waiting.push_back(line("BOOKMARK", &object.to_string().into()));
        self.told = self.told.max(revision);
    }
}

fn line(type_: &str, object: &Bytes) -> Bytes {
    let mut line = BytesMut::with_capacity(object.len() + 40);
    line.put_slice(b"{\"type\":\"");
    line.put_slice(type_.as_bytes());
    line.put_slice(b"\",\"object\":");
    line.put_slice(object);
    line.put_slice(b"}\n");
    line.freeze()
}
