//! The bodies of requests.

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use serde::de::DeserializeOwned;
use std::time::Duration;

use super::problem::Problem;
use super::reply::shown;

/// The longest body that is accepted.
pub const MOST_BYTES: usize = 1024 * 1024;

/// A body has this long to arrive: nobody may fill the memory with bodies that never end.
const DEADLINE: Duration = Duration::from_secs(10);

/// Reads the whole body. Fails if it breaks off, has more than `MOST_BYTES`, or takes longer than `DEADLINE`.
pub async fn whole(body: Incoming) -> Result<Bytes, Problem> {
    let too_slow = || {
        let detail = format!("the body took longer than {} s: send it at once", DEADLINE.as_secs());
        Problem::new(StatusCode::REQUEST_TIMEOUT, "BodyTooSlow", detail)
    };
    tokio::time::timeout(DEADLINE, collect(body)).await.map_err(|_| too_slow())?
}

async fn collect(mut body: Incoming) -> Result<Bytes, Problem> {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(part) = frame.map_err(|_| Problem::invalid("the body broke off"))?.into_data() else { continue };
        if part.len() > MOST_BYTES - all.len() {
            let detail = format!("the body has more than {MOST_BYTES} bytes: split it into several requests");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "BodyTooLarge", detail));
        }
        // Most bodies come in one piece.
        if all.is_empty() && body.is_end_stream() {
            return Ok(part);
        }
        all.extend_from_slice(&part);
    }
    Ok(all.freeze())
}

/// Reads a body as JSON. An error names the field and the line.
pub async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, Problem> {
    let body = whole(body).await?;
    serde_json::from_slice(&body).map_err(|error| {
        // The field is looked for only after an error, because reading with paths is slower.
        let read = serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_slice(&body));
        let field = read.err().map(|error| error.path().to_string()).filter(|path| path != ".");
        let field = field.map_or(String::new(), |path| format!(" `{}`:", shown(&path)));
        Problem::invalid(format!("the body cannot be read:{field} {error}"))
    })
}
