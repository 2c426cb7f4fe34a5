//! Values of an object as CEL sees them, typed by their schema (`k8s.io/apiserver/pkg/cel/common`): a date is a time,
//! an object has the fields that it declares. Nothing is copied before an expression reads it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cel::ExecutionError;
use cel::common::traits::{Container, Indexer, Sizer};
use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelTimestamp, Type,
};
use cel::common::value::{CowVal, Val};
use chrono::{DateTime, FixedOffset, NaiveTime};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::HashMap;

use super::escape::unescaped;
use super::format::{Format, date};
use super::items::Boxed;
use super::keyed_list::KeyedList;
use super::node;
use super::node::{ListKind, Node};
use super::sound::{SOUND, sound};
use crate::words::go::quoted;

/// Returns the CEL value of a field.
pub fn of<'v>(node: &'v Node, value: &'v Value) -> Result<Boxed<'v>, ExecutionError> {
    let unfit = |wanted: &str| Err(fault(format!("invalid data, expected {wanted}, got {}", go_type(value))));
    Ok(match (value, node.type_) {
        (Value::Null, _) if node.nullable => Box::new(CelNull),
        (Value::Null, Some(_)) => return Err(fault("invalid data, got null for schema with nullable=false".into())),
        (Value::Object(fields), Some(node::Type::Object)) => match &node.additional {
            Some(schema) if node.properties.is_empty() => Box::new(map_of(fields, |value| of(schema, value))?),
            _ => Box::new(Object { fields, node }),
        },
        (Value::Array(items), Some(node::Type::Array)) => {
            let Some(schema) = &node.items else {
                return Err(fault("invalid array type, expected Items with a non-empty Schema".into()));
            };
            let items = items.iter().map(|item| of(schema, item)).collect::<Result<Vec<_>, _>>()?;
            match &node.list {
                ListKind::Atomic => Box::new(CelList::from(items)),
                ListKind::Set => Box::new(KeyedList::new(items, &[])),
                ListKind::Map(keys) => Box::new(KeyedList::new(items, keys)),
            }
        }
        (Value::String(text), Some(node::Type::String)) => of_text(node.checks.format, text)?,
        (Value::Number(number), Some(node::Type::Integer)) => match number.as_i64() {
            Some(whole) => Box::new(CelInt::from(whole)),
            None => return unfit("int"),
        },
        (Value::Number(number), Some(node::Type::Number)) => {
            Box::new(CelDouble::from(number.as_f64().unwrap_or_default()))
        }
        (Value::Bool(truth), Some(node::Type::Boolean)) => Box::new(CelBool::from(*truth)),
        (_, Some(type_)) => {
            return match type_ {
                node::Type::Object => {
                    Err(fault("invalid data, expected a map for the provided schema with type=object".into()))
                }
                node::Type::Array => {
                    Err(fault("invalid data, expected an array for the provided schema with type=array".into()))
                }
                node::Type::String => unfit("string"),
                node::Type::Integer => unfit("int"),
                node::Type::Number => unfit("float"),
                node::Type::Boolean => unfit("bool"),
            };
        }
        (value, None) if node.int_or_string && !(value.is_string() || value.is_i64()) => {
            let wanted = "invalid data, expected XIntOrString value to be either a string or integer";
            return Err(fault(wanted.into()));
        }
        (value, None) => untyped(value)?,
    })
}

/// Returns a value without a schema, or one that may be an integer or a text.
fn untyped<'v>(value: &'v Value) -> Result<Boxed<'v>, ExecutionError> {
    Ok(match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(truth) => Box::new(CelBool::from(*truth)),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Box::new(CelInt::from(whole)),
            None => Box::new(CelDouble::from(number.as_f64().unwrap_or_default())),
        },
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(items) => {
            Box::new(CelList::from(items.iter().map(untyped).collect::<Result<Vec<_>, ExecutionError>>()?))
        }
        Value::Object(fields) => Box::new(map_of(fields, untyped)?),
    })
}

fn map_of<'v>(
    fields: &'v Map<String, Value>,
    of: impl Fn(&'v Value) -> Result<Boxed<'v>, ExecutionError>,
) -> Result<CelMap<'v>, ExecutionError> {
    let mut entries: HashMap<CelMapKey<'v>, Boxed<'v>> = HashMap::with_capacity(fields.len());
    for (name, value) in fields {
        entries.insert(CelMapKey::from(name.as_str()), of(value)?);
    }
    Ok(CelMap::from(entries))
}

fn of_text(format: Option<Format>, text: &str) -> Result<Boxed<'_>, ExecutionError> {
    Ok(match format {
        Some(Format::Date) => match date(text) {
            Some(date) => Box::new(CelTimestamp::from(date.and_time(NaiveTime::MIN).and_utc().fixed_offset())),
            None => return Err(fault(format!("Invalid date formatted string {text}"))),
        },
        Some(Format::DateTime) => Box::new(CelTimestamp::from(time(text).map_err(fault)?)),
        Some(Format::Byte) => match STANDARD.decode(text) {
            Ok(bytes) => Box::new(CelBytes::from(bytes)),
            Err(_) => return Err(fault(format!("Invalid byte formatted string {text}"))),
        },
        _ => Box::new(CelString::from(text)),
    })
}

/// Parses a time. The error is that of Go, which requires an upper-case T and Z.
fn time(text: &str) -> Result<DateTime<FixedOffset>, String> {
    let because = match (text.get(10..), text.get(19..)) {
        (Some(clock), _) if !clock.starts_with('T') => {
            let layout = "2006-01-02T15:04:05";
            format!("parsing time {} as {}: cannot parse {} as \"T\"", quoted(text), quoted(layout), quoted(clock))
        }
        (_, Some(zone)) => match DateTime::parse_from_rfc3339(&text.replace(',', ".")) {
            Ok(time) if !zone.ends_with('z') => return Ok(time),
            _ => format!("parsing time {}: extra text: {}", quoted(text), quoted(zone)),
        },
        _ => "it is too short".into(),
    };
    Err(format!("Invalid date-time formatted string {text}: {because}"))
}

fn fault(message: String) -> ExecutionError {
    ExecutionError::FunctionError { function: String::new(), message }
}

/// Returns Go's name of the type of a JSON value.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

static OBJECT: Type = Type::new_unspecified_type("object");

/// An object with declared fields.
#[derive(Clone, Copy, Debug)]
struct Object<'v> {
    fields: &'v Map<String, Value>,
    node: &'v Node,
}

impl<'a> Object<'a> {
    /// Returns the field that CEL spells `name`.
    fn real<'n>(&self, name: &'n str) -> Cow<'n, str> {
        if self.node.properties.contains_key(name) { Cow::Borrowed(name) } else { unescaped(name) }
    }

    fn get_field(&self, name: &str) -> Result<Boxed<'a>, ExecutionError> {
        if name == SOUND {
            let typed = self.fields.iter().filter(|(_, value)| !value.is_null());
            for (node, value) in typed.filter_map(|(name, value)| Some((self.node.field(name)?, value))) {
                sound(of(node, value)?.as_ref())?;
            }
            return Ok(Box::new(CelBool::from(true)));
        }
        let real = self.real(name);
        // A field without a value counts as absent.
        let value = self.fields.get(real.as_ref()).filter(|value| !value.is_null());
        let value = value.ok_or_else(|| ExecutionError::no_such_key(name))?;
        match self.node.field(&real) {
            Some(node) => of(node, value),
            None => untyped(value),
        }
    }
}

impl<'a> Val for Object<'a> {
    fn get_type(&self) -> &Type {
        &OBJECT
    }

    fn cel_type() -> &'static Type {
        &OBJECT
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        let (Some(sizer), Some(indexer)) = (other.as_sizer(), other.as_indexer()) else { return false };
        sizer.size() == self.size()
            && self.fields.keys().all(|name| {
                let theirs = indexer.get(&CelString::from(name.as_str()));
                matches!((self.get_field(name), theirs), (Ok(ours), Ok(theirs)) if ours.equals(theirs.as_ref()))
            })
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }
}

impl Indexer for Object<'_> {
    fn get<'b, 'v>(&'b self, name: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        match name.downcast_ref::<CelString>() {
            Some(name) => self.get_field(name.inner()).map(CowVal::Owned),
            None => Err(ExecutionError::UnexpectedType { got: name.get_type().name().into(), want: "string".into() }),
        }
    }

    fn steal<'v>(self: Box<Self>, name: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(name).map(CowVal::into_owned)
    }
}

impl Container for Object<'_> {
    fn contains(&self, name: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(name
            .downcast_ref::<CelString>()
            .is_some_and(|name| self.fields.contains_key(self.real(name.inner()).as_ref())))
    }
}

impl Sizer for Object<'_> {
    fn size(&self) -> CelInt {
        CelInt::from(self.fields.len() as i64)
    }
}
