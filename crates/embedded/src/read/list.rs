//! Get and list.

use base64::prelude::{BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Value, json};
use std::sync::Arc;

use super::selector::Selector;
use super::shown::Page;
use crate::http::failure::Failure;
use crate::http::request::{Query, Resource};
use crate::kinds::Kind;
use crate::schema::{FieldError, Reason};
use crate::state::{Object, State};

const TOO_OLD_TO_CONTINUE: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

/// Returns the object that `resource` names.
pub fn get(state: &State, kind: &Kind, resource: &Resource, query: &Query) -> Result<Arc<Object>, Failure> {
    let name = resource.name.as_deref().unwrap_or_default();
    if let Some(wanted) = query.get("resourceVersion") {
        not_in_the_future(state, own_version(wanted)?)?;
    }
    let found = state.shelf(kind.stored_as).get(&resource.key());
    found.cloned().ok_or_else(|| Failure::not_found(kind, name))
}

/// Returns the objects that a list shows, and which page of the list that is.
pub fn list(
    state: &State,
    kind: &Kind,
    resource: &Resource,
    query: &Query,
) -> Result<(Vec<Arc<Object>>, Page), Failure> {
    let selector = Selector::read(kind, query.get("labelSelector"), query.get("fieldSelector"))?;
    let limit = usize::try_from(query.number("limit")?.unwrap_or(0)).unwrap_or(0);
    check_options(query)?;
    let shelf = state.shelf(kind.stored_as);
    let prefix = resource.key();
    let start = query.get("continue").map(Start::read).transpose()?;
    let at = match (&start, query.get("resourceVersion").map(parse_version).transpose()?) {
        (Some(start), None | Some(0)) => start.revision,
        (Some(_), Some(_)) => {
            return Err(Failure::bad_request("specifying resource version is not allowed when using continue"));
        }
        // A page at a version, without `resourceVersionMatch`, means exactly that version.
        (None, Some(version)) if version > 0 && exactly(query, limit) => Some(version),
        (None, version) => {
            not_in_the_future(state, version.unwrap_or(0))?;
            None
        }
    };
    let mut past = None;
    let revision = at.unwrap_or(state.revision);
    if revision > state.revision {
        not_in_the_future(state, revision)?;
    }
    if revision < state.revision && shelf.since(revision).is_none_or(|mut events| events.next().is_some()) {
        past = Some(shelf.at(revision).ok_or_else(|| match &start {
            Some(_) => Failure::gone(TOO_OLD_TO_CONTINUE),
            None => Failure::gone("The resourceVersion for the provided list is too old."),
        })?);
    }
    let from = start.map_or(String::new(), |start| start.key);
    let all: Box<dyn Iterator<Item = (&String, &Arc<Object>)>> = match &past {
        Some(past) => Box::new(past.iter().filter(|(key, _)| key.starts_with(&prefix))),
        None => Box::new(shelf.range(&prefix)),
    };
    let mut rest = all.filter(|(key, _)| **key >= from);
    let mut objects = Vec::new();
    let mut last = String::new();
    for (key, object) in rest.by_ref().filter(|(_, object)| selector.meets(kind, &object.value)) {
        objects.push(object.clone());
        if objects.len() == limit {
            last.clone_from(key);
            break;
        }
    }
    // The rest is not checked against the selector, so the next page may be empty.
    let more = if last.is_empty() { 0 } else { rest.count() };
    let next = (more > 0).then(|| Start { revision: Some(revision), key: last + "\0" }.token());
    // With a selector, the API server does not know how many objects remain.
    let remaining = (more > 0 && selector.is_empty()).then_some(more as u64);
    Ok((objects, Page { revision, continue_: next, remaining }))
}

fn exactly(query: &Query, limit: usize) -> bool {
    match query.get("resourceVersionMatch") {
        Some(how) => how == "Exact",
        None => limit > 0,
    }
}

/// Parses the resourceVersion of a list. Fails if it is not a number.
fn parse_version(text: &str) -> Result<u64, Failure> {
    own_version(text).map_err(|refused| Failure::bad_request(format!("invalid resource version: {}", refused.message)))
}

/// Parses the resourceVersion of a get or a watch, for which the API server has no better status.
pub fn own_version(text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| Failure::new(500, "", format!("resourceVersion: {text:?} is not a version")))
}

/// Refuses options of a list or watch that do not fit together, as the API server checks them.
pub fn check_options(query: &Query) -> Result<(), Failure> {
    let (version, how) = (query.get("resourceVersion"), query.get("resourceVersionMatch"));
    let watches = query.flag("watch");
    let field = "resourceVersionMatch";
    let forbidden = |why: &str| FieldError::new(field, Reason::Forbidden, format!("Forbidden: {why}"));
    let mut faults = Vec::new();
    let unsupported = |value: &str, known: &str| {
        FieldError::new(field, Reason::NotSupported, format!("Unsupported value: {value:?}: supported values: {known}"))
    };
    if query.get("sendInitialEvents").is_some() {
        if !watches {
            let why = "Forbidden: sendInitialEvents is forbidden for list";
            faults.push(FieldError::new("sendInitialEvents", Reason::Forbidden, why));
        } else if how != Some("NotOlderThan") {
            faults.push(forbidden("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
            faults.extend(how.map(|how| unsupported(how, "\"NotOlderThan\"")));
        }
    } else if let Some(how) = how {
        if watches {
            faults.push(forbidden("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"));
        } else {
            if version.is_none() {
                faults.push(forbidden("resourceVersionMatch is forbidden unless resourceVersion is provided"));
            }
            if query.get("continue").is_some() {
                faults.push(forbidden("resourceVersionMatch is forbidden when continue is provided"));
            }
            match how {
                "Exact" if version == Some("0") => {
                    faults.push(forbidden("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""));
                }
                "Exact" | "NotOlderThan" => {}
                other => faults.push(unsupported(other, "\"Exact\", \"NotOlderThan\", \"\"")),
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::invalid("meta.k8s.io", "ListOptions", "", &faults)) }
}

/// Refuses a version that has not been issued yet: the client must have seen another history.
pub fn not_in_the_future(state: &State, version: u64) -> Result<(), Failure> {
    if version <= state.revision {
        return Ok(());
    }
    let message = format!("Timeout: Too large resource version: {version}, current: {}", state.revision);
    let mut failure = Failure::new(504, "Timeout", message);
    let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
    failure.details = Some(Box::new(json!({"causes": [cause], "retryAfterSeconds": 1})));
    Err(failure)
}

/// The place where the next page begins.
struct Start {
    /// The version of the list; `None` to continue at the newest, for a list that began too long ago.
    revision: Option<u64>,
    key: String,
}

impl Start {
    fn token(&self) -> String {
        let revision = self.revision.map_or(-1, |revision| i64::try_from(revision).unwrap_or(-1));
        let token = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": format!("/{}", self.key)});
        BASE64_URL_SAFE_NO_PAD.encode(token.to_string())
    }

    fn read(token: &str) -> Result<Self, Failure> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).or_else(|_| BASE64_URL_SAFE.decode(token));
        let read: Value = bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        if read["v"] != json!("meta.k8s.io/v1") {
            return Err(Failure::bad_request("the continue token was not made by this API"));
        }
        let key = read["start"].as_str().and_then(|key| key.strip_prefix('/')).unwrap_or_default();
        Ok(Start { revision: read["rv"].as_i64().and_then(|rv| u64::try_from(rv).ok()), key: key.to_owned() })
    }
}
