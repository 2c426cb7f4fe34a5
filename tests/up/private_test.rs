//! Other users of the same machine: what they may not read, may not have written, and cannot win by taking a port.
//!
//! Each attack was seen to succeed before it was prevented.

use seatkeeper::machine::monotonic;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::running::{Desk, LONGEST};

const ANYWHERE: &str = "--listen 127.0.0.1:0 --seats-listen 127.0.0.1:0";

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn text(desk: &Desk, file: &str) -> String {
    fs::read_to_string(desk.data(file)).unwrap()
}

/// What the API answers to a GET with this token.
async fn status(desk: &Desk, path: &str, token: &str) -> u16 {
    let kubeconfig = kube::config::Kubeconfig::read_from(desk.data("kubeconfig")).unwrap();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
    config.auth_info.token = Some(token.to_owned().into());
    let request = http::Request::get(path).body(kube::client::Body::empty()).unwrap();
    kube::Client::try_from(config).unwrap().send(request).await.unwrap().status().as_u16()
}

/// The token that `seatkeeper hold` sends to a process that listens where `up` would.
fn taken_by_a_squatter(desk: &Desk) -> String {
    let squatter = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", squatter.local_addr().unwrap());
    let mut hold = Command::new(env!("CARGO_BIN_EXE_seatkeeper"))
        .args(["hold", "--license", "innoacd/innoacd", "--server", &server, "--token-file"])
        .arg(desk.data("token"))
        .args(["--", "true"])
        .stderr(Stdio::null())
        .spawn();
    let (mut stream, _) = squatter.accept().unwrap();
    stream.set_read_timeout(Some(LONGEST)).unwrap();
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut bytes = [0; 1024];
        let length = stream.read(&mut bytes).unwrap();
        assert!(length > 0, "it ended");
        head.extend_from_slice(&bytes[..length]);
    }
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").unwrap();
    let hold = hold.as_mut().unwrap();
    let _ = hold.kill();
    hold.wait().unwrap();
    let head = String::from_utf8_lossy(&head).into_owned();
    let (_, token) = head.split_once("Bearer ").expect("it shows its token");
    token.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test]
async fn a_squatter_on_the_seat_port_gets_a_token_that_reads_no_signing_key() {
    let desk = Desk::with_example();
    let mut up = desk.up("");
    up.until(&["License innoacd/innoacd  Activated"]);
    let token = taken_by_a_squatter(&desk);
    for path in ["/api/v1/namespaces/innoacd/secrets/issuer", "/api/v1/secrets", "/metrics", "/apis"] {
        assert_eq!(status(&desk, path, &token).await, 401, "{path}");
    }
    up.interrupt();
}

#[tokio::test]
async fn each_token_is_good_for_one_port() {
    let desk = Desk::with_example();
    let mut up = desk.up("");
    up.until(&["License innoacd/innoacd  Activated"]);
    let seats = up.said.iter().find_map(|line| line.strip_prefix("  seats      ")).expect("it is said").to_owned();
    let ask = |token: &str| {
        let answer = seatkeeper_answer(&format!("{seats}?namespace=innoacd&license=innoacd"), token);
        answer.lines().next().unwrap_or_default().to_owned()
    };
    let kubeconfig = text(&desk, "kubeconfig");
    let (_, everything) = kubeconfig.split_once("token: ").expect("it has one");
    let everything = everything.split_whitespace().next().unwrap().trim_matches('"').to_owned();
    assert_eq!(ask(&text(&desk, "token")), "HTTP/1.1 200 OK");
    assert_eq!(ask(&everything), "HTTP/1.1 401 Unauthorized");
    up.interrupt();
}

/// Sends a GET over plain HTTP.
fn seatkeeper_answer(url: &str, token: &str) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    let (address, path) = rest.split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let request =
        format!("GET /{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A data folder of an earlier version has one token for both, which was sent in clear.
#[tokio::test]
async fn the_one_token_of_an_earlier_version_is_replaced() {
    let desk = Desk::new();
    let mut up = desk.up("");
    up.until(&["holds no YAML yet"]);
    up.interrupt();
    let mut stored: serde_json::Value = serde_json::from_str(&text(&desk, "credential.json")).unwrap();
    stored.as_object_mut().unwrap().remove("seats_token").expect("it is stored");
    let before = stored["token"].as_str().unwrap().to_owned();
    fs::write(desk.data("credential.json"), stored.to_string()).unwrap();
    fs::write(desk.data("token"), &before).unwrap();
    let mut up = desk.up("");
    up.until(&["holds no YAML yet"]);
    assert_eq!(status(&desk, "/apis", &before).await, 401);
    assert!(!text(&desk, "token").contains(&before) && !text(&desk, "kubeconfig").contains(&before));
    let certificate = serde_json::from_str::<serde_json::Value>(&text(&desk, "credential.json")).unwrap();
    assert_eq!(certificate["certificate"], stored["certificate"], "kubectl still knows the server");
    up.interrupt();
}

#[test]
fn a_data_folder_that_others_can_write_to_is_refused_with_the_command_that_mends_it() {
    for open in [0o770, 0o707, 0o1777] {
        let desk = Desk::new();
        let data = desk.data("");
        fs::create_dir(&data).unwrap();
        set_mode(&data, open);
        let says = [
            &*format!("{}: other users of this machine can write to it (mode {open:04o})", "data"),
            "run `chmod go-w data`",
        ];
        desk.refused(ANYWHERE, 1, &says);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "nothing was written there");
        let mended = Command::new("chmod").args(["go-w", "data"]).current_dir(&desk.0).status();
        assert!(mended.unwrap().success());
        let mut up = desk.up("");
        up.until(&["holds no YAML yet"]);
        up.interrupt();
    }
}

#[test]
fn a_data_folder_that_others_can_replace_is_refused() {
    let desk = Desk::new();
    set_mode(&desk.0, 0o777);
    let folder = desk.0.canonicalize().unwrap();
    let says = ["everybody can replace it", &*format!("run `chmod o-w {}`", folder.display())];
    desk.refused(ANYWHERE, 1, &says);
    set_mode(&desk.0, 0o1777);
    let mut up = desk.up("");
    up.until(&["holds no YAML yet"]);
    up.interrupt();
}

/// Only root can give a folder away; for others, `src/cli/private.rs` proves the rule.
#[test]
fn a_data_folder_of_another_user_is_refused() {
    let desk = Desk::new();
    let data = desk.data("");
    fs::create_dir(&data).unwrap();
    if chown(&data, Some(65_534), None).is_ok() {
        desk.refused(ANYWHERE, 1, &["data: belongs to the user with uid 65534", "or name another folder"]);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "nothing was written there");
    }
}

#[test]
fn a_link_in_place_of_the_data_folder_or_of_a_file_in_it_is_not_followed() {
    let desk = Desk::new();
    let elsewhere = desk.0.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink("elsewhere", desk.0.join("data")).unwrap();
    for name in ["data", "data/"] {
        let output = Command::new(env!("CARGO_BIN_EXE_seatkeeper"))
            .args(["up", "yaml", "--data", name])
            .args(ANYWHERE.split_whitespace())
            .current_dir(&desk.0)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("data: is a symbolic link, which is not followed: name elsewhere itself"), "{said}");
    }
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "nothing was written there");
    fs::remove_file(desk.0.join("data")).unwrap();
    fs::create_dir(desk.data("")).unwrap();
    set_mode(&desk.data(""), 0o700);
    for file in ["credential.json", "seatkeeper.redb", "seatkeeper.lock", "seatkeeper.acknowledged", "calendar"] {
        symlink("../elsewhere/planted", desk.data(file)).unwrap();
        desk.refused(ANYWHERE, 1, &[&format!("{file}: is a symbolic link")]);
        fs::remove_file(desk.data(file)).unwrap();
    }
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "nothing was written there");
}

/// Where a draft is left, or was planted while the folder was open to others.
#[test]
fn a_link_in_place_of_a_draft_is_not_written_through() {
    let desk = Desk::new();
    fs::create_dir(desk.data("")).unwrap();
    set_mode(&desk.data(""), 0o700);
    fs::write(desk.0.join("precious"), "precious").unwrap();
    let drafts = ["credential.json.new", "kubeconfig.new", "token.new", "seatkeeper.acknowledged.new"];
    for draft in drafts {
        symlink("../precious", desk.data(draft)).unwrap();
    }
    let mut up = desk.up("");
    up.until(&["holds no YAML yet"]);
    up.interrupt();
    assert_eq!(fs::read_to_string(desk.0.join("precious")).unwrap(), "precious");
    for file in ["credential.json", "kubeconfig", "token", "seatkeeper.acknowledged"] {
        assert!(!fs::symlink_metadata(desk.data(file)).unwrap().is_symlink(), "{file}");
        assert_eq!(mode(&desk.data(file)), 0o600, "{file}");
    }
}

#[test]
fn files_that_others_can_read_are_named() {
    let desk = Desk::new();
    let mut up = desk.up("");
    up.until(&["holds no YAML yet"]);
    up.interrupt();
    set_mode(&desk.data("seatkeeper.redb"), 0o644);
    let key = "apiVersion: v1\nkind: Secret\ntype: seatkeeper.dev/issuer\nmetadata: {name: issuer}\n";
    desk.write("issuer.yaml", format!("{key}stringData: {{signing-key.pem: none}}\n"));
    desk.write("other.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n");
    for file in ["issuer.yaml", "other.yaml"] {
        set_mode(&desk.0.join("yaml").join(file), 0o644);
    }
    let mut up = desk.up("");
    let says = "other users of this machine have access to it (mode 0644): run `chmod go-rwx";
    up.until(&[&format!("! yaml/issuer.yaml: {says} yaml/issuer.yaml`")]);
    up.until(&["applied ConfigMap default/a"]);
    assert_eq!(up.count("other.yaml"), 0, "{:?}", up.said);
    let said = up.errors_after_the_end();
    assert!(said.contains("seatkeeper.redb") && said.contains(says), "{said}");
}

/// What a crash writes to disk would hold the signing key.
#[test]
fn a_crash_leaves_no_image_of_the_memory() {
    use std::os::unix::process::ExitStatusExt;
    let desk = Desk::new();
    let served = "ulimit -c unlimited; exec \"$0\" up yaml --data data --listen 127.0.0.1:0 --seats-listen 127.0.0.1:0";
    let mut child = Command::new("sh")
        .args(["-c", served, env!("CARGO_BIN_EXE_seatkeeper")])
        .current_dir(&desk.0)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let began = monotonic();
    while !desk.data("kubeconfig").exists() {
        assert!(monotonic() - began < LONGEST, "it does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    Command::new("kill").args(["-ABRT", &child.id().to_string()]).status().unwrap();
    let status = child.wait().unwrap();
    assert!(!status.core_dumped(), "{status}");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    assert_eq!(line.split_whitespace().take(2).collect::<Vec<_>>(), ["0", "0"], "{line}");
}
