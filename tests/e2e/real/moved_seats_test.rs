//! A License that is deleted and made again under another name, while its seats are held, on a real cluster.

use seatkeeper::domain::license::key::Claims;
use serde_json::{Value, json};

use super::seats_test::{Agent, Answer, LEADS};
use crate::harness::eventually::eventually;
use crate::suite::case::{KEYS, TRUST};
use crate::suite::faults_ground::{Ground, SOON, Vendor};
use crate::suite::faults_operators::Replica;
use crate::suite::keys::{Signer, claims};

async fn apply(vendor: &Vendor, object: Value) {
    vendor.kubectl.apply(&object.to_string()).await;
}

async fn make_license(vendor: &Vendor, name: &str) {
    let keys = json!([{"name": "keys", "secretRef": {"name": "keys"}}]);
    let spec = json!({"product": "innoacd", "keys": keys, "trust": {"secretRef": {"name": "trust"}}});
    let license = json!({
        "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License", "metadata": {"name": name}, "spec": spec,
    });
    apply(vendor, license).await;
}

/// Asks for a seat until the answer has that status.
async fn asks(agent: &Agent, at: &Replica, license: &str, user: &str, status: u16) -> Answer {
    let license = json!({"namespace": agent.namespace, "name": license});
    let body = json!({"license": license, "user": user, "session": user}).to_string();
    eventually(SOON, &format!("{user} is answered {status}"), async || {
        match agent.ask(at, "POST", "/v1/seats", &body).await {
            Some(answer) if answer.status == status => Ok(answer),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// The attack, and the accident: take all seats, delete the License, make it again under another name. There used to be
/// all seats once more.
#[tokio::test]
async fn i2_k4_the_seats_of_a_deleted_license_count_against_the_next_one_with_its_key() {
    let ground = Ground::take().await;
    let vendor = ground.vendor("moved-seats").await;
    let mut replica = Replica::start(&ground.operator, "moved-first");
    replica.says(SOON, LEADS).await;
    let signer = Signer::of("vendor");
    let mut key: Claims = claims("innoacd", &vendor.namespace, 365);
    key.pools[0].seats = 2;
    for (name, type_, entry, text) in
        [("trust", TRUST, "jwks.json", signer.jwks()), ("keys", KEYS, "key.jwt", signer.sign(&key))]
    {
        let data = json!({entry: text});
        let metadata = json!({"name": name});
        apply(
            &vendor,
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": type_, "stringData": data}),
        )
        .await;
    }
    let agent = Agent::employed(&vendor, "agent").await;
    make_license(&vendor, "before").await;
    let held = asks(&agent, &replica, "before", "a", 201).await;
    asks(&agent, &replica, "before", "b", 201).await;

    vendor.kubectl.expect(&["delete", "licenses.seatkeeper.dev", "before"]).await;
    make_license(&vendor, "after").await;
    is_told(&asks(&agent, &replica, "after", "c", 409).await, 2);
    let under = format!("[\"{}/before\"]", vendor.namespace);
    eventually(SOON, "the License shows where its seats are", async || {
        let path = "jsonpath={.status.pools[0].heldElsewhere} {.status.heldUnder}";
        let shown = vendor.kubectl.expect(&["get", "licenses.seatkeeper.dev", "after", "-o", path]).await;
        if shown == format!("2 {under}") { Ok(()) } else { Err(shown) }
    })
    .await;

    // The owner that granted them dies, and the next one knows.
    replica.kill().await;
    replica = Replica::start(&ground.operator, "moved-second");
    replica.says(SOON, LEADS).await;
    is_told(&asks(&agent, &replica, "after", "c", 409).await, 2);

    // Those who work go on working, and what they give back can be had.
    let id = held.body["seats"][0]["id"].as_str().expect("a seat has an id");
    let seat = format!("/v1/seats/{id}");
    let kept = agent.ask(&replica, "PUT", &seat, "").await.expect("it answers");
    assert_eq!(kept.status, 200, "{kept:?}");
    let freed = agent.ask(&replica, "DELETE", &seat, "").await.expect("it answers");
    assert_eq!(freed.status, 204, "{freed:?}");
    asks(&agent, &replica, "after", "c", 201).await;
    is_told(&asks(&agent, &replica, "after", "d", 409).await, 1);
}

/// The answer says how many of the seats in use are held under other Licenses.
fn is_told(refused: &Answer, elsewhere: u32) {
    let detail = refused.body["detail"].as_str().unwrap_or_default();
    assert_eq!(refused.body["reason"], "SeatsExhausted", "{refused:?}");
    let expected = format!("{elsewhere} of them under other Licenses that had the same key before");
    assert!(detail.contains(&expected), "{detail}");
}
