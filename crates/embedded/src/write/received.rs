//! Create, update, patch and apply: what a write does to an object.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

use crate::fields::{self, Manager};
use crate::http::decode::{self, FieldValidation, Incoming, Options};
use crate::http::doubled;
use crate::http::failure::Failure;
use crate::http::request::{Query, Resource, content_type, manager};
use crate::http::yaml;
use crate::kinds::{Kind, Kinds};
use crate::schema::{FieldError, Reason};
use crate::state::{Draft, Object};
use crate::{Instant, Random};

/// A write, as received.
pub struct Write {
    pub kinds: Arc<Kinds>,
    pub resource: Resource,
    pub query: Query,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub now: Instant,
    pub random: Random,
}

/// The kind of request that changes an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Update,
    Patch,
}

/// The outcome of a write.
pub struct Done {
    pub code: u16,
    pub object: Arc<Object>,
    pub warnings: Vec<String>,
}

impl Write {
    pub fn kind(&self) -> &Kind {
        self.kinds.get(self.resource.kind)
    }

    /// Returns whether the path has a namespace if and only if the kind has namespaces.
    pub fn is_in_its_place(&self) -> bool {
        self.kind().namespaced == self.resource.namespace.is_some()
    }

    pub fn time(&self) -> String {
        time_text(self.now)
    }

    pub fn name(&self) -> &str {
        self.resource.name.as_deref().unwrap_or_default()
    }

    pub fn is_status(&self) -> bool {
        self.resource.subresource.as_deref() == Some("status")
    }

    /// Handles POST.
    pub fn create(&self, draft: &mut Draft<'_>) -> Result<Done, Failure> {
        let Options { dry, validation } = Options::read(&self.query, "CreateOptions", Vec::new())?;
        let Incoming { object, warnings } = self.incoming(validation)?;
        let made = self.make(draft, object, None, dry);
        done(201, made, warnings)
    }

    /// Handles PUT.
    pub fn update(&self, draft: &mut Draft<'_>) -> Result<Done, Failure> {
        let Options { dry, validation } = Options::read(&self.query, "UpdateOptions", Vec::new())?;
        let Incoming { object, warnings } = self.incoming(validation)?;
        let live = draft.get(self.kind().stored_as, &self.resource.key());
        let Some(live) = live else {
            if !self.kind().strategy.created_by_update || self.resource.subresource.is_some() {
                return Err(Failure::not_found(self.kind(), self.name()));
            }
            let made = self.make(draft, object, None, dry);
            return done(201, made, warnings);
        };
        if !self.kind().strategy.updated_unconditionally && version(&object)? == 0 {
            let why = "Invalid value: 0: must be specified for an update";
            let fault = FieldError::new("metadata.resourceVersion", Reason::Invalid, why);
            let mut failure = Failure::invalid("", &self.kind().resource(), self.name(), &[fault]);
            failure.details = failure.details.map(|mut details| {
                details["kind"] = self.kind().plural.clone().into();
                if !self.kind().group.is_empty() {
                    details["group"] = self.kind().group.clone().into();
                }
                details
            });
            return Err(failure.with_warnings(&warnings));
        }
        let changed = self.change(draft, &live, object, Change::Update, dry);
        done(200, changed, warnings)
    }

    /// Handles PATCH with any of the patch types.
    pub fn patch(&self, draft: &mut Draft<'_>) -> Result<Done, Failure> {
        let media = content_type(&self.headers);
        const APPLY: &str = "application/apply-patch+yaml";
        let accepted = match self.kind().custom {
            true => "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            false => {
                "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml"
            }
        };
        if !accepted.split(", ").any(|known| known == media) {
            let why = "the body of the request was in an unknown format - accepted media types include: ";
            return Err(Failure::new(415, "UnsupportedMediaType", format!("{why}{accepted}")));
        }
        let required = |field: &str, why: &str| FieldError::required(field, why);
        let fault = match (media == APPLY, self.query.get("fieldManager"), self.query.get("force")) {
            (true, None, _) => Some(required("fieldManager", "is required for apply patch")),
            (false, _, Some(_)) => Some(FieldError::forbidden("force", "may not be specified for non-apply patch")),
            _ => None,
        };
        let Options { dry, validation } = Options::read(&self.query, "PatchOptions", fault.into_iter().collect())?;
        if media == APPLY {
            return self.apply(draft, validation, dry);
        }
        let live = draft.get(self.kind().stored_as, &self.resource.key());
        let live = live.ok_or_else(|| Failure::not_found(self.kind(), self.name()))?;
        let shown = self.shown(&live);
        let patched = match media {
            "application/json-patch+json" => fields::json_patch(&shown, &self.body),
            "application/merge-patch+json" => fields::merge_patch(&shown, &self.body),
            _ => fields::strategic_merge_patch(&self.kind().node, &shown, &self.body),
        };
        let object = patched.map_err(Failure::of_refusal)?;
        let Incoming { object, warnings } = decode::patched(&self.kinds, &self.resource, object, validation)?;
        let changed = self.change(draft, &live, object, Change::Patch, dry);
        done(200, changed, warnings)
    }

    /// Handles server-side apply.
    fn apply(&self, draft: &mut Draft<'_>, validation: FieldValidation, dry: bool) -> Result<Done, Failure> {
        let in_yaml = |why: String| format!("error converting YAML to JSON: {why}");
        // Programs send JSON, in which a duplicate field is noticed while reading.
        let (applied, doubled) = match doubled::read(&self.body) {
            Ok((applied, doubled)) => (Ok(applied), !doubled.is_empty()),
            Err(_) => (yaml::read(&self.body), true),
        };
        let applied = applied.map_err(|why| Failure::bad_request(format!("error decoding YAML: {}", in_yaml(why))))?;
        let live = draft.get(self.kind().stored_as, &self.resource.key());
        if live.is_none() && self.resource.subresource.is_some() {
            return Err(Failure::not_found(self.kind(), self.name()));
        }
        let kind = self.kind();
        let manager = self.manager()?;
        let shown = live.as_ref().map(|live| self.as_written(&live.value));
        let force = self.query.flag("force");
        let merged = self.as_manager(kind, &manager, |manager| {
            fields::apply(&kind.node, shown.as_deref(), &applied, manager, force)
        });
        let mut merged = merged.map_err(Failure::of_refusal)?;
        let mut warnings = Vec::new();
        if validation != FieldValidation::Ignore
            && doubled
            && let Some(why) = yaml::doubled(&self.body).map(in_yaml)
        {
            if validation == FieldValidation::Strict {
                return Err(Failure::bad_request(format!("error strict decoding YAML: {why}")));
            }
            warnings.push(why);
        }
        let Some(live) = live else {
            // It asks for an object that was deleted, and may have been replaced by another of its name.
            if let Some(uid) = merged["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty()) {
                let why =
                    format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
                return Err(Failure::conflict(kind, self.name(), &why));
            }
            merged["metadata"]["name"] = self.name().into();
            if let Some(namespace) = &self.resource.namespace {
                merged["metadata"]["namespace"] = namespace.clone().into();
            }
            let mut merged = self.as_stored(merged);
            let managed = fields::take_managed(&mut merged).unwrap_or_default();
            let made = self.make(draft, merged, Some(managed), dry);
            return done(201, made, warnings);
        };
        let changed = self.change_applied(draft, &live, self.as_stored(merged), dry);
        done(200, changed, warnings)
    }

    /// Returns the kind under which objects are stored: core Events for those of `events.k8s.io`.
    pub fn stored_kind(&self) -> &Kind {
        self.kinds.get(self.kind().stored_as)
    }

    /// Returns a stored object as this resource shows it.
    fn shown(&self, live: &Arc<Object>) -> Value {
        self.kind().shown(live.value.clone())
    }

    /// Returns a stored object in the form in which it is compared with what is written through this resource.
    pub fn as_written<'v>(&self, stored: &'v Value) -> Cow<'v, Value> {
        match self.kind().strategy.versions {
            Some(versions) => Cow::Owned((versions.as_written)(stored.clone())),
            None => Cow::Borrowed(stored),
        }
    }

    /// The reverse of [`Write::as_written`].
    pub fn as_stored(&self, written: Value) -> Value {
        match self.kind().strategy.versions {
            Some(versions) => (versions.as_stored)(written),
            None => written,
        }
    }

    fn incoming(&self, validation: FieldValidation) -> Result<Incoming, Failure> {
        decode::object(&self.kinds, &self.resource, &self.headers, &self.body, validation)
    }

    pub fn manager(&self) -> Result<String, Failure> {
        manager(&self.query, &self.headers)
    }

    /// Calls `then` with `name` as a field manager of this kind.
    pub fn as_manager<T>(&self, kind: &Kind, name: &str, then: impl FnOnce(&Manager<'_>) -> T) -> T {
        self.as_manager_of(kind, name, self.resource.subresource.as_deref(), then)
    }

    /// Like [`Write::as_manager`], through another subresource than that of the request.
    pub fn as_manager_of<T>(
        &self,
        kind: &Kind,
        name: &str,
        subresource: Option<&str>,
        then: impl FnOnce(&Manager<'_>) -> T,
    ) -> T {
        let reset = fields::reset_fields(kind.strategy.status, !kind.custom, subresource);
        let api_version = kind.api_version();
        then(&Manager {
            name,
            api_version: &api_version,
            other_version: kind.strategy.versions.map(|versions| versions.other),
            kind: &kind.kind,
            subresource,
            reset: &reset,
            builtin: !kind.custom,
            now: self.now,
        })
    }
}

fn done(code: u16, object: Result<Arc<Object>, Failure>, warnings: Vec<String>) -> Result<Done, Failure> {
    match object {
        Ok(object) => Ok(Done { code, object, warnings }),
        Err(failure) => Err(failure.with_warnings(&warnings)),
    }
}

/// Returns the key of an object.
pub fn key_of(kind: &Kind, object: &Value) -> String {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    match kind.namespaced {
        true => format!("{}/{}", text("namespace"), text("name")),
        false => text("name").to_owned(),
    }
}

/// Returns an object's resourceVersion as a number; 0 if it has none.
pub fn version(object: &Value) -> Result<u64, Failure> {
    match object["metadata"]["resourceVersion"].as_str() {
        None | Some("") => Ok(0),
        Some(text) => {
            text.parse().map_err(|_| Failure::new(500, "", format!("resourceVersion: {text:?} is not a version")))
        }
    }
}

/// Returns a time as metadata has it: whole seconds, UTC.
pub fn time_text(time: Instant) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
