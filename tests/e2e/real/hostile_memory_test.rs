//! What a tenant may try with many or large objects: the operator's memory and the seats of others.

use std::collections::BTreeMap;

use futures::StreamExt;
use futures::stream;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use seatkeeper::api::License;
use seatkeeper::api::secret_type::{ISSUED, ISSUER, LICENSE, TRUST};
use seatkeeper::machine::monotonic;
use serde_json::json;

use super::hostile_flood_test::peak_of;
use super::seats_test::{Agent, LEADS, licensed_by, logged_in};
use crate::harness::eventually::eventually;
use crate::suite::faults_ground::{Ground, SOON, Vendor};
use crate::suite::keys::Signer;

/// The most memory that the operator may ever take, in MiB. The chart's limit is 512.
const MOST: u64 = 256;

/// The attack: 200 MB of annotations on Licenses. The operator kept them all, had 317 MiB, and 498 MiB when it started again.
#[tokio::test]
async fn i2_what_a_tenant_writes_beside_the_spec_takes_no_memory() {
    let ground = Ground::take().await;
    let (vendor, mut replica) = licensed_by(&ground, "memory", 9, &[]).await;
    let agent = Agent::employed(&vendor, "agent").await;
    logged_in(&agent, &replica, "m.huber").await;
    let quiet = peak_of(&replica);

    let intruder = ground.vendor("memory-intruder").await;
    let licenses: Api<License> = Api::namespaced(ground.admin.clone(), &intruder.namespace);
    let large = "x".repeat(250_000);
    let creating = stream::iter(0..800).map(|n| {
        let license = json!({
            "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License",
            "metadata": {"name": format!("large-{n}"), "annotations": {"note": large}}, "spec": {"product": "innoacd"},
        });
        let license: License = serde_json::from_value(license).expect("it is a License");
        let licenses = licenses.clone();
        async move { licenses.create(&PostParams::default(), &license).await.map(|_| ()) }
    });
    let created: Vec<_> = creating.buffer_unordered(4).collect().await;
    created.into_iter().for_each(|created| created.expect("a tenant may create Licenses"));
    logged_in(&agent, &replica, "a.kern").await;
    let large = peak_of(&replica);

    replica.terminate().await;
    replica.ended(SOON).await;
    replica.starts_again(&ground.operator, &[]);
    replica.says(SOON, LEADS).await;
    logged_in(&agent, &replica, "e.roth").await;
    let again = peak_of(&replica);
    println!("{quiet} MiB, with 200 MB of annotations {large} MiB, after a restart {again} MiB");
    let (all, none) = (ListParams::default(), DeleteParams::default());
    licenses.delete_collection(&none, &all).await.expect("the API server answers");
    assert!(large <= MOST && again <= MOST, "{large}, {again} MiB");
    replica.kill().await;
}

/// The attack: Secrets of 1 MB that no License names, of each type that the operator reads. 150 of them took 571 MB, and
/// the operator did not start again. One Secret that was written 61 times took 492 MB.
#[tokio::test]
async fn i2_secrets_that_nobody_names_take_a_share_of_memory() {
    let ground = Ground::take().await;
    let (vendor, mut replica) = licensed_by(&ground, "secrets", 9, &[]).await;
    let agent = Agent::employed(&vendor, "agent").await;
    logged_in(&agent, &replica, "m.huber").await;
    let quiet = peak_of(&replica);

    let intruder = ground.vendor("secrets-intruder").await;
    let secrets: Api<Secret> = Api::namespaced(ground.admin.clone(), &intruder.namespace);
    let large = |name: String, type_: &str| Secret {
        metadata: ObjectMeta { name: Some(name), ..ObjectMeta::default() },
        type_: Some(type_.to_owned()),
        data: Some([("filler".to_owned(), ByteString(vec![b'x'; 1_000_000]))].into()),
        ..Secret::default()
    };
    // A hundred times as large in memory as its texts, or with its texts where few would look.
    let entries: BTreeMap<String, ByteString> = (0..40_000).map(|n| (n.to_string(), ByteString(Vec::new()))).collect();
    let full = |name: String, type_: &str| Secret { data: Some(entries.clone()), ..large(name, type_) };
    let owned = |name: String, type_: &str| {
        let mut secret = large(name, type_);
        let uid = "u".repeat(900_000);
        let (api_version, kind, name) = ("v1".to_owned(), "ConfigMap".to_owned(), "owner".to_owned());
        secret.metadata.owner_references =
            Some(vec![OwnerReference { api_version, kind, name, uid, ..OwnerReference::default() }]);
        secret.data = None;
        secret
    };
    let creating = stream::iter(0..150).map(|n| {
        let (name, type_) = (format!("large-{n}"), [LICENSE, TRUST, ISSUER, ISSUED][n % 4]);
        let secret = match n % 5 {
            0 if n > 0 => full(name, type_),
            1 => owned(name, type_),
            _ => large(name, type_),
        };
        let secrets = secrets.clone();
        async move { secrets.create(&PostParams::default(), &secret).await.map(|_| ()) }
    });
    let created: Vec<_> = creating.buffer_unordered(4).collect().await;
    created.into_iter().for_each(|created| created.expect("a tenant may create Secrets"));
    logged_in(&agent, &replica, "a.kern").await;
    let many = peak_of(&replica);

    for _ in 0..61 {
        let again = large("large-0".to_owned(), LICENSE);
        secrets.replace("large-0", &PostParams::default(), &again).await.expect("a tenant may replace its Secrets");
    }
    logged_in(&agent, &replica, "f.lang").await;
    let rewritten = peak_of(&replica);

    replica.terminate().await;
    replica.ended(SOON).await;
    replica.starts_again(&ground.operator, &[]);
    replica.says(SOON, LEADS).await;
    logged_in(&agent, &replica, "e.roth").await;
    let again = peak_of(&replica);
    println!("{quiet} MiB, with 150 MB {many} MiB, one written 61 times {rewritten} MiB, after a restart {again} MiB");
    let (all, none) = (ListParams::default(), DeleteParams::default());
    secrets.delete_collection(&none, &all).await.expect("the API server answers");
    assert!(rewritten <= MOST && again <= MOST, "{many}, {rewritten}, {again} MiB");
    replica.kill().await;
}

/// The attack: hundreds of Licenses that present the same full Secret, of keys with long names of grants. An operator that took the
/// lead had 700 copies of all these names before it did anything else.
#[tokio::test]
async fn i2_keys_that_many_licenses_present_take_no_memory_from_the_next_leader() {
    let ground = Ground::take().await;
    let (vendor, mut replica) = licensed_by(&ground, "stock", 9, &[]).await;
    let agent = Agent::employed(&vendor, "agent").await;
    logged_in(&agent, &replica, "m.huber").await;
    replica.terminate().await;
    replica.ended(SOON).await;

    let intruder = ground.vendor("stock-intruder").await;
    let signer = Signer::of("intruder");
    let key = |n: usize| {
        let claims = json!({
            "iss": "v", "jti": n.to_string(), "sub": "A", "aud": "innoacd", "iat": 1, "nbf": 1, "exp": 4_000_000_000u64,
            "grant": format!("{n}{}", "g".repeat(2_700)),
        });
        (format!("{n:03}"), ByteString(signer.sign_value(&claims).into_bytes()))
    };
    let secrets: Api<Secret> = Api::namespaced(ground.admin.clone(), &intruder.namespace);
    let secret = Secret {
        metadata: ObjectMeta { name: Some("full".to_owned()), ..ObjectMeta::default() },
        type_: Some(LICENSE.to_owned()),
        data: Some((0..256).map(key).collect()),
        ..Secret::default()
    };
    secrets.create(&PostParams::default(), &secret).await.expect("a tenant may create Secrets");
    let licenses: Api<License> = Api::namespaced(ground.admin.clone(), &intruder.namespace);
    let creating = stream::iter(0..700).map(|n| {
        let license = json!({
            "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License", "metadata": {"name": format!("crowd-{n}")},
            "spec": {"product": "innoacd", "keys": [{"name": "full", "secretRef": {"name": "full"}}]},
        });
        let license: License = serde_json::from_value(license).expect("it is a License");
        let licenses = licenses.clone();
        async move { licenses.create(&PostParams::default(), &license).await.map(|_| ()) }
    });
    let created: Vec<_> = creating.buffer_unordered(4).collect().await;
    created.into_iter().for_each(|created| created.expect("a tenant may create Licenses"));

    let began = monotonic();
    replica.starts_again(&ground.operator, &[]);
    replica.says(3 * SOON, LEADS).await;
    logged_in(&agent, &replica, "e.roth").await;
    let (took, peak) = (monotonic() - began, peak_of(&replica));
    println!("with 700 Licenses of 256 keys each: a seat after {took:?}, {peak} MiB");
    let (all, none) = (ListParams::default(), DeleteParams::default());
    licenses.delete_collection(&none, &all).await.expect("the API server answers");
    secrets.delete("full", &none).await.expect("the API server answers");
    assert!(peak <= MOST, "{peak} MiB");
    replica.kill().await;
}

/// The attack: Licenses that assign seats to thousands of users. 420 of 1.3 MB took 590 MB, and 894 MB when the operator started
/// again.
#[tokio::test]
async fn i2_specs_of_a_tenant_take_a_share_of_memory() {
    let ground = Ground::take().await;
    let (vendor, mut replica) = licensed_by(&ground, "specs", 9, &[]).await;
    let agent = Agent::employed(&vendor, "agent").await;
    logged_in(&agent, &replica, "m.huber").await;
    let quiet = peak_of(&replica);

    let intruder = ground.vendor("specs-intruder").await;
    let licenses: Api<License> = Api::namespaced(ground.admin.clone(), &intruder.namespace);
    let users = |pool: usize| -> Vec<String> { (0..1_000).map(|n| format!("{pool}-{n}-{}", "u".repeat(66))).collect() };
    let assignments: Vec<_> =
        (0..16).map(|pool| json!({"pool": format!("pool-{pool}"), "users": users(pool)})).collect();
    let creating = stream::iter(0..LARGE).map(|n| {
        let license = json!({
            "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License", "metadata": {"name": format!("large-{n}")},
            "spec": {"product": "innoacd", "assignments": assignments},
        });
        let license: License = serde_json::from_value(license).expect("it is a License");
        let licenses = licenses.clone();
        async move { licenses.create(&PostParams::default(), &license).await.map(|_| ()) }
    });
    let created: Vec<_> = creating.buffer_unordered(4).collect().await;
    created.into_iter().for_each(|created| created.expect("a tenant may create Licenses"));
    logged_in(&agent, &replica, "a.kern").await;
    let is_judged = |lines: &[String]| lines.iter().filter(|line| line.contains(" False ")).count() == LARGE;
    let is_full = |lines: &[String]| lines.iter().filter(|line| has_no_room(line)).count() > LARGE - 20;
    let said = listed(&intruder, |lines| is_judged(lines) && is_full(lines)).await;
    let large = peak_of(&replica);

    replica.terminate().await;
    replica.ended(SOON).await;
    replica.starts_again(&ground.operator, &[]);
    replica.says(3 * SOON, LEADS).await;
    logged_in(&agent, &replica, "e.roth").await;
    let again = peak_of(&replica);
    println!("{quiet} MiB, with {LARGE} Licenses of 1.3 MB {large} MiB, after a restart {again} MiB");
    listed(&vendor, |lines| lines.len() == 1 && lines[0].contains(" True ")).await;
    assert!(said.iter().any(|line| has_no_key(line)), "the smallest are judged");

    for n in 1..LARGE {
        licenses.delete(&format!("large-{n}"), &DeleteParams::default()).await.expect("a tenant may delete Licenses");
    }
    listed(&intruder, |lines| lines.len() == 1 && has_no_key(&lines[0])).await;
    licenses.delete("large-0", &DeleteParams::default()).await.expect("a tenant may delete Licenses");
    assert!(large <= quiet + GROWTH && again <= MOST, "{quiet}, {large}, {again} MiB");
    replica.kill().await;
}

/// The Licenses of 1.3 MB that are made, and how much more memory the operator may take because of them, in MiB. While it starts
/// again it holds pages of them besides.
const LARGE: usize = 120;
const GROWTH: u64 = 110;

/// The Licenses of a namespace in a line each, as `kubectl get -o wide` shows them, once they are as expected.
async fn listed(vendor: &Vendor, expected: impl Fn(&[String]) -> bool) -> Vec<String> {
    eventually(6 * SOON, "the Licenses are judged", async || {
        let lines = vendor.kubectl.expect(&["get", "licenses.seatkeeper.dev", "-o", "wide", "--no-headers"]).await;
        let lines: Vec<String> = lines.lines().map(str::to_owned).collect();
        if expected(&lines) { Ok(lines) } else { Err(format!("{} of them: {:?}", lines.len(), lines.last())) }
    })
    .await
}

/// Whether a line says that a License grants nothing, for want of room or of keys.
fn has_no_room(line: &str) -> bool {
    line.contains(" False ") && line.contains("is not read and counts for nothing")
}

fn has_no_key(line: &str) -> bool {
    line.contains(" False ") && !has_no_room(line)
}
