//! A replica of the operator, the real program, which can be killed, stopped and cut off, and whose clock can be set.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatkeeper::machine::{machine_time, random_bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::ground::{Ground, HOME, SOON};
use super::network::{HUB, Hub, Island};
use super::relay::{Held, Relay};
use crate::harness::eventually::eventually;

/// The longest that a replica may take to answer about its health.
const HEALTH: Duration = Duration::from_secs(1);

/// How a replica is connected to the others.
#[derive(Clone, Copy)]
pub enum Way<'h> {
    /// Directly.
    Plain,
    /// Through relays that can hold back all traffic.
    Relayed,
    /// Over a separate link, which can be pulled.
    Linked(&'h Hub),
}

pub struct Replica {
    pub name: String,
    /// The relay between it and the API server.
    pub upstream: Relay,
    /// The relay before its seat server; `None` if it has its own network.
    door: Option<Relay>,
    /// Its own network, if it has one.
    island: Option<Island>,
    health: SocketAddr,
    seats: SocketAddr,
    kubeconfig: PathBuf,
    /// The file that says how far its clock is ahead.
    clock: PathBuf,
    more: Vec<String>,
    process: Option<Child>,
}

impl Replica {
    /// Makes a replica that does not run yet.
    pub async fn new(ground: &Ground, way: Way<'_>, number: u8, more: &[&str]) -> Self {
        let name = format!("replica-{number}");
        let island = if let Way::Linked(hub) = way { Some(Island::raise(hub, number)) } else { None };
        let near = if island.is_some() { HUB } else { Ipv4Addr::LOCALHOST };
        let upstream = Relay::open(SocketAddr::from((near, 0)), ground.api_server).await;
        let (health, seats) = match &island {
            Some(island) => (island.at(8080), island.at(8081)),
            None => (free_port(), free_port()),
        };
        let (door, api_server) = match way {
            Way::Plain => (None, ground.api_server),
            Way::Relayed => (Some(Relay::open(SocketAddr::from((near, 0)), seats).await), upstream.address),
            Way::Linked(_) => (None, upstream.address),
        };
        let kubeconfig = ground.kubeconfig_by(api_server, &name);
        let clock = ground.folder().join(format!("clock-{name}"));
        let more = more.iter().map(|word| (*word).to_owned()).collect();
        let replica = Replica { name, upstream, door, island, health, seats, kubeconfig, clock, more, process: None };
        replica.set_clock(TimeDelta::zero());
        replica
    }

    /// Returns the address at which clients and other replicas find its seat server.
    pub fn address(&self) -> SocketAddr {
        self.door.as_ref().map_or(self.seats, |door| door.address)
    }

    pub async fn start(&mut self) {
        if let Some(door) = &mut self.door {
            door.listen().await;
        }
        let log =
            std::fs::File::options().create(true).append(true).open(self.log()).expect("the state folder is ours");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        command.args(self.island.iter().flat_map(Island::entered));
        command.args(["env", &format!("LD_PRELOAD={}", faketime().display())]);
        command.arg(format!("FAKETIME_TIMESTAMP_FILE={}", self.clock.display()));
        command.args(["FAKETIME_NO_CACHE=0", "FAKETIME_CACHE_DURATION=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"]);
        command.arg("DONT_FAKE_MONOTONIC=1");
        command.args([env!("CARGO_BIN_EXE_seatkeeper"), "operator", "--namespace", HOME, "--identity", &self.name]);
        command.args(["--listen", &self.health.to_string(), "--seats-listen", &self.seats.to_string()]);
        command.args(["--seats-advertise", &self.address().to_string()]).args(&self.more);
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.process = Some(command.process_group(0).spawn().expect("setpriv is there"));
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it was started").id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a pid"));
        kill(pid, signal).unwrap_or_else(|error| panic!("{} cannot be sent {signal}: {error}", self.name));
    }

    /// Returns its exit status once it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.process.as_mut()?.try_wait().expect("it is our child")?;
        if let Some(door) = &mut self.door {
            door.close();
        }
        Some(status)
    }

    /// Waits until it has ended.
    pub async fn end(&mut self) -> ExitStatus {
        let what = format!("{} ends", self.name);
        eventually(SOON, &what, async || self.ended().ok_or_else(|| "it runs".to_owned())).await
    }

    /// Kills it if it runs, and waits until it has ended.
    pub async fn kill(&mut self) -> ExitStatus {
        self.signal(Signal::SIGKILL);
        self.end().await
    }

    /// Whether the kernel has stopped it.
    pub fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    }

    /// Cuts it off: nothing comes from it or to it any longer.
    pub fn cut(&self) {
        match (&self.island, &self.door) {
            (Some(island), _) => island.cut(),
            (None, door) => {
                self.upstream.hold(Held::ALL);
                door.iter().for_each(|door| door.hold(Held::ALL));
            }
        }
    }

    /// Undoes all faults except that of the clock.
    pub fn set_right(&mut self) {
        self.upstream.hold(Held::NOTHING);
        self.door.iter().for_each(|door| door.hold(Held::NOTHING));
        self.island.iter().for_each(Island::join);
        if self.ended().is_none() && self.process.is_some() {
            self.signal(Signal::SIGCONT);
        }
    }

    /// Sets its clock ahead of the machine's by `ahead`; its monotonic clock is not changed.
    pub fn set_clock(&self, ahead: TimeDelta) {
        std::fs::write(&self.clock, format!("{:+}\n", ahead.num_seconds())).expect("the state folder is ours");
    }

    /// Breaks its connections to the API server, so that it opens new ones and logs that with the time of its clock.
    pub async fn reconnects(&mut self) {
        self.upstream.close();
        self.upstream.listen().await;
    }

    /// Returns how far its clock is ahead of the machine's, from the last line of its log; `None` if there is no line.
    pub fn clock(&self) -> Option<TimeDelta> {
        let log = std::fs::read_to_string(self.log()).ok()?;
        let times = log.lines().rev().filter_map(|line| line.split_whitespace().next()?.parse::<DateTime<Utc>>().ok());
        times.into_iter().next().map(|time| time - machine_time())
    }

    fn log(&self) -> PathBuf {
        self.kubeconfig.with_file_name(format!("{}.log", self.name))
    }

    /// Returns whether it leads and grants seats, or stands by (`false`); `None` if it does neither.
    pub async fn leads(&self) -> Option<bool> {
        let ready = self.ask("/readyz").await?;
        if ready.contains("ok: stands by") {
            return Some(false);
        }
        let metrics = self.ask("/metrics").await?;
        (ready.contains("ok: leads") && metrics.contains("\nseatkeeper_ledger_owned 1\n")).then_some(true)
    }

    async fn ask(&self, path: &str) -> Option<String> {
        let asked = async {
            let mut stream = TcpStream::connect(self.health).await.ok()?;
            let request = format!("GET {path} HTTP/1.1\r\nHost: replica\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.ok()?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await.ok()?;
            Some(text)
        };
        tokio::time::timeout(HEALTH, asked).await.ok()?
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Returns a free port below those that the kernel gives to connections, so that none takes it while a replica
/// restarts.
fn free_port() -> SocketAddr {
    let number = || random_bytes().map(|bytes| 20_000 + u16::from_le_bytes(bytes) % 12_000).expect("randomness");
    let mut ports = std::iter::repeat_with(|| SocketAddr::from((Ipv4Addr::LOCALHOST, number())));
    ports.find(|port| std::net::TcpListener::bind(port).is_ok()).expect("it goes on until one is free")
}

/// Returns the path of the library that sets a program's clock.
fn faketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let library = |folder: std::fs::DirEntry| folder.path().join("faketime/libfaketimeMT.so.1");
    let found = folders.map(library).chain([PathBuf::from("/usr/lib/faketime/libfaketimeMT.so.1")]);
    found.into_iter().find(|path| path.exists()).expect("libfaketime is installed: `make machine` does that")
}
