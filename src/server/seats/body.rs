//! Bodies of requests and replies.

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Incoming};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::shown;

/// A longer body is refused.
pub const MOST_BYTES: usize = 1024 * 1024;
/// A reply with one seat is shorter.
const USUAL: usize = 256;

/// What is sent back: made here, or passed on as it comes from another replica.
pub type Reply = Response<Either<Full<Bytes>, Incoming>>;

/// All of a body.
pub async fn whole(mut body: Incoming) -> Result<Bytes, Problem> {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(part) = frame.map_err(|_| Problem::invalid("the body broke off"))?.into_data() else { continue };
        if part.len() > MOST_BYTES - all.len() {
            let detail = format!("the body has more than {MOST_BYTES} bytes: send it in several");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "BodyTooLarge", detail));
        }
        // Most come in one piece.
        if all.is_empty() && body.is_end_stream() {
            return Ok(part);
        }
        all.extend_from_slice(&part);
    }
    Ok(all.freeze())
}

/// A body as JSON. What is wrong with one is said with the field and the line.
pub async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, Problem> {
    let body = whole(body).await?;
    serde_json::from_slice(&body).map_err(|error| {
        // Where it is wrong is looked for only now: that takes longer.
        let read = serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_slice(&body));
        let field = read.err().map(|error| error.path().to_string()).filter(|path| path != ".");
        let field = field.map_or(String::new(), |path| format!(" `{}`:", shown(&path)));
        Problem::invalid(format!("the body cannot be read:{field} {error}"))
    })
}

/// Sends `body`.
pub fn json(status: StatusCode, body: &impl Serialize) -> Reply {
    let mut text = Vec::with_capacity(USUAL);
    // Nothing of ours cannot be written as JSON.
    let _ = serde_json::to_writer(&mut text, body);
    of(status, "application/json", text)
}

/// Sends nothing but the status.
pub fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Either::Left(Full::default()));
    *reply.status_mut() = status;
    reply
}

pub fn of(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Reply {
    let mut reply = Response::new(Either::Left(Full::from(body)));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}
