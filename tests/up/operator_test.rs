//! `seatkeeper operator` outside of a cluster: what it says if something is missing.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use super::running::{Desk, LONGEST};

/// It printed the answer of the API server as Rust shows it, again and again.
#[test]
fn a_namespace_that_is_missing_is_told_once_with_what_to_do() {
    let desk = Desk::new();
    let mut up = desk.up("");
    up.address();
    let mut operator = Command::new(env!("CARGO_BIN_EXE_seatkeeper"))
        .args(["operator", "--namespace", "nowhere", "--listen", "127.0.0.1:0", "--seats-listen", "127.0.0.1:0"])
        .env("KUBECONFIG", desk.data("kubeconfig"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (sender, lines) = channel();
    let errors = BufReader::new(operator.stderr.take().unwrap());
    std::thread::spawn(move || errors.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let mut said = Vec::new();
    let missing = |said: &[String]| said.iter().filter(|line| line.contains("WARN")).count();
    while missing(&said) == 0 {
        said.push(lines.recv_timeout(LONGEST).unwrap_or_else(|e| panic!("{e}: {said:#?}")));
    }
    // Some looks at the Lease later.
    std::thread::sleep(Duration::from_secs(4));
    said.extend(lines.try_iter());
    let _ = operator.kill().and_then(|()| operator.wait());
    up.kill();
    let all = said.join("\n");
    assert_eq!(missing(&said), 1, "{all}");
    let what = "namespace nowhere, which is the operator's own, does not exist: create it with `kubectl create namespace \
                nowhere`, or name another one with --namespace";
    assert!(all.contains(what), "{all}");
    assert!(!all.contains("Status {") && !all.contains("Some("), "{all}");
}
