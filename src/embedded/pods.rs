//! Pods and Events: what a Pod has that nobody wrote, and what may change of it.

use serde_json::{Value, json};

use super::schema::{FieldError, Reason};

/// Fills in what an Event has by itself.
pub fn complete_event(object: &mut Value) {
    for field in ["firstTimestamp", "lastTimestamp", "eventTime"] {
        if object.get(field).is_none() {
            object[field] = Value::Null;
        }
    }
    for field in ["source", "involvedObject"] {
        if !object[field].is_object() {
            object[field] = json!({});
        }
    }
    for field in ["reportingComponent", "reportingInstance"] {
        if !object[field].is_string() {
            object[field] = "".into();
        }
    }
}

fn set(object: &mut Value, field: &str, value: Value) {
    if object[field].is_null() {
        object[field] = value;
    }
}

/// Fills in the defaults of a Pod (`SetDefaults_Pod` and its parts), as far as they do not depend on a scheduler.
pub fn complete(pod: &mut Value) {
    let spec = &mut pod["spec"];
    if !spec.is_object() {
        return;
    }
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
        for container in spec[list].as_array_mut().into_iter().flatten() {
            let image = container["image"].as_str().unwrap_or_default();
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
            for port in container["ports"].as_array_mut().into_iter().flatten() {
                set(port, "protocol", json!("TCP"));
            }
        }
    }
}

/// A new Pod waits for a node.
pub fn begin(pod: &mut Value) {
    pod["status"] = json!({"phase": "Pending", "qosClass": "BestEffort"});
}

/// What is wrong with a Pod.
pub fn faults(pod: &Value, old: Option<&Value>) -> Vec<FieldError> {
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

/// A Pod's spec without what may change.
fn without_mutable(pod: &Value) -> Value {
    let mut spec = pod["spec"].clone();
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            container["image"] = Value::Null;
        }
    }
    for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates", "nodeName"] {
        spec[field] = Value::Null;
    }
    spec
}
