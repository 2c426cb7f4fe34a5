//! What a ServiceAccount that may take seats of a License may try against the seats of another one.

use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use k8s_openapi::api::core::v1::{Pod, Secret};

use super::seats_test::{Agent, Answer, LEADS, licensed_by, logged_in};
use crate::suite::faults_ground::{Ground, HOME, SOON, Vendor};
use crate::suite::faults_operators::Replica;

async fn asks(agent: &Agent, at: &Replica, method: &str, id: &str) -> (u16, Value) {
    let Answer { status, body, .. } =
        agent.ask(at, method, &format!("/v1/seats/{id}"), "").await.expect("the owner answers");
    (status, body["reason"].clone())
}

fn id_in(answer: &Answer) -> String {
    answer.body["seats"][0]["id"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

async fn takes(agent: &Agent, at: &Replica, session: &str) -> Answer {
    let license = json!({"namespace": agent.namespace, "name": "innoacd"});
    let body = json!({"license": license, "session": session}).to_string();
    let answer = agent.ask(at, "POST", "/v1/seats", &body).await.expect("the owner answers");
    assert_eq!(answer.status, 201, "{answer:?}");
    answer
}

async fn holders(agent: &Agent, at: &Replica) -> Vec<Value> {
    let list = format!("/v1/seats?namespace={}&license=innoacd", agent.namespace);
    let listed = agent.ask(at, "GET", &list, "").await.expect("the owner answers");
    listed.body["holders"].as_array().unwrap_or_else(|| panic!("{listed:?}")).clone()
}

/// The token of a ServiceAccount in a pod.
async fn in_pod(ground: &Ground, vendor: &Vendor, account: &str, pod: &str) -> Agent {
    let spec = json!({"serviceAccountName": account, "containers": [{"name": "a", "image": "none"}]});
    let manifest = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod}, "spec": spec});
    let pods: Api<Pod> = Api::namespaced(ground.admin.clone(), &vendor.namespace);
    let manifest = serde_json::from_value(manifest).expect("it is a pod");
    pods.create(&PostParams::default(), &manifest).await.expect("the pod is in order");
    let bound = ["--bound-object-kind", "Pod", "--bound-object-name", pod];
    let token = [&["create", "token", account, "--audience", "seatkeeper"][..], &bound[..]].concat();
    let token = vendor.kubectl.expect(&token).await.trim().to_owned();
    Agent { token, namespace: vendor.namespace.clone() }
}

/// The attack: another ServiceAccount with the same role knows the id of a seat. It used to keep the seat and to free it.
#[tokio::test]
async fn i1_another_service_account_neither_keeps_nor_frees_a_seat() {
    let ground = Ground::take().await;
    let (vendor, first) = licensed_by(&ground, "seat-thief", 4, &[]).await;
    let second = Replica::start(&ground.operator, "seat-thief-second");
    second.says(SOON, "ok: stands by").await;
    let victim = Agent::employed(&vendor, "victim").await;
    let intruder = Agent::employed(&vendor, "intruder").await;
    let seat = id_in(&logged_in(&victim, &first, "m.huber").await);

    let unheard_of = seat.replace("m.huber", "nobody");
    let lost = (410, json!("SeatLost"));
    assert_eq!(asks(&intruder, &first, "PUT", &unheard_of).await, lost);
    assert_eq!(asks(&intruder, &first, "PUT", &seat).await, lost, "it learns nothing");
    let body = json!({ "ids": [seat] }).to_string();
    let answer = intruder.ask(&first, "PUT", "/v1/seats", &body).await.expect("the owner answers");
    assert_eq!(answer.body["lost"], json!([seat]), "{answer:?}");
    assert_eq!(asks(&intruder, &first, "DELETE", &seat).await, (403, json!("TakenByAnother")));
    assert_eq!(holders(&victim, &first).await.len(), 1);
    assert_eq!(asks(&victim, &first, "PUT", &seat).await.0, 200);

    // The next owner knows from the ledger who took it, and from a Secret of its own how ids are made.
    first.kill().await;
    second.says(SOON, LEADS).await;
    assert_eq!(id_in(&logged_in(&victim, &second, "m.huber").await), seat, "the same session has the same id");
    assert_eq!(asks(&intruder, &second, "PUT", &seat).await, lost);
    assert_eq!(asks(&intruder, &second, "DELETE", &seat).await, (403, json!("TakenByAnother")));
    assert_eq!(asks(&victim, &second, "PUT", &seat).await.0, 200);
    assert_eq!(asks(&victim, &second, "DELETE", &seat).await.0, 204);
    assert!(holders(&victim, &second).await.is_empty());

    let log = ground.operator.with_file_name("operator-seat-thief-first.log");
    let log = std::fs::read_to_string(log).expect("the first replica wrote it");
    let audit = log.lines().filter(|line| line.contains(" audit: ") && line.contains("refused"));
    let audit: Vec<&str> = audit.collect();
    assert_eq!(audit.len(), 1, "one line a minute for each caller and License: {audit:?}");
    let words = [":intruder", "evict licenses/seats", "innoacd", "refused"];
    assert!(words.iter().all(|word| audit[0].contains(word)), "{audit:?}");
    let keys: Api<Secret> = Api::namespaced(ground.admin.clone(), HOME);
    let key = keys.get("seatkeeper-seat-ids").await.expect("the first owner made it");
    assert_eq!(key.type_.as_deref(), Some("seatkeeper.dev/seat-ids"));
    second.kill().await;
}

/// The attack: an id is made from what the list shows. It used to free the seat. An administrator may use it.
#[tokio::test]
async fn i1_an_id_that_is_made_from_the_list_frees_nothing() {
    let ground = Ground::take().await;
    let (vendor, replica) = licensed_by(&ground, "seat-guess", 4, &[]).await;
    let victim = Agent::employed(&vendor, "victim").await;
    let seat = id_in(&logged_in(&victim, &replica, "m.huber").await);
    let listed = holders(&victim, &replica).await[0]["id"].as_str().expect("it has an id").to_owned();
    let made_up = format!("{listed}~AAAAAAAAAAAA");

    // Not even with the token of who took it.
    for id in [&listed, &made_up] {
        assert_eq!(asks(&victim, &replica, "PUT", id).await, (410, json!("SeatLost")));
        assert_eq!(asks(&victim, &replica, "DELETE", id).await, (403, json!("TakenByAnother")));
    }
    assert_eq!(asks(&victim, &replica, "PUT", &seat).await.0, 200);
    assert!(seat.starts_with(&listed) && seat != listed, "{seat} {listed}");

    let boss = Agent::employed(&vendor, "boss").await;
    let evict = ["create", "role", "evicts", "--verb=evict", "--resource=licenses.seatkeeper.dev/seats"];
    vendor.kubectl.expect(&evict).await;
    let account = format!("--serviceaccount={}:boss", vendor.namespace);
    vendor.kubectl.expect(&["create", "rolebinding", "evicts", "--role=evicts", &account]).await;
    // A right that was just given may be cached as missing for a second.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(asks(&boss, &replica, "PUT", &listed).await.0, 200);
    assert_eq!(asks(&boss, &replica, "DELETE", &listed).await.0, 204);
    assert_eq!(asks(&victim, &replica, "PUT", &seat).await, (410, json!("SeatLost")));
    assert!(holders(&victim, &replica).await.is_empty());
    let log = ground.operator.with_file_name("operator-seat-guess-first.log");
    let log = std::fs::read_to_string(log).expect("the replica wrote it");
    let of_boss: Vec<&str> = log.lines().filter(|line| line.contains(" audit: ") && line.contains(":boss")).collect();
    assert_eq!(of_boss.len(), 1, "{of_boss:?}");
    assert!(of_boss[0].contains("release of another") && !of_boss[0].contains("m.huber"), "{of_boss:?}");
    replica.kill().await;
}

/// The attack: the victim's session is guessed, and asked for. That used to return the victim's seat.
#[tokio::test]
async fn i1_the_same_session_from_another_service_account_or_pod_is_another_start() {
    let ground = Ground::take().await;
    let (vendor, replica) = licensed_by(&ground, "seat-twin", 6, &[]).await;
    let victim = Agent::employed(&vendor, "victim").await;
    let intruder = Agent::employed(&vendor, "intruder").await;
    logged_in(&victim, &replica, "warm.up").await;
    let (one, two) = (in_pod(&ground, &vendor, "victim", "one").await, in_pod(&ground, &vendor, "victim", "two").await);

    let mut taken: Vec<(&Agent, String)> = Vec::new();
    for agent in [&victim, &intruder, &one, &two] {
        let granted = takes(agent, &replica, "main").await;
        assert_eq!(takes(agent, &replica, "main").await.body, granted.body, "asked again, it has the same");
        taken.push((agent, id_in(&granted)));
    }
    let slots: std::collections::BTreeSet<_> = taken.iter().map(|(_, id)| id.split('~').nth(3)).collect();
    assert_eq!(slots.len(), 4, "{slots:?}");
    // Sessions of one user share a seat, and each ends by itself.
    let (of_one, of_two) =
        (id_in(&logged_in(&one, &replica, "a.kern").await), id_in(&logged_in(&two, &replica, "a.kern").await));
    assert_eq!(asks(&one, &replica, "DELETE", &of_one).await.0, 204);
    assert_eq!(asks(&two, &replica, "PUT", &of_two).await.0, 200);
    for (agent, id) in &taken {
        for (other, _) in taken.iter().filter(|(other, _)| other.token != agent.token) {
            assert_eq!(asks(other, &replica, "DELETE", id).await.0, 403);
        }
        assert_eq!(asks(agent, &replica, "PUT", id).await.0, 200);
        assert_eq!(asks(agent, &replica, "DELETE", id).await.0, 204);
    }
    replica.kill().await;
}
