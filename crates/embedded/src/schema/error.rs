//! Errors about fields, in the API server's words (`k8s.io/apimachinery/pkg/util/validation/field`).

use serde_json::Value;
use std::fmt;

use crate::words::go::{bad_value, quoted};

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The path of the field: `spec.plans[0].name`.
    pub field: String,
    pub reason: Reason,
    /// The complete text after the field: `Invalid value: "x": must be …`.
    pub message: String,
}

/// The machine-readable reasons, as the causes of a Status spell them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Required,
    Duplicate,
    Invalid,
    TypeInvalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
}

impl Reason {
    /// Returns the reason as in the causes of a `Status`: `FieldValueInvalid`, …
    pub fn cause(self) -> &'static str {
        match self {
            Reason::Required => "FieldValueRequired",
            Reason::Duplicate => "FieldValueDuplicate",
            Reason::Invalid => "FieldValueInvalid",
            Reason::TypeInvalid => "FieldValueTypeInvalid",
            Reason::NotSupported => "FieldValueNotSupported",
            Reason::Forbidden => "FieldValueForbidden",
            Reason::TooLong => "FieldValueTooLong",
            Reason::TooMany => "FieldValueTooMany",
        }
    }
}

impl FieldError {
    pub fn new(field: impl Into<String>, reason: Reason, message: impl Into<String>) -> Self {
        FieldError { field: field.into(), reason, message: message.into() }
    }

    /// An invalid value: `Invalid value: 5: detail`, or `Invalid value: detail` if `value` is `None`.
    pub fn invalid(field: impl Into<String>, value: Option<&Value>, detail: &str) -> Self {
        let message = match value {
            Some(value) => format!("Invalid value: {}: {detail}", bad_value(value)),
            None => format!("Invalid value: {detail}"),
        };
        FieldError::new(field, Reason::Invalid, message)
    }

    /// A value of the wrong type; `found` is its type.
    pub fn wrong_type(field: impl Into<String>, found: &str, detail: &str) -> Self {
        let message = format!("Invalid value: {}: {detail}", quoted(found));
        FieldError::new(field, Reason::TypeInvalid, message)
    }

    /// A field that is missing.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        FieldError::new(field, Reason::Required, with_detail("Required value", detail))
    }

    /// A value that occurs already.
    pub fn duplicate(field: impl Into<String>, value: Option<&Value>) -> Self {
        let message = value.map_or_else(|| "Duplicate value".into(), |v| format!("Duplicate value: {}", bad_value(v)));
        FieldError::new(field, Reason::Duplicate, message)
    }

    /// A value that present circumstances do not allow.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        FieldError::new(field, Reason::Forbidden, with_detail("Forbidden", detail))
    }

    /// A value outside an enumeration.
    pub fn not_supported(field: impl Into<String>, value: &Value, supported: &[String]) -> Self {
        let supported: Vec<String> = supported.iter().map(|word| quoted(word)).collect();
        let detail = format!("supported values: {}", supported.join(", "));
        FieldError::new(field, Reason::NotSupported, format!("Unsupported value: {}: {detail}", bad_value(value)))
    }

    /// A text longer than `most`. The API server calls the unit bytes although it counts characters.
    pub fn too_long(field: impl Into<String>, most: i64) -> Self {
        let unit = if most == 1 { "byte" } else { "bytes" };
        FieldError::new(field, Reason::TooLong, format!("Too long: may not be more than {most} {unit}"))
    }

    /// More than `most` items or fields.
    pub fn too_many(field: impl Into<String>, there: usize, most: i64) -> Self {
        let unit = if most == 1 { "item" } else { "items" };
        FieldError::new(field, Reason::TooMany, format!("Too many: {there}: must have at most {most} {unit}"))
    }

    /// Returns whether this error keeps the API server from checking the rules (`hasBlockingErr` of the custom resource
    /// strategy).
    pub fn blocks_rules(&self) -> bool {
        matches!(
            self.reason,
            Reason::NotSupported | Reason::Required | Reason::TooLong | Reason::TooMany | Reason::TypeInvalid
        )
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

fn with_detail(kind: &str, detail: &str) -> String {
    if detail.is_empty() { kind.into() } else { format!("{kind}: {detail}") }
}
