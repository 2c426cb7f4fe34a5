//! A hand-written subset of HTTP/1.1, as little as a load generator needs.

use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A complete answer.
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
    /// Its length in bytes, head included.
    pub bytes: usize,
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// Parses an answer. Returns `None` if it is not complete yet.
pub fn answer(input: &[u8]) -> Result<Option<Answer<'_>>, String> {
    let Some(end) = find(input, b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&input[..end]).map_err(|_| "the head is not text")?;
    let status: u16 = head.get(9..12).and_then(|code| code.parse().ok()).ok_or("the answer has no status")?;
    let body = &input[end + 4..];
    let length = match header(head, "content-length") {
        Some(length) => length.parse().map_err(|_| "the content length is not a number")?,
        None if header(head, "transfer-encoding").is_some() => match body {
            _ if body.starts_with(b"0\r\n\r\n") => 5,
            _ => match find(body, b"\r\n0\r\n\r\n") {
                Some(last) => last + 7,
                None => return Ok(None),
            },
        },
        None => 0,
    };
    if body.len() < length {
        return Ok(None);
    }
    Ok(Some(Answer { status, body: &body[..length], bytes: end + 4 + length }))
}

/// Writes a request.
pub fn request(out: &mut Vec<u8>, line: std::fmt::Arguments<'_>, headers: &str, body: &str) {
    use std::io::Write;
    let _ = write!(out, "{line} HTTP/1.1\r\nHost: localhost\r\n{headers}");
    if !body.is_empty() {
        let _ = write!(out, "Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    let _ = write!(out, "\r\n{body}");
}

/// Opens a connection that is ready for requests.
pub async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap_or_else(|e| panic!("{address}: {e}"));
    stream.set_nodelay(true).expect("nodelay");
    stream
}

/// Sends one request over its own connection, and returns the status and the body. The status is 0 if nothing listens.
pub async fn once(address: SocketAddr, line: std::fmt::Arguments<'_>, headers: &str, body: &str) -> (u16, String) {
    let Ok(mut stream) = TcpStream::connect(address).await else { return (0, String::new()) };
    let mut out = Vec::new();
    request(&mut out, line, &format!("{headers}Connection: close\r\n"), body);
    let mut input = Vec::new();
    let _ = stream.write_all(&out).await;
    let _ = stream.read_to_end(&mut input).await;
    match answer(&input) {
        Ok(Some(answer)) => (answer.status, String::from_utf8_lossy(answer.body).into_owned()),
        _ => (0, String::new()),
    }
}

/// Returns the sum of a metric over those of its series that contain `label`.
pub fn metric(text: &str, name: &str, label: &str) -> f64 {
    let of_name = |line: &&str| line.split(['{', ' ']).next() == Some(name) && line.contains(label);
    text.lines().filter(of_name).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
