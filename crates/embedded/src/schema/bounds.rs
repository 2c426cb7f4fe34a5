//! Bounds of single values, in the words of `kube-openapi/pkg/validation/errors`.

use serde_json::{Number, Value};

use super::checks::Checks;
use super::error::{FieldError, Reason};
use super::format::Format;
use super::node::{Node, Type};
use super::structure::{Found, Place, is_whole, wrong_type};
use crate::words::go;

/// Raises `{name} in body {what}` for a value.
fn invalid(found: &mut Found, place: Place, value: &Value, what: &str) {
    let text = format!("{} in body {what}", place.path.name());
    let error = FieldError::invalid(place.field(), Some(value), &text);
    found.raise(text, error);
}

pub fn of_text(checks: &Checks, content: &str, value: &Value, place: Place) -> Found {
    let mut found = Found::default();
    if checks.max_length.is_none() && checks.min_length.is_none() && checks.pattern.is_none() {
        return found;
    }
    let length = content.chars().count() as i64;
    if let Some(most) = checks.max_length.filter(|most| length > *most) {
        let text = format!("{} in body should be at most {most} chars long", place.path.name());
        found.raise(text, FieldError::too_long(place.field(), most));
    } else if let Some(least) = checks.min_length.filter(|least| length < *least) {
        invalid(&mut found, place, value, &format!("should be at least {least} chars long"));
    } else if let Some(pattern) = checks.pattern.as_ref().filter(|pattern| !pattern.matches(content)) {
        invalid(&mut found, place, value, &format!("should match '{}'", pattern.written));
    }
    found
}

pub fn of_format(node: &Node, content: &str, place: Place) -> Found {
    let mut found = Found::default();
    if let (Some(format), Some(name)) = (node.checks.format, &node.format)
        && !format.holds(content)
    {
        let (text, error) = wrong_type(name, content, place);
        found.raise(text, error);
    }
    found
}

pub fn of_enumeration(checks: &Checks, value: &Value, place: Place) -> Found {
    let mut found = Found::default();
    if checks.enumeration.is_empty() || checks.enumeration.iter().any(|allowed| same(allowed, value)) {
        return found;
    }
    let words: Vec<String> =
        checks.enumeration.iter().map(|word| word.as_str().map_or_else(|| go::json(word), str::to_owned)).collect();
    let text = format!("{} in body should be one of [{}]", place.path.name(), words.join(" "));
    found.raise(text, FieldError::not_supported(place.field(), value, &words));
    found
}

/// Returns whether two values are equal. A number is first converted to the type of the allowed one, so that 1.5 passes
/// for 1. Null equals nothing.
fn same(allowed: &Value, value: &Value) -> bool {
    match (allowed, value) {
        (Value::Null, _) => false,
        (Value::Number(one), Value::Number(other)) => match one.as_i64() {
            Some(one) => other.as_i64().or_else(|| other.as_f64().map(|other| other as i64)) == Some(one),
            None => one.as_f64() == other.as_f64(),
        },
        (one, other) => one == other,
    }
}

pub fn of_length(checks: &Checks, items: &[Value], place: Place) -> Found {
    let mut found = Found::default();
    let length = items.len() as i64;
    if let Some(least) = checks.min_items.filter(|least| length < *least) {
        invalid(&mut found, place, &length.into(), &format!("should have at least {least} items"));
    }
    if let Some(most) = checks.max_items.filter(|most| length > *most) {
        let text = format!("{} in body should have at most {most} items", place.path.name());
        found.raise(text, FieldError::too_many(place.field(), items.len(), most));
    }
    if checks.unique_items && items.iter().enumerate().any(|(n, item)| items[..n].contains(item)) {
        invalid(&mut found, place, &"".into(), "shouldn't contain duplicates");
    }
    found
}

pub fn of_size(checks: &Checks, fields: usize, place: Place) -> Found {
    let mut found = Found::default();
    let size = fields as i64;
    if let Some(least) = checks.min_properties.filter(|least| size < *least) {
        invalid(&mut found, place, &size.into(), &format!("should have at least {least} properties"));
    }
    if let Some(most) = checks.max_properties.filter(|most| size > *most) {
        let text = format!("{} in body should have at most {most} properties", place.path.name());
        found.raise(text, FieldError::too_many(place.field(), fields, most));
    }
    found
}

pub fn of_number(node: &Node, number: &Number, value: &Value, place: Place) -> Found {
    let mut found = Found { errors: Vec::new(), met: 1 };
    let checks = &node.checks;
    let type_ = if node.int_or_string { None } else { node.type_ };
    if let Some(unfit) = out_of_range(type_, checks.format, number) {
        let text = format!("Checked value must be of type {unfit} in {}", place.path.name());
        let error = FieldError::invalid(place.nowhere(), Some(&"".into()), &text);
        found.raise(text, error);
    }
    if let Some(factor) = checks.multiple_of {
        let whole = number.is_i64();
        if factor <= 0.0 || (whole && factor < 1.0) {
            // The API server compares a whole number with the whole part of the factor, which is 0 for 0.5.
            let factor = bound(number, factor);
            let text = format!("factor MultipleOf declared for {} must be positive: {factor}", place.path.name());
            let error = FieldError::new(place.field(), Reason::Invalid, format!("Invalid value: {factor}: {text}"));
            found.raise(text, error);
        } else if !is_multiple(number, factor) {
            invalid(&mut found, place, value, &format!("should be a multiple of {}", bound(number, factor)));
        }
    }
    if let Some(least) = checks.minimum.filter(|least| beyond(number, *least, checks.exclusive_minimum, -1)) {
        let than = if checks.exclusive_minimum { "greater than" } else { "greater than or equal to" };
        invalid(&mut found, place, value, &format!("should be {than} {}", bound(number, least)));
    }
    if let Some(most) = checks.maximum.filter(|most| beyond(number, *most, checks.exclusive_maximum, 1)) {
        let than = if checks.exclusive_maximum { "less than" } else { "less than or equal to" };
        invalid(&mut found, place, value, &format!("should be {than} {}", bound(number, most)));
    }
    found
}

/// The first whole number that does not fit a signed integer of 64 bits.
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// Returns the type and format that a number does not fit; `None` if it fits.
fn out_of_range(type_: Option<Type>, format: Option<Format>, number: &Number) -> Option<&'static str> {
    let fits = |least: i64, most: i64| match number.as_i64() {
        Some(whole) => (least..=most).contains(&whole),
        // A whole number written with a point fits; one beyond 64 bits or with a fraction does not.
        None => {
            number.as_f64().is_some_and(|f| f.fract() == 0.0 && f >= least as f64 && f <= most as f64 && f < TWO_TO_63)
        }
    };
    match (type_, format) {
        (Some(Type::Integer), Some(Format::Int32)) => {
            (!fits(i32::MIN.into(), i32::MAX.into())).then_some("integer with format int32")
        }
        (Some(Type::Integer), Some(_)) => (!fits(i64::MIN, i64::MAX)).then_some("integer with format int64"),
        (Some(Type::Integer), None) => (!fits(i64::MIN, i64::MAX)).then_some("integer (default format)"),
        (Some(Type::Number), Some(Format::Float)) => {
            number.as_f64().is_some_and(|f| f.abs() > f32::MAX.into()).then_some("number with format float")
        }
        _ => None,
    }
}

/// Returns whether a number is past a bound, upwards (1) or downwards (-1). A whole number is compared with the whole
/// part of the bound.
fn beyond(number: &Number, bound: f64, exclusive: bool, direction: i64) -> bool {
    let order = match number.as_i64() {
        Some(whole) => Some(whole.cmp(&(bound as i64))),
        None => number.as_f64().and_then(|f| f.partial_cmp(&bound)),
    };
    order.is_some_and(|order| order as i64 == direction || (exclusive && order.is_eq()))
}

/// Returns a bound as the message about this number prints it: without a fraction for a whole number.
fn bound(number: &Number, bound: f64) -> String {
    if number.is_i64() { (bound as i64).to_string() } else { go::float(bound) }
}

fn is_multiple(number: &Number, factor: f64) -> bool {
    match number.as_i64() {
        Some(whole) => whole % (factor as i64).max(1) == 0,
        None => number.as_f64().is_some_and(|f| is_whole(if factor < 1.0 { 1.0 / factor * f } else { f / factor })),
    }
}
