//! JSON patch (RFC 6902) as the API server applies it.
//!
//! It is as lenient as the API server, which is more lenient than the RFC: `replace` and `copy` of a missing field
//! succeed, a missing value is null, and an index may count from the end.

use super::refusal::Refusal;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The most operations that the API server accepts.
const MOST_OPERATIONS: usize = 10_000;

type Operation = Map<String, Value>;

/// An operation could not be applied.
struct Failed;

/// Returns the object after these operations.
pub fn json_patch(live: &Value, patch: &[u8]) -> Result<Value, Refusal> {
    let operations: Option<Vec<Option<Operation>>> = Refusal::read(patch)?;
    let operations = operations.unwrap_or_default();
    for operation in operations.iter().flatten() {
        for name in ["op", "path", "from"] {
            if operation.get(name).is_some_and(|value| !value.is_string() && !value.is_null()) {
                return Err(Refusal::bad_request(format!("the patch cannot be read: {name} is not a string")));
            }
        }
    }
    if operations.len() > MOST_OPERATIONS {
        return Err(Refusal {
            code: 413,
            reason: Some("RequestEntityTooLarge"),
            message: format!(
                "Request entity too large: The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {}",
                operations.len()
            ),
            causes: Vec::new(),
        });
    }
    let mut object = live.clone();
    for operation in &operations {
        operation
            .as_ref()
            .ok_or(Failed)
            .and_then(|operation| one(&mut object, operation))
            .map_err(|Failed| Refusal::unprocessable())?;
    }
    Ok(object)
}

fn one(object: &mut Value, operation: &Operation) -> Result<(), Failed> {
    let text = |name: &str| operation.get(name).and_then(Value::as_str).ok_or(Failed);
    let value = || operation.get("value").cloned().unwrap_or(Value::Null);
    match text("op")? {
        "add" => add(object, text("path")?, value()),
        "remove" => remove(object, text("path")?).map(|_| ()),
        "replace" => replace(object, text("path")?, value()),
        "move" => {
            let moved = remove(object, text("from")?)?;
            add(object, text("path")?, moved)
        }
        "copy" => {
            let copied = get(object, text("from")?)?.cloned().unwrap_or(Value::Null);
            add(object, text("path")?, copied)
        }
        "test" => {
            let path = text("path")?;
            let found = if path.is_empty() { Some(&*object) } else { get(object, path)? };
            let wanted = operation.get("value").unwrap_or(&Value::Null);
            if found.unwrap_or(&Value::Null) == wanted { Ok(()) } else { Err(Failed) }
        }
        _ => Err(Failed),
    }
}

/// Returns the map or list that holds the last part of the path, and that part.
fn holder<'o, 'p>(object: &'o mut Value, path: &'p str) -> Result<(&'o mut Value, Cow<'p, str>), Failed> {
    let (holders, last) = path.rsplit_once('/').ok_or(Failed)?;
    let mut at = object;
    for part in holders.split('/').skip(1) {
        let part = unescape(part);
        at = match at {
            Value::Object(map) => map.get_mut(&*part).ok_or(Failed)?,
            Value::Array(list) => {
                let index = index(&part, list.len())?;
                list.get_mut(index).ok_or(Failed)?
            }
            _ => return Err(Failed),
        };
    }
    match at {
        Value::Object(_) | Value::Array(_) => Ok((at, unescape(last))),
        _ => Err(Failed),
    }
}

fn unescape(part: &str) -> Cow<'_, str> {
    if part.contains('~') { Cow::Owned(part.replace("~1", "/").replace("~0", "~")) } else { Cow::Borrowed(part) }
}

/// Parses an index into a list of `length` items; a negative index counts from the end.
fn index(part: &str, length: usize) -> Result<usize, Failed> {
    let index: i64 = part.parse().map_err(|_| Failed)?;
    let length = i64::try_from(length).map_err(|_| Failed)?;
    usize::try_from(if index < 0 { index + length } else { index }).map_err(|_| Failed)
}

fn get<'o>(object: &'o mut Value, path: &str) -> Result<Option<&'o Value>, Failed> {
    let (holder, last) = holder(object, path)?;
    match holder {
        Value::Object(map) => Ok(map.get(&*last)),
        Value::Array(list) => {
            let at = index(&last, list.len())?;
            list.get(at).map(Some).ok_or(Failed)
        }
        _ => Err(Failed),
    }
}

fn add(object: &mut Value, path: &str, value: Value) -> Result<(), Failed> {
    let (holder, last) = holder(object, path)?;
    match holder {
        Value::Object(map) => {
            map.insert(last.into_owned(), value);
        }
        Value::Array(list) if last == "-" => list.push(value),
        Value::Array(list) => {
            let at = index(&last, list.len() + 1)?;
            if at > list.len() {
                return Err(Failed);
            }
            list.insert(at, value);
        }
        _ => return Err(Failed),
    }
    Ok(())
}

fn remove(object: &mut Value, path: &str) -> Result<Value, Failed> {
    let (holder, last) = holder(object, path)?;
    match holder {
        Value::Object(map) => map.shift_remove(&*last).ok_or(Failed),
        Value::Array(list) => {
            let at = index(&last, list.len())?;
            if at < list.len() { Ok(list.remove(at)) } else { Err(Failed) }
        }
        _ => Err(Failed),
    }
}

fn replace(object: &mut Value, path: &str, value: Value) -> Result<(), Failed> {
    if path.is_empty() {
        if !value.is_object() && !value.is_array() {
            return Err(Failed);
        }
        *object = value;
        return Ok(());
    }
    let (holder, last) = holder(object, path)?;
    match holder {
        Value::Object(map) => {
            map.insert(last.into_owned(), value);
        }
        Value::Array(list) => {
            let at = index(&last, list.len())?;
            *list.get_mut(at).ok_or(Failed)? = value;
        }
        _ => return Err(Failed),
    }
    Ok(())
}
