//! The API is killed and comes back: nothing is lost, and whoever watches goes on.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use seatkeeper::cluster::clock::machine_time;

use crate::faults_ground::{Ground, Order, SOON};
use crate::faults_operators::Replica;

#[tokio::test]
async fn k3_an_api_that_is_killed_and_comes_back_has_lost_nothing_and_the_operator_goes_on() {
    for signal in ["KILL", "TERM"] {
        let ground = Ground::take().await;
        let vendor = ground.vendor("restart").await;
        let replica = Replica::start(ground.operator, &format!("restart-{signal}"));
        let starts_on = machine_time().date_naive().to_string();
        vendor.order(Order { name: "before", starts_on: &starts_on, seats: 50, secret: "before" }).await;
        let seats = |license: &seatkeeper::api::License| license.status.as_ref().and_then(|s| s.seats.clone());
        vendor.license_comes("50 agents", |license| seats(license).as_deref() == Some("agents 50")).await;
        let secrets: Api<Secret> = Api::namespaced(ground.admin.clone(), &vendor.namespace);
        let stored = async || {
            let all = secrets.list(&Default::default()).await.expect("the API answers").items;
            let one = |s: Secret| (s.name_any(), s.uid(), s.resource_version(), s.data);
            all.into_iter().map(one).collect::<Vec<_>>()
        };
        let before = stored().await;

        ground.cluster.again(signal).await;
        assert_eq!(stored().await, before, "after {signal}");
        // The operator's watch is broken off; it hears of what is new all the same.
        vendor.edit("subscriptions", "before", &r#"{"spec":{"plans":[{"name":"innoacd","pools":[{"name":"agents","seats":50,"changes":[{"on":"TODAY","seats":60}]}]}]}}"#.replace("TODAY", &starts_on)).await;
        vendor.license_comes("60 agents", |license| seats(license).as_deref() == Some("agents 60")).await;
        replica.says(SOON, "ok: leads").await;
        replica.terminate().await;
    }
}

#[tokio::test]
async fn a_watch_goes_on_where_it_was_after_a_kill() {
    let ground = Ground::take().await;
    let vendor = ground.vendor("resume").await;
    let path = format!("/apis/seatkeeper.dev/v1alpha1/namespaces/{}/plans", vendor.namespace);
    let list: serde_json::Value =
        serde_json::from_str(&vendor.kubectl.expect(&["get", "--raw", &path]).await).expect("a list");
    let version = list["metadata"]["resourceVersion"].as_str().expect("a list has a version").to_owned();
    vendor.kubectl.expect(&["label", "lplan/innoacd", "before=kill"]).await;
    ground.cluster.again("KILL").await;
    vendor.kubectl.expect(&["label", "lplan/innoacd", "after=kill"]).await;
    let watch = format!("{path}?watch=true&timeoutSeconds=1&resourceVersion={version}");
    let events = vendor.kubectl.expect(&["get", "--raw", &watch]).await;
    let types: Vec<_> = events
        .lines()
        .map(|event| serde_json::from_str::<serde_json::Value>(event).expect("events are JSON")["type"].clone())
        .collect();
    assert_eq!(types, ["MODIFIED", "MODIFIED"], "{events}");
}
