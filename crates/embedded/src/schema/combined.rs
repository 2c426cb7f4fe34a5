//! Schemas combined of others: `anyOf`, `oneOf`, `allOf`, `not`
//! (`kube-openapi/pkg/validation/validate/schema_props.go`).

use serde_json::Value;

use super::error::FieldError;
use super::node::Node;
use super::structure::{Found, Place, check as check_one};
use crate::words::go::quoted;

pub fn check(node: &Node, value: &Value, place: Place) -> Found {
    let checks = &node.checks;
    let mut found = Found { errors: Vec::new(), met: 1 };
    let against = |schema: &Node| check_one(schema, value, Place { old: None, ..place });
    if !checks.any_of.is_empty() {
        let mut closest: Option<Found> = None;
        let mut valid = None;
        for schema in &checks.any_of {
            let one = against(schema);
            if one.errors.is_empty() {
                valid = Some(one);
                break;
            }
            keep_closer(&mut closest, one);
        }
        if valid.is_none() {
            raise(&mut found, place, "must validate at least one schema (anyOf)");
        }
        found.merge(valid.or(closest).unwrap_or_default());
    }
    if !checks.one_of.is_empty() {
        let mut closest: Option<Found> = None;
        let mut valid = Vec::new();
        for schema in &checks.one_of {
            let one = against(schema);
            if one.errors.is_empty() {
                valid.push(one);
                closest = None;
            } else if valid.is_empty() {
                keep_closer(&mut closest, one);
            }
        }
        match valid.len() {
            1 => valid.into_iter().for_each(|one| found.merge(one)),
            0 => {
                raise(&mut found, place, "must validate one and only one schema (oneOf). Found none valid");
                found.merge(closest.unwrap_or_default());
            }
            more => {
                let what = format!("must validate one and only one schema (oneOf). Found {more} valid alternatives");
                raise(&mut found, place, &what);
            }
        }
    }
    if !checks.all_of.is_empty() {
        let mut valid = 0;
        for schema in &checks.all_of {
            let one = against(schema);
            valid += usize::from(one.errors.is_empty());
            found.merge(one);
        }
        if valid < checks.all_of.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            raise(&mut found, place, &format!("must validate all the schemas (allOf){none}"));
        }
    }
    if checks.not.as_ref().is_some_and(|schema| against(schema).errors.is_empty()) {
        raise(&mut found, place, "must not validate the schema (not)");
    }
    found
}

fn keep_closer(closest: &mut Option<Found>, one: Found) {
    if closest.as_ref().is_none_or(|best| one.met > best.met) {
        *closest = Some(one);
    }
}

fn raise(found: &mut Found, place: Place, what: &str) {
    let text = format!("{} {what}", quoted(&place.path.name()));
    let error = FieldError::invalid(place.nowhere(), Some(&"".into()), &text);
    found.raise(text, error);
}
