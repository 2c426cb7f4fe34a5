//! The CustomResourceDefinitions, generated from the types of this folder.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::common::NOT_YET_OBSERVED;
use super::{License, Plan, Roster, SeatLedger, Subscription};

/// All CustomResourceDefinitions, ordered by name.
pub fn all() -> Vec<Value> {
    [License::crd(), Plan::crd(), Roster::crd(), SeatLedger::crd(), Subscription::crd()].map(finish).into()
}

/// The full name of a CRD's kind, such as `licenses.seatkeeper.dev`.
pub fn name(crd: &Value) -> &str {
    crd["metadata"]["name"].as_str().unwrap_or_default()
}

/// The name of the file that a CRD is written to.
pub fn file_name(crd: &Value) -> String {
    format!("{}.yaml", name(crd))
}

/// One CRD as YAML.
pub fn to_yaml(crd: &Value) -> String {
    serde_saphyr::to_string(crd).unwrap_or_default()
}

/// Adds what the generator cannot express: no value is `null`, integer formats are those that the API server knows, and
/// an object that no controller has looked at yet has `status.observedGeneration: -1`, so that tools wait for the first
/// look. Ledgers have no status and no default.
fn finish(crd: CustomResourceDefinition) -> Value {
    let mut crd = serde_json::to_value(crd).unwrap_or_default();
    let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    tidy(schema);
    schema["description"] = schema["properties"]["spec"]["description"].clone();
    if let Some(status) = schema["properties"].get_mut("status") {
        status["default"] = json!({"observedGeneration": NOT_YET_OBSERVED});
    }
    crd
}

fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove("nullable");
            match fields.get("format").and_then(Value::as_str) {
                Some("uint32" | "uint64" | "uint8" | "uint16" | "int64") => {
                    fields.insert("format".into(), "int64".into());
                }
                Some("date" | "date-time" | "int32") | None => {}
                Some(_) => {
                    fields.remove("format");
                }
            }
            // The API server estimates the cost of a CEL rule from lengths, and treats an enum without one as
            // unbounded.
            let words = fields.get("enum").and_then(Value::as_array);
            if let Some(longest) = words.and_then(|w| w.iter().filter_map(Value::as_str).map(str::len).max()) {
                fields.insert("maxLength".into(), longest.into());
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}
