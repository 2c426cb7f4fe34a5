//! JSON that somebody else wrote, read so that it has one meaning, and never repeated in a message: it may be a secret
//! that was put into the wrong place.

use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::fmt;

/// A JSON value, and the first member that an object in it names twice. Of two members with one name, readers take the
/// first, the last or none (RFC 8259, section 4), so such a text does not mean one thing.
pub(super) struct Json {
    pub value: Value,
    pub doubled: Option<String>,
}

/// Reads a text. The error says where it is wrong and what is expected there.
pub(super) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|e| without_content(&e))
}

/// Reads a value as a `T`. The error says which part is wrong and what is expected there.
pub(super) fn typed<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|e| match e.path().iter().next() {
        None => without_content(e.inner()),
        Some(_) => format!("`{}`: {}", e.path(), without_content(e.inner())),
    })
}

/// serde repeats the value that it found; everything else that it says is of our types.
fn without_content(error: &serde_json::Error) -> String {
    let said = error.to_string();
    if !error.is_data() || said.starts_with("missing field `") || said.starts_with("duplicate field `") {
        return said;
    }
    match said.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => "it does not have the form that it must have".to_owned(),
    }
}

impl Json {
    fn of(value: impl Into<Value>) -> Self {
        Json { value: value.into(), doubled: None }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyJson)
    }
}

struct AnyJson;

impl<'de> Visitor<'de> for AnyJson {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::of(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::of(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::of(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::of(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::of(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::of(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let (mut list, mut doubled) = (Vec::new(), None);
        while let Some(item) = seq.next_element::<Json>()? {
            doubled = doubled.or(item.doubled);
            list.push(item.value);
        }
        Ok(Json { value: list.into(), doubled })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let (mut members, mut doubled) = (Map::new(), None);
        while let Some((name, member)) = map.next_entry::<String, Json>()? {
            doubled = doubled.or(member.doubled);
            if members.contains_key(&name) {
                doubled = doubled.or_else(|| Some(name.clone()));
            }
            members.insert(name, member.value);
        }
        Ok(Json { value: members.into(), doubled })
    }
}
