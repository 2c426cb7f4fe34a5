//! `metadata.managedFields`: who owns which fields of an object; how it is read, kept and written.

use super::set::FieldSet;
use super::shape::{self, Shape};
use crate::schema::node::Node;
use crate::words::go;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The most entries of updates that are kept; the oldest ones beyond that are joined.
const MOST_UPDATERS: usize = 10;
/// The manager of the joined entries.
const ANCIENT: &str = "ancient-changes";

/// How a manager came to own its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// What distinguishes one entry from another. For entries of applies, the version is not part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity<'a> {
    pub manager: Cow<'a, str>,
    pub operation: Operation,
    pub version: Option<Cow<'a, str>>,
    pub subresource: Cow<'a, str>,
}

/// What a manager owns. Most of it is neither needed nor changed by a write, so it is parsed only on demand.
#[derive(Clone, Debug)]
pub(super) struct Owned<'a> {
    pub version: Cow<'a, str>,
    pub time: Option<Cow<'a, str>>,
    fields: FieldSet<'a>,
    /// The fields as recorded in the live object, while they are not parsed yet.
    unread: Option<&'a Map<String, Value>>,
}

/// The managers of an object and what each of them owns.
#[derive(Clone, Debug, Default)]
pub(super) struct Managed<'a>(pub BTreeMap<Identity<'a>, Owned<'a>>);

/// `managedFields` that the API server cannot read.
#[derive(Debug)]
pub(super) struct Unreadable(pub String);

impl<'a> Identity<'a> {
    pub fn apply(manager: &'a str, subresource: &'a str) -> Self {
        let manager = if manager.is_empty() { "unknown" } else { manager };
        Identity {
            manager: Cow::Borrowed(manager),
            operation: Operation::Apply,
            version: None,
            subresource: Cow::Borrowed(subresource),
        }
    }

    pub fn update(manager: &'a str, version: &'a str, subresource: &'a str) -> Self {
        Identity {
            operation: Operation::Update,
            version: Some(Cow::Borrowed(version)),
            ..Identity::apply(manager, subresource)
        }
    }

    /// Returns the identity as the API server writes it; it sorts entries by this text.
    pub fn text(&self) -> String {
        let mut text = String::from("{");
        if !self.manager.is_empty() {
            text.push_str("\"manager\":");
            go::write_text(&self.manager, &mut text);
            text.push(',');
        }
        text.push_str(match self.operation {
            Operation::Apply => "\"operation\":\"Apply\"",
            Operation::Update => "\"operation\":\"Update\"",
        });
        for (name, value) in [("apiVersion", self.version.as_deref()), ("subresource", Some(&*self.subresource))] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                text.push_str(",\"");
                text.push_str(name);
                text.push_str("\":");
                go::write_text(value, &mut text);
            }
        }
        text.push('}');
        text
    }
}

impl<'a> Owned<'a> {
    pub fn new(version: &'a str, fields: FieldSet<'a>) -> Self {
        Owned { version: Cow::Borrowed(version), time: None, fields, unread: None }
    }

    /// Returns the fields, parsing them if necessary. What has been stored can always be parsed.
    pub fn fields(&mut self) -> &mut FieldSet<'a> {
        if let Some(unread) = self.unread.take() {
            self.fields = FieldSet::parse_map(unread).unwrap_or_default();
        }
        &mut self.fields
    }

    /// Returns the fields as recorded in the live object, while they are not parsed yet.
    pub fn record(&self) -> Option<&'a Map<String, Value>> {
        self.unread
    }

    /// Replaces the fields by this equal record, which need not be written again.
    pub fn stand_as(&mut self, record: Option<&'a Map<String, Value>>) {
        self.unread = record;
    }

    pub fn is_empty(&self) -> bool {
        self.unread.map_or(self.fields.is_empty(), Map::is_empty)
    }

    /// Returns whether the manager owns anything in the set.
    pub fn touches(&self, set: &FieldSet<'_>) -> bool {
        match self.unread {
            Some(unread) => set.intersects_map(unread),
            None => set.intersects(&self.fields),
        }
    }

    /// Removes these fields from what the manager owns.
    pub fn lose(&mut self, set: &FieldSet<'_>) {
        if self.touches(set) {
            let fields = std::mem::take(self.fields());
            self.fields = fields.difference(set);
        }
    }

    /// Adapts the fields to the present schema.
    pub fn reconcile(&mut self, node: &Node) {
        if self.unread.is_none_or(|unread| !is_current(node, unread)) {
            let fields = std::mem::take(self.fields());
            self.fields = fields.reconciled(node);
        }
    }

    fn print(self) -> Value {
        match self.unread {
            Some(unread) => Value::Object(unread.clone()),
            None => self.fields.print(),
        }
    }
}

/// Returns whether the fields fit the present schema: nothing that the set reaches into is owned as a whole.
fn is_current(node: &Node, fields: &Map<String, Value>) -> bool {
    fields.iter().all(|(step, below)| {
        let Some(below) = below.as_object().filter(|below| !below.is_empty()) else { return true };
        let child = match (step.strip_prefix("f:"), shape::shape(node, &Value::Null)) {
            (Some(name), Shape::Map) => shape::field(node, name),
            (None, Shape::List) => Some(shape::items(node)),
            _ => None,
        };
        child.is_none_or(|child| !shape::is_atomic(child) && is_current(child, below))
    })
}

impl<'a> Managed<'a> {
    /// Parses `metadata.managedFields` of a live object.
    pub fn of_live(object: &'a Value) -> Result<Self, Unreadable> {
        Self::of(object, true)
    }

    /// Parses `metadata.managedFields` that a request brought.
    pub fn of_request(object: &'a Value) -> Result<Self, Unreadable> {
        Self::of(object, false)
    }

    fn of(object: &'a Value, live: bool) -> Result<Self, Unreadable> {
        let mut managed = Managed::default();
        let entries = object.get("metadata").and_then(|metadata| metadata.get("managedFields"));
        for (at, entry) in entries.and_then(Value::as_array).into_iter().flatten().enumerate() {
            let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
            let operation = match text("operation") {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return Err(Unreadable("operation must be `Apply` or `Update`".into())),
            };
            let version = text("apiVersion");
            if version.is_empty() {
                return Err(Unreadable("apiVersion must not be empty".into()));
            }
            match text("fieldsType") {
                "FieldsV1" => {}
                "" => return Err(Unreadable(format!("missing fieldsType in managed fields entry {at}"))),
                other => {
                    let other = go::quoted(other);
                    return Err(Unreadable(format!("invalid fieldsType {other} in managed fields entry {at}")));
                }
            }
            let (fields, unread) = match entry.get("fieldsV1") {
                Some(Value::Object(fields)) if live => (Ok(FieldSet::default()), Some(fields)),
                Some(fields) => (FieldSet::parse(fields), None),
                None => (Ok(FieldSet::default()), None),
            };
            let fields = fields.map_err(|_| Unreadable("error decoding set".into()))?;
            let identity = Identity {
                manager: Cow::Borrowed(text("manager")),
                operation,
                version: (operation == Operation::Update).then_some(Cow::Borrowed(version)),
                subresource: Cow::Borrowed(text("subresource")),
            };
            let time = entry.get("time").and_then(Value::as_str).map(Cow::Borrowed);
            managed.0.insert(identity, Owned { version: Cow::Borrowed(version), time, fields, unread });
        }
        Ok(managed)
    }

    /// Joins the oldest entries of updates until there are few enough.
    pub fn cap(&mut self) {
        let updates = self.0.iter().filter(|(identity, _)| identity.operation == Operation::Update);
        let mut updaters: Vec<(i64, String, Identity<'a>)> = updates
            .map(|(identity, owned)| (seconds(owned.time.as_deref()), identity.text(), identity.clone()))
            .collect();
        if updaters.len() <= MOST_UPDATERS {
            return;
        }
        updaters.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let mut count = updaters.len();
        let mut firsts: BTreeMap<Cow<'a, str>, Identity<'a>> = BTreeMap::new();
        for (_, _, identity) in updaters {
            if count <= MOST_UPDATERS {
                return;
            }
            let Some(version) = self.0.get(&identity).map(|owned| owned.version.clone()) else { continue };
            let bucket = Identity {
                manager: Cow::Borrowed(ANCIENT),
                operation: Operation::Update,
                version: Some(version.clone()),
                subresource: Cow::Borrowed(""),
            };
            let Some(first) = firsts.get(&version) else {
                firsts.insert(version, identity);
                continue;
            };
            if !self.0.contains_key(&bucket)
                && let Some(owned) = self.0.remove(first)
            {
                self.0.insert(bucket.clone(), owned);
            }
            if let Some(mut owned) = self.0.remove(&identity) {
                if let Some(mut joined) = self.0.remove(&bucket) {
                    let fields = std::mem::take(owned.fields()).union(std::mem::take(joined.fields()));
                    *owned.fields() = fields;
                }
                self.0.insert(bucket, owned);
            }
            count -= 1;
        }
    }

    /// Returns `metadata.managedFields`; `None` if nobody owns anything.
    pub fn print(self, builtin: bool) -> Option<Value> {
        let mut entries: Vec<(Identity<'a>, Owned<'a>)> = self.0.into_iter().collect();
        entries.sort_by(|(a, a_owned), (b, b_owned)| order(a, a_owned, b, b_owned));
        let entries = entries.into_iter().map(|(identity, owned)| {
            let text = |text: Cow<'_, str>| (!text.is_empty()).then(|| Value::String(text.into_owned()));
            let operation = match identity.operation {
                Operation::Apply => "Apply",
                Operation::Update => "Update",
            };
            let mut fields = [
                ("manager", text(identity.manager)),
                ("operation", Some(operation.into())),
                ("apiVersion", text(owned.version.clone())),
                ("time", owned.time.clone().and_then(text)),
                ("fieldsType", Some("FieldsV1".into())),
                ("fieldsV1", Some(owned.print())),
                ("subresource", text(identity.subresource)),
            ];
            // For custom resources, the API server writes every object with its fields sorted.
            if !builtin {
                fields.sort_by_key(|(name, _)| *name);
            }
            let known = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
            Value::Object(known.collect::<Map<String, Value>>())
        });
        let entries: Vec<Value> = entries.collect();
        (!entries.is_empty()).then_some(Value::Array(entries))
    }
}

fn order(a: &Identity<'_>, a_owned: &Owned<'_>, b: &Identity<'_>, b_owned: &Owned<'_>) -> Ordering {
    let times = (seconds(a_owned.time.as_deref()), seconds(b_owned.time.as_deref()));
    a.operation
        .cmp(&b.operation)
        .then(times.0.cmp(&times.1))
        .then_with(|| a.manager.cmp(&b.manager))
        .then_with(|| a_owned.version.cmp(&b_owned.version))
        .then_with(|| a.subresource.cmp(&b.subresource))
}

fn seconds(time: Option<&str>) -> i64 {
    time.and_then(|time| DateTime::parse_from_rfc3339(time).ok()).map_or(0, |time| time.timestamp())
}

/// Returns a time as `managedFields` has it: to the second.
pub(super) fn time_text(now: DateTime<Utc>) -> String {
    now.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Puts the managers into the object, or removes the field if `managed` is `None`.
pub fn put(object: &mut Value, managed: Option<Value>) {
    match (object.get_mut("metadata").and_then(Value::as_object_mut), managed) {
        (Some(metadata), Some(managed)) => {
            metadata.insert("managedFields".into(), managed);
        }
        (Some(metadata), None) => {
            metadata.shift_remove("managedFields");
        }
        (None, Some(managed)) => {
            if let Some(object) = object.as_object_mut() {
                object.insert("metadata".into(), serde_json::json!({ "managedFields": managed }));
            }
        }
        (None, None) => {}
    }
}
