//! Discovery: the groups, versions and resources, which clients ask for first.

use serde_json::{Value, json};

use crate::kinds::version::KUBERNETES;
use crate::kinds::{Kind, Kinds};

/// The media type of the discovery answer that holds everything.
pub const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// The same verbs in the order in which the API server lists those of custom resources.
const CUSTOM_VERBS: [&str; 8] = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
const STATUS_VERBS: [&str; 3] = ["get", "patch", "update"];

/// Returns the answer to a path of discovery; `None` if the path is not one. `host` is the address by which the client
/// reaches this server.
pub fn answer(kinds: &Kinds, path: &str, aggregated: bool, host: &str) -> Option<Value> {
    let segments: Vec<&str> = path.split('/').collect();
    match segments.as_slice() {
        [""] => Some(json!({"paths": paths(kinds)})),
        ["version"] => Some(version()),
        ["api" | "apis"] if aggregated => Some(aggregated_list(kinds, path == "api")),
        ["api"] => Some(json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}],
        })),
        ["apis"] => {
            let groups: Vec<Value> = named_groups(kinds).map(|(group, version)| group_entry(group, version)).collect();
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        ["apis", group] => {
            let (group, version) = named_groups(kinds).find(|(known, _)| known == group)?;
            let mut entry = json!({"kind": "APIGroup", "apiVersion": "v1"});
            if let (Some(all), Value::Object(own)) = (entry.as_object_mut(), group_entry(group, version)) {
                all.extend(own);
            }
            Some(entry)
        }
        ["api", version] => resource_list(kinds, "", version),
        ["apis", group, version] => resource_list(kinds, group, version),
        _ => None,
    }
}

/// Returns the paths below the root.
fn paths(kinds: &Kinds) -> Vec<String> {
    let groups =
        named_groups(kinds).flat_map(|(group, version)| [format!("/apis/{group}"), format!("/apis/{group}/{version}")]);
    let mut all: Vec<String> =
        ["/api", "/api/v1", "/apis", "/livez", "/readyz", "/healthz", "/openapi/v2", "/openapi/v3", "/version"]
            .into_iter()
            .map(str::to_owned)
            .chain(groups)
            .collect();
    all.sort();
    all
}

fn version() -> Value {
    let parts: Vec<&str> = KUBERNETES.split('.').collect();
    json!({
        "major": parts[0], "minor": parts[1], "emulationMajor": parts[0], "emulationMinor": parts[1],
        "minCompatibilityMajor": parts[0], "minCompatibilityMinor": "35",
        "gitVersion": format!("v{KUBERNETES}+seatkeeper"), "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, go_architecture()),
    })
}

/// Returns the processor architecture by Go's name.
fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn named_groups(kinds: &Kinds) -> impl Iterator<Item = (&str, &str)> {
    kinds.group_versions().into_iter().filter(|(group, _)| !group.is_empty())
}

fn group_entry(group: &str, version: &str) -> Value {
    let of = json!({"groupVersion": format!("{group}/{version}"), "version": version});
    json!({"name": group, "versions": [of], "preferredVersion": of})
}

fn verbs(kind: &Kind) -> Vec<&'static str> {
    match kind.custom {
        true => CUSTOM_VERBS.to_vec(),
        // Namespaces can only be deleted one by one.
        false => VERBS.into_iter().filter(|verb| kind.namespaced || *verb != "deletecollection").collect(),
    }
}

fn subresources(kind: &Kind) -> Vec<(&'static str, &'static [&'static str])> {
    let mut all: Vec<(&str, &[&str])> = Vec::new();
    if kind.is_namespace() {
        all.push(("finalize", &["update"]));
    }
    if kind.strategy.status {
        all.push(("status", &STATUS_VERBS));
    }
    all
}

fn of_group<'k>(kinds: &'k Kinds, group: &str, version: &str) -> Vec<&'k Kind> {
    let mut found: Vec<&Kind> =
        kinds.iter().map(|(_, kind)| kind).filter(|kind| kind.group == group && kind.version == version).collect();
    found.sort_by_key(|kind| kind.plural.clone());
    found
}

fn resource_list(kinds: &Kinds, group: &str, version: &str) -> Option<Value> {
    let mut resources = Vec::new();
    for kind in of_group(kinds, group, version) {
        let mut entry = json!({
            "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind,
            "verbs": verbs(kind),
        });
        add_names(kind, &mut entry);
        entry["storageVersionHash"] = kinds.get(kind.stored_as).storage_version_hash.clone().into();
        resources.push(entry);
        for (name, verbs) in subresources(kind) {
            resources.push(json!({
                "name": format!("{}/{name}", kind.plural), "singularName": "", "namespaced": kind.namespaced,
                "kind": kind.kind, "verbs": verbs,
            }));
        }
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    if resources.is_empty() {
        return None;
    }
    let mut list = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": resources});
    // The discovery format of the core group is older than this field.
    if !group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    Some(list)
}

fn add_names(kind: &Kind, entry: &mut Value) {
    if !kind.short_names.is_empty() {
        entry["shortNames"] = kind.short_names.clone().into();
    }
    if !kind.categories.is_empty() {
        entry["categories"] = kind.categories.clone().into();
    }
}

/// Returns everything in one answer (`apidiscovery.k8s.io/v2`).
fn aggregated_list(kinds: &Kinds, core: bool) -> Value {
    let groups = kinds.group_versions().into_iter().filter(|(group, _)| group.is_empty() == core);
    let items: Vec<Value> = groups
        .map(|(group, version)| {
            let resources: Vec<Value> = of_group(kinds, group, version).into_iter().map(aggregated_entry).collect();
            let metadata = if core { json!({}) } else { json!({"name": group}) };
            let version = json!({"version": version, "resources": resources, "freshness": "Current"});
            json!({"metadata": metadata, "versions": [version]})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn aggregated_entry(kind: &Kind) -> Value {
    // The API server states the group here only for custom resources.
    let response = match kind.custom {
        true => json!({"group": kind.group, "version": kind.version, "kind": kind.kind}),
        false => json!({"group": "", "version": "", "kind": kind.kind}),
    };
    let mut entry = json!({
        "resource": kind.plural, "responseKind": response,
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular, "verbs": verbs(kind),
    });
    add_names(kind, &mut entry);
    let subresources: Vec<Value> = subresources(kind)
        .into_iter()
        .map(|(name, verbs)| json!({"subresource": name, "responseKind": response, "verbs": verbs}))
        .collect();
    if !subresources.is_empty() {
        entry["subresources"] = subresources.into();
    }
    entry
}
