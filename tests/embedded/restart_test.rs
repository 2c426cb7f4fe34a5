//! The API is killed and comes back: nothing is lost, and watchers continue.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use seatkeeper::machine::machine_time;
use serde_json::{Value, json};

use crate::suite::faults_ground::{Ground, Order, SOON};
use crate::suite::faults_operators::Replica;

#[tokio::test]
async fn k3_an_api_that_is_killed_and_comes_back_has_lost_nothing_and_the_operator_goes_on() {
    for signal in ["KILL", "TERM"] {
        let ground = Ground::take().await;
        let vendor = ground.vendor("restart").await;
        let replica = Replica::start(&ground.operator, &format!("restart-{signal}"));
        let starts_on = machine_time().date_naive().to_string();
        vendor.order(Order { name: "before", starts_on: &starts_on, seats: 50, secret: "before" }).await;
        let seats = |license: &seatkeeper::api::License| license.status.as_ref().and_then(|s| s.seats.clone());
        vendor.license_comes("50 agents", |license| seats(license).as_deref() == Some("agents 0/50")).await;
        let secrets: Api<Secret> = Api::namespaced(ground.admin.clone(), &vendor.namespace);
        let stored = async || {
            let all = secrets.list(&Default::default()).await.expect("the API answers").items;
            let one = |s: Secret| (s.name_any(), s.uid(), s.resource_version(), s.data);
            all.into_iter().map(one).collect::<Vec<_>>()
        };
        let before = stored().await;

        ground.cluster.again(signal).await;
        assert_eq!(stored().await, before, "after {signal}");
        // The operator's watch was broken off, but the operator still learns of changes.
        vendor.edit("subscriptions", "before", &r#"{"spec":{"plans":[{"name":"innoacd","pools":[{"name":"agents","seats":50,"changes":[{"on":"TODAY","seats":60}]}]}]}}"#.replace("TODAY", &starts_on)).await;
        vendor.license_comes("60 agents", |license| seats(license).as_deref() == Some("agents 0/60")).await;
        replica.says(SOON, "ok: leads").await;
        replica.terminate().await;
    }
}

#[tokio::test]
async fn a_watch_from_before_a_kill_is_told_to_list_again_and_then_misses_nothing() {
    let ground = Ground::take().await;
    let vendor = ground.vendor("resume").await;
    let path = format!("/apis/seatkeeper.dev/v1alpha1/namespaces/{}/plans", vendor.namespace);
    let raw = async |path: &str| vendor.kubectl.expect(&["get", "--raw", path]).await;
    let version = async || {
        let list: Value = serde_json::from_str(&raw(&path).await).expect("a list is JSON");
        list["metadata"]["resourceVersion"].as_str().expect("a list has a version").to_owned()
    };
    let since = async |version: &str| -> Vec<Value> {
        let events = raw(&format!("{path}?watch=true&timeoutSeconds=1&resourceVersion={version}")).await;
        events.lines().map(|event| serde_json::from_str(event).expect("events are JSON")).collect()
    };
    let before = version().await;
    vendor.kubectl.expect(&["label", "lplan/innoacd", "before=kill"]).await;
    ground.cluster.again("KILL").await;
    let after = version().await;
    vendor.kubectl.expect(&["label", "lplan/innoacd", "after=kill"]).await;

    let told = since(&before).await;
    let [error] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&error["type"], &error["object"]["code"]), (&json!("ERROR"), &json!(410)), "{error}");
    let told = since(&after).await;
    let [event] = &told[..] else { panic!("{told:?}") };
    assert_eq!(event["type"], "MODIFIED");
    assert_eq!(event["object"]["metadata"]["labels"], json!({"before": "kill", "after": "kill"}));
}
