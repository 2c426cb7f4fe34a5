//! Whether every value in an object is of the type that its schema states, as `cel-go` checks it when it compares.

use cel::ExecutionError;
use cel::common::types::CelString;
use cel::common::value::Val;

use super::items::items;

/// A field that no expression can name. Reading it checks every value of an object.
pub const SOUND: &str = "@sound";

/// Fails if an object, or an object in a list, holds a value of the wrong type.
pub fn sound(value: &dyn Val) -> Result<(), ExecutionError> {
    match (value.as_iterable(), value.as_indexer()) {
        (Some(list), _) => items(list).into_iter().try_for_each(sound),
        (None, Some(object)) => object.get(&CelString::from(SOUND)).map(|_| ()),
        (None, None) => Ok(()),
    }
}
