//! What happens to seats while the API server is away (K4: running sessions go on).

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use super::seats_test::{Agent, licensed_over, logged_in};
use crate::harness::eventually::eventually;
use crate::suite::faults_ground::{Ground, SOON};
use crate::suite::faults_proxy::Proxy;

/// How long a seat is held without a heartbeat here, in seconds.
const TTL: &str = "5";

#[tokio::test]
async fn k4_while_the_api_server_is_away_seats_are_kept_and_none_is_granted_or_reported_lost() {
    let ground = Ground::take().await;
    let mut proxy = Proxy::start(&ground).await;
    let (vendor, replica) = licensed_over(&ground, proxy.kubeconfig(), "away", 2, &[]).await;
    let agent = Agent::employed(&vendor, "agent").await;
    let held = logged_in(&agent, &replica, "m.huber").await.body["seats"][0]["id"].clone();
    let given_back = logged_in(&agent, &replica, "a.kern").await.body["seats"][0]["id"].clone();
    let of_given_back = format!("/v1/seats/{}", given_back.as_str().expect("a seat has an id"));
    let released = agent.ask(&replica, "DELETE", &of_given_back, "").await.expect("it answers");
    assert_eq!(released.status, 204, "{released:?}");

    proxy.go_away();
    let both = json!({"ids": [held, given_back]}).to_string();
    let (unsure, alone) =
        tokio::join!(agent.ask(&replica, "PUT", "/v1/seats", &both), agent.ask(&replica, "PUT", &of_given_back, ""));
    for (answer, about) in [(unsure, json!([given_back])), (alone, Value::Null)] {
        let answer = answer.expect("it answers");
        assert_eq!((answer.status, &answer.body["reason"]), (503, &json!("LedgerUnavailable")), "{answer:?}");
        assert_eq!(answer.body["unsure"], about, "{answer:?}");
    }
    eventually(SOON, "a new request is refused", async || {
        let asked = tokio::time::timeout(Duration::from_millis(200), agent.logs_in(&replica, "j.wolf")).await;
        match asked {
            Ok(Some(answer)) if answer.body["reason"] == "LedgerUnavailable" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let kept = agent.ask(&replica, "PUT", "/v1/seats", &json!({"ids": [held]}).to_string()).await.expect("it answers");
    assert_eq!((kept.status, &kept.body["lost"]), (200, &Value::Null), "{kept:?}");

    proxy.come_back();
    eventually(SOON, "the holder learns what happened to its seats", async || {
        let answer = agent.ask(&replica, "PUT", "/v1/seats", &both).await;
        match answer {
            Some(answer) if answer.status == 200 && answer.body["lost"] == json!([given_back]) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    replica.kill().await;
}

/// An outage at night, longer than a seat may be held without a heartbeat; the operator ends, and is restarted.
#[tokio::test]
async fn k4_after_a_long_outage_the_command_of_hold_still_runs_and_has_the_same_seat() {
    let ground = Ground::take().await;
    let mut proxy = Proxy::start(&ground).await;
    let more = ["--seat-ttl", TTL];
    let (vendor, mut replica) = licensed_over(&ground, proxy.kubeconfig(), "night", 1, &more).await;
    let agent = Agent::employed(&vendor, "agent").await;
    let folder = ground.cluster.state().join("night");
    std::fs::create_dir_all(&folder).expect("the state folder is ours");
    std::fs::write(folder.join("token"), &agent.token).expect("the folder is ours");
    eventually(SOON, "the License has seats", async || {
        let answer = agent.logs_in(&replica, "early.bird").await;
        let id =
            answer.as_ref().and_then(|answer| answer.body["seats"][0]["id"].as_str()).ok_or(format!("{answer:?}"))?;
        agent.ask(&replica, "DELETE", &format!("/v1/seats/{id}"), "").await.map(|_| ()).ok_or_else(String::new)
    })
    .await;
    let hold = Command::new(env!("CARGO_BIN_EXE_seatkeeper"))
        .args(["hold", "--server", &format!("http://127.0.0.1:{}", replica.seats), "--token-file", "token"])
        .args(["--license", &format!("{}/innoacd", vendor.namespace), "--user", "m.huber"])
        .args(["--", "sh", "-c", "echo > began; while [ ! -e done ]; do sleep 0.1; done; echo went on"])
        .current_dir(&folder)
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(folder.join("errors")).expect("the folder is ours"))
        .kill_on_drop(true)
        .spawn()
        .expect("the program was built with this test");
    let list = format!("/v1/seats?namespace={}&license=innoacd", vendor.namespace);
    let seats = async |at: &_| agent.ask(at, "GET", &list, "").await.map(|answer| answer.body["holders"].clone());
    eventually(SOON, "the command runs", async || match folder.join("began").exists() {
        true => Ok(()),
        false => Err("it does not".to_owned()),
    })
    .await;
    let before = seats(&replica).await.expect("it answers");
    assert_eq!(before[0]["user"], "m.huber");

    proxy.go_away();
    replica.ended(SOON).await;
    let says = async |what: &str| {
        eventually(SOON, &format!("hold says {what:?}"), async || {
            let said = std::fs::read_to_string(folder.join("errors")).expect("it is text");
            if said.contains(what) { Ok(()) } else { Err(said) }
        })
        .await;
    };
    says("the seat is lost, no heartbeat was answered in time").await;
    says("the command goes on; asking for another seat").await;
    proxy.come_back();
    replica.starts_again(proxy.kubeconfig(), &more);
    says("has a seat again: seat 0 of pool `agents`").await;
    assert_eq!(seats(&replica).await, Some(before), "it was kept for the session all the time");

    std::fs::write(folder.join("done"), "").expect("the folder is ours");
    let output = hold.wait_with_output().await.expect("it is our child");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"went on\n"[..]));
    replica.kill().await;
}
