//! Lists of kind set and map in CEL: they are equal regardless of order, and `+` joins them by their keys.

use cel::ExecutionError;
use cel::common::traits::{self, Adder, Container, Indexer, Iterable, Sizer};
use cel::common::types::{CelList, CelString, LIST_TYPE, Type};
use cel::common::value::{CowVal, Val};

use super::escape::escaped;
use super::items::{Boxed, Items, items};

/// A list whose items are identified by key fields or, without key fields, by themselves.
#[derive(Clone, Debug)]
pub struct KeyedList<'v> {
    list: CelList<'v>,
    keys: &'v [String],
}

impl<'v> KeyedList<'v> {
    pub fn new(items: Vec<Boxed<'v>>, keys: &'v [String]) -> Self {
        KeyedList { list: CelList::from(items), keys }
    }

    fn same_item(&self, one: &dyn Val, other: &dyn Val) -> bool {
        if self.keys.is_empty() {
            return one.equals(other);
        }
        let (Some(one), Some(other)) = (one.as_indexer(), other.as_indexer()) else { return false };
        self.keys.iter().all(|key| {
            let key = CelString::from(escaped(key));
            match (one.get(&key), other.get(&key)) {
                (Ok(one), Ok(other)) => one.equals(other.as_ref()),
                (Err(_), Err(_)) => true,
                _ => false,
            }
        })
    }
}

impl<'a> Val for KeyedList<'a> {
    fn get_type(&self) -> &Type {
        &LIST_TYPE
    }

    fn cel_type() -> &'static Type {
        <CelList as Val>::cel_type()
    }

    fn as_adder<'b, 'v>(&'b self) -> Option<&'b (dyn Adder + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_container(&self) -> Option<&dyn Container> {
        self.list.as_container()
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        self.list.as_sizer()
    }

    fn equals(&self, other: &dyn Val) -> bool {
        let Some(other) = other.as_iterable() else { return false };
        let theirs = items(other);
        theirs.len() == self.list.inner().len()
            && theirs.iter().all(|their| {
                let ours = self.list.inner().iter().rev().find(|our| self.same_item(our.as_ref(), *their));
                ours.is_some_and(|our| our.equals(*their))
            })
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
}

impl Indexer for KeyedList<'_> {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.list.get(index)
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Box::new(self.list).steal(index)
    }
}

impl Iterable for KeyedList<'_> {
    fn iter<'b, 'v>(&'b self) -> Box<dyn traits::Iterator<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        Box::new(Items(self.list.inner().iter()))
    }
}

impl Adder for KeyedList<'_> {
    fn add<'b, 'v>(&'b self, other: &(dyn Val + 'v)) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let Some(other) = other.as_iterable() else {
            let types = vec!["list".into(), other.get_type().name().into()];
            return Err(ExecutionError::no_such_overload("_+_", types));
        };
        let mut joined: Vec<Box<dyn Val + 'v>> = self.list.inner().iter().map(|item| item.clone_as_boxed()).collect();
        for item in items(other) {
            match joined.iter_mut().find(|there| self.same_item(there.as_ref(), item)) {
                Some(there) => *there = item.clone_as_boxed(),
                None => joined.push(item.clone_as_boxed()),
            }
        }
        Ok(CowVal::owned(KeyedList { list: CelList::from(joined), keys: self.keys }))
    }
}
