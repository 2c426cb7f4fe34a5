//! Reading JSON, with notice of duplicate fields: the last one counts, and the author of such a body should learn
//! about it.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::fmt;

use crate::schema::Path;

/// The most duplicate fields that are reported.
const MOST: usize = 100;

/// Returns the value in a text of JSON, and its duplicate fields: `duplicate field "spec.product"`.
pub fn read(json: &[u8]) -> serde_json::Result<(Value, Vec<String>)> {
    let doubled = RefCell::new(Vec::new());
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = Whole { path: &Path::Root, doubled: &doubled }.deserialize(&mut reader)?;
    reader.end()?;
    Ok((value, doubled.into_inner()))
}

#[derive(Clone, Copy)]
struct Whole<'d> {
    path: &'d Path<'d>,
    doubled: &'d RefCell<Vec<String>>,
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
        while let Some(item) = items.next_element_seed(Whole { path: &self.path.index(list.len()), ..self })? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let path = self.path.field(&name);
            if object.contains_key(&name) && self.doubled.borrow().len() < MOST {
                self.doubled.borrow_mut().push(format!("duplicate field {:?}", path.name()));
            }
            let value = fields.next_value_seed(Whole { path: &path, ..self })?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}
