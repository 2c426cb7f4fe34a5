//! The peers that are measured, and the resources that each uses meanwhile.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::embedded::Up;
use super::licence::LARGE;
use super::load::{Line, Loaded, run};
use super::plane::Plane;
use super::postgres::{self, Postgres};
use super::process::{cpu_seconds, cpu_seconds_alone, written_bytes};
use super::redis::Redis;
use super::seats::{Door, LICENSE, NAMESPACE};
use crate::harness::http;

/// The time at the beginning that is not counted.
pub const WARM: Duration = Duration::from_millis(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Cluster,
    Embedded,
    Lease,
    Redis,
    Postgres,
    /// As `Cluster` and `Embedded`, with the program of the image.
    ImageCluster,
    ImageEmbedded,
}

impl Peer {
    pub const ALL: [Peer; 7] = [
        Peer::Cluster,
        Peer::Embedded,
        Peer::Lease,
        Peer::Redis,
        Peer::Postgres,
        Peer::ImageCluster,
        Peer::ImageEmbedded,
    ];

    pub fn letter(self) -> char {
        match self {
            Peer::Cluster => 'K',
            Peer::Embedded => 'E',
            Peer::Lease => 'L',
            Peer::Redis => 'R',
            Peer::Postgres => 'P',
            Peer::ImageCluster => 'O',
            Peer::ImageEmbedded => 'U',
        }
    }

    /// Returns the program that serves seats: that of the image, or of the ordinary build.
    fn program(self) -> PathBuf {
        match self {
            Peer::ImageCluster | Peer::ImageEmbedded => {
                let static_build = format!("../{}-unknown-linux-musl/shipped/seatkeeper", std::env::consts::ARCH);
                Path::new(env!("CARGO_TARGET_TMPDIR")).join(static_build)
            }
            _ => env!("CARGO_BIN_EXE_seatkeeper").into(),
        }
    }
}

/// The peers that this run measures.
pub struct Peers {
    pub up: Option<Up>,
    pub redis: Option<Redis>,
    pub postgres: Option<Postgres>,
    pub plane: Option<Plane>,
    image_up: Option<Up>,
    image_plane: Option<Plane>,
}

/// One measurement.
pub struct Measured {
    pub loaded: Loaded,
    /// The cores that each process used.
    pub cores: Vec<(&'static str, f64)>,
    /// The operator's writes to its API per second.
    pub commits: f64,
    /// Bytes written to etcd's log for each cycle.
    pub log_bytes: f64,
    /// Bytes that the peer's server caused to be written to disk, for each cycle.
    pub disk_bytes: f64,
}

/// The resources used so far.
struct Used {
    cores: Vec<(&'static str, f64)>,
    writes: f64,
    log_bytes: f64,
    disk_bytes: f64,
}

impl Peers {
    pub async fn start(which: &[Peer], folder: &Path, vast: usize) -> Self {
        let wanted = |peer: Peer| which.contains(&peer);
        let mut peers = Peers { up: None, redis: None, postgres: None, plane: None, image_up: None, image_plane: None };
        let of_image = folder.join("image");
        std::fs::create_dir_all(&of_image).expect("a folder");
        if wanted(Peer::Redis) {
            peers.redis = Some(Redis::start(folder).await);
        }
        if wanted(Peer::Postgres) {
            peers.postgres = Some(Postgres::start(folder).await);
        }
        if wanted(Peer::Cluster) || wanted(Peer::Lease) {
            peers.plane = Some(Plane::start(Peer::Cluster.program(), folder, vast).await);
        }
        if wanted(Peer::Embedded) {
            peers.up = Some(Up::start(&Peer::Embedded.program(), folder, vast).await);
        }
        if wanted(Peer::ImageCluster) {
            peers.image_plane = Some(Plane::start(Peer::ImageCluster.program(), &of_image, vast).await);
        }
        if wanted(Peer::ImageEmbedded) {
            peers.image_up = Some(Up::start(&Peer::ImageEmbedded.program(), &of_image, vast).await);
        }
        peers
    }

    pub fn plane(&self) -> &Plane {
        self.plane.as_ref().expect("a control plane")
    }

    /// Returns the seat server of a peer that has one.
    pub fn door(&self, peer: Peer) -> Option<&Door> {
        match peer {
            Peer::Cluster | Peer::ImageCluster => self.plane_of(peer).map(|plane| &plane.door),
            Peer::Embedded | Peer::ImageEmbedded => self.up_of(peer).map(|up| &up.door),
            _ => None,
        }
    }

    fn plane_of(&self, peer: Peer) -> Option<&Plane> {
        if peer == Peer::ImageCluster { self.image_plane.as_ref() } else { self.plane.as_ref() }
    }

    fn up_of(&self, peer: Peer) -> Option<&Up> {
        if peer == Peer::ImageEmbedded { self.image_up.as_ref() } else { self.up.as_ref() }
    }

    async fn lines(&self, peer: Peer, connections: usize, pool: &'static str) -> Vec<Line> {
        match peer {
            Peer::Cluster | Peer::Embedded | Peer::ImageCluster | Peer::ImageEmbedded => {
                self.door(peer).expect("a seat server").cycles(connections, pool).await
            }
            Peer::Lease => self.plane().leases.cycles(connections).await,
            Peer::Redis => self.redis.as_ref().expect("Redis").cycles(connections).await,
            Peer::Postgres => self.postgres.as_ref().expect("PostgreSQL").cycles(connections).await,
        }
    }

    async fn used(&self, peer: Peer) -> Used {
        let mut pids = Vec::new();
        let (mut writes, mut log_bytes) = (f64::NAN, f64::NAN);
        match peer {
            Peer::Cluster | Peer::ImageCluster | Peer::Lease => {
                let plane = self.plane_of(peer).expect("a control plane");
                pids.push(("etcd", plane.etcd_pid()));
                pids.push(("API server", plane.api_server_pid()));
                log_bytes = plane.etcd().await.0;
                if peer != Peer::Lease {
                    pids.push(("operator", plane.operator.pid()));
                    writes = plane.writes().await;
                }
            }
            Peer::Embedded | Peer::ImageEmbedded => {
                let up = self.up_of(peer).expect("seatkeeper up");
                pids.push(("up", up.server.pid()));
                writes = up.writes().await;
            }
            Peer::Redis => pids.push(("Redis", self.redis.as_ref().expect("Redis").server.pid())),
            Peer::Postgres => pids.push(("PostgreSQL", self.postgres.as_ref().expect("PostgreSQL").server.pid())),
        }
        // The first process is the one that writes to disk.
        let disk_bytes = pids.first().map_or(0.0, |(_, pid)| written_bytes(*pid));
        // The servers are children of the client, so its own time is taken without them.
        let client = ("client", cpu_seconds_alone(std::process::id()));
        let servers = pids.into_iter().map(|(name, pid)| (name, cpu_seconds(pid)));
        Used { cores: std::iter::once(client).chain(servers).collect(), writes, log_bytes, disk_bytes }
    }

    /// Measures one peer. Returns `None` if this combination is left out.
    pub async fn measure(
        &self,
        peer: Peer,
        connections: usize,
        time: Duration,
        pool: &'static str,
    ) -> Option<Measured> {
        if peer == Peer::Postgres && connections > postgres::MOST_CONNECTIONS {
            return None;
        }
        let lines = self.lines(peer, connections, pool).await;
        let before = self.used(peer).await;
        let mut loaded = run(lines, WARM, Some(time)).await;
        let after = self.used(peer).await;
        loaded.hang_up();
        if let (Peer::Postgres, Some(postgres)) = (peer, &self.postgres) {
            postgres.until_hung_up().await;
        }
        // The uncounted time at the beginning uses resources too, at the same rate.
        let whole = (WARM + time).as_secs_f64();
        let cycles = loaded.rate() * whole;
        let cores = after.cores.iter().zip(&before.cores).map(|((name, to), (_, from))| (*name, (to - from) / whole));
        Some(Measured {
            cores: cores.collect(),
            commits: (after.writes - before.writes) / whole,
            log_bytes: (after.log_bytes - before.log_bytes) / cycles,
            disk_bytes: (after.disk_bytes - before.disk_bytes) / cycles,
            loaded,
        })
    }

    /// Proves over one connection that each cycle waits for the disk.
    pub async fn show_that_they_wait_for_the_disk(&self) {
        let time = Duration::from_secs(1);
        if let Some(plane) = &self.plane {
            let (commits, waits) = (plane.writes().await, plane.etcd().await.1);
            run(plane.door.cycles(1, LARGE).await, Duration::ZERO, Some(time)).await;
            let (commits, waits) = (plane.writes().await - commits, plane.etcd().await.1 - waits);
            println!(
                "etcd waited for the disk {waits} times for {commits} writes (etcd_disk_wal_fsync_duration_seconds)"
            );
            assert!(waits >= commits * 0.5 && commits > 0.0, "etcd does not wait for the disk");
        }
        if let Some(postgres) = &self.postgres {
            let before = postgres.syncs().await;
            let mut loaded = run(postgres.cycles(1).await, Duration::ZERO, Some(time)).await;
            // PostgreSQL reports a connection's counts when the connection ends.
            loaded.hang_up();
            postgres.until_hung_up().await;
            let syncs = postgres.syncs().await - before;
            println!("PostgreSQL waited for the disk {syncs} times in {} cycles (pg_stat_wal.wal_sync)", loaded.done);
            assert!(syncs >= loaded.done as f64, "PostgreSQL does not wait for the disk");
        }
        if self.redis.is_some() {
            println!("Redis: appendonly yes, appendfsync always (CONFIG GET)");
        }
    }
}

impl Door {
    /// Asks for one seat, and returns the status and the body of the answer.
    pub async fn asked(&self) -> (u16, String) {
        let license = format!(r#"{{"namespace":"{NAMESPACE}","name":"{LICENSE}"}}"#);
        let body = format!(r#"{{"license":{license},"pool":"{LARGE}","session":"first"}}"#);
        http::once(self.address, format_args!("POST /v1/seats"), &self.headers, &body).await
    }

    /// Whether a seat is granted; a granted seat is given back at once.
    pub async fn grants(&self, last: &mut String) -> bool {
        let (status, answer) = self.asked().await;
        let id = answer.split(r#""id":""#).nth(1).and_then(|rest| rest.split('"').next());
        if let Some(id) = id {
            http::once(self.address, format_args!("DELETE /v1/seats/{id}"), &self.headers, "").await;
        }
        *last = format!("{status} {answer}");
        status == 201
    }
}
