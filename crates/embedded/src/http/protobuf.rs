//! Bodies in Kubernetes' Protobuf encoding. kubectl sends the kinds that are built into it in this form and in no
//! other. Field numbers are those of the published `generated.proto` files, which never change.

use base64::prelude::{BASE64_STANDARD, Engine};
use prost::Message;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The first bytes of every such body.
const MAGIC: &[u8] = b"k8s\0";

#[derive(Message)]
struct Envelope {
    #[prost(message, optional, tag = "1")]
    type_: Option<TypeMeta>,
    #[prost(bytes = "vec", tag = "2")]
    raw: Vec<u8>,
}

#[derive(Message)]
struct TypeMeta {
    #[prost(string, tag = "1")]
    api_version: String,
    #[prost(string, tag = "2")]
    kind: String,
}

#[derive(Message)]
struct ObjectMeta {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    generate_name: String,
    #[prost(string, tag = "3")]
    namespace: String,
    #[prost(string, tag = "5")]
    uid: String,
    #[prost(string, tag = "6")]
    resource_version: String,
    #[prost(btree_map = "string, string", tag = "11")]
    labels: BTreeMap<String, String>,
    #[prost(btree_map = "string, string", tag = "12")]
    annotations: BTreeMap<String, String>,
    #[prost(message, repeated, tag = "13")]
    owner_references: Vec<OwnerReference>,
    #[prost(string, repeated, tag = "14")]
    finalizers: Vec<String>,
}

#[derive(Message)]
struct OwnerReference {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    uid: String,
    #[prost(string, tag = "5")]
    api_version: String,
    #[prost(bool, optional, tag = "6")]
    controller: Option<bool>,
    #[prost(bool, optional, tag = "7")]
    block_owner_deletion: Option<bool>,
}

#[derive(Message)]
struct Namespace {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
}

#[derive(Message)]
struct Secret {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
    #[prost(btree_map = "string, bytes", tag = "2")]
    data: BTreeMap<String, Vec<u8>>,
    #[prost(string, tag = "3")]
    type_: String,
    #[prost(btree_map = "string, string", tag = "4")]
    string_data: BTreeMap<String, String>,
    #[prost(bool, optional, tag = "5")]
    immutable: Option<bool>,
}

#[derive(Message)]
struct ConfigMap {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
    #[prost(btree_map = "string, string", tag = "2")]
    data: BTreeMap<String, String>,
    #[prost(btree_map = "string, bytes", tag = "3")]
    binary_data: BTreeMap<String, Vec<u8>>,
    #[prost(bool, optional, tag = "4")]
    immutable: Option<bool>,
}

#[derive(Message)]
struct DeleteOptions {
    #[prost(int64, optional, tag = "1")]
    grace_period_seconds: Option<i64>,
    #[prost(message, optional, tag = "2")]
    preconditions: Option<Preconditions>,
    #[prost(bool, optional, tag = "3")]
    orphan_dependents: Option<bool>,
    #[prost(string, optional, tag = "4")]
    propagation_policy: Option<String>,
    #[prost(string, repeated, tag = "5")]
    dry_run: Vec<String>,
}

#[derive(Message)]
struct Preconditions {
    #[prost(string, optional, tag = "1")]
    uid: Option<String>,
    #[prost(string, optional, tag = "2")]
    resource_version: Option<String>,
}

/// Returns the object in such a body as JSON. Fails with the reason if there is none.
pub fn read(body: &[u8]) -> Result<Value, String> {
    let content = body.strip_prefix(MAGIC).ok_or("the provided data does not have the expected prefix 'k8s\\0'")?;
    let bad = |error: prost::DecodeError| error.to_string();
    let envelope = Envelope::decode(content).map_err(bad)?;
    let type_ = envelope.type_.unwrap_or_default();
    let raw = envelope.raw.as_slice();
    let mut object = match (type_.api_version.as_str(), type_.kind.as_str()) {
        ("v1", "Namespace") => json!({"metadata": Namespace::decode(raw).map_err(bad)?.metadata.map(metadata)}),
        ("v1", "Secret") => {
            let secret = Secret::decode(raw).map_err(bad)?;
            let mut object = json!({"metadata": secret.metadata.map(metadata)});
            put(&mut object, "data", encoded(secret.data));
            put(&mut object, "stringData", json!(secret.string_data));
            put(&mut object, "type", secret.type_.into());
            put(&mut object, "immutable", secret.immutable.into());
            object
        }
        ("v1", "ConfigMap") => {
            let map = ConfigMap::decode(raw).map_err(bad)?;
            let mut object = json!({"metadata": map.metadata.map(metadata)});
            put(&mut object, "data", json!(map.data));
            put(&mut object, "binaryData", encoded(map.binary_data));
            put(&mut object, "immutable", map.immutable.into());
            object
        }
        (_, "DeleteOptions") => {
            let options = DeleteOptions::decode(raw).map_err(bad)?;
            let mut object = json!({});
            put(&mut object, "gracePeriodSeconds", options.grace_period_seconds.into());
            if let Some(conditions) = options.preconditions {
                let mut value = json!({});
                put(&mut value, "uid", conditions.uid.into());
                put(&mut value, "resourceVersion", conditions.resource_version.into());
                put(&mut object, "preconditions", value);
            }
            put(&mut object, "orphanDependents", options.orphan_dependents.into());
            put(&mut object, "propagationPolicy", options.propagation_policy.into());
            put(&mut object, "dryRun", json!(options.dry_run));
            object
        }
        (version, kind) => {
            return Err(format!("{version} {kind} cannot be read in Protobuf here; send application/json"));
        }
    };
    object["apiVersion"] = type_.api_version.into();
    object["kind"] = type_.kind.into();
    Ok(object)
}

fn metadata(meta: ObjectMeta) -> Value {
    let owners = meta.owner_references.into_iter().map(|owner| {
        let mut value =
            json!({"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid});
        put(&mut value, "controller", owner.controller.into());
        put(&mut value, "blockOwnerDeletion", owner.block_owner_deletion.into());
        value
    });
    let mut value = json!({});
    put(&mut value, "ownerReferences", owners.collect());
    for (field, text) in [
        ("name", meta.name),
        ("generateName", meta.generate_name),
        ("namespace", meta.namespace),
        ("uid", meta.uid),
        ("resourceVersion", meta.resource_version),
    ] {
        put(&mut value, field, text.into());
    }
    put(&mut value, "labels", json!(meta.labels));
    put(&mut value, "annotations", json!(meta.annotations));
    put(&mut value, "finalizers", json!(meta.finalizers));
    value
}

fn encoded(data: BTreeMap<String, Vec<u8>>) -> Value {
    data.into_iter().map(|(name, bytes)| (name, BASE64_STANDARD.encode(bytes).into())).collect::<Map<_, _>>().into()
}

/// Sets a field unless the value is empty: Protobuf does not distinguish empty from absent.
fn put(object: &mut Value, field: &str, value: Value) {
    let empty = match &value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    if !empty {
        object[field] = value;
    }
}
