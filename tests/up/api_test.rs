//! Who may use the API of `seatkeeper up`, and that nobody else can block it.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::ListParams;
use seatkeeper::machine::monotonic;
use seatkeeper::server::kube_api::MOST_CONNECTIONS;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use super::running::{Desk, LONGEST};

/// Sends a GET request, with this token if there is one, and returns status and body, as curl would show them.
async fn get(desk: &Desk, path: &str, token: Option<&str>) -> (u16, String) {
    let kubeconfig = kube::config::Kubeconfig::read_from(desk.data("kubeconfig")).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
    let mut config = config;
    let known = config.auth_info.token.take();
    config.auth_info.token = match token {
        Some("known") => known,
        Some(token) => Some(token.to_owned().into()),
        None => None,
    };
    let client = kube::Client::try_from(config).unwrap();
    let request = http::Request::get(path).body(kube::client::Body::empty()).unwrap();
    let response = client.send(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect_bytes().await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn only_requests_with_the_credential_are_answered() {
    let desk = Desk::with_example();
    let mut up = desk.up("");
    up.until(&["License innoacd/innoacd  Activated"]);
    for path in ["/api/v1/secrets", "/apis", "/metrics", "/openapi/v2", "/openapi/v3", "/nothing"] {
        for token in [None, Some("guessed")] {
            let (status, body) = get(&desk, path, token).await;
            assert_eq!(
                (status, body.contains("\"message\":\"Unauthorized\"")),
                (401, true),
                "{path} {token:?}: {body}"
            );
        }
    }
    let (status, body) = get(&desk, "/api/v1/namespaces/innoacd/secrets", Some("known")).await;
    assert_eq!((status, body.contains("innoacd-license")), (200, true), "{body}");
    let (status, body) = get(&desk, "/metrics", Some("known")).await;
    assert_eq!((status, body.contains("seatkeeper_")), (200, true), "{body}");
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(get(&desk, path, None).await.0, 401, "{path}");
        assert_eq!(get(&desk, path, Some("known")).await, (200, "ok".to_owned()));
    }
}

#[tokio::test]
async fn the_credential_is_private_and_the_certificate_is_checked() {
    let desk = Desk::new();
    let mut up = desk.up("");
    let address = up.address();
    assert!(address.starts_with("https://127.0.0.1:"), "{address}");
    up.until(&["holds no YAML yet"]);
    let mode = |name: &str| std::fs::metadata(desk.data(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    for name in
        ["kubeconfig", "credential.json", "token", "seatkeeper.redb", "seatkeeper.acknowledged", "seatkeeper.lock"]
    {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    assert!(Api::<Namespace>::all(desk.client().await).list(&ListParams::default()).await.unwrap().items.len() > 1);
    // With another authority, the client refuses the connection.
    let (other, mine) = (Desk::new(), desk.data("kubeconfig"));
    let mut second = other.up("");
    second.until(&["holds no YAML yet"]);
    let theirs = kube::config::Kubeconfig::read_from(other.data("kubeconfig")).unwrap();
    let mut mixed = kube::config::Kubeconfig::read_from(&mine).unwrap();
    let authority = theirs.clusters[0].cluster.clone().unwrap().certificate_authority_data;
    mixed.clusters[0].cluster.as_mut().unwrap().certificate_authority_data = authority;
    let config = kube::Config::from_custom_kubeconfig(mixed, &Default::default()).await.unwrap();
    let refused = Api::<Namespace>::all(kube::Client::try_from(config).unwrap()).list(&ListParams::default()).await;
    let why = format!("{:?}", refused.unwrap_err());
    assert!(why.contains("InvalidCertificate"), "{why}");
}

#[tokio::test]
async fn idle_connections_and_slow_handshakes_block_nobody() {
    let desk = Desk::new();
    let mut up = desk.up("");
    let address = up.address();
    up.until(&["holds no YAML yet"]);
    let namespaces: Api<Namespace> = Api::all(desk.client().await);
    namespaces.list(&ListParams::default()).await.unwrap();
    let address = address["https://".len()..].to_socket_addrs().unwrap().next().unwrap();
    // More connections than there is room for, and none sends anything.
    let idle: Vec<TcpStream> = (0..MOST_CONNECTIONS + 200).map(|_| TcpStream::connect(address).unwrap()).collect();
    // Requests succeed long before the handshakes time out, on an old connection and on a new one.
    for client in [namespaces, Api::all(desk.client().await)] {
        let params = ListParams::default();
        let answered = tokio::time::timeout(Duration::from_secs(5), client.list(&params)).await;
        assert!(answered.expect("it was blocked").unwrap().items.len() > 1);
    }
    // Most of them were closed, and none that there is room for.
    let is_open = |mut stream: &TcpStream| {
        stream.set_nonblocking(true).unwrap();
        let read = std::io::Read::read(&mut stream, &mut [0; 1]);
        read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    let open = idle.iter().filter(|stream| is_open(stream)).count();
    assert!((1..=MOST_CONNECTIONS / 4).contains(&open), "{open} are open");
}

/// Each connection is an open file, and many systems allow a process 1,024 unless it asks for more.
#[test]
fn as_many_connections_are_open_as_the_system_allows() {
    let desk = Desk::new();
    let served = "ulimit -Sn 256; exec \"$0\" up yaml --data data --listen 127.0.0.1:0 --seats-listen 127.0.0.1:0";
    let mut child = Command::new("sh")
        .args(["-c", served, env!("CARGO_BIN_EXE_seatkeeper")])
        .current_dir(&desk.0)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let began = monotonic();
    while !desk.data("kubeconfig").exists() {
        assert!(monotonic() - began < LONGEST, "it does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let [now, most] = [0, 1].map(|nth| line.split_whitespace().nth(nth).unwrap().parse::<u64>().unwrap_or(u64::MAX));
    assert_eq!(now, most.min(65_536), "{line}");
}

#[test]
fn wrong_use_is_refused() {
    let desk = Desk::with_example();
    for (speed, says) in [
        ("fast", "write a number, a unit (s, m, h, d or w) and /s, for example 1d/s"),
        ("1d", "for example 1d/s"),
        ("d/s", "for example 1d/s"),
        ("1y/s", "for example 1d/s"),
        ("0d/s", "from 1s/s, that of the clock, to 366d/s, 366 days each second"),
        ("-3d/s", "from 1s/s, that of the clock, to 366d/s, 366 days each second"),
        ("400d/s", "from 1s/s, that of the clock, to 366d/s, 366 days each second"),
    ] {
        desk.refused(&format!("--speed={speed}"), 2, &["--speed", says]);
    }
    desk.refused("--from 2026-01-01", 2, &["--speed"]);
    desk.refused("--speed 1d/s --from 2026-02-30", 2, &["--from"]);
    assert!(!desk.data("").exists(), "wrong use leaves nothing behind");
    for (folder, says) in [("nowhere", "nowhere: No such file"), ("yaml/contract.yaml", "is not a folder")] {
        let output = Command::new(env!("CARGO_BIN_EXE_seatkeeper")).args(["up", folder]).current_dir(&desk.0).output();
        let (output, said) = output.map(|o| (o.status.code(), String::from_utf8(o.stderr).unwrap())).unwrap();
        assert_eq!((output, said.contains(says)), (Some(2), true), "{said}");
    }
}

#[test]
fn a_data_directory_has_one_kind_of_time() {
    let desk = Desk::new();
    let mut up = desk.up("");
    up.until(&["holds no YAML yet"]);
    up.interrupt();
    desk.refused("--speed 1d/s", 2, &["data runs in real time, which cannot be sped up: name another folder"]);
    let desk = Desk::new();
    let mut up = desk.up("--speed 1d/s --from 2026-03-01");
    up.until(&["holds no YAML yet"]);
    up.interrupt();
    desk.refused("", 2, &["data runs on its own calendar, now 2026-03-0", "give --speed, or name another folder"]);
    std::fs::write(desk.data("calendar"), "soon").unwrap();
    desk.refused("--speed 1d/s", 1, &["calendar: is not a time; write one, such as 2026-"]);
}

#[test]
fn what_is_in_use_or_damaged_is_named_with_what_to_do() {
    let desk = Desk::new();
    let mut up = desk.up("");
    let address = up.address();
    up.until(&["holds no YAML yet"]);
    let address = &address["https://".len()..];
    desk.refused(
        "--listen 127.0.0.1:0",
        1,
        &["/data is in use by another process: end that process, or name another folder"],
    );
    let second = Desk::new();
    second.refused(&format!("--listen {address}"), 1, &[address, "in use", "name another address, port 0 takes any"]);
    let seats = up.said.iter().find_map(|line| line.strip_prefix("  seats      http://")).expect("it is said");
    let seats = seats.trim_end_matches("/v1/seats").to_owned();
    let taken = format!("--listen 127.0.0.1:0 --seats-listen {seats}");
    second.refused(&taken, 1, &["--seats-listen", &seats, "in use", "name another address, port 0 takes any"]);
    for ttl in ["4", "3601", "soon"] {
        second.refused(&format!("--seat-ttl {ttl}"), 2, &["--seat-ttl", ttl]);
    }
    up.interrupt();
    let database = desk.data("seatkeeper.redb");
    std::fs::write(&database, "no database").unwrap();
    desk.refused("--listen 127.0.0.1:0", 1, &["seatkeeper.redb is damaged:", "restore a copy of it, or move it away"]);
    assert_eq!(std::fs::read(&database).unwrap(), b"no database");
}
