//! How a world ends, without anything that may differ: serials, times of issue, names of entries, versions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::must;
use crate::faults::{LISTS, Shared};
use crate::key::{Key, entries};
use http::Method;

pub type EndState = BTreeMap<String, Value>;

/// Returns what a person would see at the end, read from the API itself.
pub async fn end_state(shared: &Shared) -> EndState {
    let mut state = EndState::new();
    for (path, query) in &LISTS[..4] {
        let list = must(&shared.api, Method::GET, &format!("{path}?{query}"), None).await;
        for object in list["items"].as_array().into_iter().flatten() {
            let of = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
            let kind = path.rsplit('/').next().unwrap_or_default();
            let seen = if kind == "secrets" { keys(shared, object) } else { status(&object["status"]) };
            state.insert(format!("{kind} {}/{}", of("namespace"), of("name")), seen);
        }
    }
    state
}

fn keys(shared: &Shared, secret: &Value) -> Value {
    let now = shared.calendar.now().timestamp();
    let state = shared.lock();
    let keys = entries(secret).into_iter().filter_map(|(entry, text)| Key::read(&entry, &text));
    let mut live: Vec<String> =
        keys.filter(|key| key.lives(now) && !state.oracle.revoked(&key.serial)).map(|key| key.content).collect();
    live.sort();
    json!(live)
}

fn status(status: &Value) -> Value {
    let fields = [
        "mode",
        "seats",
        "timeZone",
        "expiresAt",
        "lastDay",
        "graceEndsAt",
        "graceLastDay",
        "cancelBy",
        "demoSeats",
        "organisation",
        "plan",
        "nextTransition",
        "state",
        "term",
        "noticeDeadline",
        "endsAt",
        "closedAsOf",
    ];
    let mut seen: serde_json::Map<String, Value> =
        fields.into_iter().map(|field| (field.to_owned(), status[field].clone())).collect();
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let conditions = conditions.filter(|condition| condition["type"] != "ClockTrusted");
    let conditions: Vec<Value> = conditions
        // What a person added to a Secret may or may not be there at the end: faults decide whether the Secret existed then.
        .filter(|condition| condition["reason"] != "Malformed")
        .map(|c| json!([c["type"], c["status"], c["reason"]]))
        .collect();
    seen.insert("conditions".into(), json!(conditions));
    if status["mode"].is_string() {
        // A License shows what its key says, which may have been signed before a cancellation was entered.
        seen.remove("cancelBy");
    }
    if status["grants"].as_array().is_some_and(|grants| grants.len() > 1) {
        // If two contracts end together, the status names the one whose key came last, and faults decide which that is.
        for named in ["organisation", "plan", "timeZone", "lastDay", "graceLastDay", "cancelBy"] {
            seen.remove(named);
        }
    }
    Value::Object(seen)
}

/// Returns the first difference.
pub fn difference(calm: &EndState, other: &EndState) -> Option<String> {
    let names: std::collections::BTreeSet<&String> = calm.keys().chain(other.keys()).collect();
    names.into_iter().find_map(|name| {
        let (calm, other) = (calm.get(name), other.get(name));
        (calm != other).then(|| format!("{name} ends as\n  {other:?}\nand without faults as\n  {calm:?}"))
    })
}
