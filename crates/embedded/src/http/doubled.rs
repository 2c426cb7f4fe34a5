//! Duplicate and unknown fields. Readers take the last of duplicate fields and drop unknown ones, and the author of
//! such a body should learn about it.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;

use crate::schema::{Node, Path};

/// The most faults that are reported.
const MOST: usize = 100;

/// Returns the duplicate fields in a text of JSON and, if there is a schema, the fields that the schema does not have,
/// in the order of the text: `duplicate field "spec.product"`. Where the text is not JSON, reading stops
/// without an error.
pub fn faults(json: &[u8], node: Option<&Node>) -> Vec<String> {
    let found = RefCell::new(Vec::new());
    let mut reader = serde_json::Deserializer::from_slice(json);
    let _ = Look { path: &Path::Root, node, found: &found }.deserialize(&mut reader);
    found.into_inner()
}

struct Look<'f> {
    path: &'f Path<'f>,
    node: Option<&'f Node>,
    found: &'f RefCell<Vec<String>>,
}

/// A field name, borrowed from the text unless something in it is escaped.
#[derive(Deserialize)]
struct Name<'n>(#[serde(borrow)] Cow<'n, str>);

impl<'f> Look<'f> {
    fn tell(&self, what: &str, path: &Path<'_>) {
        let mut found = self.found.borrow_mut();
        if found.len() < MOST {
            found.push(format!("{what} field {:?}", path.name()));
        }
    }

    /// Returns the schema of a field; `Ok(None)` if any value may follow, an error if there is no such field.
    fn field(&self, name: &str) -> Result<Option<&'f Node>, ()> {
        match self.node.filter(|node| node.type_.is_some() && !node.any_object) {
            Some(node) => node.field(name).map(Some).ok_or(()),
            None => Ok(None),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut n = 0;
        let node = self.node.and_then(|node| node.items.as_deref());
        while items.next_element_seed(Look { path: &self.path.index(n), node, found: self.found })?.is_some() {
            n += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(Name(name)) = fields.next_key()? {
            let path = self.path.field(&name);
            if seen.contains(&name) {
                self.tell("duplicate", &path);
                fields.next_value::<IgnoredAny>()?;
                continue;
            }
            match self.field(&name) {
                Ok(node) => fields.next_value_seed(Look { path: &path, node, found: self.found })?,
                Err(()) => {
                    self.tell("unknown", &path);
                    fields.next_value::<IgnoredAny>()?;
                }
            }
            seen.insert(name);
        }
        Ok(())
    }
}

/// Returns the value in a text of JSON, and whether any object in it has a duplicate field, which is noticed while
/// reading at no extra cost. `None` if this is not JSON.
pub fn read(json: &[u8]) -> Option<(Value, bool)> {
    let doubled = Cell::new(false);
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = Whole { doubled: &doubled }.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some((value, doubled.get()))
}

#[derive(Clone, Copy)]
struct Whole<'d> {
    doubled: &'d Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Whole<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if object.insert(name, fields.next_value_seed(self)?).is_some() {
                self.doubled.set(true);
            }
        }
        Ok(Value::Object(object))
    }
}
