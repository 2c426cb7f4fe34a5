//! Responses: their bodies, media types and warnings, and refusals.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use std::convert::Infallible;

use super::failure::Failure;
use super::yaml;

/// The body of an answer: whole, or line by line for a watch.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Returns a response with this JSON, in YAML if `yaml`.
pub fn encoded(code: StatusCode, json: Bytes, yaml: bool) -> Response<Body> {
    if !yaml {
        return respond(code, "application/json", json);
    }
    let value: Value = serde_json::from_slice(&json).unwrap_or_default();
    respond(code, "application/yaml", yaml::write(&value).into())
}

/// Returns the 404 for a path that leads nowhere. The API server words it one way for its own groups and another way
/// for those of custom resources.
pub fn nothing_there(path: &str) -> Response<Body> {
    let own = ["api/", "apis/coordination.k8s.io/v1/", "apis/events.k8s.io/v1/"];
    match path == "api" || own.iter().any(|group| path.starts_with(group)) {
        true => refuse(&Failure::no_resource(), false),
        false => respond(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "404 page not found\n".into()),
    }
}

/// Returns a response with this body.
pub fn respond(code: StatusCode, content_type: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(body).boxed_unsync());
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Returns a refusal, in YAML if the client wants YAML.
pub fn refuse(failure: &Failure, yaml: bool) -> Response<Body> {
    let code = StatusCode::from_u16(failure.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = encoded(code, failure.body(), yaml);
    warn(&mut response, &failure.warnings);
    if let Some(seconds) = failure.details.as_ref().and_then(|details| details["retryAfterSeconds"].as_u64()) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The most warnings of an answer: clients of hyper refuse an answer with more than 100 headers.
const MOST_WARNINGS: usize = 50;

/// Adds `Warning` headers (RFC 9111 §5.5, as Kubernetes uses it), one for each of `warnings`.
pub fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings.iter().take(MOST_WARNINGS) {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_few_enough_warnings() {
        let mut response = Response::new(Body::default());
        warn(&mut response, &vec!["unknown field \"spec.x\"".to_owned(); 1_000]);
        assert_eq!(response.headers().get_all(header::WARNING).iter().count(), MOST_WARNINGS);
    }
}
