//! P: PostgreSQL with every commit on disk before it is answered, and a table of slots. It uses prepared statements,
//! and `SKIP LOCKED` from a random start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::load::{Heard, Line, Talk};
use super::process::{Server, as_another};
use super::{POOL, free_port, until};
use crate::harness::http::connect;

/// Each connection is a process in PostgreSQL, so runs with more connections than this are left out.
pub const MOST_CONNECTIONS: usize = 256;
const TABLE: &str =
    "CREATE TABLE slots (slot int PRIMARY KEY, holder text, expires timestamptz) WITH (fillfactor = 50)";
const TAKE: &str = "UPDATE slots SET holder = $1, expires = now() + interval '60 s' WHERE slot = (SELECT slot FROM slots \
    WHERE slot >= $2::int AND holder IS NULL ORDER BY slot LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING slot";
const FREE: &str = "UPDATE slots SET holder = NULL, expires = NULL WHERE slot = $2::int AND holder = $1 RETURNING slot";

pub struct Postgres {
    pub server: Server,
    pub version: String,
    address: SocketAddr,
}

impl Postgres {
    pub async fn start(folder: &Path) -> Self {
        let programs = programs();
        // PostgreSQL refuses to run as root.
        let root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        let user = root.then_some("postgres");
        let data = folder.join("postgres");
        std::fs::create_dir_all(&data).expect("a folder");
        if let Some(user) = user {
            let owner = format!("{user}:{user}");
            let given = std::process::Command::new("chown").arg(owner).arg(&data).status();
            assert!(given.is_ok_and(|status| status.success()), "{} cannot be given to {user}", data.display());
        }
        let made = as_another(user)
            .arg(programs.join("initdb"))
            .args(["--auth=trust", "--username=bench", "--no-locale", "--encoding=UTF8", "--pgdata"])
            .arg(&data)
            .current_dir("/")
            .stdout(Stdio::null())
            .status();
        assert!(made.is_ok_and(|status| status.success()), "initdb failed");
        let (port, most) = (free_port(), format!("max_connections={}", MOST_CONNECTIONS + 20));
        let (port_text, data_text) = (port.to_string(), data.display().to_string());
        let arguments = ["-D", &data_text, "-p", &port_text, "-c", "listen_addresses=127.0.0.1"];
        let settings = ["-c", "unix_socket_directories=", "-c", "fsync=on", "-c", "synchronous_commit=on", "-c", &most];
        let all = [&arguments[..], &settings[..]].concat();
        // On SIGINT it ends its connections, and then itself.
        let server = Server::start(&programs.join("postgres"), &all, user, "INT", &folder.join("postgres.log"));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let ready = async || match TcpStream::connect(address).await {
            Ok(mut stream) => begin(&mut stream).await.is_ok(),
            Err(_) => false,
        };
        until("PostgreSQL", ready).await;
        let mut stream = open(address).await;
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let shown = query(&mut stream, &format!("SHOW {setting}")).await;
            assert_eq!(shown.as_deref(), Some("on"), "{setting}");
        }
        query(&mut stream, TABLE).await;
        query(&mut stream, &format!("INSERT INTO slots SELECT generate_series(0, {})", POOL - 1)).await;
        query(&mut stream, "VACUUM ANALYZE slots").await;
        let version = query(&mut stream, "SHOW server_version").await.unwrap_or_default();
        Postgres { server, version, address }
    }

    /// Returns how often it has waited for the disk.
    pub async fn syncs(&self) -> f64 {
        let syncs = query(&mut open(self.address).await, "SELECT wal_sync FROM pg_stat_wal").await;
        syncs.and_then(|number| number.parse().ok()).unwrap_or(f64::NAN)
    }

    /// Waits until no other connection is left: the CPU time of a process that is ending is counted neither for itself
    /// nor for its parent.
    pub async fn until_hung_up(&self) {
        let others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' \
            AND pid <> pg_backend_pid()";
        let mut stream = open(self.address).await;
        until("the end of PostgreSQL's connections", async || query(&mut stream, others).await.as_deref() == Some("0"))
            .await;
    }

    pub async fn cycles(&self, connections: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        for n in 0..connections {
            let mut stream = open(self.address).await;
            let mut out = Vec::new();
            for (name, text) in [("take", TAKE), ("free", FREE)] {
                message(&mut out, b'P', &[name.as_bytes(), b"\0", text.as_bytes(), b"\0\0\0"].concat());
            }
            message(&mut out, b'S', b"");
            exchange(&mut stream, &out).await.unwrap_or_else(|e| panic!("PostgreSQL: {e}"));
            let random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(n as u64 + 1);
            let talk = Cycle { holder: format!("agent-{n:05}/s{n}"), slot: None, random };
            lines.push(Line { stream: Box::new(stream), talk: Box::new(talk) });
        }
        lines
    }
}

/// Returns the folder with the programs of the newest installed version, which Debian keeps out of PATH.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.max_by_key(|entry| entry.file_name().to_string_lossy().parse::<u32>().unwrap_or(0));
    newest.map(|entry| entry.path().join("bin")).expect("PostgreSQL; benches/seats/machine.sh installs it")
}

fn message(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.push(kind);
    out.extend(u32::try_from(body.len() + 4).expect("a short message").to_be_bytes());
    out.extend(body);
}

/// Reads the messages of an answer up to ReadyForQuery. Returns their length and the first column of the last row;
/// `None` if the answer is not complete yet.
fn read(input: &[u8]) -> Result<Option<(usize, Option<&str>)>, String> {
    let (mut at, mut row, mut failed) = (0, None, None);
    while let Some(length) = input.get(at + 1..at + 5) {
        let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
        let Some(body) = input.get(at + 5..at + 1 + length) else { return Ok(None) };
        let kind = input[at];
        at += 1 + length;
        match kind {
            b'D' => {
                let size = body.get(2..6).and_then(|size| size.try_into().ok()).map(u32::from_be_bytes);
                let column = body.get(6..6 + size.unwrap_or(0) as usize).unwrap_or_default();
                row = Some(std::str::from_utf8(column).unwrap_or_default());
            }
            b'E' => failed = Some(String::from_utf8_lossy(body).replace('\0', " ")),
            b'Z' => return failed.map_or(Ok(Some((at, row))), Err),
            _ => {}
        }
    }
    Ok(None)
}

async fn exchange(stream: &mut TcpStream, out: &[u8]) -> Result<Option<String>, String> {
    stream.write_all(out).await.map_err(|e| e.to_string())?;
    let mut input = Vec::new();
    loop {
        if stream.read_buf(&mut input).await.map_err(|e| e.to_string())? == 0 {
            return Err(format!("it closed the connection: {}", String::from_utf8_lossy(&input)));
        }
        if let Some((_, row)) = read(&input)? {
            return Ok(row.map(str::to_owned));
        }
    }
}

async fn begin(stream: &mut TcpStream) -> Result<(), String> {
    let words = b"\0\x03\0\0user\0bench\0database\0postgres\0\0";
    let length = u32::try_from(words.len() + 4).expect("a short message").to_be_bytes();
    exchange(stream, &[&length[..], words].concat()).await.map(drop)
}

async fn open(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address).await;
    begin(&mut stream).await.unwrap_or_else(|e| panic!("PostgreSQL: {e}"));
    stream
}

async fn query(stream: &mut TcpStream, text: &str) -> Option<String> {
    let mut out = Vec::new();
    message(&mut out, b'Q', &[text.as_bytes(), b"\0"].concat());
    exchange(stream, &out).await.unwrap_or_else(|e| panic!("{text}: {e}"))
}

struct Cycle {
    holder: String,
    slot: Option<String>,
    random: u64,
}

impl Cycle {
    /// Returns a random slot in the first nine tenths: from there on, a free slot is always found.
    fn start(&mut self) -> String {
        // xorshift64
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % (POOL as u64 * 9 / 10)).to_string()
    }
}

impl Talk for Cycle {
    fn ask(&mut self, out: &mut Vec<u8>) {
        let (name, slot) = match &self.slot {
            Some(slot) => ("free", slot.clone()),
            None => ("take", self.start()),
        };
        let mut bind = Vec::with_capacity(64);
        // Binds the unnamed portal, with parameters and results as text.
        bind.extend([b"\0", name.as_bytes(), b"\0\0\0\0\x02"].concat());
        for parameter in [self.holder.as_str(), slot.as_str()] {
            bind.extend(u32::try_from(parameter.len()).expect("a short one").to_be_bytes());
            bind.extend(parameter.as_bytes());
        }
        bind.extend(b"\0\0");
        message(out, b'B', &bind);
        message(out, b'E', b"\0\0\0\0\0");
        message(out, b'S', b"");
    }

    fn hear(&mut self, input: &[u8]) -> Result<Option<Heard>, String> {
        let Some((bytes, row)) = read(input)? else { return Ok(None) };
        let row = row.ok_or("no slot was free, or the slot was not ours")?.to_owned();
        let done = match self.slot.take() {
            Some(_) => 1,
            None => {
                self.slot = Some(row);
                0
            }
        };
        Ok(Some(Heard { bytes, done, timed: done == 0, refused: false }))
    }

    fn may_end(&self) -> bool {
        self.slot.is_none()
    }
}
