//! The part of the Kubernetes API that Seatkeeper uses, inside this process: for one machine without a cluster, and for
//! simulation. What it answers is checked call by call against a real API server.
//!
//! A request is read (`request`, `decode`), a read answers from the state (`reading`, `watching`), a write makes a draft
//! (`writing`, `deleting`) that is committed to the storage and only then seen by anybody.

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
pub use kind::Kinds;
use answer::{Include, Page, Shown, refuse, respond, warn};
use commit::Ledger;
use decode::LONGEST_BODY;
use deleting::Deleted;
use failure::Failure;
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

/// The API. Clones are the same one.
#[derive(Clone)]
pub struct Embedded(Arc<Inner>);

struct Inner {
    setup: Setup,
    ledger: Ledger,
}

impl Embedded {
    /// An API that keeps its objects as long as it lives.
    pub fn in_memory(setup: Setup) -> Self {
        let ledger = Ledger::of_memory(&setup.kinds, Memory);
        Self::with(setup, ledger)
    }

    /// An API that keeps its objects in `folder`: what it has answered survives whatever ends the process.
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

    /// Makes a namespace where there is none.
    pub fn ensure_namespace(&self, name: &str) {
        // An error says that it is there already.
        let _ = self.0.ledger.commit_now(|draft| self.first_namespace(name).create(draft));
    }

    /// How to reach the objects of a kind, and whether they live in namespaces; None: there is no such kind.
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

    /// The kinds that are served.
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

    /// A client of this API.
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

    /// Answers a request. Nothing it can say makes this fail or panic.
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

    /// Discovery, OpenAPI and health.
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
                Some(document) => respond(StatusCode::OK, "application/json", Bytes::copy_from_slice(document.as_bytes())),
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
        let write =
            Write { kinds: self.0.setup.kinds.clone(), resource, query, headers: head.headers.clone(), body, now: shown.now, random: self.0.setup.random };
        let named = write.resource.name.is_some();
        let plain = write.resource.subresource.is_none();
        match (&head.method, named) {
            (&Method::POST, true) if kind.custom && !plain => Err(Failure::unsupported(kind, "create")),
            // Of custom resources the name in the path is passed over.
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

/// A write and what follows from it.
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

/// An answer without a body.
fn nothing(code: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = code;
    response
}

/// What a delete says of an object that is gone.
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
