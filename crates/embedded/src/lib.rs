//! The embedded API: the part of the Kubernetes API that an operator uses, served inside this process.
//!
//! It has two uses: an operator runs on it on one machine without a cluster (`seatkeeper up`), and tests and
//! simulations run the real operator on it. Clients see no difference from a cluster: [`Embedded::client`] is an
//! ordinary kube client, [`Embedded::answer`] takes any HTTP request, and kubectl, Helm and client libraries work over
//! an HTTPS server that is put in front of it. The README shows how a test uses it.
//!
//! # Rooms
//!
//! A request is parsed (`http`) and dispatched. A read is answered from the state (`read`). A write makes a draft on the
//! state (`write`), which is committed to the storage (`state`, `storage`) and only then applied and shown. `schema`
//! decides what is invalid, `fields` who owns which field, `kinds` what is special about a kind.
//!
//! Each room uses only those before it: `words`, `schema`, `fields`, `kinds`, `http`, `storage`, `state`, `read`,
//! `write`; then come `dispatch` and this file.
//!
//! # Kinds
//!
//! Those of the CustomResourceDefinitions that [`Kinds::with`] is given, and Namespaces, Secrets, ConfigMaps, Pods,
//! Leases and Events (core and `events.k8s.io`). They have get, list, watch, create, update, patch, server-side apply
//! and delete, status subresources, tables, discovery and OpenAPI.
//!
//! # Guarantees
//!
//! - **Answers are those of Kubernetes 1.36.** A conformance test sends the same requests to this API and to a real API
//!   server and compares status, body, warnings, tables and watches. Where the two differ, this API is wrong. Of a
//!   refusal the code, the reason and the fields are the same; what is wrong with a custom resource is also told in the
//!   same words.
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
//! - **Kinds are fixed when it starts**: a CRD cannot be created. Of each CRD the first version is served, and one that
//!   uses a format or CEL function that is not supported here is refused.
//! - **It is one process with one storage.** All objects are kept in memory, and one process at a time can open a
//!   folder.
//! - **History is short.** The last 4,096 changes of each kind are kept, in memory only: a watch or a page of a list
//!   from before that, or from before a restart, gets 410 and the client lists again.
//! - **Only the newest 5,000 Events are kept**, whatever their age, because a calendar may run fast here.
//! - **Protobuf is accepted in bodies of a few kinds only**, those that kubectl sends in that form; answers are never
//!   Protobuf.

mod dispatch;
mod fields;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod http;
mod kinds;
mod pairs;
mod read;
mod schema;
mod state;
pub mod storage;
mod words;
mod write;

use ::http::{HeaderMap, HeaderValue, Request, Response, header};
use bytes::Bytes;
use futures::future::BoxFuture;
use kube::Client;
use kube::core::ApiResource;
use serde_json::json;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};

pub use crate::http::answer::Body;
use crate::http::request::{Query, Resource};
pub use kinds::{Kinds, Unsupported};
use state::{Ledger, Served, written};
use storage::{Durable, Memory, StorageError};
use write::Write;

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
pub struct Embedded(Arc<Served>);

impl Embedded {
    /// Returns an API that keeps its objects in memory only.
    pub fn in_memory(setup: Setup) -> Self {
        let ledger = Ledger::of_memory(&setup.kinds, Memory);
        Self::with(setup, ledger)
    }

    /// Opens an API that keeps its objects in the file `database`, which is made if there is none: an answered write
    /// survives whatever ends the process. Files with its name and the extensions `lock` and `acknowledged` are beside it.
    ///
    /// # Errors
    ///
    /// Fails if another process has the database, if its folder cannot be used, or if it is damaged.
    pub fn open(database: &Path, setup: Setup) -> Result<Self, StorageError> {
        let ledger = Ledger::of_disk(&setup.kinds, Durable::open(database)?)?;
        Ok(Self::with(setup, ledger))
    }

    fn with(setup: Setup, ledger: Ledger) -> Self {
        let api = Embedded(Arc::new(Served { kinds: setup.kinds, now: setup.now, random: setup.random, ledger }));
        for name in write::FIRST_NAMESPACES {
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
        let found = self.0.kinds.iter().find(|(_, known)| known.api_version() == api_version && known.kind == kind);
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
        self.0.kinds.iter().filter(|(id, kind)| kind.stored_as == *id).map(|(_, kind)| kind.kind.as_str()).collect()
    }

    fn first_namespace(&self, name: &str) -> Write {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_static("kube-apiserver"));
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        Write {
            kinds: self.0.kinds.clone(),
            resource: Resource { kind: self.0.kinds.namespaces(), namespace: None, name: None, subresource: None },
            query: Query::default(),
            headers,
            body: written(&object),
            now: self.0.now(),
            random: self.0.random,
        }
    }

    /// Returns a kube client of this API.
    pub fn client(&self) -> Client {
        Client::new(self.clone(), "default")
    }

    /// Answers a request. Whatever the request contains, this neither fails nor panics.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        dispatch::answer(&self.0, request).await
    }
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

/// The examples of the README, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
