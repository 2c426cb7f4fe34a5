//! Operators of a test: the real program, which may be killed, and one in this process, whose clock the test controls.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use seatkeeper::cluster::client::{RequestCount, connect};
use seatkeeper::cluster::clock::Clock;
use seatkeeper::domain::license::whom_to_trust::TrustFromLicenses;
use seatkeeper::operator::{End, Operator};
use seatkeeper::seats::limits::TTL;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::faults_ground::{HOME, SOON};
use crate::harness::cluster::config_of;
use crate::harness::eventually::eventually;

/// The operator in this process.
pub struct InProcess {
    stop: watch::Sender<bool>,
    ended: JoinHandle<End>,
    /// A separate runtime, so that nothing of the operator is left when it has ended.
    runtime: Option<Runtime>,
}

impl InProcess {
    pub async fn start(kubeconfig: &Path, clock: Clock) -> Self {
        let config = config_of(kubeconfig).await;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("threads can be started");
        let (stop, told) = watch::channel(false);
        let ended = runtime.spawn(async move {
            let requests = RequestCount::default();
            let client = connect(config, clock.clone(), requests.clone()).expect("the harness wrote its kubeconfig");
            Operator::new(client, clock, &requests, HOME, "in-process", TrustFromLicenses::Allow, TTL).run(told).await
        });
        InProcess { stop, ended, runtime: Some(runtime) }
    }

    /// Stops it as SIGTERM does.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(SOON, &mut self.ended).await.expect("the operator ends when it is told to");
        assert_eq!(ended.expect("the operator does not panic"), End::Stopped);
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// `seatkeeper operator`, the real program.
pub struct Replica {
    child: Child,
    pub name: String,
    port: u16,
    /// Where its seat server listens.
    pub seats: u16,
}

impl Replica {
    pub fn start(kubeconfig: &Path, name: &str) -> Self {
        Self::start_with(kubeconfig, name, &[])
    }

    /// Starts a replica with more arguments.
    pub fn start_with(kubeconfig: &Path, name: &str, more: &[&str]) -> Self {
        let free = || std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let (health, seats) = (free(), free());
        let number = |port: &std::net::TcpListener| port.local_addr().expect("it is bound").port();
        let (port, seats_port) = (number(&health), number(&seats));
        drop((health, seats));
        let child = Self::program(kubeconfig, name, (port, seats_port), more);
        Replica { child, name: name.to_owned(), port, seats: seats_port }
    }

    /// Restarts it at the same address, as a kubelet does.
    pub fn starts_again(&mut self, kubeconfig: &Path, more: &[&str]) {
        self.child = Self::program(kubeconfig, &self.name, (self.port, self.seats), more);
    }

    fn program(kubeconfig: &Path, name: &str, (port, seats): (u16, u16), more: &[&str]) -> Child {
        let log = kubeconfig.with_file_name(format!("operator-{name}.log"));
        let log = std::fs::File::options().create(true).append(true).open(log).expect("the state folder is ours");
        Command::new(env!("CARGO_BIN_EXE_seatkeeper"))
            .args(["operator", "--namespace", HOME, "--identity", name, "--listen", &format!("127.0.0.1:{port}")])
            .args(["--seats-listen", &format!("127.0.0.1:{seats}"), "--trust-from-licenses", "allow"])
            .args(more)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the program was built with this test")
    }

    /// Returns the status and the body that its health server answers at `path`; `None` if nothing listens.
    pub async fn ask(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// Waits until `/readyz` answers `answer`.
    pub async fn says(&self, within: Duration, answer: &str) {
        eventually(within, &format!("/readyz of {} says {answer:?}", self.name), async || {
            match self.ask("/readyz").await {
                Some((_, body)) if body.trim_end() == answer => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    /// Returns the id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Ends it with SIGKILL.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("the replica is our own process");
    }

    /// Sends SIGTERM, as a kubelet does.
    pub async fn terminate(&self) {
        let pid = self.pid().to_string();
        let sent = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &pid]).status().await;
        assert!(sent.expect("sh can be started").success(), "process {pid} could not be told to end");
    }

    /// Waits until it has ended by itself, and returns its exit status.
    pub async fn ended(&mut self, within: Duration) -> ExitStatus {
        let ended = tokio::time::timeout(within, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("{} did not end within {within:?}", self.name)).expect("it is our child")
    }
}
