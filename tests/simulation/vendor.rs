//! Carries out what people do: sends requests to the API past all faults, and informs the oracle.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use seatkeeper::domain::license::jwk::{publish, signing_key_pem, thumbprint};
use seatkeeper::domain::license::trust::{Revocations, sign_revocations};
use serde_json::{Value, json};

use crate::api::{ask, folder, must, ours, secret};
use crate::contract::Change;
use crate::faults::Shared;
use crate::key::Key;
use crate::world::{Edit, LicenseModel};

/// Returns signing key number `key` of a namespace and its vendor.
fn signing_key(namespace: &str, key: u8) -> [u8; 32] {
    let mut bytes = [key; 32];
    // A branch trusts the vendor of the namespace to which it belongs.
    for (byte, letter) in bytes.iter_mut().zip(namespace.trim_end_matches("-branch").bytes()) {
        *byte ^= letter;
    }
    bytes
}

fn secret_json(namespace: &str, name: &str, type_: &str, entries: &[(&str, String)]) -> Value {
    let data: serde_json::Map<String, Value> =
        entries.iter().map(|(entry, text)| ((*entry).to_owned(), BASE64_STANDARD.encode(text).into())).collect();
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": type_,
        "metadata": {"name": name, "namespace": namespace}, "data": data,
    })
}

/// Returns an object without its null fields.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// Creates an object, or changes it if it exists.
async fn apply(shared: &Shared, path: &str, object: Value) {
    let (code, answer) = ask(&shared.api, Method::POST, folder(path), Some(&without_nulls(object.clone()))).await;
    match code {
        201 => {}
        409 => _ = must(&shared.api, Method::PATCH, path, Some(&object)).await,
        _ => panic!("{path}: {code} {answer}"),
    }
}

async fn delete(shared: &Shared, path: &str) {
    let (code, answer) = ask(&shared.api, Method::DELETE, path, None).await;
    assert!(code == 200 || code == 404, "{path}: {code} {answer}");
}

pub async fn make_namespace(shared: &Shared, name: &str) {
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let (code, answer) = ask(&shared.api, Method::POST, "/api/v1/namespaces", Some(&body)).await;
    assert!(code == 201 || code == 409, "{name}: {code} {answer}");
}

pub async fn make_plan(shared: &Shared, n: usize) {
    let plan = {
        let mut state = shared.lock();
        state.oracle.plans[n].there = true;
        state.oracle.plans[n].clone()
    };
    apply(shared, &ours(&plan.namespace, "plans", &plan.name), plan.json()).await;
    shared.snapshot().await;
}

pub async fn carry_out(shared: &Shared, edit: &Edit) {
    match edit {
        Edit::Order(n) => put_contract(shared, *n, |contract| contract.there = true).await,
        Edit::Seats { contract, line, pool, on, seats, received_on } => {
            let change = Change { on: *on, seats: *seats, received_on: *received_on };
            put_contract(shared, *contract, |contract| {
                let changes = &mut contract.lines[*line].changes[*pool];
                changes.retain(|other| other.on != *on);
                changes.push(change);
            })
            .await;
        }
        Edit::Cancel { contract, received_on } => {
            put_contract(shared, *contract, |contract| contract.cancelled_on = Some(*received_on)).await;
        }
        Edit::Withdraw(n) => put_contract(shared, *n, |contract| contract.cancelled_on = None).await,
        Edit::Approve { contract, on } => {
            put_contract(shared, *contract, |contract| contract.approved_on = Some(*on)).await;
        }
        Edit::Issuer { namespace, key } => {
            let (_, pem) = signing_key_pem(&signing_key(namespace, *key)).expect("32 bytes are a key");
            let object =
                secret_json(namespace, "issuer", "seatkeeper.dev/issuer", &[("signing-key.pem", pem.to_string())]);
            apply(shared, &secret(namespace, "issuer"), object).await;
            shared.lock().oracle.issuers.insert(namespace.clone());
        }
        Edit::Trust { namespace } => {
            let keys = [1, 2].map(|n| signing_key_pem(&signing_key(namespace, n)).expect("32 bytes are a key").0);
            let public = keys.map(|key| key.verifying_key());
            let jwks = serde_json::to_string(&publish(&public)).expect("it is JSON");
            let object = secret_json(namespace, "vendor-trust", "seatkeeper.dev/trust", &[("jwks.json", jwks)]);
            apply(shared, &secret(namespace, "vendor-trust"), object.clone()).await;
            let name = (namespace.clone(), "vendor-trust".to_owned());
            shared.lock().oracle.wrote_secret(name, &object, shared.calendar.now());
        }
        Edit::License { namespace, name, product, secrets, subscription } => {
            let keys: Vec<Value> = secrets.iter().map(|s| json!({"name": s, "secretRef": {"name": s}})).collect();
            let trust = if namespace.ends_with("-branch") { "vendor-trust" } else { "issuer-trust" };
            let mut spec = json!({"product": product, "keys": keys, "trust": {"secretRef": {"name": trust}}});
            if let Some((namespace, name)) = subscription {
                spec["subscriptionRef"] = json!({"name": name, "namespace": namespace});
            }
            let object = json!({
                "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License",
                "metadata": {"name": name, "namespace": namespace}, "spec": spec,
            });
            apply(shared, &ours(namespace, "licenses", name), object).await;
            let model =
                LicenseModel { product: product.clone(), secrets: secrets.clone(), subscription: subscription.clone() };
            shared.lock().oracle.licenses.insert((namespace.clone(), name.clone()), model);
        }
        Edit::DeleteLicense { namespace, name } => {
            delete(shared, &ours(namespace, "licenses", name)).await;
            shared.lock().oracle.deleted_license(&(namespace.clone(), name.clone()));
        }
        Edit::DeleteSubscription(n) => {
            let path = {
                let mut state = shared.lock();
                state.oracle.change(*n, |contract| contract.there = false);
                let contract = &state.oracle.contracts[*n];
                ours(&contract.namespace, "subscriptions", &contract.name)
            };
            delete(shared, &path).await;
        }
        Edit::DeletePlan(n) => {
            let path = {
                let mut state = shared.lock();
                let plan = &mut state.oracle.plans[*n];
                plan.there = false;
                ours(&plan.namespace, "plans", &plan.name)
            };
            delete(shared, &path).await;
        }
        Edit::MakePlan(n) => make_plan(shared, *n).await,
        Edit::DeleteKeys { namespace, secret: name } => {
            delete(shared, &secret(namespace, name)).await;
            shared.lock().oracle.deleted(&(namespace.clone(), name.clone()));
        }
        Edit::Rubbish { namespace, secret: name } => {
            let body = json!({"data": {"rubbish": BASE64_STANDARD.encode("this is no key")}});
            let (code, _) = ask(&shared.api, Method::PATCH, &secret(namespace, name), Some(&body)).await;
            assert!(code == 200 || code == 404, "{code}");
        }
        Edit::RevokeByHand(n) => revoke(shared, *n).await,
        Edit::Roster { license: (namespace, license), members } => {
            let member = |user| json!({"user": user, "loginMode": "Active", "entryDate": "2020-01-01"});
            let members_json: Vec<Value> = members.iter().map(member).collect();
            let object = json!({
                "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "Roster",
                "metadata": {"name": license, "namespace": namespace},
                "spec": {"licenseRef": {"name": license}, "members": members_json},
            });
            apply(shared, &ours(namespace, "rosters", license), object).await;
            shared.lock().oracle.entitled.enrol((namespace.clone(), license.clone()), members);
        }
        Edit::Noise { namespace, number } => {
            let data = json!({"number": number.to_string()});
            let object = json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "noise", "namespace": namespace}, "data": data,
            });
            apply(shared, &format!("/api/v1/namespaces/{namespace}/configmaps/noise"), object).await;
            let object = secret_json(namespace, "noise", "Opaque", &[("number", number.to_string())]);
            apply(shared, &secret(namespace, "noise"), object).await;
        }
    }
    shared.lock().oracle.note_entitled(shared.calendar.now());
    shared.snapshot().await;
}

async fn put_contract(shared: &Shared, n: usize, change: impl FnOnce(&mut crate::contract::Contract)) {
    let (object, contract) = {
        let mut state = shared.lock();
        state.oracle.change(n, change);
        let oracle = &state.oracle;
        (oracle.contracts[n].json(&oracle.plans), oracle.contracts[n].clone())
    };
    if contract.there {
        apply(shared, &ours(&contract.namespace, "subscriptions", &contract.name), object).await;
    }
}

/// Revokes the newest key of a contract by hand, in the list that the operator keeps.
async fn revoke(shared: &Shared, n: usize) {
    let (namespace, serials) = {
        let state = shared.lock();
        let contract = &state.oracle.contracts[n];
        let of = |key: &&Key| key.contract == (contract.namespace.clone(), contract.name.clone());
        let newest = state.oracle.keys.values().flatten().filter(of).max_by_key(|key| (key.iat, key.nbf));
        let Some(newest) = newest.map(|key| key.serial.clone()) else { return };
        (contract.namespace.clone(), newest)
    };
    let path = secret(&namespace, "issuer-trust");
    let (code, trust) = ask(&shared.api, Method::GET, &path, None).await;
    if code != 200 {
        return;
    }
    let published = crate::key::Published::read(&trust);
    let (key, _) = [1, 2]
        .into_iter()
        .map(|key| signing_key_pem(&signing_key(&namespace, key)).expect("32 bytes are a key"))
        .find(|(key, _)| published.kids.contains(&thumbprint(&key.verifying_key())))
        .expect("the operator publishes a key of the vendor");
    let all = published.revoked.into_iter().chain([serials]).collect();
    let list = sign_revocations(&Revocations { version: 1_000, iat: 0, exp: None, serials: all }, &key);
    let body = json!({"data": {"revoked.jwt": BASE64_STANDARD.encode(list)}});
    let now = must(&shared.api, Method::PATCH, &path, Some(&body)).await;
    let mut state = shared.lock();
    state.oracle.gap_is_wanted();
    state.oracle.wrote_secret((namespace, "issuer-trust".to_owned()), &now, shared.calendar.now());
    state.oracle.gap_is_wanted();
}
