//! What a write does to a new or changed object: it is completed, checked and given field owners, and goes into the
//! draft that is committed.

use serde_json::Value;
use std::sync::Arc;

use super::delete;
use super::identity::{generated_name, new_uid};
use super::metadata;
use super::parts::{keep_metadata_on_status, wants_something_else};
use super::received::{Change, Write, key_of, version};
use crate::fields;
use crate::http::failure::Failure;
use crate::kinds::Kind;
use crate::pairs::identical;
use crate::schema::{self, FieldError};
use crate::state::{Draft, Object};

/// The largest object in bytes of JSON (etcd's limit for a request).
const LARGEST: usize = 1_572_864;

const MODIFIED: &str = "the object has been modified; please apply your changes to the latest version and try again";

impl Write {
    /// Completes a new object and puts it into the draft. Fails if there is one with that name. `managed` holds the
    /// field owners if the object was applied.
    pub fn make(
        &self,
        draft: &mut Draft<'_>,
        mut object: Value,
        managed: Option<Value>,
        dry: bool,
    ) -> Result<Arc<Object>, Failure> {
        let kind = self.stored_kind();
        if managed.is_none() {
            object = self.as_stored(object);
        }
        if let Some(namespace) = &self.resource.namespace {
            delete::refuse_where_namespace_is_gone(draft, &self.kinds, self.kind(), &object, namespace)?;
        }
        let meta = &mut object["metadata"];
        if managed.is_none() && meta["resourceVersion"].as_str().is_some_and(|version| !matches!(version, "" | "0")) {
            return Err(Failure::new(500, "", "resourceVersion should not be set on objects to be created"));
        }
        if let Some(meta) = meta.as_object_mut() {
            for field in
                ["resourceVersion", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"]
            {
                meta.shift_remove(field);
            }
            meta.insert("uid".into(), new_uid(self.random).into());
            meta.insert("creationTimestamp".into(), self.time().into());
            if kind.strategy.generation {
                meta.insert("generation".into(), 1.into());
            }
        }
        if kind.strategy.status && kind.custom {
            object.as_object_mut().map(|object| object.shift_remove("status"));
        }
        schema::default(&kind.node, &mut object);
        kind.complete(&mut object);
        match managed {
            Some(managed) => fields::put_managed(&mut object, Some(managed).filter(|managed| !managed.is_null())),
            None => object = self.owned(None, object)?,
        }
        // Nobody owns the fields that are added from here on.
        let meta = &mut object["metadata"];
        let generate = meta["generateName"].as_str().unwrap_or_default().to_owned();
        if meta["name"].as_str().unwrap_or_default().is_empty() && !generate.is_empty() {
            meta["name"] = generated_name(&generate, self.random).into();
        }
        (kind.strategy.begin)(&mut object);
        self.refuse_faults(kind, &object, None)?;
        let key = key_of(kind, &object);
        if let Some(there) = draft.get(self.kind().stored_as, &key) {
            let mut failure = Failure::exists(self.kind(), object["metadata"]["name"].as_str().unwrap_or_default());
            if delete::is_going(&there.value) {
                failure.message = format!("object is being deleted: {}", failure.message);
            }
            return Err(failure);
        }
        self.refuse_large(&object)?;
        if dry {
            return Ok(Arc::new(Object::new(0, object)));
        }
        // The status of a new object consists of defaults, and those are not stored with the object.
        match kind.custom && object.get("status").is_some() {
            true => Ok(draft.put_without_defaults(self.kind().stored_as, key, object)),
            false => Ok(draft.put(self.kind().stored_as, key, object)),
        }
    }

    /// Makes the manager of the request the owner of the fields in which `object` differs from `live`.
    fn owned(&self, live: Option<&Value>, object: Value) -> Result<Value, Failure> {
        let kind = self.kind();
        let manager = self.manager()?;
        let live = live.map(|live| self.as_written(live));
        let mut written = match kind.strategy.versions.is_some() {
            true => self.as_written(&object).into_owned(),
            false => object,
        };
        self.as_manager(kind, &manager, |manager| {
            fields::update(&kind.node, live.as_deref(), &mut written, manager);
        });
        let mut object = self.as_stored(written);
        if kind.strategy.versions.is_some() {
            (kind.strategy.complete)(&mut object);
        }
        Ok(object)
    }

    /// Changes an existing object to `object`, as an update or a patch asks.
    pub fn change(
        &self,
        draft: &mut Draft<'_>,
        live: &Arc<Object>,
        mut object: Value,
        change: Change,
        dry: bool,
    ) -> Result<Arc<Object>, Failure> {
        let kind = self.stored_kind();
        object = self.as_stored(object);
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        let live_uid = live.value["metadata"]["uid"].as_str().unwrap_or_default();
        if change == Change::Update && !uid.is_empty() && uid != live_uid {
            let why = format!("the UID in the object ({uid}) is not that of the present one ({live_uid})");
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
        kind.complete(&mut object);
        let object = self.owned(Some(&live.value), object)?;
        self.finish_change(draft, live, object, dry)
    }

    pub fn change_applied(
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
        let managed = fields::take_managed(&mut object);
        self.keep_what_is_not_theirs(kind, &live.value, &mut object);
        schema::default(&kind.node, &mut object);
        kind.complete(&mut object);
        fields::put_managed(&mut object, managed);
        self.finish_change(draft, live, object, dry)
    }

    /// Keeps what this request may not change: a write to the object itself keeps the status, and a write to the status
    /// keeps everything else except the metadata that may be written with a status.
    fn keep_what_is_not_theirs(&self, kind: &Kind, live: &Value, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        let mut keep = |field: &str| match live.get(field) {
            // Comparing a whole spec costs less than copying it.
            Some(value) if object.get(field).is_some_and(|own| identical(own, value)) => {}
            Some(value) => {
                object.insert(field.to_owned(), value.clone());
            }
            None => {
                object.shift_remove(field);
            }
        };
        // Only the `finalize` subresource changes the finalizers in a namespace's spec.
        if kind.is_namespace() && self.resource.subresource.is_none() {
            keep("spec");
        }
        if self.is_status() {
            let others: Vec<String> = live.as_object().map(|live| live.keys().cloned().collect()).unwrap_or_default();
            others
                .iter()
                .filter(|field| !matches!(field.as_str(), "metadata" | "status"))
                .for_each(|field| keep(field));
            keep_metadata_on_status(kind, live, object);
        } else if kind.strategy.status {
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
        if object == live.value && !live.without_defaults {
            return Ok(live.clone());
        }
        if kind.strategy.generation && !self.is_status() && wants_something_else(&live.value, &object) {
            let generation = live.value["metadata"]["generation"].as_i64().unwrap_or(0);
            object["metadata"]["generation"] = (generation + 1).into();
        }
        self.refuse_faults(kind, &object, Some(&live.value))?;
        self.refuse_large(&object)?;
        let key = self.resource.key();
        if dry {
            return Ok(Arc::new(Object::new(live.revision, object)));
        }
        if delete::is_over(&object) {
            draft.remove(kind.stored_as, &key);
            return Ok(Arc::new(Object::new(live.revision, object)));
        }
        Ok(draft.put(kind.stored_as, key, object))
    }

    /// Refuses an object that is invalid. `old` is the object that it replaces; `None` if it is new.
    fn refuse_faults(&self, kind: &Kind, object: &Value, old: Option<&Value>) -> Result<(), Failure> {
        let faults = match (kind_fault(kind, object), &kind.schema) {
            (Some(fault), Some(schema)) => schema.validate_rules(object, old, vec![fault]),
            (_, schema) => {
                let mut faults = match old {
                    None => metadata::faults(kind, object),
                    Some(old) => metadata::change_faults(self.kind(), old, object),
                };
                faults.extend((self.kind().strategy.faults)(object, old));
                match (schema, old) {
                    (None, _) => faults,
                    (Some(schema), Some(old)) if self.is_status() => schema.validate_status(object, old, faults),
                    (Some(schema), old) => schema.validate(object, old, faults),
                }
            }
        };
        if faults.is_empty() {
            return Ok(());
        }
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let given = object["kind"].as_str().unwrap_or(&kind.kind);
        Err(Failure::invalid(&kind.group, given, name, &faults))
    }

    fn refuse_large(&self, object: &Value) -> Result<(), Failure> {
        // Counting costs little next to writing, and only objects near the limit are counted.
        if self.body.len() < LARGEST / 8 || stored_size(object) <= LARGEST {
            return Ok(());
        }
        Err(Failure::new(500, "", "etcdserver: request is too large"))
    }
}

/// The bytes of an object as the API server stores it: Go writes some signs as `\u003c`, however they came.
fn stored_size(object: &Value) -> usize {
    let text = object.to_string();
    let escaped = text.chars().map(|c| match c {
        '<' | '>' | '&' => 5,
        '\u{2028}' | '\u{2029}' => 3,
        _ => 0,
    });
    text.len() + escaped.sum::<usize>()
}

/// Returns an error for a custom resource that states another kind.
fn kind_fault(kind: &Kind, object: &Value) -> Option<FieldError> {
    let given = Some(&object["kind"]).filter(|given| kind.custom && **given != kind.kind.as_str())?;
    Some(FieldError::invalid("kind", Some(given), &format!("must be {}", kind.kind)))
}
