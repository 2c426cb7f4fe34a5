//! Requests that the API refuses, as a `Status`.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::fields::Refusal;
use crate::kinds::Kind;
use crate::schema::{FieldError, Reason};

/// A refused request.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub code: u16,
    /// Empty if the API server gives no reason.
    pub reason: &'static str,
    pub message: String,
    pub details: Option<Box<Value>>,
    /// Warnings that the client receives with the refusal.
    pub warnings: Vec<String>,
}

impl Failure {
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Failure { code, reason, message: message.into(), details: None, warnings: Vec::new() }
    }

    fn with(mut self, details: Value) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    pub fn with_warnings(mut self, warnings: &[String]) -> Self {
        self.warnings.extend_from_slice(warnings);
        self
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Failure::new(400, "BadRequest", message)
    }

    pub fn internal(message: impl std::fmt::Display) -> Self {
        let message = message.to_string();
        Failure::new(500, "InternalError", format!("Internal error occurred: {message}"))
            .with(json!({"causes": [{"message": message}]}))
    }

    pub fn not_found(kind: &Kind, name: &str) -> Self {
        let message = format!("{} {name:?} not found", kind.resource());
        Failure::new(404, "NotFound", message).with(kind.details(name))
    }

    /// There is nothing at this path.
    pub fn no_resource() -> Self {
        Failure::new(404, "NotFound", "the server could not find the requested resource").with(json!({}))
    }

    pub fn no_method() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Failure::new(405, "MethodNotAllowed", message).with(json!({}))
    }

    pub fn not_acceptable() -> Self {
        let known = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
        Failure::new(406, "NotAcceptable", format!("only the following media types are accepted: {known}"))
    }

    /// The kind does not have this verb.
    pub fn unsupported(kind: &Kind, verb: &str) -> Self {
        let message = format!("{verb} is not supported on resources of kind {:?}", kind.resource());
        Failure::new(405, "MethodNotAllowed", message).with(kind.details(""))
    }

    pub fn exists(kind: &Kind, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", kind.resource());
        Failure::new(409, "AlreadyExists", message).with(kind.details(name))
    }

    pub fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", kind.resource());
        Failure::new(409, "Conflict", message).with(kind.details(name))
    }

    /// A delete whose preconditions name another object than the present one. Here the API server names the kind of a
    /// custom resource, not the resource.
    pub fn unmet_precondition(kind: &Kind, name: &str, why: &str) -> Self {
        let of = if kind.custom { kind.kind.clone() } else { kind.plural.clone() };
        let qualified = if kind.group.is_empty() { of.clone() } else { format!("{of}.{}", kind.group) };
        let message = format!("Operation cannot be fulfilled on {qualified} {name:?}: {why}");
        let mut details = kind.details(name);
        details["kind"] = of.into();
        Failure::new(409, "Conflict", message).with(details)
    }

    pub fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!("{} {name:?} is forbidden: {why}", kind.resource());
        Failure::new(403, "Forbidden", message).with(kind.details(name))
    }

    /// `Plan.seatkeeper.dev "x" is invalid: …`
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let causes: Vec<Value> = errors
            .iter()
            .map(|e| json!({"reason": e.reason.cause(), "message": e.message, "field": e.field}))
            .collect();
        // The API server lists the same error once.
        let mut told: Vec<String> = Vec::new();
        for error in errors.iter().map(FieldError::to_string) {
            if !told.contains(&error) {
                told.push(error);
            }
        }
        let all = match told.as_slice() {
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let mut details = json!({"causes": causes, "kind": kind});
        if !name.is_empty() {
            details["name"] = name.into();
        }
        if !group.is_empty() {
            details["group"] = group.into();
        }
        Failure::new(422, "Invalid", format!("{qualified} {name:?} is invalid: {all}")).with(details)
    }

    /// A patch whose result is not an object of the kind.
    pub fn bad_patch(why: &str) -> Self {
        let causes = json!([{"reason": Reason::Invalid.cause(), "message": why, "field": "patch"}]);
        Failure::new(422, "Invalid", format!("the patch is invalid: {why}")).with(json!({"causes": causes}))
    }

    pub fn gone(message: impl Into<String>) -> Self {
        Failure::new(410, "Expired", message)
    }

    /// A request that the field owners or its patch rule out.
    pub fn of_refusal(refusal: Refusal) -> Self {
        let causes: Vec<Value> = refusal
            .causes
            .iter()
            .map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}))
            .collect();
        let mut failure = Failure::new(refusal.code, refusal.reason.unwrap_or_default(), refusal.message);
        failure.details = match causes.is_empty() {
            false => Some(Box::new(json!({"causes": causes}))),
            // An `Invalid` always has details, even empty ones.
            true => (refusal.code == 422).then(|| Box::new(json!({}))),
        };
        failure
    }

    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if let Some(details) = &self.details {
            status["details"] = Value::clone(details);
        }
        status["code"] = self.code.into();
        status
    }

    pub fn body(&self) -> Bytes {
        self.status().to_string().into()
    }
}
