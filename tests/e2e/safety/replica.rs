//! A replica of the operator, the real program: killed, stopped, cut off, with a clock that can be set.

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
use crate::eventually::eventually;

/// How long a replica has to answer about its health.
const HEALTH: Duration = Duration::from_secs(1);

/// How a replica is reached, and reaches others.
#[derive(Clone, Copy)]
pub enum Way<'h> {
    /// As it is.
    Plain,
    /// Through relays that can hold back everything.
    Relayed,
    /// Over a link of its own, which can be pulled.
    Linked(&'h Hub),
}

pub struct Replica {
    pub name: String,
    /// Between it and the API server.
    pub upstream: Relay,
    /// Before its seat server, where it shares its network.
    door: Option<Relay>,
    /// Where it has a network of its own.
    island: Option<Island>,
    health: SocketAddr,
    seats: SocketAddr,
    kubeconfig: PathBuf,
    /// What its clock is to be ahead.
    clock: PathBuf,
    more: Vec<String>,
    process: Option<Child>,
}

impl Replica {
    /// One that does not run yet.
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

    /// Where clients and other replicas find its seat server.
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

    /// How it has ended, once it has.
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

    /// Kills it where it runs, and waits until it has ended.
    pub async fn kill(&mut self) -> ExitStatus {
        self.signal(Signal::SIGKILL);
        self.end().await
    }

    /// Whether the kernel has stopped it.
    pub fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    }

    /// Nothing comes from it or to it any more.
    pub fn cut(&self) {
        match (&self.island, &self.door) {
            (Some(island), _) => island.cut(),
            (None, door) => {
                self.upstream.hold(Held::ALL);
                door.iter().for_each(|door| door.hold(Held::ALL));
            }
        }
    }

    /// Undoes what was done to it, but the clock.
    pub fn set_right(&mut self) {
        self.upstream.hold(Held::NOTHING);
        self.door.iter().for_each(|door| door.hold(Held::NOTHING));
        self.island.iter().for_each(Island::join);
        if self.ended().is_none() && self.process.is_some() {
            self.signal(Signal::SIGCONT);
        }
    }

    /// Its clock is ahead of the machine's so much; what measures how long something takes is not touched.
    pub fn set_clock(&self, ahead: TimeDelta) {
        std::fs::write(&self.clock, format!("{:+}\n", ahead.num_seconds())).expect("the state folder is ours");
    }

    /// Breaks its connections to the API server: it makes others, and says so with the time that it has.
    pub async fn reconnects(&mut self) {
        self.upstream.close();
        self.upstream.listen().await;
    }

    /// What its clock is ahead of the machine's, as the last line of its log says; None: there is none.
    pub fn clock(&self) -> Option<TimeDelta> {
        let log = std::fs::read_to_string(self.log()).ok()?;
        let times = log.lines().rev().filter_map(|line| line.split_whitespace().next()?.parse::<DateTime<Utc>>().ok());
        times.into_iter().next().map(|time| time - machine_time())
    }

    fn log(&self) -> PathBuf {
        self.kubeconfig.with_file_name(format!("{}.log", self.name))
    }

    /// Whether it leads and hands out the seats; None: it does not do its part.
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

/// Below those that the kernel gives to connections: nobody takes it while a replica is started anew.
fn free_port() -> SocketAddr {
    let number = || random_bytes().map(|bytes| 20_000 + u16::from_le_bytes(bytes) % 12_000).expect("randomness");
    let mut ports = std::iter::repeat_with(|| SocketAddr::from((Ipv4Addr::LOCALHOST, number())));
    ports.find(|port| std::net::TcpListener::bind(port).is_ok()).expect("it goes on until one is free")
}

/// The library that sets a program's clock.
fn faketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let library = |folder: std::fs::DirEntry| folder.path().join("faketime/libfaketimeMT.so.1");
    let found = folders.map(library).chain([PathBuf::from("/usr/lib/faketime/libfaketimeMT.so.1")]);
    found.into_iter().find(|path| path.exists()).expect("libfaketime is installed: `make machine` does that")
}
