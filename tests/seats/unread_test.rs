//! Answers that their callers do not read.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::ground::{Ground, request};

const CONNECTIONS: usize = 120;
/// The first few answers go into the buffers of the kernel, which are large on loopback.
const REQUESTS: usize = 4;
/// The limit of the chart is 512.
const MIB: u64 = 256;

/// The attack: bodies of 1,000 requests for a pool that there is not. Each refusal repeats the name of that pool, escaped, so an
/// answer has 2 MB, and the callers never read it. Nobody needs a seat for that, only the right to ask for one.
#[test]
fn i2_answers_that_nobody_reads_take_little_memory() {
    let ground = Ground::take();
    let quiet = ground.most_memory();
    let pool = "\u{7f}".repeat(256);
    let requests: Vec<Value> = (0..1_000).map(|_| request("a", json!({"pool": pool}))).collect();
    let body = json!({"requests": requests}).to_string();
    let head = format!(
        "POST /v1/seats HTTP/1.1\r\nHost: {0}\r\nAuthorization: Bearer {1}\r\nContent-Length: {2}\r\n\r\n",
        ground.address,
        ground.token,
        body.len()
    );
    let mut lines = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut line = TcpStream::connect(&ground.address).expect("the server listens");
        line.set_write_timeout(Some(Duration::from_millis(300))).expect("a timeout");
        for _ in 0..REQUESTS {
            let _ = line.write_all(head.as_bytes()).and_then(|()| line.write_all(body.as_bytes()));
            // Large bodies are read one after the other; one that waits for 5 s is refused.
            std::thread::sleep(Duration::from_millis(25));
        }
        lines.push(line);
    }
    // Requests that were sent are answered one after the other on each connection.
    std::thread::sleep(Duration::from_secs(5));
    let most = ground.most_memory();
    drop(lines);
    assert!(most < MIB, "{most} MiB, {quiet} before");
}
