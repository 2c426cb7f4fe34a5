//! A write that changes nothing but times in `managedFields` does not count as a write.

use super::number::same;
use crate::pairs::pairs;
use serde_json::{Map, Value};

/// Gives the new object the `managedFields` of the live one if the objects differ in nothing but times in there. The
/// API server does so before it stores an object, after defaults and all other changes; it does not store an object
/// that is then the same.
pub fn keep_times(live: &Value, new: &mut Value) {
    if same_apart(live, new) {
        let managed = live.get("metadata").and_then(|metadata| metadata.get("managedFields")).cloned();
        super::managed::put(new, managed);
    }
}

fn same_apart(live: &Value, new: &Value) -> bool {
    let (Some(live), Some(new)) = (live.as_object(), new.as_object()) else { return false };
    fields(live, new, |name, live, new| match (name, live, new) {
        ("metadata", Value::Object(live), Value::Object(new)) => fields(live, new, |name, live, new| match name {
            "managedFields" => managers(live, new),
            _ => same(live, new),
        }),
        _ => same(live, new),
    })
}

fn fields(live: &Map<String, Value>, new: &Map<String, Value>, check: impl Fn(&str, &Value, &Value) -> bool) -> bool {
    live.len() == new.len() && pairs(live, new).all(|(name, live, new)| new.is_some_and(|new| check(name, live, new)))
}

fn managers(live: &Value, new: &Value) -> bool {
    let (Some(live), Some(new)) = (live.as_array(), new.as_array()) else { return false };
    let without_time = |entry: &Map<String, Value>| entry.len() - usize::from(entry.contains_key("time"));
    live.len() == new.len()
        && live.iter().zip(new).all(|(live, new)| {
            let (Some(live), Some(new)) = (live.as_object(), new.as_object()) else { return false };
            without_time(live) == without_time(new)
                && live
                    .iter()
                    .filter(|(name, _)| *name != "time")
                    .all(|(name, live)| new.get(name).is_some_and(|new| same(live, new)))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_write_that_changes_something_has_a_new_time() {
        let object = |time: &str, data: &str| {
            json!({
                "metadata": { "name": "a", "managedFields": [{ "manager": "m", "time": time }] },
                "data": { "x": data },
            })
        };
        let live = object("2026-01-01T00:00:00Z", "1");
        let mut same = object("2026-01-01T00:00:09Z", "1");
        keep_times(&live, &mut same);
        assert_eq!(same, live);
        let mut other = object("2026-01-01T00:00:09Z", "2");
        keep_times(&live, &mut other);
        assert_eq!(other, object("2026-01-01T00:00:09Z", "2"));
        let mut owned = object("2026-01-01T00:00:09Z", "1");
        owned["metadata"]["managedFields"][0]["manager"] = "n".into();
        keep_times(&live, &mut owned);
        assert_eq!(owned["metadata"]["managedFields"][0]["time"], "2026-01-01T00:00:09Z");
    }
}
