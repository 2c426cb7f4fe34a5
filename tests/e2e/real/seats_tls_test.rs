//! Seats over HTTPS: nobody on the network reads a token, and no untrusted server gets one.

use std::path::PathBuf;
use std::time::Duration;

use seatkeeper::machine::monotonic;
use seatkeeper::server::seat_port::MOST_CONNECTIONS;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::certificates::{Authority, Mount, Pair};
use super::seats_test::{Agent, Answer, licensed_by};
use crate::harness::eventually::eventually;
use crate::harness::program::Output;
use crate::suite::faults_ground::{Ground, SOON, Vendor};
use crate::suite::faults_operators::Replica;

/// The name of the Service.
const NAME: &str = "seatkeeper.seatkeeper.svc";
/// The operator looks for renewed files every ten seconds; a busy machine takes longer.
const RENEWED: Duration = Duration::from_secs(45);

fn mount(ground: &Ground, name: &str, pair: &Pair) -> Mount {
    Mount::new(&ground.cluster.state().join(format!("seats-tls-{name}")), pair)
}

fn arguments<'a>(mount: &'a Mount, name: &'a str) -> [&'a str; 4] {
    ["--seats-tls-dir", mount.path(), "--seats-tls-name", name]
}

/// Asks a replica for a seat, over HTTPS.
async fn asks(agent: &Agent, authority: &Authority, at: &Replica, user: &str) -> Result<Answer, String> {
    let stream = authority.connects(at.seats).await.map_err(|error| error.to_string())?;
    let answer = agent.ask_over(stream, "POST", "/v1/seats", &agent.wish(user)).await;
    answer.ok_or_else(|| "no answer".to_owned())
}

async fn logged_in(agent: &Agent, authority: &Authority, at: &Replica, user: &str) -> Answer {
    eventually(SOON, &format!("{user} is logged in"), async || match asks(agent, authority, at, user).await {
        Ok(answer) if answer.status == 201 => Ok(answer),
        other => Err(format!("{other:?}")),
    })
    .await
}

/// A person at a command line, with their own files.
struct Shell<'a> {
    vendor: &'a Vendor,
    folder: PathBuf,
}

impl<'a> Shell<'a> {
    fn new(ground: &Ground, vendor: &'a Vendor, files: &[(&str, &str)]) -> Self {
        let folder = ground.cluster.state().join(format!("shell-{}", vendor.namespace));
        std::fs::create_dir_all(&folder).expect("the state folder is ours");
        for (name, text) in files {
            std::fs::write(folder.join(name), text).expect("the folder is ours");
        }
        Shell { vendor, folder }
    }

    /// Runs `seatkeeper hold` on the licence for a moment. Returns its status and what it printed.
    async fn hold(&self, server: &str, more: &[&str]) -> (Option<i32>, String) {
        let mut hold = Command::new(env!("CARGO_BIN_EXE_seatkeeper"));
        hold.args(["hold", "--server", server, "--user", "m.huber", "--token-file", "token"])
            .args(["--license", &format!("{}/innoacd", self.vendor.namespace)])
            .args(more)
            .args(["--", "true"])
            .env_remove("SEATKEEPER_CA_FILE")
            .current_dir(&self.folder);
        let output = hold.output().await.expect("the program was built with this test");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    }

    async fn curl(&self, more: &[&str]) -> Output {
        let output = Command::new("curl").arg("-sS").args(more).current_dir(&self.folder).output().await;
        let output = output.expect("there is curl");
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Output { stdout: text(&output.stdout), stderr: text(&output.stderr), ok: output.status.success() }
    }
}

#[tokio::test]
async fn https_is_trusted_only_with_the_right_authority_and_plain_http_gets_nothing() {
    let ground = Ground::take().await;
    let (authority, other) = (Authority::new(), Authority::new());
    let mount = mount(&ground, "believed", &authority.issues(NAME));
    let (vendor, replica) = licensed_by(&ground, "over-https", 2, &arguments(&mount, NAME)).await;
    let agent = Agent::employed(&vendor, "agent").await;
    logged_in(&agent, &authority, &replica, "a.kern").await;

    let files = [("token", &*agent.token), ("ca.pem", &authority.pem()), ("other.pem", &other.pem())];
    let shell = Shell::new(&ground, &vendor, &files);
    let server = format!("https://127.0.0.1:{}", replica.seats);
    assert_eq!(shell.hold(&server, &["--ca-file", "ca.pem"]).await, (Some(0), String::new()));
    for stranger in [&[][..], &["--ca-file", "other.pem"]] {
        let (status, said) = shell.hold(&server, stranger).await;
        assert_eq!((status, said.contains("invalid peer certificate: UnknownIssuer")), (Some(75), true), "{said}");
    }

    let path = format!("/v1/seats?namespace={}&license=innoacd", vendor.namespace);
    let (url, token) = (format!("{server}{path}"), format!("Authorization: Bearer {}", agent.token));
    let listed = shell.curl(&["--cacert", "ca.pem", "--header", &token, &url]).await;
    assert!(listed.ok && listed.stdout.contains("a.kern"), "{listed:?}");
    let refused = shell.curl(&["--cacert", "other.pem", "--header", &token, &url]).await;
    assert!(!refused.ok && refused.stdout.is_empty(), "{refused:?}");
    let plain = shell.curl(&["--header", &token, &url.replace("https", "http")]).await;
    assert!(!plain.ok && plain.stdout.is_empty(), "{plain:?}");
    let (status, said) = shell.hold(&server.replace("https", "http"), &[]).await;
    assert_eq!((status, said.contains("does not answer")), (Some(75), true), "{said}");

    let mut stream = TcpStream::connect(("127.0.0.1", replica.seats)).await.expect("it listens");
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: seats\r\n{token}\r\n\r\n").as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    // The server may reset the connection, because the rest of the request is unread.
    let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await.expect("it does not wait for more");
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
    logged_in(&agent, &authority, &replica, "j.wolf").await;
    replica.kill().await;
}

/// There are more connections than the server has room for, half of them in the middle of a handshake.
#[tokio::test]
async fn unfinished_handshakes_keep_out_nobody_with_a_token() {
    let ground = Ground::take().await;
    let authority = Authority::new();
    let mount = mount(&ground, "silent", &authority.issues(NAME));
    let (vendor, replica) = licensed_by(&ground, "silence", 2, &arguments(&mount, NAME)).await;
    let agent = Agent::employed(&vendor, "agent").await;
    logged_in(&agent, &authority, &replica, "m.huber").await;

    let mut kept = authority.connects(replica.seats).await.expect("it listens");
    let head = format!(
        "HEAD /v1/seats?namespace={}&license=innoacd HTTP/1.1\r\nHost: seats\r\nAuthorization: Bearer {}\r\n\r\n",
        agent.namespace, agent.token
    );
    let mut is_answered = async || {
        kept.write_all(head.as_bytes()).await.expect("the connection is kept");
        let mut answer = [0; 4096];
        let length = kept.read(&mut answer).await.expect("the connection is kept");
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&answer[..length]));
    };
    is_answered().await;
    let mut silent = Vec::new();
    for nth in 0..MOST_CONNECTIONS + 100 {
        let stream = tokio::time::timeout(SOON, TcpStream::connect(("127.0.0.1", replica.seats))).await;
        let mut stream = stream.expect("it goes on taking connections").expect("it listens");
        if nth % 2 == 0 {
            // The beginning of a 512-byte handshake.
            stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1]).await.expect("the system takes it");
        }
        silent.push(stream);
    }
    let began = monotonic();
    tokio::time::timeout(SOON, is_answered()).await.expect("nothing is in the way");
    let answer = tokio::time::timeout(SOON, asks(&agent, &authority, &replica, "a.kern")).await;
    let answer = answer.expect("nothing is in the way").expect("there is room");
    let took = monotonic() - began;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    drop(silent);
    replica.kill().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_used_and_a_broken_one_is_not() {
    let ground = Ground::take().await;
    let (authority, next) = (Authority::new(), Authority::new());
    let (first, second) = (authority.issues(NAME), next.issues(NAME));
    let mut mount = mount(&ground, "renewed", &first);
    let (vendor, replica) = licensed_by(&ground, "renewal", 2, &arguments(&mount, NAME)).await;
    let agent = Agent::employed(&vendor, "agent").await;
    logged_in(&agent, &authority, &replica, "m.huber").await;
    assert!(first.is_shown_by(&authority.connects(replica.seats).await.expect("it is believed")));

    let refused = async |wanted: u8| {
        eventually(RENEWED, &format!("the metric is {wanted}"), async || {
            let metrics = replica.ask("/metrics").await.map(|(_, text)| text).unwrap_or_default();
            let line = format!("\nseatkeeper_seat_certificate_refused {wanted}\n");
            if metrics.contains(&line) { Ok(()) } else { Err("it is not".to_owned()) }
        })
        .await;
    };
    let shows = async |authority: &Authority, pair: &Pair| {
        eventually(RENEWED, "the renewed certificate is shown", async || {
            let stream = authority.connects(replica.seats).await.map_err(|error| error.to_string())?;
            if pair.is_shown_by(&stream) { Ok(()) } else { Err("the one before".to_owned()) }
        })
        .await;
    };
    mount.changes_to(&second);
    shows(&next, &second).await;
    let error = authority.connects(replica.seats).await.expect_err("its authority is another now").to_string();
    assert!(error.contains("UnknownIssuer"), "{error}");
    refused(0).await;

    mount.changes_to(&Pair { key: first.key.clone(), ..second.clone() });
    refused(1).await;
    assert!(second.is_shown_by(&next.connects(replica.seats).await.expect("the one before is shown")));
    let log = std::fs::read_to_string(ground.operator.with_file_name("operator-renewal-first.log")).expect("a log");
    let said = format!("tls.crt and tls.key of {}: keys may not be consistent: KeyMismatch", mount.path());
    assert_eq!(log.matches(&said).count(), 1, "{said}\n{log}");

    let third = next.issues(NAME);
    mount.changes_to(&third);
    shows(&next, &third).await;
    refused(0).await;
    logged_in(&agent, &next, &replica, "m.huber").await;
    replica.kill().await;
}

#[tokio::test]
async fn requests_are_passed_on_over_tls_and_never_to_an_untrusted_server() {
    let ground = Ground::take().await;
    let (authority, stranger) = (Authority::new(), Authority::new());
    let pair = authority.issues(NAME);
    let good = mount(&ground, "good", &pair);
    let of_another_name = mount(&ground, "another-name", &authority.issues("elsewhere.svc"));
    let bad = mount(&ground, "bad", &Pair { authority: stranger.pem(), ..pair });
    let (vendor, owner) = licensed_by(&ground, "passing-on", 2, &arguments(&good, NAME)).await;
    let agent = Agent::employed(&vendor, "agent").await;
    logged_in(&agent, &authority, &owner, "m.huber").await;

    let start = |name: &str, more: &[&str]| Replica::start_with(&ground.operator, &format!("passing-on-{name}"), more);
    let second = start("second", &arguments(&good, NAME));
    let third = start("third", &arguments(&bad, NAME));
    let fourth = start("fourth", &arguments(&of_another_name, "elsewhere.svc"));
    let plain = start("plain", &[]);
    for replica in [&second, &third, &fourth, &plain] {
        replica.says(SOON, "ok: stands by").await;
    }
    logged_in(&agent, &authority, &second, "a.kern").await;
    for (replica, why) in [
        (&third, "cannot be reached over TLS: invalid peer certificate: UnknownIssuer"),
        (&fourth, "invalid peer certificate: certificate not valid for name \"elsewhere.svc\""),
    ] {
        let answer = eventually(SOON, why, async || {
            let answer = asks(&agent, &authority, replica, "j.wolf").await?;
            let says = answer.body["detail"].as_str().is_some_and(|detail| detail.contains(why));
            if says { Ok(answer) } else { Err(format!("{answer:?}")) }
        })
        .await;
        assert_eq!((answer.status, &answer.body["reason"], answer.retry_after), (503, &json!("NotOwner"), Some(1)));
    }
    // A replica that was started without TLS, as before an upgrade, gets no seat through the owner.
    let stream = TcpStream::connect(("127.0.0.1", plain.seats)).await.expect("it listens");
    let answer = agent.ask_over(stream, "POST", "/v1/seats", &agent.wish("j.wolf")).await.expect("it answers");
    assert_eq!((answer.status, &answer.body["reason"]), (503, &json!("NotOwner")), "{answer:?}");
    for replica in [owner, second, third, fourth, plain] {
        replica.kill().await;
    }
}

#[tokio::test]
async fn an_operator_without_a_usable_certificate_says_what_is_wrong_and_ends() {
    let ground = Ground::take().await;
    let (one, other) = (Authority::new().issues(NAME), Authority::new().issues(NAME));
    let unfit = mount(&ground, "unfit", &Pair { key: other.key, ..one.clone() });
    let empty = mount(&ground, "empty", &Pair { certificate: String::new(), ..one.clone() });
    let wrong = mount(&ground, "wrong", &Pair { authority: one.key.clone(), ..one.clone() });
    let nowhere = ["--seats-tls-dir", "/nowhere", "--seats-tls-name", NAME];
    for (arguments, says) in [
        (&nowhere[..], "there is no /nowhere/tls.crt; a Secret of type kubernetes.io/tls has it"),
        (&nowhere[..2], "--seats-tls-name <NAME>"),
        (&arguments(&unfit, NAME), "keys may not be consistent: KeyMismatch"),
        (&arguments(&empty, NAME), "tls.crt: has no certificate in it"),
        (&arguments(&wrong, NAME), "ca.crt: has no certificate in it"),
        (&arguments(&wrong, "a b"), "\"a b\" is not the name of a server"),
        (&arguments(&unfit, "elsewhere.svc"), "tls.crt is not for elsewhere.svc, the name that other replicas expect"),
    ] {
        let mut operator = Command::new(env!("CARGO_BIN_EXE_seatkeeper"));
        operator.args(["operator", "--listen", "127.0.0.1:0", "--seats-listen", "127.0.0.1:0"]).args(arguments);
        let output = operator.env("KUBECONFIG", &ground.operator).kill_on_drop(true).output();
        let output = tokio::time::timeout(SOON, output).await.expect("it ends").expect("the program was built");
        let said = String::from_utf8(output.stderr).expect("text");
        assert!(!output.status.success() && said.contains(says), "{says}: {said}");
    }
}
