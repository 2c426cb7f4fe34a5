//! What `kubectl get` shows of each kind: the columns and their cells.

use serde_json::{Value, json};

use super::jsonpath::JsonPath;
use super::published::{self, OBJECT_META};
use crate::Instant;

/// A column of a table.
#[derive(Debug)]
pub struct Column {
    name: String,
    type_: String,
    format: String,
    description: String,
    /// The column's priority: with 1 or more, kubectl shows the column only with `-o wide`.
    priority: i64,
    cell: Cell,
}

#[derive(Debug)]
enum Cell {
    /// A path from a CRD; the column's type decides how the value is shown.
    Path(JsonPath),
    Of(fn(&Value, Instant) -> Value),
}

impl Column {
    /// Returns the column for the object's name, the first column of every kind.
    pub fn name() -> Self {
        let cell = |object: &Value, _: Instant| object["metadata"]["name"].clone();
        Column { format: "name".into(), ..of("Name", &published::description(OBJECT_META, "name"), cell) }
    }

    fn age() -> Self {
        let cell = |object: &Value, now| age(&object["metadata"]["creationTimestamp"], now);
        of("Age", &published::description(OBJECT_META, "creationTimestamp"), cell)
    }

    /// Returns the columns of a CRD that follow the name.
    pub fn of_crd(columns: &Value) -> Vec<Self> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let own = columns.as_array().into_iter().flatten().map(|column| {
            let path = text(&column["jsonPath"]);
            let described = text(&column["description"]);
            Column {
                name: text(&column["name"]),
                type_: text(&column["type"]),
                format: text(&column["format"]),
                description: match described.is_empty() {
                    true => format!("Custom resource definition column (in JSONPath format): {path}"),
                    false => described,
                },
                priority: column["priority"].as_i64().unwrap_or(0),
                cell: Cell::Path(JsonPath::read(&path)),
            }
        });
        std::iter::once(Column::name()).chain(own).collect()
    }

    pub fn definition(&self) -> Value {
        json!({
            "name": self.name, "type": self.type_, "format": self.format,
            "description": self.description, "priority": self.priority,
        })
    }

    /// Returns the cell for the row of a bookmark, which has no object.
    pub fn empty_cell(&self) -> Value {
        if self.format == "name" { "".into() } else { Value::Null }
    }

    /// Returns the cell of this column for `object`.
    pub fn cell(&self, object: &Value, now: Instant) -> Value {
        let path = match &self.cell {
            Cell::Of(cell) => return cell(object, now),
            Cell::Path(path) => path,
        };
        let Some(found) = path.first(object) else { return Value::Null };
        match (self.type_.as_str(), found) {
            ("integer", Value::Number(number)) => number.as_i64().map_or(Value::Null, Value::from),
            ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => found.clone(),
            ("date", time) => age(time, now),
            ("string", Value::String(_)) => found.clone(),
            ("string", other) => other.to_string().into(),
            _ => Value::Null,
        }
    }
}

fn of(name: &str, description: &str, cell: fn(&Value, Instant) -> Value) -> Column {
    Column {
        name: name.into(),
        type_: "string".into(),
        format: String::new(),
        description: description.into(),
        priority: 0,
        cell: Cell::Of(cell),
    }
}

fn wide(column: Column) -> Column {
    Column { priority: 1, ..column }
}

/// Returns the description of `field` in a built-in type.
fn described(type_: &str, field: &str) -> String {
    published::description(&format!("io.k8s.api.{type_}"), field)
}

pub fn namespaces() -> Vec<Column> {
    let phase = |object: &Value, _: Instant| object["status"]["phase"].clone();
    vec![Column::name(), of("Status", "The status of the namespace", phase), Column::age()]
}

fn entries(object: &Value, _: Instant) -> Value {
    let count = |field: &str| object[field].as_object().map_or(0, serde_json::Map::len);
    (count("data") + count("binaryData")).into()
}

pub fn secrets() -> Vec<Column> {
    let type_ = |object: &Value, _: Instant| object["type"].clone();
    vec![
        Column::name(),
        of("Type", &described("core.v1.Secret", "type"), type_),
        of("Data", &described("core.v1.Secret", "data"), entries),
        Column::age(),
    ]
}

pub fn config_maps() -> Vec<Column> {
    vec![Column::name(), of("Data", &described("core.v1.ConfigMap", "data"), entries), Column::age()]
}

pub fn leases() -> Vec<Column> {
    let holder = |object: &Value, _: Instant| text_of(&object["spec"]["holderIdentity"]);
    vec![Column::name(), of("Holder", &described("coordination.v1.LeaseSpec", "holderIdentity"), holder), Column::age()]
}

fn text_of(value: &Value) -> Value {
    value.as_str().unwrap_or_default().into()
}

pub fn events() -> Vec<Column> {
    let reporter = |object: &Value, _: Instant| {
        let part = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (component, host) = match part(&object["source"]["component"]) {
            none if none.is_empty() => (part(&object["reportingComponent"]), part(&object["reportingInstance"])),
            component => (component, part(&object["source"]["host"])),
        };
        let parts: Vec<String> = [component, host].into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(", ").into()
    };
    let regarded = |object: &Value, _: Instant| {
        let regarded = &object["involvedObject"];
        let part = |field: &str| regarded[field].as_str().unwrap_or_default();
        match part("name") {
            "" => part("kind").to_lowercase().into(),
            name => format!("{}/{name}", part("kind").to_lowercase()).into(),
        }
    };
    let count = |object: &Value, _: Instant| match object["series"]["count"].as_i64().or(object["count"].as_i64()) {
        Some(count) if count > 0 => count.into(),
        _ if object["firstTimestamp"].is_null() => 1.into(),
        _ => 0.into(),
    };
    let message = |object: &Value, _: Instant| object["message"].as_str().unwrap_or_default().trim().into();
    vec![
        of("Last Seen", "The time at which the most recent occurrence of this event was recorded.", last_seen),
        of("Type", &described("core.v1.Event", "type"), |object, _| text_of(&object["type"])),
        of("Reason", &described("core.v1.Event", "reason"), |object, _| text_of(&object["reason"])),
        of("Object", &described("core.v1.Event", "involvedObject"), regarded),
        wide(of("Subobject", &described("core.v1.ObjectReference", "fieldPath"), |object, _| {
            text_of(&object["involvedObject"]["fieldPath"])
        })),
        wide(of("Source", &described("core.v1.Event", "source"), reporter)),
        of("Message", &described("core.v1.Event", "message"), message),
        wide(of("First Seen", &described("core.v1.Event", "firstTimestamp"), first_seen)),
        wide(of("Count", &described("core.v1.Event", "count"), count)),
        wide(Column::name()),
    ]
}

fn first_seen(object: &Value, now: Instant) -> Value {
    match &object["firstTimestamp"] {
        Value::Null => age(&object["eventTime"], now),
        first => age(first, now),
    }
}

fn last_seen(object: &Value, now: Instant) -> Value {
    let first = first_seen(object, now);
    let series = &object["series"];
    if let Some(count) = series["count"].as_i64() {
        let last = age(&series["lastObservedTime"], now);
        return over(&last, count, &first);
    }
    match object["count"].as_i64() {
        Some(count) if count > 1 => over(&age(&object["lastTimestamp"], now), count, &first),
        _ => first,
    }
}

fn over(last: &Value, count: i64, first: &Value) -> Value {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{} (x{count} over {})", text(last), text(first)).into()
}

pub fn pods() -> Vec<Column> {
    fn statuses(object: &Value) -> impl Iterator<Item = &Value> {
        object["status"]["containerStatuses"].as_array().into_iter().flatten()
    }
    let ready = |object: &Value, _: Instant| {
        let all = object["spec"]["containers"].as_array().map_or(0, Vec::len);
        let ready = statuses(object).filter(|status| status["ready"] == json!(true)).count();
        format!("{ready}/{all}").into()
    };
    let status = |object: &Value, _: Instant| {
        if object["metadata"]["deletionTimestamp"].is_string() {
            return "Terminating".into();
        }
        let waiting = statuses(object).find_map(|status| status["state"]["waiting"]["reason"].as_str());
        let ended = statuses(object).find_map(|status| status["state"]["terminated"]["reason"].as_str());
        let reason = object["status"]["reason"].as_str().filter(|reason| !reason.is_empty());
        waiting.or(ended).or(reason).or(object["status"]["phase"].as_str()).unwrap_or_default().into()
    };
    let restarts = |object: &Value, _: Instant| {
        let count: i64 = statuses(object).filter_map(|status| status["restartCount"].as_i64()).sum();
        count.to_string().into()
    };
    let gates = |object: &Value, _: Instant| match object["spec"]["readinessGates"].as_array() {
        Some(gates) if !gates.is_empty() => format!("0/{}", gates.len()).into(),
        _ => Value::from("<none>"),
    };
    vec![
        Column::name(),
        of("Ready", "The aggregate readiness state of this pod for accepting traffic.", ready),
        of("Status", "The aggregate status of the containers in this pod.", status),
        of(
            "Restarts",
            "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
            restarts,
        ),
        Column::age(),
        wide(of("IP", &described("core.v1.PodStatus", "podIP"), |object, _| none_if_empty(&object["status"]["podIP"]))),
        wide(of("Node", &described("core.v1.PodSpec", "nodeName"), |object, _| {
            none_if_empty(&object["spec"]["nodeName"])
        })),
        wide(of("Nominated Node", &described("core.v1.PodStatus", "nominatedNodeName"), |object, _| {
            none_if_empty(&object["status"]["nominatedNodeName"])
        })),
        wide(of("Readiness Gates", &described("core.v1.PodSpec", "readinessGates"), gates)),
    ]
}

fn none_if_empty(value: &Value) -> Value {
    match value.as_str() {
        Some(text) if !text.is_empty() => text.into(),
        _ => "<none>".into(),
    }
}

/// Returns the age as `kubectl` shows it; `<unknown>` if there is no time.
fn age(time: &Value, now: Instant) -> Value {
    let Some(time) = time.as_str().and_then(|text| text.parse::<Instant>().ok()) else { return "<unknown>".into() };
    human((now - time).num_seconds()).into()
}

/// Returns a duration in at most two units, coarser for longer durations (`k8s.io/apimachinery/pkg/util/duration`).
fn human(seconds: i64) -> String {
    let pair = |big: i64, big_unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{big}{big_unit}"),
        small => format!("{big}{big_unit}{small}{small_unit}"),
    };
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let (days, years) = (hours / 24, hours / 24 / 365);
    match seconds {
        ..-1 => "<invalid>".into(),
        -1..0 => "0s".into(),
        0..120 => format!("{seconds}s"),
        120..600 => pair(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => pair(years, "y", days % 365, "d"),
        _ => format!("{years}y"),
    }
}
