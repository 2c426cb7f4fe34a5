//! R: Redis with every write on disk before it is answered, and a semaphore of numbered slots in Lua.

use std::net::SocketAddr;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::load::{Heard, Line, Talk};
use super::process::Server;
use super::{POOL, free_port, until};
use crate::harness::http::connect;

/// Takes a free slot from the set and stores its holder and its expiry. Expired slots are not collected, which favours
/// Redis.
const TAKE: &str = "local slot = redis.call('SPOP', KEYS[1]) if not slot then return false end \
    redis.call('SET', KEYS[2] .. slot, ARGV[1], 'PX', 60000) return slot";
const FREE: &str = "if redis.call('GET', KEYS[2] .. ARGV[2]) ~= ARGV[1] then return 0 end \
    redis.call('DEL', KEYS[2] .. ARGV[2]) redis.call('SADD', KEYS[1], ARGV[2]) return 1";

pub struct Redis {
    pub server: Server,
    pub version: String,
    address: SocketAddr,
    take: String,
    free: String,
}

impl Redis {
    pub async fn start(folder: &Path) -> Self {
        let data = folder.join("redis");
        std::fs::create_dir_all(&data).expect("a folder");
        let port = free_port();
        let (port_text, data_text) = (port.to_string(), data.display().to_string());
        let arguments = ["--port", &port_text, "--bind", "127.0.0.1", "--dir", &data_text];
        let durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxclients", "4000"];
        let log = folder.join("redis.log");
        let program = Path::new("redis-server");
        let server = Server::start(program, &[&arguments[..], &durable[..]].concat(), None, "TERM", &log);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        until("Redis", async || tokio::net::TcpStream::connect(address).await.is_ok()).await;
        let mut stream = connect(address).await;
        let always = say(&mut stream, &["CONFIG", "GET", "appendfsync"]).await;
        let append_only = say(&mut stream, &["CONFIG", "GET", "appendonly"]).await;
        assert!(always.contains("always") && append_only.contains("yes"), "Redis does not wait for the disk");
        let mut load = async |script| {
            let reply = say(&mut stream, &["SCRIPT", "LOAD", script]).await;
            reply.lines().nth(1).unwrap_or_default().to_owned()
        };
        let (take, free) = (load(TAKE).await, load(FREE).await);
        assert!(take.len() == 40 && free.len() == 40, "Redis did not take the scripts");
        let slots: Vec<String> = (0..POOL).map(|slot| slot.to_string()).collect();
        let all: Vec<&str> = ["SADD", "free"].into_iter().chain(slots.iter().map(String::as_str)).collect();
        assert_eq!(say(&mut stream, &all).await, format!(":{POOL}\r\n"));
        let info = say(&mut stream, &["INFO", "server"]).await;
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or_default().to_owned();
        Redis { server, version, address, take, free }
    }

    pub async fn cycles(&self, connections: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        for n in 0..connections {
            let talk = Cycle {
                take: self.take.clone(),
                free: self.free.clone(),
                holder: format!("agent-{n:05}/s{n}"),
                slot: None,
            };
            lines.push(Line { stream: Box::new(connect(self.address).await), talk: Box::new(talk) });
        }
        lines
    }
}

async fn say(stream: &mut tokio::net::TcpStream, words: &[&str]) -> String {
    let mut out = Vec::new();
    command(&mut out, words);
    stream.write_all(&out).await.expect("Redis");
    let mut input = Vec::new();
    // These answers are short, so each comes in one piece.
    stream.read_buf(&mut input).await.expect("Redis");
    String::from_utf8_lossy(&input).into_owned()
}

fn command(out: &mut Vec<u8>, words: &[&str]) {
    use std::io::Write;
    let _ = write!(out, "*{}\r\n", words.len());
    for word in words {
        let _ = write!(out, "${}\r\n{word}\r\n", word.len());
    }
}

struct Cycle {
    take: String,
    free: String,
    holder: String,
    slot: Option<String>,
}

impl Talk for Cycle {
    fn ask(&mut self, out: &mut Vec<u8>) {
        match &self.slot {
            None => command(out, &["EVALSHA", &self.take, "2", "free", "slot:", &self.holder]),
            Some(slot) => command(out, &["EVALSHA", &self.free, "2", "free", "slot:", &self.holder, slot]),
        }
    }

    fn hear(&mut self, input: &[u8]) -> Result<Option<Heard>, String> {
        let text = std::str::from_utf8(input).map_err(|_| "the answer is not text")?;
        let Some((first, rest)) = text.split_once("\r\n") else { return Ok(None) };
        if self.slot.is_some() {
            self.slot = None;
            return match first {
                ":1" => Ok(Some(Heard { bytes: first.len() + 2, done: 1, timed: false, refused: false })),
                _ => Err(first.to_owned()),
            };
        }
        if !first.starts_with('$') || first == "$-1" {
            return Err(first.to_owned());
        }
        let Some((slot, _)) = rest.split_once("\r\n") else { return Ok(None) };
        self.slot = Some(slot.to_owned());
        Ok(Some(Heard { bytes: first.len() + slot.len() + 4, done: 0, timed: true, refused: false }))
    }

    fn may_end(&self) -> bool {
        self.slot.is_none()
    }
}
