//! Pods: their defaults, what admission adds, and which of their fields may change.

use serde_json::{Map, Value, json};

use super::definition::{Builtin, CORE, Names};
use crate::Instant;
use crate::kinds::columns::{Column, described, of, wide};
use crate::kinds::strategy::{ChangeChecks, Strategy};
use crate::schema::{FieldError, Reason};

pub static POD: Builtin = Builtin {
    names: Names { kind: "Pod", short: &["po"], categories: &["all"], ..CORE },
    strategy: Strategy {
        status: true,
        generation: true,
        shown_as_marked: true,
        complete,
        begin,
        faults,
        field_value,
        change_checks: ChangeChecks::Repeated,
        ..Strategy::BUILTIN
    },
    columns,
    selectable: &[
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    ],
    recorded: "io.k8s.api.core.v1.Pod",
};

/// A Pod that does not say whether it uses the host's network does not use it.
fn field_value(pod: &Value, label: &str) -> Option<String> {
    (label == "spec.hostNetwork" && !pod["spec"]["hostNetwork"].is_boolean()).then(|| "false".into())
}

fn set(fields: &mut Map<String, Value>, field: &str, value: Value) {
    if fields.get(field).is_none_or(Value::is_null) {
        fields.insert(field.to_owned(), value);
    }
}

/// Yields the structs in a list; nothing if there is no such list.
fn each<'o>(fields: &'o mut Map<String, Value>, list: &str) -> impl Iterator<Item = &'o mut Map<String, Value>> {
    let items = fields.get_mut(list).and_then(Value::as_array_mut);
    items.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// Fills in the defaults of a Pod (`SetDefaults_Pod` and its parts), as far as they do not depend on a scheduler.
fn complete(pod: &mut Value) {
    let status = pod.get_mut("status").and_then(Value::as_object_mut);
    if let Some((status, ip)) = status.and_then(|status| status.get("podIP").cloned().map(|ip| (status, ip))) {
        set(status, "podIPs", json!([{"ip": ip}]));
    }
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else { return };
    for (field, value) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("securityContext", json!({})),
        ("schedulerName", json!("default-scheduler")),
        ("enableServiceLinks", json!(true)),
    ] {
        set(spec, field, value);
    }
    for list in ["containers", "initContainers"] {
        for container in each(spec, list) {
            let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
            let tag = image.rsplit('/').next().unwrap_or_default().split_once(':').map(|(_, tag)| tag);
            let policy =
                if image.contains('@') || !matches!(tag, None | Some("latest")) { "IfNotPresent" } else { "Always" };
            for (field, value) in [
                ("resources", json!({})),
                ("terminationMessagePath", json!("/dev/termination-log")),
                ("terminationMessagePolicy", json!("File")),
                ("imagePullPolicy", json!(policy)),
            ] {
                set(container, field, value);
            }
            for port in each(container, "ports") {
                set(port, "protocol", json!("TCP"));
            }
        }
    }
}

/// Gives a new Pod its first status, in which it waits for a node, and the fields that the API server's admission sets
/// on every Pod that does not set them itself.
fn begin(pod: &mut Value) {
    pod["status"] = json!({"phase": "Pending", "qosClass": "BestEffort"});
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else { return };
    set(spec, "serviceAccountName", json!("default"));
    let account = spec.get("serviceAccountName").cloned().unwrap_or_default();
    set(spec, "serviceAccount", account);
    set(spec, "priority", json!(0));
    set(spec, "preemptionPolicy", json!("PreemptLowerPriority"));
    set(spec, "tolerations", json!([]));
    let Some(tolerations) = spec.get_mut("tolerations").and_then(Value::as_array_mut) else { return };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let covers = |own: &str, wanted: &str| own.is_empty() || own == wanted;
        let text = |toleration: &Value, field: &str| toleration[field].as_str().unwrap_or_default().to_owned();
        if !tolerations.iter().any(|t| covers(&text(t, "key"), key) && covers(&text(t, "effect"), "NoExecute")) {
            tolerations.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            }));
        }
    }
}

/// Returns what is wrong with a Pod. `old` is the Pod that it replaces, if any.
fn faults(pod: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let containers = pod["spec"]["containers"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    if containers.is_empty() {
        faults.push(FieldError::new("spec.containers", Reason::Required, "Required value"));
    }
    for (n, container) in containers.iter().enumerate() {
        for field in ["name", "image"] {
            if container[field].as_str().unwrap_or_default().is_empty() {
                let field = format!("spec.containers[{n}].{field}");
                faults.push(FieldError::new(field, Reason::Required, "Required value"));
            }
        }
    }
    if old.is_some_and(|old| without_mutable(old) != without_mutable(pod)) {
        let why = "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
        faults.push(FieldError::new("spec", Reason::Forbidden, why));
    }
    faults
}

/// Returns a Pod's spec without the fields that may change.
fn without_mutable(pod: &Value) -> Value {
    let Some(mut spec) = pod["spec"].as_object().cloned() else { return Value::Null };
    for list in ["containers", "initContainers"] {
        each(&mut spec, list).for_each(|container| {
            container.shift_remove("image");
        });
    }
    for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates", "nodeName"] {
        spec.shift_remove(field);
    }
    Value::Object(spec)
}

fn columns() -> Vec<Column> {
    fn statuses(object: &Value) -> impl Iterator<Item = &Value> {
        object["status"]["containerStatuses"].as_array().into_iter().flatten()
    }
    let ready = |object: &Value, _: Instant| {
        let all = object["spec"]["containers"].as_array().map_or(0, Vec::len);
        let ready = statuses(object).filter(|status| status["ready"] == json!(true)).count();
        format!("{ready}/{all}").into()
    };
    let status = |object: &Value, _: Instant| {
        if object["metadata"]["deletionTimestamp"].is_string() {
            return "Terminating".into();
        }
        let waiting = statuses(object).find_map(|status| status["state"]["waiting"]["reason"].as_str());
        let ended = statuses(object).find_map(|status| status["state"]["terminated"]["reason"].as_str());
        let reason = object["status"]["reason"].as_str().filter(|reason| !reason.is_empty());
        waiting.or(ended).or(reason).or(object["status"]["phase"].as_str()).unwrap_or_default().into()
    };
    let restarts = |object: &Value, _: Instant| {
        let count: i64 = statuses(object).filter_map(|status| status["restartCount"].as_i64()).sum();
        count.to_string().into()
    };
    let gates = |object: &Value, _: Instant| match object["spec"]["readinessGates"].as_array() {
        Some(gates) if !gates.is_empty() => format!("0/{}", gates.len()).into(),
        _ => Value::from("<none>"),
    };
    vec![
        Column::name(),
        of("Ready", "The aggregate readiness state of this pod for accepting traffic.", ready),
        of("Status", "The aggregate status of the containers in this pod.", status),
        of(
            "Restarts",
            "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
            restarts,
        ),
        Column::age(),
        wide(of("IP", &described("core.v1.PodStatus", "podIP"), |object, _| none_if_empty(&object["status"]["podIP"]))),
        wide(of("Node", &described("core.v1.PodSpec", "nodeName"), |object, _| {
            none_if_empty(&object["spec"]["nodeName"])
        })),
        wide(of("Nominated Node", &described("core.v1.PodStatus", "nominatedNodeName"), |object, _| {
            none_if_empty(&object["status"]["nominatedNodeName"])
        })),
        wide(of("Readiness Gates", &described("core.v1.PodSpec", "readinessGates"), gates)),
    ]
}

fn none_if_empty(value: &Value) -> Value {
    match value.as_str() {
        Some(text) if !text.is_empty() => text.into(),
        _ => "<none>".into(),
    }
}
