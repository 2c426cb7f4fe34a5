//! HTTP as it goes over the wire, so that no client library hides a defect.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    /// Returns the value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Checks that the answer is this problem, as RFC 9457 defines it, and contains all these parts.
    pub fn is_problem(&self, status: u16, reason: &str, says: &[&str]) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!((&problem["status"], &problem["reason"]), (&status.into(), &reason.into()), "{self:?}");
        assert_eq!(problem["type"], format!("https://seatkeeper.dev/problems/{reason}"), "{self:?}");
        let detail = problem["detail"].as_str().expect("a detail");
        for part in says {
            assert!(detail.contains(part), "{part:?} is not in {detail:?}");
        }
        // It is in the head for HTTP, and in the body for programs that see only that.
        let after = self.header("retry-after").map(|after| after.parse::<u64>().expect("seconds"));
        assert_eq!(problem["retryAfter"].as_u64(), after, "{self:?}");
    }

    pub fn retry_after(&self) -> Option<u64> {
        self.header("retry-after").map(|after| after.parse().expect("seconds"))
    }
}

/// Sends a request with these header lines and returns the answer.
pub fn send(address: &str, method: &str, path: &str, headers: &[String], body: &[u8]) -> Answer {
    send_part(address, method, path, headers, body, body.len())
}

/// Sends a request that promises a body of `length`, with only this part of it.
pub fn send_part(address: &str, method: &str, path: &str, headers: &[String], body: &[u8], length: usize) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    // A server that refuses a body does not have to read it to its end.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) =
        answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {method} {path}: {answer:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}
