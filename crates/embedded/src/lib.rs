//! The embedded API: the part of the Kubernetes API that Seatkeeper uses, served inside this process.
//!
//! It has two uses: `seatkeeper up` runs Seatkeeper on one machine without a cluster, and tests and the simulation run
//! the real operator on it. Clients see no difference from a cluster: [`Embedded::client`] is an ordinary kube client,
//! [`Embedded::answer`] takes any HTTP request, and kubectl, Helm and client libraries work over the HTTPS server that
//! `seatkeeper up` puts in front of it.
//!
//! A request is parsed (`request`, `decode`). A read is answered from the state (`reading`, `watching`). A write makes
//! a draft on the state (`writing`, `change`, `deleting`), which is committed to the storage (`commit`, `storage`) and
//! only then applied and shown. `schema` decides what is invalid, `fields` who owns which field.
//!
//! # Kinds
//!
//! Seatkeeper's own kinds, as their CRDs define them, and Namespaces, Secrets, ConfigMaps, Pods, Leases and Events
//! (core and `events.k8s.io`). They have get, list, watch, create, update, patch, server-side apply and delete, status
//! subresources, tables, discovery and OpenAPI.
//!
//! # Guarantees
//!
//! - **Answers are those of Kubernetes 1.36**, in the same words. A conformance test sends the same requests to this
//!   API and to a real API server and compares status, body, warnings, tables and watches. Where the two differ, this
//!   API is wrong.
//! - **Nothing is shown that is not stored.** An answer to a write, a read and a watch show a change only after its
//!   commit. A refused write leaves nothing behind.
//! - **Acknowledged writes survive.** With [`Embedded::open`], whatever ends the process, the next one finds every
//!   write that was answered. A damaged or incomplete database is refused with what to do, and left as it is.
//! - **Writes happen one after another**, and revisions only grow. Waiting writes share a commit, so a client does not
//!   wait for each of the others' commits.
//! - **Consequences are part of the write.** Deleting dependents, finalizers of Kubernetes' own and emptying a
//!   namespace happen in the same commit as the write that causes them: there is no state in between, and nothing to
//!   wait for.
//! - **No request makes it fail.** Whatever a request contains, it gets an answer; bodies, histories and watches are
//!   bounded.
//!
//! # Caveats
//!
//! - **It has no authentication, authorisation or admission**: no RBAC, no ServiceAccounts, no admission policies and
//!   no webhooks. Any caller that reaches it may do everything; `seatkeeper up` checks the token in front of it.
//! - **It runs no controllers of Kubernetes** except owner garbage collection and the deletion of namespaces. Without a
//!   scheduler and nodes, a Pod stays `Pending`.
//! - **Kinds are fixed at compile time**: a CRD cannot be created. Seatkeeper's CRDs may only use formats and CEL
//!   functions that are supported here; a test refuses others.
//! - **It is one process with one storage.** All objects are kept in memory, and one process at a time can open a
//!   folder.
//! - **History is short.** The last 4,096 changes of each kind are kept, in memory only: a watch or a page of a list
//!   from before that, or from before a restart, gets 410 and the client lists again.
//! - **Only the newest 5,000 Events are kept**, whatever their age, because a calendar may run fast here.
//! - **Protobuf is accepted in bodies of a few kinds only**, those that kubectl sends in that form; answers are never
//!   Protobuf.

mod answer;
mod builtin;
mod change;
mod columns;
mod commit;
mod decode;
mod delete_options;
mod deleting;
mod discovery;
mod doubled;
mod events;
mod failure;
pub mod fields;
mod jsonpath;
mod kind;
mod metadata;
mod namespaces;
mod openapi;
mod pairs;
mod pods;
mod protobuf;
mod reading;
mod request;
pub mod schema;
mod selector;
mod shown_patch;
mod state;
pub mod storage;
mod strategy;
mod watching;
mod writing;
mod yaml;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::Client;
use kube::core::ApiResource;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, RwLockReadGuard};
use std::task::{Context, Poll};

pub use answer::Body;
use answer::{Include, Page, Shown, refuse, respond, warn};
use commit::Ledger;
use decode::LONGEST_BODY;
use deleting::Deleted;
use failure::Failure;
pub use kind::Kinds;
use request::{Form, Query, Resource, Target, Wanted, is_write};
use state::{State, written};
use storage::{Durable, Memory, StorageError};
use writing::{Done, Write};

/// An instant of the calendar.
pub type Instant = chrono::DateTime<chrono::Utc>;

/// Fills a buffer with random bytes.
pub type Random = fn(&mut [u8]);

/// What an API takes from outside.
pub struct Setup {
    /// What it serves.
    pub kinds: Arc<Kinds>,
    /// Its clock.
    pub now: Box<dyn Fn() -> Instant + Send + Sync>,
    /// For UIDs and generated names.
    pub random: Random,
}

/// The embedded API. Clones share the same objects.
#[derive(Clone)]
pub struct Embedded(Arc<Inner>);

struct Inner {
    setup: Setup,
    ledger: Ledger,
}

impl Embedded {
    /// Returns an API that keeps its objects in memory only.
    pub fn in_memory(setup: Setup) -> Self {
        let ledger = Ledger::of_memory(&setup.kinds, Memory);
        Self::with(setup, ledger)
    }

    /// Opens an API that keeps its objects in `folder`: an answered write survives whatever ends the process.
    ///
    /// # Errors
    ///
    /// Fails if another process has the folder, if it cannot be used, or if its database is damaged.
    pub fn open(folder: &Path, setup: Setup) -> Result<Self, StorageError> {
        let ledger = Ledger::of_disk(&setup.kinds, Durable::open(folder)?)?;
        Ok(Self::with(setup, ledger))
    }

    fn with(setup: Setup, ledger: Ledger) -> Self {
        let api = Embedded(Arc::new(Inner { setup, ledger }));
        for name in deleting::FIRST_NAMESPACES {
            api.ensure_namespace(name);
        }
        api
    }

    /// Creates a namespace unless it exists.
    pub fn ensure_namespace(&self, name: &str) {
        // An error means that it exists already.
        let _ = self.0.ledger.commit_now(|draft| self.first_namespace(name).create(draft));
    }

    /// Returns how to reach the objects of a kind, and whether they live in namespaces; `None` if there is no such
    /// kind.
    pub fn resource_of(&self, api_version: &str, kind: &str) -> Option<(ApiResource, bool)> {
        let found = self.kinds().iter().find(|(_, known)| known.api_version() == api_version && known.kind == kind);
        found.map(|(_, kind)| {
            let resource = ApiResource {
                group: kind.group.clone(),
                version: kind.version.clone(),
                api_version: kind.api_version(),
                kind: kind.kind.clone(),
                plural: kind.plural.clone(),
            };
            (resource, kind.namespaced)
        })
    }

    /// Returns the names of the kinds that are served.
    pub fn known_kinds(&self) -> Vec<&str> {
        self.kinds().iter().filter(|(id, kind)| kind.stored_as == *id).map(|(_, kind)| kind.kind.as_str()).collect()
    }

    fn first_namespace(&self, name: &str) -> Write {
        let mut headers = http::HeaderMap::new();
        headers.insert(header::USER_AGENT, http::HeaderValue::from_static("seatkeeper"));
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        Write {
            kinds: self.0.setup.kinds.clone(),
            resource: Resource { kind: builtin::NAMESPACE, namespace: None, name: None, subresource: None },
            query: Query::default(),
            headers,
            body: written(&object),
            now: self.now(),
            random: self.0.setup.random,
        }
    }

    /// Returns a kube client of this API.
    pub fn client(&self) -> Client {
        Client::new(self.clone(), "default")
    }

    fn kinds(&self) -> &Kinds {
        &self.0.setup.kinds
    }

    fn now(&self) -> Instant {
        (self.0.setup.now)()
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.ledger.read()
    }

    /// Answers a request. Whatever the request contains, this neither fails nor panics.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let body = match Limited::new(body, LONGEST_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => {
                let why = format!("Request entity too large: limit is {LONGEST_BODY}");
                return self.dated(refuse(&Failure::new(413, "RequestEntityTooLarge", why), false));
            }
        };
        let answered = match request::target(self.kinds(), &head.uri) {
            Some(Target::Resource(resource)) => self.resource(resource, Query::read(&head.uri), &head, body).await,
            Some(Target::Watch(resource)) if head.method == Method::GET => {
                self.resource(resource, Query::read(&head.uri).watching(), &head, body).await
            }
            Some(Target::Watch(_)) => Err(Failure::no_method()),
            Some(Target::Other(path)) => return self.dated(self.other(&path, &head)),
            None => return self.dated(answer::nothing_there(head.uri.path().trim_matches('/'))),
        };
        let yaml = || Wanted::read(&head.headers).is_ok_and(|wanted| wanted.yaml);
        let mut response = answered.unwrap_or_else(|failure| refuse(&failure, yaml()));
        if head.method == Method::HEAD {
            *response.body_mut() = Body::default();
        }
        self.dated(response)
    }

    fn dated(&self, mut response: Response<Body>) -> Response<Body> {
        let date = self.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        if let Ok(date) = header::HeaderValue::from_str(&date) {
            response.headers_mut().insert(header::DATE, date);
        }
        response
    }

    /// Answers discovery, OpenAPI and health checks.
    fn other(&self, path: &str, head: &http::request::Parts) -> Response<Body> {
        let json = |value: Value| respond(StatusCode::OK, "application/json", value.to_string().into());
        match path {
            "livez" | "readyz" | "healthz" => return respond(StatusCode::OK, "text/plain; charset=utf-8", "ok".into()),
            // The API server serves the index as text.
            "openapi/v3" => {
                let index = openapi::index(self.kinds()).to_string();
                return respond(StatusCode::OK, "text/plain; charset=utf-8", index.into());
            }
            "version" if head.method != Method::GET => return refuse(&Failure::no_method(), false),
            _ => {}
        }
        if let Some(of) = path.strip_prefix("openapi/v3/") {
            return match openapi::document(self.kinds(), of) {
                Some(document) => {
                    respond(StatusCode::OK, "application/json", Bytes::copy_from_slice(document.as_bytes()))
                }
                None => nothing(StatusCode::NOT_FOUND),
            };
        }
        let wanted = match Wanted::read(&head.headers) {
            Ok(wanted) => wanted,
            Err(failure) => return refuse(&failure, false),
        };
        let aggregated = wanted.form == Form::Aggregated;
        if aggregated && !matches!(path, "api" | "apis") {
            return refuse(&Failure::not_acceptable(), false);
        }
        let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
        match discovery::answer(self.kinds(), path, aggregated, host) {
            Some(found) if aggregated => respond(StatusCode::OK, discovery::AGGREGATED, found.to_string().into()),
            Some(found) => json(found),
            None => answer::nothing_there(path),
        }
    }

    async fn resource(
        &self,
        resource: Resource,
        query: Query,
        head: &http::request::Parts,
        body: Bytes,
    ) -> Result<Response<Body>, Failure> {
        let wanted = Wanted::read(&head.headers)?;
        let kind = self.0.setup.kinds.get(resource.kind);
        let shown = Shown { kind, wanted, include: Include::read(&query)?, now: self.now() };
        let served = match resource.subresource.as_deref() {
            None => true,
            Some("status") => kind.status,
            Some(other) => other == "finalize" && !kind.custom,
        };
        if !served {
            return Err(Failure::not_found(kind, resource.name.as_deref().unwrap_or_default()));
        }
        if !is_write(&head.method) {
            if !matches!(head.method, Method::GET | Method::HEAD) {
                return Err(match kind.custom {
                    true => Failure::unsupported(kind, ""),
                    false => Failure::no_method(),
                });
            }
            return self.get(&resource, &query, &shown);
        }
        let write = Write {
            kinds: self.0.setup.kinds.clone(),
            resource,
            query,
            headers: head.headers.clone(),
            body,
            now: shown.now,
            random: self.0.setup.random,
        };
        let named = write.resource.name.is_some();
        let plain = write.resource.subresource.is_none();
        match (&head.method, named) {
            (&Method::POST, true) if kind.custom && !plain => Err(Failure::unsupported(kind, "create")),
            // For custom resources, the name in the path is ignored.
            (&Method::POST, named) if (kind.custom || !named) && write.is_in_its_place() => {
                let done = self.0.ledger.commit(move |draft| finished(&write, draft, Write::create)).await?;
                Ok(done_response(&shown, done))
            }
            (&Method::PUT, true) => {
                let done = self.0.ledger.commit(move |draft| finished(&write, draft, Write::update)).await?;
                Ok(done_response(&shown, done))
            }
            (&Method::PATCH, true) => {
                let done = self.0.ledger.commit(move |draft| finished(&write, draft, Write::patch)).await?;
                Ok(done_response(&shown, done))
            }
            (&Method::DELETE, true) if plain => {
                let deleted = self.0.ledger.commit(move |draft| finished(&write, draft, deleting::delete));
                Ok(match deleted.await? {
                    Deleted::Going(object) => shown.respond(StatusCode::OK, shown.object(&object)),
                    Deleted::Gone(object) => shown.respond(StatusCode::OK, gone(kind, &object.value)),
                })
            }
            (&Method::PUT | &Method::PATCH, false) if kind.custom => Err(Failure::bad_request("name must be provided")),
            (&Method::DELETE, false) if write.is_in_its_place() && kind.plural != "namespaces" => {
                let revision = self.read().revision;
                let deleted = self.0.ledger.commit(move |draft| finished(&write, draft, deleting::delete_collection));
                let page = Page { revision, ..Page::default() };
                Ok(shown.respond(StatusCode::OK, shown.list(&deleted.await?, &page)))
            }
            (_, false) if kind.custom => Ok(answer::nothing_there(head.uri.path().trim_matches('/'))),
            _ => Err(Failure::no_method()),
        }
    }

    fn get(&self, resource: &Resource, query: &Query, shown: &Shown<'_>) -> Result<Response<Body>, Failure> {
        let state = self.read();
        if query.flag("watch") && (resource.name.is_none() || query.is_by_path()) {
            let body = watching::begin(self, &state, resource, query, shown.wanted)?;
            let mut response = Response::new(body);
            response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
            return Ok(response);
        }
        if resource.name.is_some() {
            if resource.subresource.as_deref() == Some("finalize") {
                return Err(Failure::no_method());
            }
            shown.refuse_misfit(false)?;
            let object = reading::get(&state, shown.kind, resource, query)?;
            return Ok(shown.respond(StatusCode::OK, shown.object(&object)));
        }
        shown.refuse_misfit(true)?;
        let (objects, page) = reading::list(&state, shown.kind, resource, query)?;
        drop(state);
        Ok(shown.respond(StatusCode::OK, shown.list(&objects, &page)))
    }
}

/// Runs a write, and does what follows from it.
fn finished<T>(
    write: &Write,
    draft: &mut state::Draft<'_>,
    make: impl FnOnce(&Write, &mut state::Draft<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let done = make(write, draft)?;
    deleting::collect(write, draft);
    if write.kind().stored_as == builtin::EVENT {
        deleting::forget_old_events(draft);
    }
    Ok(done)
}

fn done_response(shown: &Shown<'_>, done: Done) -> Response<Body> {
    let code = StatusCode::from_u16(done.code).unwrap_or(StatusCode::OK);
    let mut response = shown.respond(code, shown.object(&done.object));
    warn(&mut response, &done.warnings);
    response
}

/// Returns an answer without a body.
fn nothing(code: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = code;
    response
}

/// Returns the answer to a delete whose object is gone.
fn gone(kind: &kind::Kind, object: &Value) -> Bytes {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let mut details = kind.details(name);
    details["uid"] = object["metadata"]["uid"].clone();
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
    status.to_string().into()
}

impl tower::Service<Request<kube::client::Body>> for Embedded {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let api = self.clone();
        Box::pin(async move { Ok(api.answer(request).await) })
    }
}
