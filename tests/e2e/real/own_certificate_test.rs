//! HTTPS for seats where nobody provides a certificate: replicas agree on one authority of their own, and renew.

use std::time::Duration;

use tokio::process::Command;

use super::certificates::connects_trusting;
use super::seats_test::{Agent, LEADS, licensed_by};
use crate::harness::eventually::eventually;
use crate::rights;
use crate::suite::faults_ground::{Ground, HOME, SOON};
use crate::suite::faults_operators::Replica;

const OWN: [&str; 3] = ["--seats-tls-own", "--seats-tls-name", "seatkeeper.seatkeeper.svc"];
const SECRET: &str = "seatkeeper-seats-authority";
/// Far longer than a replica takes to see the change of a Secret.
const RENEWED: Duration = Duration::from_secs(45);

async fn entry(ground: &Ground, kind: &str, name: &str, entry: &str) -> String {
    let path = format!("jsonpath={{.data.{}}}", entry.replace('.', "\\."));
    ground.kubectl(HOME).expect(&["get", kind, name, "-o", &path]).await
}

/// The certificate that a replica shows to somebody who trusts this authority.
async fn shown(authority: &str, at: &Replica) -> Result<Vec<u8>, String> {
    let stream = connects_trusting(authority, at.seats).await.map_err(|error| error.to_string())?;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    certificates.first().map(|certificate| certificate.to_vec()).ok_or_else(|| "none".to_owned())
}

/// K1: two replicas that start at once make one authority, pass requests on to each other, and renew without a restart.
#[tokio::test]
async fn k1_replicas_agree_on_one_authority_of_their_own_and_renew_its_certificate() {
    let ground = Ground::take().await;
    rights::apply(&ground.cluster, &["seats-ca"]).await;
    let _ = ground.kubectl(HOME).run(&["delete", "secret", SECRET]).await;
    let second = Replica::start_with(&ground.operator, "own-second", &OWN);
    let third = Replica::start_with(&ground.operator, "own-third", &OWN);
    eventually(SOON, "one of them leads", async || {
        let said = [second.ask("/readyz").await, third.ask("/readyz").await];
        said.iter().flatten().any(|(_, said)| said.trim_end() == LEADS).then_some(()).ok_or(format!("{said:?}"))
    })
    .await;
    second.kill().await;
    third.kill().await;
    ground.nobody_leads().await;
    let authority = eventually(SOON, "the certificate is published", async || {
        let pem = entry(&ground, "configmap", "seatkeeper-ca", "ca.crt").await;
        if pem.contains("BEGIN CERTIFICATE") { Ok(pem) } else { Err(pem) }
    })
    .await;

    let (vendor, first) = licensed_by(&ground, "own-authority", 4, &OWN).await;
    let second = Replica::start_with(&ground.operator, "own-fourth", &OWN);
    second.says(SOON, "ok: stands by").await;
    let agent = Agent::employed(&vendor, "agent").await;
    for (replica, user) in [(&first, "a.kern"), (&second, "m.huber")] {
        eventually(SOON, &format!("{user} is logged in"), async || {
            let stream = connects_trusting(&authority, replica.seats).await.map_err(|error| error.to_string())?;
            match agent.ask_over(stream, "POST", "/v1/seats", &agent.wish(user)).await {
                Some(answer) if answer.status == 201 => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
    let plain = tokio::net::TcpStream::connect(("127.0.0.1", first.seats)).await.expect("it listens");
    assert!(agent.ask_over(plain, "POST", "/v1/seats", &agent.wish("j.wolf")).await.is_none());
    assert!(!entry(&ground, "secret", SECRET, "ca.key").await.is_empty());

    // It ends soon.
    let before = shown(&authority, &first).await.expect("it is trusted");
    let patch = r#"{"stringData":{"tls.until":"1"}}"#;
    ground.kubectl(HOME).expect(&["patch", "secret", SECRET, "--type=merge", "-p", patch]).await;
    for replica in [&first, &second] {
        eventually(RENEWED, "the renewed certificate is shown", async || {
            let now = shown(&authority, replica).await?;
            if now == before { Err("the one before".to_owned()) } else { Ok(()) }
        })
        .await;
    }
    assert_eq!(shown(&authority, &first).await, shown(&authority, &second).await);
    // What is not a certificate any more is made again, and the replicas stay what they are.
    ground.kubectl(HOME).expect(&["delete", "secret", SECRET]).await;
    eventually(RENEWED, "there is another authority", async || {
        let next = entry(&ground, "configmap", "seatkeeper-ca", "ca.crt").await;
        if next == authority { Err("the one before".to_owned()) } else { shown(&next, &second).await.map(|_| ()) }
    })
    .await;
    first.says(SOON, LEADS).await;
    first.kill().await;
    second.kill().await;
}

/// Without the right to its Secret the operator is not ready, and says why.
#[tokio::test]
async fn an_operator_that_cannot_have_a_certificate_is_not_ready() {
    let mut operator = Command::new(env!("CARGO_BIN_EXE_seatkeeper"));
    let arguments = ["operator", "--seats-tls-own", "--listen", "127.0.0.1:0", "--seats-listen", "127.0.0.1:0"];
    let said = operator.args(arguments).output().await.expect("the program was built with this test");
    assert!(String::from_utf8_lossy(&said.stderr).contains("--seats-tls-name <NAME>"), "{said:?}");

    let ground = Ground::take().await;
    let nobody = ground.cluster.service_account_kubeconfig(HOME, "default").await;
    let replica = Replica::start_with(&nobody, "without-rights", &OWN);
    replica.says(SOON, "the seat server has no certificate yet; see the log").await;
    replica.kill().await;
}
