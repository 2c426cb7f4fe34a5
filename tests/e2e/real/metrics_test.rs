//! Metrics on a port of their own: over HTTPS, and for those with the right.

use std::net::TcpListener;

use tokio::net::TcpStream;

use super::certificates::connects_trusting;
use super::seats_test::{Agent, LEADS};
use crate::harness::eventually::eventually;
use crate::rights;
use crate::suite::faults_ground::{Ground, HOME, SOON};
use crate::suite::faults_operators::Replica;

const READER: &str = "--clusterrole=seatkeeper-metrics-reader";

/// The status and the body of `GET /metrics` with this token.
async fn metrics(authority: &str, port: u16, token: &str) -> Result<(u16, String), String> {
    let stream = connects_trusting(authority, port).await.map_err(|error| error.to_string())?;
    get(stream, token).await
}

async fn get(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    token: &str,
) -> Result<(u16, String), String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let credential = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    let request = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{credential}\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    // The end of the connection may come without a farewell of TLS.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.map(|status| (status, answer.clone())).ok_or(answer)
}

/// K1: everybody on the pod network used to read them, with the names of all namespaces and Licenses.
#[tokio::test]
async fn k1_metrics_are_shown_over_https_to_those_with_the_right_and_health_to_everybody() {
    let ground = Ground::take().await;
    rights::apply(&ground.cluster, &["seats-ca", "reader-roles"]).await;
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port is free").port();
    let listen = format!("127.0.0.1:{port}");
    let own = ["--seats-tls-own", "--seats-tls-name", "seatkeeper.seatkeeper.svc", "--metrics-listen", &listen];
    let replica = Replica::start_with(&ground.operator, "metrics", &own);
    replica.says(SOON, LEADS).await;
    assert_eq!(replica.ask("/livez").await, Some((200, "ok\n".to_owned())));
    assert_eq!(replica.ask("/metrics").await.map(|(status, _)| status), Some(404));

    let vendor = ground.vendor("metrics").await;
    let agent = Agent::employed(&vendor, "prometheus").await;
    let kubectl = &vendor.kubectl;
    let token = kubectl.expect(&["create", "token", "prometheus"]).await.trim().to_owned();
    let map = ["get", "configmap", "seatkeeper-ca", "-o", "jsonpath={.data.ca\\.crt}"];
    let authority = ground.kubectl(HOME).expect(&map).await;
    for (token, wanted) in [("", 401), ("x", 401), (&*agent.token, 401), (&token, 403)] {
        let (status, said) = metrics(&authority, port, token).await.expect("it answers");
        assert_eq!(status, wanted, "{said}");
        assert!(!said.contains("seatkeeper_leads"), "{said}");
    }
    let plain = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    assert!(get(plain, &token).await.is_err());

    let account = format!("--serviceaccount={}:prometheus", vendor.namespace);
    kubectl.expect(&["create", "clusterrolebinding", &vendor.namespace, READER, &account]).await;
    let said = eventually(SOON, "the right counts", async || match metrics(&authority, port, &token).await? {
        (200, said) => Ok(said),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert!(said.contains("\nseatkeeper_leads 1\n") && said.ends_with("# EOF\n"), "{said}");
    replica.kill().await;
}
