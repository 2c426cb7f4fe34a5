//! Writing status: one server-side apply, only if something has changed, and never twice for the same reason.

use kube::api::{Patch, PatchParams, Request};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Mutex;

use super::client::{self, CallError, call};

/// The field manager of everything the operator applies.
pub const FIELD_MANAGER: &str = "seatkeeper";

/// Statuses that were written and that the cache may not show yet.
pub struct StatusWriter<S> {
    written: Mutex<HashMap<String, Written<S>>>,
}

/// What is applied.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Applied<'a, S> {
    api_version: Cow<'a, str>,
    kind: Cow<'a, str>,
    status: &'a S,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<OnVersion<'a>>,
}

/// Limits an apply to this version of the object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OnVersion<'a> {
    resource_version: &'a str,
}

struct Written<S> {
    version: u64,
    /// The generation of the spec on which the status is based.
    generation: Option<i64>,
    status: S,
}

impl<S> Default for StatusWriter<S> {
    fn default() -> Self {
        StatusWriter { written: Mutex::default() }
    }
}

impl<S: Clone + PartialEq + Serialize> StatusWriter<S> {
    /// The newest known status of `object`: one just written that the cache does not show yet, or else what `cached`
    /// finds in the cache now. In this order, because `object` was taken from the cache a moment ago, and our write may
    /// have come back and been forgotten since.
    pub fn latest<K: Resource>(&self, object: &K, cached: impl FnOnce() -> Option<S>) -> Option<S> {
        let uid = object.meta().uid.as_ref();
        let newer = uid.and_then(|uid| {
            let written = self.lock();
            written.get(uid).filter(|w| version(object) < w.version).map(|w| w.status.clone())
        });
        newer.or_else(cached)
    }

    /// Takes note that the cache shows `object` now. Returns true if that is only our own write coming back. If the
    /// write came back on another spec than the one it is based on, there was a change that no watch event showed
    /// separately, and this returns false.
    pub fn take_echo<K: Resource>(&self, object: &K) -> bool {
        let Some(uid) = &object.meta().uid else { return false };
        let mut written = self.lock();
        let Some(&Written { version: version_written, generation, .. }) = written.get(uid) else { return false };
        let seen = version(object);
        if seen >= version_written {
            written.remove(uid);
        }
        seen == version_written && object.meta().generation == generation
    }

    /// Applies `status` if it differs from `before`. Returns true if it was written.
    pub async fn write<K>(&self, api: &Api<K>, object: &K, before: Option<&S>, status: &S) -> Result<bool, CallError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        self.write_on(None, api, object, before, status).await
    }

    /// Like `write`, but only on the version `only_on` of the object if one is given: what cannot be undone must not be
    /// written on the basis of an outdated cache.
    pub async fn write_on<K>(
        &self,
        only_on: Option<&str>,
        api: &Api<K>,
        object: &K,
        before: Option<&S>,
        status: &S,
    ) -> Result<bool, CallError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        if before == Some(status) {
            return Ok(false);
        }
        let answer = apply(only_on, api, object, status).await?;
        if let Some(uid) = &object.meta().uid {
            let (version, generation) = (number(answer.as_deref()), object.meta().generation);
            self.lock().insert(uid.clone(), Written { version, generation, status: status.clone() });
        }
        Ok(true)
    }

    /// Forgets a deleted object.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Written<S>>> {
        self.written.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Applies a status that is not expected to come back. Returns the version of the outcome.
pub async fn apply<K>(
    only_on: Option<&str>,
    api: &Api<K>,
    object: &K,
    status: &impl Serialize,
) -> Result<Option<String>, CallError>
where
    K: Resource<DynamicType = ()> + Clone,
{
    let patch = Patch::Apply(Applied {
        api_version: K::api_version(&()),
        kind: K::kind(&()),
        status,
        metadata: only_on.map(|resource_version| OnVersion { resource_version }),
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    call(patch_status(api, &object.name_any(), &params, &patch)).await
}

/// Applies a status. Returns the version of the outcome.
pub async fn patch_status<K>(
    api: &Api<K>,
    name: &str,
    params: &PatchParams,
    patch: &Patch<impl Serialize>,
) -> Result<Option<String>, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone,
{
    let request = Request::new(api.resource_url()).patch_subresource("status", name, params, patch);
    client::write(&api.clone().into_client(), request).await
}

/// Resource versions of one object can be compared (Kubernetes 1.35 promises it; earlier versions behaved so).
fn version<K: Resource>(object: &K) -> u64 {
    number(object.meta().resource_version.as_deref())
}

fn number(version: Option<&str>) -> u64 {
    version.and_then(|version| version.parse().ok()).unwrap_or(0)
}
