//! Objects that one writer at a time keeps in the API server: each write replaces exactly what the writer saw last.
//!
//! # Guarantees
//!
//! - A write that succeeds has replaced the state that this writer saw last, or created the object.
//! - A write whose answer is lost, or is a conflict, is not sent again blindly: the object is read back, and what is
//!   found decides. So a write is made at most once, and its outcome is known when `write` returns.
//! - An object that was deleted, set back or written by somebody else is noticed by the next write to it.
//!
//! # Caveats
//!
//! `write` tries for as long as the outcome is unknown, so a caller gives up by dropping its future; the last attempt may
//! still succeed. Nothing else may be written to the same object meanwhile.

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{DeleteParams, PostParams, Preconditions, Request};
use kube::core::request::Error as InvalidRequest;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::client::{self, CallError, call, list_all};
use super::trouble::Trouble;
use crate::machine::jittered;

/// The first and the longest wait after a write whose outcome is unknown.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// An object each of whose writes continues an earlier one.
pub trait Sequenced {
    /// Never decreases from one write of an object to the next.
    fn sequence(&self) -> i64;
}

/// How an object that was found compares with the one that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// It is the one that was to be written: only the answer was lost.
    Written,
    /// It may be replaced.
    Older,
    /// Somebody else has written it, and it must not be replaced.
    Foreign,
}

/// The object is not as this writer left it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overtaken {
    #[error("{0} was deleted")]
    Deleted(String),
    #[error("{name} was set back to entry {to}")]
    SetBack { name: String, to: i64 },
    #[error("another writer has written entry {entry} to {name}")]
    Written { name: String, entry: i64 },
}

/// The objects of one kind in one namespace, and the versions at which this writer last saw them.
pub struct CompareAndSwap<K> {
    client: Client,
    api: Api<K>,
    namespace: String,
    runtime: Handle,
    versions: Mutex<HashMap<String, Version>>,
}

/// The state of an object that this writer saw last.
#[derive(Clone)]
struct Version {
    resource: String,
    sequence: i64,
}

impl<K> CompareAndSwap<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Sequenced,
    K: Serialize + DeserializeOwned + Clone + Debug,
{
    /// Writes are sent from the runtime that this function is called in, whichever thread asks for them.
    pub fn new(client: Client, namespace: &str) -> Self {
        CompareAndSwap {
            api: Api::namespaced(client.clone(), namespace),
            client,
            namespace: namespace.to_owned(),
            runtime: Handle::current(),
            versions: Mutex::default(),
        }
    }

    /// Returns all objects, and continues from their versions. What was seen before is forgotten.
    pub async fn list(&self) -> Result<Vec<K>, CallError> {
        let objects = list_all(|params| async move { self.api.list(&params).await }).await?;
        self.versions().clear();
        objects.iter().for_each(|object| self.note(&object.name_any(), object));
        Ok(objects)
    }

    /// Creates or replaces the object of that name. Returns the size of the write in bytes once it is durable; if the
    /// outcome of a write is unknown, the outcome is found out, however long that takes. `compare` judges what is found
    /// (first) in place of what was sent (second).
    pub async fn write(&self, mut object: K, compare: impl Fn(&K, &K) -> Comparison) -> Result<usize, Overtaken> {
        let name = object.name_any();
        let mut wait = FIRST_WAIT;
        let mut trouble = Trouble::with("an object of the ledger cannot be read or written yet");
        loop {
            let known = self.versions().get(&name).cloned();
            let (version, last) = known.map(|known| (known.resource, known.sequence)).unzip();
            let is_new = version.is_none();
            let metadata = object.meta_mut();
            metadata.namespace = Some(self.namespace.clone());
            // No other client writes fields of these objects, and tracking their managers costs the API server a
            // quarter of a write.
            metadata.managed_fields = (!is_new).then(|| vec![ManagedFieldsEntry::default()]);
            metadata.resource_version = version;
            let bytes = serde_json::to_vec(&object).unwrap_or_default();
            let size = bytes.len();
            let (request, params) = (Request::new(self.api.resource_url()), PostParams::default());
            let request = match is_new {
                false => request.replace(&name, &params, bytes),
                true => request.create(&params, bytes),
            };
            match self.send(request).await {
                Ok(resource) => {
                    if let Some(resource) = resource {
                        self.versions().insert(name, Version { resource, sequence: object.sequence() });
                    }
                    trouble.is_over();
                    return Ok(size);
                }
                Err(error) if error.is_for_good() && wait >= LONGEST_WAIT => trouble.lasts(format_args!(
                    "{name}: the API server refuses this write, and nothing more is written until it takes it: {error}"
                )),
                Err(error) => tracing::debug!(%error, name, "the outcome of a write is unknown; reading it back"),
            }
            // Read the object on a conflict too: it may be our own write, whose reply was lost and that the client sent
            // again.
            match call(self.api.get_opt(&name)).await {
                Ok(None) if last.is_some() => return Err(Overtaken::Deleted(name)),
                Ok(None) => {}
                Ok(Some(found)) => {
                    let entry = found.sequence();
                    if last.is_some_and(|last| entry < last) {
                        return Err(Overtaken::SetBack { name, to: entry });
                    }
                    self.note(&name, &found);
                    match compare(&found, &object) {
                        Comparison::Written => return Ok(size),
                        Comparison::Older => {}
                        Comparison::Foreign => return Err(Overtaken::Written { name, entry }),
                    }
                }
                Err(error) => trouble.lasts(format_args!("{name}: {error}")),
            }
            tokio::time::sleep(jittered(wait)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Deletes an object that is no longer needed, unless it has another version by now than the one known here. Succeeds if it
    /// does not exist.
    pub async fn delete(&self, name: &str) -> Result<(), CallError> {
        let known = self.versions().remove(name);
        let unchanged = known.map(|known| Preconditions { resource_version: Some(known.resource), uid: None });
        let params = DeleteParams { preconditions: unchanged, ..DeleteParams::default() };
        match call(self.api.delete(name, &params)).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Sends a write from the runtime that sends all other requests, so that the thread that asked for it can do other
    /// work meanwhile. Dropping the future cancels the write.
    async fn send(&self, request: Result<http::Request<Vec<u8>>, InvalidRequest>) -> Result<Option<String>, CallError> {
        let (client, mut sending) = (self.client.clone(), JoinSet::new());
        sending.spawn_on(async move { call(client::write(&client, request)).await }, &self.runtime);
        match sending.join_next().await {
            Some(Ok(sent)) => sent,
            _ => Err(CallError::TimedOut),
        }
    }

    fn note(&self, name: &str, object: &K) {
        if let Some(resource) = object.resource_version() {
            self.versions().insert(name.to_owned(), Version { resource, sequence: object.sequence() });
        }
    }

    fn versions(&self) -> MutexGuard<'_, HashMap<String, Version>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
