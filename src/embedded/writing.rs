//! Create, update, patch and apply: what a write makes of an object, up to the draft that is committed.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use std::sync::Arc;

use super::builtin;
use super::decode::{self, FieldValidation, Incoming, dry_run};
use super::failure::Failure;
use super::fields::{self, Manager};
use super::kind::{Kind, Kinds};
use super::request::{Query, Resource, content_type, manager};
use super::schema::{self, FieldError, Reason};
use super::state::{Draft, Object};
use super::strategy;
use super::{deleting, metadata};
use crate::domain::Instant;

/// One object may not be larger as JSON (etcd's limit for a request).
const LARGEST: usize = 1_572_864;

/// A write, as it came.
pub struct Write {
    pub kinds: Arc<Kinds>,
    pub resource: Resource,
    pub query: Query,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub now: Instant,
}

/// What came of a write.
pub struct Done {
    pub code: u16,
    pub object: Arc<Object>,
    pub warnings: Vec<String>,
}

impl Write {
    pub fn kind(&self) -> &Kind {
        self.kinds.get(self.resource.kind)
    }

    /// Whether the path has the namespace that the kind needs, and none where there are none.
    pub fn is_in_its_place(&self) -> bool {
        self.kind().namespaced == self.resource.namespace.is_some()
    }

    fn time(&self) -> String {
        time_text(self.now)
    }

    fn name(&self) -> &str {
        self.resource.name.as_deref().unwrap_or_default()
    }

    fn is_status(&self) -> bool {
        self.resource.subresource.as_deref() == Some("status")
    }

    /// POST.
    pub fn create(&self, draft: &mut Draft<'_>) -> Result<Done, Failure> {
        let dry = dry_run(&self.query, "CreateOptions")?;
        let validation = FieldValidation::read(&self.query, "CreateOptions")?;
        let Incoming { object, warnings } = self.incoming(validation)?;
        let object = self.make(draft, object, None, dry)?;
        Ok(Done { code: 201, object, warnings })
    }

    /// PUT.
    pub fn update(&self, draft: &mut Draft<'_>) -> Result<Done, Failure> {
        let dry = dry_run(&self.query, "UpdateOptions")?;
        let validation = FieldValidation::read(&self.query, "UpdateOptions")?;
        let Incoming { object, warnings } = self.incoming(validation)?;
        let live = draft.get(self.kind().stored_as, &self.resource.key());
        let Some(live) = live else {
            if !self.kind().created_by_update || self.resource.subresource.is_some() {
                return Err(Failure::not_found(self.kind(), self.name()));
            }
            let object = self.make(draft, object, None, dry)?;
            return Ok(Done { code: 201, object, warnings });
        };
        if !self.kind().updated_unconditionally && version(&object)? == 0 {
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
            return Err(failure);
        }
        let object = self.change(draft, &live, object, None, dry)?;
        Ok(Done { code: 200, object, warnings })
    }

    /// PATCH, of whatever type.
    pub fn patch(&self, draft: &mut Draft<'_>) -> Result<Done, Failure> {
        let media = content_type(&self.headers);
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
        let dry = dry_run(&self.query, "PatchOptions")?;
        let validation = FieldValidation::read(&self.query, "PatchOptions")?;
        if media == "application/apply-patch+yaml" {
            return self.apply(draft, validation, dry);
        }
        let option = |field: &str, reason, why: &str| {
            Failure::invalid("meta.k8s.io", "PatchOptions", "", &[FieldError::new(field, reason, why)])
        };
        if self.query.get("force").is_some() {
            return Err(option("force", Reason::Forbidden, "Forbidden: may not be specified for non-apply patch"));
        }
        let key = self.resource.key();
        let live = draft.get(self.kind().stored_as, &key);
        let live = live.ok_or_else(|| Failure::not_found(self.kind(), self.name()))?;
        let shown = self.shown(&live);
        let patched = match media {
            "application/json-patch+json" => fields::json_patch(&shown, &self.body),
            "application/merge-patch+json" => fields::merge_patch(&shown, &self.body),
            _ => fields::strategic_merge_patch(&self.kind().node, &shown, &self.body),
        };
        let mut object = patched.map_err(Failure::of_refusal)?;
        let warnings = decode::known_fields(self.kind(), &mut object, validation, Vec::new())?;
        let object = self.change(draft, &live, object, Some(()), dry)?;
        Ok(Done { code: 200, object, warnings })
    }

    /// Server-side apply.
    fn apply(&self, draft: &mut Draft<'_>, validation: FieldValidation, dry: bool) -> Result<Done, Failure> {
        if self.query.get("fieldManager").is_none() {
            let why = "Required value: is required for apply patch";
            let fault = FieldError::new("fieldManager", Reason::Required, why);
            return Err(Failure::invalid("meta.k8s.io", "PatchOptions", "", &[fault]));
        }
        let mut applied =
            decode::yaml(&self.body).map_err(|why| Failure::bad_request(format!("error decoding YAML: {why}")))?;
        let warnings = match validation {
            FieldValidation::Ignore => Vec::new(),
            _ => super::doubled::fields(&self.body).into_iter().map(|f| format!("duplicate field {f:?}")).collect(),
        };
        if validation == FieldValidation::Strict && !warnings.is_empty() {
            let why = format!("error strict decoding YAML: {}", warnings.join(", "));
            return Err(Failure::bad_request(why));
        }
        let key = self.resource.key();
        let live = draft.get(self.kind().stored_as, &key);
        if live.is_none() && self.resource.subresource.is_some() {
            return Err(Failure::not_found(self.kind(), self.name()));
        }
        if self.kind().group == "events.k8s.io" {
            applied = builtin::to_core_event(applied);
        }
        let manager = self.manager()?;
        let live_value = live.as_ref().map(|live| &live.value);
        let force = self.query.flag("force");
        let kind = self.stored_kind();
        let merged =
            self.as_manager(kind, &manager, |manager| fields::apply(&kind.node, live_value, &applied, manager, force));
        let mut merged = merged.map_err(Failure::of_refusal)?;
        let Some(live) = live else {
            merged["metadata"]["name"] = self.name().into();
            if let Some(namespace) = &self.resource.namespace {
                merged["metadata"]["namespace"] = namespace.clone().into();
            }
            let managed = merged["metadata"]["managedFields"].take();
            let object = self.make(draft, merged, Some(managed), dry)?;
            return Ok(Done { code: 201, object, warnings });
        };
        let object = self.change_applied(draft, &live, merged, dry)?;
        Ok(Done { code: 200, object, warnings })
    }

    /// The kind under which objects are stored: core Events for those of `events.k8s.io`.
    fn stored_kind(&self) -> &Kind {
        self.kinds.get(self.kind().stored_as)
    }

    /// A stored object as this resource shows it.
    fn shown(&self, live: &Arc<Object>) -> Value {
        match self.kind().group == "events.k8s.io" {
            true => builtin::to_new_event(live.value.clone()),
            false => live.value.clone(),
        }
    }

    fn incoming(&self, validation: FieldValidation) -> Result<Incoming, Failure> {
        decode::object(self.kind(), &self.resource, &self.headers, &self.body, validation)
    }

    fn manager(&self) -> Result<String, Failure> {
        manager(&self.query, &self.headers)
    }

    /// `name` as a manager of fields of this kind.
    pub fn as_manager<T>(&self, kind: &Kind, name: &str, then: impl FnOnce(&Manager<'_>) -> T) -> T {
        self.as_manager_of(kind, name, self.resource.subresource.as_deref(), then)
    }

    /// The same through another subresource than that of the request.
    pub fn as_manager_of<T>(
        &self,
        kind: &Kind,
        name: &str,
        subresource: Option<&str>,
        then: impl FnOnce(&Manager<'_>) -> T,
    ) -> T {
        let reset = fields::reset_fields(kind.status, !kind.custom, subresource);
        let api_version = kind.api_version();
        then(&Manager {
            name,
            api_version: &api_version,
            kind: &kind.kind,
            subresource,
            reset: &reset,
            builtin: !kind.custom,
            now: self.now,
        })
    }

    /// Completes a new object and puts it where there is none. `managed` has the field owners where it was applied.
    fn make(
        &self,
        draft: &mut Draft<'_>,
        mut object: Value,
        managed: Option<Value>,
        dry: bool,
    ) -> Result<Arc<Object>, Failure> {
        let kind = self.stored_kind();
        if self.kind().group == "events.k8s.io" {
            object = builtin::to_core_event(object);
        }
        if let Some(namespace) = &self.resource.namespace {
            deleting::refuse_where_namespace_is_gone(draft, self.kind(), &object, namespace)?;
        }
        let meta = &mut object["metadata"];
        if managed.is_none() && meta["resourceVersion"].as_str().is_some_and(|version| !matches!(version, "" | "0")) {
            return Err(Failure::new(500, "", "resourceVersion should not be set on objects to be created"));
        }
        let generate = meta["generateName"].as_str().unwrap_or_default().to_owned();
        if meta["name"].as_str().unwrap_or_default().is_empty() && !generate.is_empty() {
            meta["name"] = strategy::generated_name(&generate).into();
        }
        if let Some(meta) = meta.as_object_mut() {
            for field in
                ["resourceVersion", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"]
            {
                meta.shift_remove(field);
            }
            meta.insert("uid".into(), strategy::new_uid().into());
            meta.insert("creationTimestamp".into(), self.time().into());
            if kind.generation {
                meta.insert("generation".into(), 1.into());
            }
        }
        if kind.status && kind.custom {
            object.as_object_mut().map(|object| object.shift_remove("status"));
        }
        schema::default(&kind.node, &mut object);
        strategy::complete(kind, &mut object);
        let mut faults = metadata::faults(kind, &object);
        faults.extend(strategy::faults(kind, &object, None));
        if let Some(schema) = &kind.schema {
            faults = schema.validate(&object, None, faults);
        }
        self.refuse_faults(kind, &object, &faults)?;
        match managed {
            Some(managed) => object["metadata"]["managedFields"] = managed,
            None => {
                let manager = self.manager()?;
                self.as_manager(kind, &manager, |manager| fields::update(&kind.node, None, &mut object, manager));
            }
        }
        strategy::begin(kind, &mut object);
        let key = key_of(kind, &object);
        if draft.get(self.kind().stored_as, &key).is_some() {
            return Err(Failure::exists(self.kind(), object["metadata"]["name"].as_str().unwrap_or_default()));
        }
        self.refuse_large(&object)?;
        if dry {
            return Ok(Arc::new(Object::new(0, object)));
        }
        Ok(draft.put(self.kind().stored_as, key, object))
    }

    /// Changes an object that is there to `object`, as an update or a patch wants it.
    fn change(
        &self,
        draft: &mut Draft<'_>,
        live: &Arc<Object>,
        mut object: Value,
        patch: Option<()>,
        dry: bool,
    ) -> Result<Arc<Object>, Failure> {
        let kind = self.stored_kind();
        if self.kind().group == "events.k8s.io" {
            object = builtin::to_core_event(object);
        }
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        let live_uid = live.value["metadata"]["uid"].as_str().unwrap_or_default();
        if patch.is_none() && !uid.is_empty() && uid != live_uid {
            let why = format!(
                "StorageError: invalid object, Code: 4, Key: /registry/{}/{}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {live_uid}",
                if kind.group.is_empty() { kind.plural.clone() } else { format!("{}/{}", kind.group, kind.plural) },
                self.resource.key()
            );
            return Err(Failure::conflict(self.kind(), self.name(), &why));
        }
        let wanted = version(&object)?;
        if wanted != 0 && wanted != live.revision {
            return Err(Failure::conflict(self.kind(), self.name(), MODIFIED));
        }
        if uid.is_empty() {
            object["metadata"]["uid"] = live_uid.into();
        }
        self.keep_what_is_not_theirs(kind, &live.value, &mut object);
        schema::default(&kind.node, &mut object);
        strategy::complete(kind, &mut object);
        let manager = self.manager()?;
        self.as_manager(kind, &manager, |manager| fields::update(&kind.node, Some(&live.value), &mut object, manager));
        self.finish_change(draft, live, object, dry)
    }

    fn change_applied(
        &self,
        draft: &mut Draft<'_>,
        live: &Arc<Object>,
        mut object: Value,
        dry: bool,
    ) -> Result<Arc<Object>, Failure> {
        let wanted = version(&object)?;
        if wanted != 0 && wanted != live.revision {
            return Err(Failure::conflict(self.kind(), self.name(), MODIFIED));
        }
        let kind = self.stored_kind();
        let managed = object["metadata"]["managedFields"].take();
        self.keep_what_is_not_theirs(kind, &live.value, &mut object);
        schema::default(&kind.node, &mut object);
        strategy::complete(kind, &mut object);
        object["metadata"]["managedFields"] = managed;
        self.finish_change(draft, live, object, dry)
    }

    /// On the object itself status is not theirs, on a status everything else but the metadata that may be written with it.
    fn keep_what_is_not_theirs(&self, kind: &Kind, live: &Value, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        let mut keep = |field: &str| match live.get(field) {
            Some(value) => {
                object.insert(field.to_owned(), value.clone());
            }
            None => {
                object.shift_remove(field);
            }
        };
        if self.is_status() {
            let others: Vec<String> = live.as_object().map(|live| live.keys().cloned().collect()).unwrap_or_default();
            others
                .iter()
                .filter(|field| !matches!(field.as_str(), "metadata" | "status"))
                .for_each(|field| keep(field));
            strategy::keep_metadata_on_status(kind, live, object);
        } else if kind.status {
            keep("status");
        }
        if let Some(Value::Object(meta)) = object.get_mut("metadata") {
            for field in
                ["creationTimestamp", "generation", "resourceVersion", "deletionGracePeriodSeconds", "selfLink"]
            {
                match live["metadata"].get(field) {
                    Some(value) => meta.insert(field.to_owned(), value.clone()),
                    None => meta.shift_remove(field),
                };
            }
            if meta.get("deletionTimestamp").is_none()
                && let Some(value) = live["metadata"].get("deletionTimestamp")
            {
                meta.insert("deletionTimestamp".to_owned(), value.clone());
            }
        }
    }

    fn finish_change(
        &self,
        draft: &mut Draft<'_>,
        live: &Arc<Object>,
        mut object: Value,
        dry: bool,
    ) -> Result<Arc<Object>, Failure> {
        let kind = self.stored_kind();
        fields::keep_times(&live.value, &mut object);
        if object == live.value {
            return Ok(live.clone());
        }
        if kind.generation && !self.is_status() && strategy::wants_something_else(&live.value, &object) {
            let generation = live.value["metadata"]["generation"].as_i64().unwrap_or(0);
            object["metadata"]["generation"] = (generation + 1).into();
        }
        let mut faults = metadata::change_faults(&live.value, &object);
        faults.extend(metadata::faults(kind, &object));
        faults.extend(strategy::faults(kind, &object, Some(&live.value)));
        if let Some(schema) = &kind.schema {
            faults = match self.is_status() {
                true => schema.validate_status(&object, &live.value, faults),
                false => schema.validate(&object, Some(&live.value), faults),
            };
        }
        self.refuse_faults(kind, &object, &faults)?;
        self.refuse_large(&object)?;
        let key = self.resource.key();
        if dry {
            return Ok(Arc::new(Object::new(live.revision, object)));
        }
        if deleting::is_over(&object) {
            let object = Arc::new(Object::new(live.revision, object));
            return Ok(draft.remove(kind.stored_as, &key).unwrap_or(object));
        }
        Ok(draft.put(kind.stored_as, key, object))
    }

    fn refuse_faults(&self, kind: &Kind, object: &Value, faults: &[FieldError]) -> Result<(), Failure> {
        if faults.is_empty() {
            return Ok(());
        }
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        Err(Failure::invalid(&kind.group, &kind.kind, name, faults))
    }

    fn refuse_large(&self, object: &Value) -> Result<(), Failure> {
        // Counting is cheap next to writing, and only what is near the limit is counted.
        if self.body.len() < LARGEST / 8 || object.to_string().len() <= LARGEST {
            return Ok(());
        }
        Err(Failure::new(500, "", "etcdserver: request is too large"))
    }
}

const MODIFIED: &str = "the object has been modified; please apply your changes to the latest version and try again";

/// The key of an object.
pub fn key_of(kind: &Kind, object: &Value) -> String {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    match kind.namespaced {
        true => format!("{}/{}", text("namespace"), text("name")),
        false => text("name").to_owned(),
    }
}

/// An object's resourceVersion as a number; 0 where it has none.
fn version(object: &Value) -> Result<u64, Failure> {
    match object["metadata"]["resourceVersion"].as_str() {
        None | Some("") => Ok(0),
        Some(text) => text
            .parse()
            .map_err(|_| Failure::new(500, "", format!("strconv.ParseUint: parsing {text:?}: invalid syntax"))),
    }
}

/// A time as metadata has it: whole seconds, UTC.
pub fn time_text(time: Instant) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
