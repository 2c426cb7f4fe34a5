//! The columns that `kubectl get` shows, and their cells.

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

    /// Returns the column for how long the object has existed.
    pub fn age() -> Self {
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

/// Returns a column whose cells are computed.
pub fn of(name: &str, description: &str, cell: fn(&Value, Instant) -> Value) -> Column {
    Column {
        name: name.into(),
        type_: "string".into(),
        format: String::new(),
        description: description.into(),
        priority: 0,
        cell: Cell::Of(cell),
    }
}

/// Returns the column as one that is shown only with `-o wide`.
pub fn wide(column: Column) -> Column {
    Column { priority: 1, ..column }
}

/// Returns the description of `field` in a built-in type.
pub fn described(type_: &str, field: &str) -> String {
    published::description(&format!("io.k8s.api.{type_}"), field)
}

/// Returns a text; empty if there is none.
pub fn text_of(value: &Value) -> Value {
    value.as_str().unwrap_or_default().into()
}

/// Returns the age as `kubectl` shows it; `<unknown>` if there is no time.
pub fn age(time: &Value, now: Instant) -> Value {
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
