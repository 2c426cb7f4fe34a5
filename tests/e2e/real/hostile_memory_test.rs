//! What a tenant may try with many or large objects: the operator's memory and the seats of others.

use futures::StreamExt;
use futures::stream;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use seatkeeper::api::License;
use serde_json::json;

use super::hostile_flood_test::peak_of;
use super::seats_test::{Agent, LEADS, licensed_by, logged_in};
use crate::suite::faults_ground::{Ground, SOON};

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
