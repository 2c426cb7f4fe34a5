//! Functions that replace what the CEL interpreter would do by itself.

use cel::common::traits::Indexer;
use cel::common::types::{CelBool, CelOptional, CelString, DYN_TYPE, STRING_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{DeclarationError, Env, ExecutionError};
use regex::Regex;
use std::any::Any;

use super::pattern;
use super::sound::sound;

/// `a.?b` and `a[?b]`: none if there is no such entry. An entry of the wrong type is an error, as in `cel-go`.
pub const OPTIONAL: &str = "@optional";
/// `a == b` and `a != b` for objects and lists: an error if either holds a value of the wrong type.
pub const EQUAL: &str = "@equal";
pub const UNEQUAL: &str = "@unequal";

pub fn extension(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_overload(OPTIONAL, "optional_entry", vec![DYN_TYPE, DYN_TYPE], optional)?;
    env.add_overload(EQUAL, "equal_parts", vec![DYN_TYPE, DYN_TYPE], |parts| equal(parts, true))?;
    env.add_overload(UNEQUAL, "unequal_parts", vec![DYN_TYPE, DYN_TYPE], |parts| equal(parts, false))?;
    env.add_member_overload("matches", "matches_constant", STRING_TYPE, vec![PATTERN.to_owned()], matches_constant)
}

/// Returns the value that an optional holds, or the value itself if it is not optional; `None` for an empty optional.
fn held<'b, 'v>(value: &'b (dyn Val + 'v)) -> Option<&'b (dyn Val + 'v)> {
    match value.downcast_ref::<CelOptional>() {
        Some(optional) => optional.inner(),
        None => Some(value),
    }
}

fn optional<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [target, entry] = arguments.as_slice() else { return Err(no_overload(OPTIONAL, &arguments)) };
    let Some(target) = held(target.as_ref()) else { return Ok(CowVal::owned(CelOptional::none())) };
    let found = indexer(target, &arguments)?.get(entry.as_ref()).map(CowVal::into_owned);
    match found {
        Ok(value) => Ok(CowVal::owned(CelOptional::of(value))),
        Err(ExecutionError::NoSuchKey(_) | ExecutionError::IndexOutOfBounds(_)) => {
            Ok(CowVal::owned(CelOptional::none()))
        }
        Err(error) => Err(error),
    }
}

fn equal<'b, 'v>(parts: Vec<CowVal<'b, 'v>>, wanted: bool) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [one, other] = parts.as_slice() else { return Err(no_overload(EQUAL, &parts)) };
    let size = |part: &dyn Val| part.as_sizer().map(|sizer| sizer.size());
    // Values that differ in size are not compared further.
    if size(one.as_ref()) == size(other.as_ref()) {
        sound(one.as_ref())?;
        sound(other.as_ref())?;
    }
    Ok(CowVal::owned(CelBool::from(one.as_ref().equals(other.as_ref()) == wanted)))
}

fn indexer<'b, 'v>(value: &'b (dyn Val + 'v), arguments: &[CowVal]) -> Result<&'b (dyn Indexer + 'v), ExecutionError> {
    value.as_indexer().ok_or_else(|| no_overload(OPTIONAL, arguments))
}

fn no_overload(function: &str, arguments: &[CowVal]) -> ExecutionError {
    let types = arguments.iter().map(|argument| argument.get_type().name().to_owned()).collect();
    ExecutionError::no_such_overload(function, types)
}

/// Returns the value of a pattern that is written in an expression.
pub fn constant_pattern(written: &str) -> Result<Box<dyn Val>, String> {
    let regex =
        pattern::compile(written).map_err(|error| format!("the pattern '{written}' cannot be read: {error}"))?;
    Ok(Box::new(Pattern(regex)))
}

static PATTERN: Type = Type::new_unspecified_type("pattern");

/// A pattern that is written in an expression, compiled with it.
#[derive(Clone, Debug)]
struct Pattern(Regex);

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        &PATTERN
    }

    fn cel_type() -> &'static Type {
        &PATTERN
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}

fn matches_constant<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let text = arguments.first().and_then(|text| text.downcast_ref::<CelString>());
    let pattern = arguments.get(1).and_then(|pattern| pattern.downcast_ref::<Pattern>());
    match (text, pattern) {
        (Some(text), Some(pattern)) => Ok(CowVal::owned(CelBool::from(pattern.0.is_match(text.inner())))),
        _ => Err(no_overload("matches", &arguments)),
    }
}
