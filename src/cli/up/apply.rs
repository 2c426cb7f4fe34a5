//! How one document of the folder is applied, and what is said if it cannot be.

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client, core::Status};
use serde_json::Value;

use super::drift::Stand;
use crate::api::mark;
use crate::cli::yaml::{DEFAULT_NAMESPACE, Document, File};
use crate::cluster::client::CallError;
use seatkeeper_embedded::Embedded;

/// The field manager of what is applied.
pub const FIELD_MANAGER: &str = "seatkeeper-up";
/// The parts of an object's metadata that only the server writes.
const OF_THE_SERVER: [&str; 8] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// Whether nothing is stored, and only what is wrong is found out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum IsDryRun {
    Yes,
    No,
}

/// An object as it is after its document was applied.
pub struct Applied {
    /// Whether that changed anything.
    pub is_new: bool,
    /// How it stands now; `None` if others may change it.
    pub stand: Option<Stand>,
}

/// Applies one object. What is wrong with it is returned as lines with file, line and field.
pub async fn apply(
    api: &Embedded,
    client: &Client,
    file: &File,
    document: &Document,
    is_dry_run: IsDryRun,
) -> Result<Applied, Vec<String>> {
    let refuse = |field: &str, message: &str| vec![file.at(document, field, message)];
    if !document.object.is_object() {
        return Err(refuse("", "is not an object with apiVersion and kind"));
    }
    let (version, kind) = (document.text("/apiVersion").unwrap_or_default(), document.kind());
    if kind.is_empty() {
        return Err(refuse(
            "kind",
            "is missing: this is no object for Seatkeeper; write apiVersion and kind, or move it elsewhere",
        ));
    }
    let Some((resource, namespaced)) = api.resource_of(version, kind) else {
        let known = api.known_kinds().join(", ");
        return Err(refuse("kind", &format!("there is no kind {kind:?} of {version:?} here; there are {known}")));
    };
    let faults = document.faults();
    if !faults.is_empty() {
        return Err(faults.iter().map(|fault| file.at(document, &fault.field, &fault.message)).collect());
    }
    let namespace = document.namespace().unwrap_or(DEFAULT_NAMESPACE);
    let objects: Api<DynamicObject> = match namespaced {
        true => Api::namespaced_with(client.clone(), namespace, &resource),
        false => Api::all_with(client.clone(), &resource),
    };
    let mut params = PatchParams::apply(FIELD_MANAGER).force();
    params.dry_run = is_dry_run == IsDryRun::Yes;
    params.field_validation = Some(kube::api::ValidationDirective::Strict);
    let before = objects.get_metadata_opt(document.name()).await.ok().flatten();
    // What the operator wrote is in the folder only as a backup. If the object is still there, it is newer.
    if before.is_some() && is_of_operator(document) {
        return Ok(Applied { is_new: false, stand: None });
    }
    match objects.patch(document.name(), &params, &Patch::Apply(&wanted(document))).await {
        Ok(after) => Ok(Applied {
            is_new: before.is_none_or(|before| !Stand::of(version, kind, &before.metadata).is_as(&after.metadata)),
            stand: (!is_of_operator(document)).then(|| Stand::of(version, kind, &after.metadata)),
        }),
        Err(kube::Error::Api(status)) => Err(refusal(file, document, &status)),
        Err(error) => Err(refuse("", &CallError::from(error).to_string())),
    }
}

/// Whether only the operator writes such an object.
fn is_of_operator(document: &Document) -> bool {
    let is_marked = || document.object["metadata"]["annotations"][mark::OWNER].is_string();
    document.kind() == "SeatLedger" || (document.kind() == "Secret" && is_marked())
}

/// What the document asks for: without what a server says of an object, which stands in backups made with
/// `kubectl get -o yaml`.
fn wanted(document: &Document) -> Value {
    let mut object = document.object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| !OF_THE_SERVER.contains(&field.as_str()));
    }
    object
}

fn refusal(file: &File, document: &Document, status: &Status) -> Vec<String> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let lines: Vec<String> = causes
        .filter(|cause| !cause.field.is_empty() && cause.field != "<nil>")
        .map(|cause| file.at(document, &cause.field, &cause.message))
        .collect();
    if !lines.is_empty() {
        return lines;
    }
    // `failed to create typed patch object (…): .data.x: expected string, got 1`
    let field = status.message.split(": .").nth(1).and_then(|rest| rest.split(':').next()).unwrap_or_default();
    let missing = status.details.as_ref().filter(|details| status.code == 404 && details.kind == "namespaces");
    let advice = missing.map_or(String::new(), |details| {
        let name = &details.name;
        format!("; add a file with `{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}`")
    });
    vec![file.at(document, field, &format!("{}{advice}", status.message))]
}
