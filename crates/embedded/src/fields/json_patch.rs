//! JSON patch (RFC 6902) as the API server applies it.
//!
//! It is as lenient as the API server, which is more lenient than the RFC: `replace` and `copy` of a missing field
//! succeed, a missing value is null, and an index may count from the end.

use super::refusal::Refusal;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The most operations that the API server accepts.
const MOST_OPERATIONS: usize = 10_000;
/// The most bytes of JSON that the copies of one patch may have together (`JSONPatchMaxCopyBytes` of the API server).
/// Copies of copies double an object with each operation.
const MOST_COPIED: usize = 3 << 20;

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
    let (mut object, mut copied) = (live.clone(), 0);
    for operation in &operations {
        operation
            .as_ref()
            .ok_or(Failed)
            .and_then(|operation| one(&mut object, operation, &mut copied))
            .map_err(|Failed| Refusal::unprocessable())?;
    }
    Ok(object)
}

/// Does one operation. `copied` counts the bytes that were copied.
fn one(object: &mut Value, operation: &Operation, copied: &mut usize) -> Result<(), Failed> {
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
            let copy = get(object, text("from")?)?.unwrap_or(&Value::Null);
            *copied += size_of(copy);
            if *copied > MOST_COPIED {
                return Err(Failed);
            }
            let copy = copy.clone();
            add(object, text("path")?, copy)
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

/// Returns the bytes that a value takes as JSON.
fn size_of(value: &Value) -> usize {
    struct Counted(usize);
    impl std::io::Write for Counted {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counted = Counted(0);
    // A value is always written as JSON, and counting does not fail.
    let _ = serde_json::to_writer(&mut counted, value);
    counted.0
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Each copy holds those before it, so each doubles the object: 20 of them make a million texts, and 10,000 are allowed.
    #[test]
    fn copies_of_copies_are_bounded() {
        let patch = |copies: usize| {
            let copy = |n: usize| json!({"op": "copy", "from": "/spec", "path": format!("/spec/{n}")});
            Value::from((0..copies).map(copy).collect::<Vec<_>>()).to_string()
        };
        let live = json!({"spec": {"text": "x"}});
        let sixteen = json_patch(&live, patch(16).as_bytes());
        assert!(sixteen.is_ok_and(|object| object.to_string().len() < MOST_COPIED));
        assert_eq!(json_patch(&live, patch(20).as_bytes()).err().map(|refused| refused.code), Some(422));
        assert_eq!(json_patch(&live, patch(10_000).as_bytes()).err().map(|refused| refused.code), Some(422));
    }
}
