//! The options of a delete: propagation, preconditions, dry run.

use serde_json::{Value, json};

use super::received::Write;
use crate::http::decode::{self, dry_run};
use crate::http::failure::Failure;
use crate::kinds::Kind;
use crate::schema::{FieldError, Reason};
use crate::state::Object;
use crate::words::plain::sort_of;

/// How an object is deleted.
pub struct Options {
    pub policy: Policy,
    uid: Option<String>,
    version: Option<String>,
    pub dry: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Background,
    Foreground,
    Orphan,
}

impl Options {
    pub fn read(write: &Write) -> Result<Self, Failure> {
        let body = match write.body.is_empty() {
            true => json!({}),
            false => decode::options(&write.headers, &write.body)?,
        };
        check_options_type(&body)?;
        let policy = write.query.get("propagationPolicy").or(body["propagationPolicy"].as_str());
        let fault = |reason, why: String| {
            let fault = FieldError::new("propagationPolicy", reason, why);
            Failure::invalid("meta.k8s.io", "DeleteOptions", "", &[fault])
        };
        if let (Some(policy), true) = (policy, body["orphanDependents"].is_boolean()) {
            let why = format!("Invalid value: {policy:?}: orphanDependents and deletionPropagation cannot be both set");
            return Err(fault(Reason::Invalid, why));
        }
        let policy = match policy {
            None if body["orphanDependents"] == json!(true) => Policy::Orphan,
            None | Some("Background") => Policy::Background,
            Some("Foreground") => Policy::Foreground,
            Some("Orphan") => Policy::Orphan,
            Some(other) => {
                let known = "supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"";
                return Err(fault(Reason::NotSupported, format!("Unsupported value: {other:?}: {known}")));
            }
        };
        let conditions = &body["preconditions"];
        let dry = dry_run(&write.query, "DeleteOptions")? || body["dryRun"] == json!(["All"]);
        Ok(Options {
            policy,
            uid: conditions["uid"].as_str().map(str::to_owned),
            version: conditions["resourceVersion"].as_str().map(str::to_owned),
            dry,
        })
    }

    /// Refuses the delete if the object is not the one that the preconditions name.
    pub fn refuse_unmet(&self, kind: &Kind, name: &str, object: &Object) -> Result<(), Failure> {
        let refuse = |what: &str, wanted: &str, found: &str, hint: &str| {
            if kind.is_namespace() {
                let why =
                    format!("Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}");
                return Err(Failure::conflict(kind, name, &why));
            }
            let why = format!(
                "the {what} in the precondition ({wanted}) does not match the {what} in record ({found}). {hint}"
            );
            Err(Failure::unmet_precondition(kind, name, &why))
        };
        let uid = object.value["metadata"]["uid"].as_str().unwrap_or_default();
        if let Some(wanted) = self.uid.as_deref().filter(|wanted| *wanted != uid) {
            return refuse("UID", wanted, uid, "The object might have been deleted and then recreated");
        }
        let found = object.revision.to_string();
        match self.version.as_deref().filter(|wanted| *wanted != found) {
            Some(wanted) => refuse("ResourceVersion", wanted, &found, "The object might have been modified"),
            None => Ok(()),
        }
    }
}

/// Refuses a body that does not hold delete options.
fn check_options_type(body: &Value) -> Result<(), Failure> {
    let kind = body["kind"].as_str().unwrap_or_default();
    if !kind.is_empty() && kind != "DeleteOptions" {
        return Err(Failure::bad_request(format!("the body is a {kind}, not DeleteOptions")));
    }
    match &body["preconditions"] {
        Value::Null | Value::Object(_) => Ok(()),
        other => Err(Failure::bad_request(format!("preconditions: {} where an object is expected", sort_of(other)))),
    }
}
