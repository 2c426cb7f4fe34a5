//! Secrets, which are accessed by type only, and written only if the operator created them.

use http::HeaderValue;
use http::header::ACCEPT;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, PostParams, Request};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Store;
use kube::runtime::watcher::Config;
use kube::{Api, Client, Resource, ResourceExt};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Semaphore;

use super::client::{self, CallError, call};
use super::room::{Measure, Room, Rooms, Share};
use super::scope::Scope;
use super::status::FIELD_MANAGER;
use super::watch::{Bound, Read, Watch, cache_of};
use crate::api::mark;
use crate::domain::fault::Fault;
use crate::domain::reason::Reason;
use crate::wrong::{self, Variant::*};

/// Entries of a Secret by name.
pub type Entries = BTreeMap<String, ByteString>;

/// The most objects listed in one request: a Secret may have 1 MiB, and a page is held as a whole.
const PAGE: u32 = 8;

/// What caches of Secrets are made of.
pub struct SecretCaches<'c> {
    pub client: &'c Client,
    /// The operator's own namespace. What is there is never left out: it says whom to trust.
    pub own_namespace: &'c str,
    pub rooms: &'c Rooms,
    /// For one list at a time.
    pub listing: Arc<Semaphore>,
}

impl SecretCaches<'_> {
    /// A cache of the Secrets of a type, of each namespace at most `most` bytes.
    pub fn of(&self, type_: &'static str, scope: &Scope, most: usize) -> (Store<Secret>, Watch<Secret>) {
        let config = Config::default().fields(&format!("type={type_}")).page_size(PAGE);
        let (cache, watch) = cache_of(scope.sources::<Secret>(self.client, &config));
        let (rooms, own_namespace, client) = (self.rooms.clone(), self.own_namespace.to_owned(), self.client.clone());
        let room = Box::new(move |place: &str| {
            let share = Share { most, without_bound: own_namespace.clone() };
            Room::new(rooms.clone(), type_, place, share, Measure { size: size_of, rest: |_| None })
        });
        let read: Read<Secret> = Box::new(move |namespace, name| {
            let api: Api<Secret> = Api::namespaced(client.clone(), &namespace);
            Box::pin(async move {
                let of_type = ListParams::default().fields(&format!("metadata.name={name},type={type_}"));
                Ok(call(api.list(&of_type)).await?.items.pop())
            })
        });
        (cache, watch.within(Bound { listing: self.listing.clone(), room, read }))
    }
}

/// What a Secret takes beside its texts, in bytes. It bounds their number, too.
const OVERHEAD: usize = 512;
/// What each entry, label and so on of a Secret takes beside its texts, in bytes: with a map around it.
const PART: usize = 96;

/// What a Secret takes, in bytes.
fn size_of(secret: &Secret) -> usize {
    let data = secret.data.iter().flatten().map(|(entry, text)| entry.len() + text.0.len());
    let texts = secret.annotations().iter().chain(secret.labels()).map(|(name, text)| name.len() + text.len());
    let owners = secret.owner_references().iter();
    let owners = owners.map(|owner| owner.name.len() + owner.kind.len() + owner.api_version.len() + owner.uid.len());
    let finalizers = secret.finalizers().iter().map(String::len);
    let generated = secret.metadata.generate_name.iter().map(String::len);
    let parts = data.chain(texts).chain(owners).chain(finalizers).chain(generated).map(|texts| PART + texts);
    OVERHEAD + secret.name_any().len() + parts.sum::<usize>()
}

/// Returns the Secret of that name from a cache of one type.
pub fn find(cache: &Store<Secret>, namespace: &str, name: &str) -> Option<Arc<Secret>> {
    cache.get(&ObjectRef::new(name).within(namespace))
}

/// Explains why the cache of `type_` does not have a Secret. Asks for a table without objects: the entries of a Secret
/// of another type are never read, nor its annotations, in which `kubectl apply` leaves a copy of the entries.
pub async fn explain_missing(client: &Client, type_: &str, namespace: &str, name: &str) -> Result<Fault, CallError> {
    #[derive(serde::Deserialize)]
    struct Table {
        rows: Vec<serde::de::IgnoredAny>,
    }
    let of_other_type = ListParams::default().fields(&format!("metadata.name={name},type!={type_}"));
    let url = Secret::url_path(&(), Some(namespace));
    let request = Request::new(url).list(&of_other_type).map_err(kube::Error::BuildRequest)?;
    let (mut head, body) = request.into_parts();
    head.uri = format!("{}&includeObject=None", head.uri).parse().unwrap_or(head.uri);
    head.headers.insert(ACCEPT, HeaderValue::from_static("application/json;as=Table;v=v1;g=meta.k8s.io"));
    let found: Table = call(client.request(http::Request::from_parts(head, body))).await?;
    Ok(match found.rows.is_empty() {
        true => missing(type_, namespace, name),
        false => Fault::new(
            Reason::SecretTypeMismatch,
            "",
            format!(
                "Secret {namespace}/{name} is not of type {type_} and was not read; delete it and create it again \
                 with --type={type_}"
            ),
        ),
    })
}

/// A Secret that does not exist.
pub fn missing(type_: &str, namespace: &str, name: &str) -> Fault {
    let message = format!("Secret {namespace}/{name} of type {type_} does not exist; this waits for it");
    Fault::new(Reason::SecretMissing, "", message)
}

/// A Secret that the operator writes.
pub struct OwnSecret<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub type_: &'a str,
    /// `Kind namespace/name` of the object for which it is written.
    pub owner: &'a str,
    /// The value of the label by which it is found.
    pub label: Option<&'a str>,
}

/// Why the API server refuses a write of `what` until somebody changes something, in its own words; `None` if the same write
/// may succeed later.
pub fn refusal(what: &str, error: &CallError) -> Option<Fault> {
    let said = error.to_string();
    let then = if said.contains("immutable") { "; delete it, and it is made again" } else { "" };
    let message = format!("the API server does not let the operator write {what}: {said}{then}");
    let is_lasting = error.is_for_good() || error.is_of_missing_namespace();
    is_lasting.then(|| Fault::new(Reason::WriteRefused, "", message))
}

/// Why a Secret was not written.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// Another Secret is in the way, or it is not known what this one holds.
    #[error("{0}")]
    Stopped(Fault),
    #[error(transparent)]
    Call(#[from] CallError),
}

impl KeepError {
    /// What keeps the Secret from being written until somebody changes something; `None` if it is only tried again.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            KeepError::Stopped(fault) => Some(fault),
            KeepError::Call(_) => None,
        }
    }
}

impl OwnSecret<'_> {
    /// Whether `secret` was created by the operator for this owner.
    pub fn is_ours(&self, secret: &Secret) -> bool {
        secret.type_.as_deref() == Some(self.type_)
            && secret.annotations().get(mark::OWNER).is_some_and(|o| o == self.owner)
    }

    /// `found` is the Secret in the way, if it was read.
    fn not_ours(&self, found: Option<&Secret>) -> Fault {
        let of_another = found.and_then(|secret| secret.annotations().get(mark::OWNER));
        // Anybody can annotate a Secret, so what does not look like an owner is not repeated.
        let is_owner = |owner: &&String| {
            owner.len() <= 400 && owner.chars().all(|c| c.is_ascii_alphanumeric() || " /-.".contains(c))
        };
        let (namespace, name) = (self.namespace, self.name);
        let message = match of_another.filter(is_owner) {
            Some(owner) => format!(
                "Secret {namespace}/{name} belongs to {owner} and is left unchanged; name another one (spec.deliverTo)"
            ),
            None => format!(
                "Secret {namespace}/{name} exists already for something else and is left unchanged; delete it or name \
                 another one"
            ),
        };
        Fault::new(Reason::SecretNotOurs, "", message)
    }

    /// Creates the Secret, or replaces the entries of `found`, the one in the cache. Never adopts an existing Secret.
    /// Writing on an old version fails with a conflict: read the Secret again.
    pub async fn write(&self, client: &Client, found: Option<&Secret>, entries: Entries) -> Result<(), KeepError> {
        self.write_on(client, found, entries).await.map_err(|error| match error {
            KeepError::Call(call) => match refusal(&format!("Secret {}/{}", self.namespace, self.name), &call) {
                Some(fault) => KeepError::Stopped(fault),
                None => KeepError::Call(call),
            },
            stopped => stopped,
        })
    }

    async fn write_on(&self, client: &Client, found: Option<&Secret>, entries: Entries) -> Result<(), KeepError> {
        let api: Api<Secret> = Api::namespaced(client.clone(), self.namespace);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        let request = Request::new(Secret::url_path(&(), Some(self.namespace)));
        let Some(found) = found else {
            let mut labels = BTreeMap::from([(mark::MANAGED_BY.to_owned(), mark::SEATKEEPER.to_owned())]);
            labels.extend(self.label.map(|value| (mark::SUBSCRIPTION.to_owned(), value.to_owned())));
            let secret = Secret {
                metadata: ObjectMeta {
                    name: Some(self.name.to_owned()),
                    namespace: Some(self.namespace.to_owned()),
                    labels: Some(labels),
                    annotations: Some([(mark::OWNER.to_owned(), self.owner.to_owned())].into()),
                    ..ObjectMeta::default()
                },
                type_: Some(self.type_.to_owned()),
                data: Some(entries),
                ..Secret::default()
            };
            let request = request.create(&params, serde_json::to_vec(&secret).unwrap_or_default());
            return match call(client::write(client, request)).await {
                Ok(_) => Ok(()),
                Err(error) if error.is_conflict() => {
                    match explain_missing(client, self.type_, self.namespace, self.name).await? {
                        other if other.reason == Reason::SecretTypeMismatch => {
                            Err(KeepError::Stopped(self.not_ours(None)))
                        }
                        // The cache is out of date: it will show the Secret in a moment.
                        _ => Err(error.into()),
                    }
                }
                Err(error) => Err(error.into()),
            };
        };
        if !self.is_ours(found) {
            return Err(KeepError::Stopped(self.not_ours(Some(found))));
        }
        let mut secret = found.clone();
        secret.data = Some(entries);
        if wrong::is(StatusBeforeSecret) {
            let (api, name) = (api.clone(), self.name.to_owned());
            tokio::spawn(async move {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                api.replace(&name, &params, &secret).await
            });
            return Ok(());
        }
        if wrong::is(NoPrecondition) {
            secret.metadata.resource_version = None;
        }
        let request = request.replace(self.name, &params, serde_json::to_vec(&secret).unwrap_or_default());
        match call(client::write(client, request)).await {
            Err(CallError::TimedOut) if wrong::is(TimeoutIsDone) => {}
            Err(error) if wrong::is(StaleCacheTrusted) && error.is_conflict() => {
                secret.metadata.resource_version = call(api.get(self.name)).await?.resource_version();
                call(api.replace(self.name, &params, &secret)).await?;
            }
            replaced => _ = replaced?,
        }
        Ok(())
    }
}
