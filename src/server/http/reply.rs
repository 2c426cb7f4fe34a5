//! Answers to requests.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use serde::Serialize;

use super::outgoing::Outgoing;

/// The content type of text for people.
pub const TEXT: &str = "text/plain; charset=utf-8";
/// The initial buffer of a reply: a reply with one seat fits.
const USUAL: usize = 256;

/// A response: made here, or passed on as it comes from another replica.
pub type Reply = Response<Either<Outgoing, Incoming>>;

/// A response with `body` as JSON.
pub fn json(status: StatusCode, body: &impl Serialize) -> Reply {
    let mut text = Vec::with_capacity(USUAL);
    // Our own types always serialise.
    let _ = serde_json::to_writer(&mut text, body);
    of(status, "application/json", text)
}

/// A response without a body.
pub fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Either::Left(Outgoing::default()));
    *reply.status_mut() = status;
    reply
}

/// A response with `body`, whose content type is `kind`.
pub fn of(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Reply {
    with(status, kind, Either::Left(Outgoing::of(body)))
}

/// The same, of a server that passes nothing on.
pub fn whole(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    with(status, kind, Full::new(body.into()))
}

fn with<B>(status: StatusCode, kind: &'static str, body: B) -> Response<B> {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

/// The beginning of a text that a caller sent, escaped.
pub fn shown(text: &str) -> String {
    text.chars().take(100).collect::<String>().escape_debug().to_string()
}
