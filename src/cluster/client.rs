//! The kube client: the Date of every answer is reported to the clock, every request is counted, every call ends.

use bytes::Bytes;
use http::header::{ACCEPT, DATE, USER_AGENT};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::api::{ListParams, ObjectList};
use kube::client::{Body, ClientBuilder};
use prometheus_client::metrics::counter::Counter;
use std::future::Future;
use std::time::Duration;
use tower::timeout::TimeoutLayer;
use tower::timeout::future::ResponseFuture;
use tower::util::{MapFutureLayer, MapRequestLayer};
use tower::{BoxError, Service};

use super::clock::Clock;

use crate::machine::monotonic;

/// A call that takes longer than this has failed.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// An answer that has not begun after this time never comes. Watches are not wrapped in `call`, so without this limit a
/// cache whose list was lost on the way would stay out of date for good.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// The most objects listed in one request.
const PAGE: u32 = 500;

/// The operator's name in audit logs and, up to the `/`, in `managedFields`.
const NAME: &str = concat!("seatkeeper/", env!("CARGO_PKG_VERSION"));

/// Why a call to the API server failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("the API server did not answer within {} s", CALL_TIMEOUT.as_secs())]
    TimedOut,
    #[error("{}", said(.0))]
    Refused(#[from] kube::Error),
}

/// What an error says, without the answer in the form of Rust that kube adds.
fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => match status.message.is_empty() {
            true => format!("the API server answered {} {}", status.code, status.reason),
            false => status.message.clone(),
        },
        kube::Error::Service(error) => reached(error.as_ref()),
        kube::Error::HyperError(error) => reached(error),
        other => other.to_string(),
    }
}

/// Why there was no answer: what is at the bottom, such as a refused connection, an unknown host or a certificate that is not
/// valid yet. What is above it names the libraries through which it came.
fn reached(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    format!("the API server cannot be reached: {cause}")
}

impl CallError {
    /// The HTTP status the API server answered with.
    pub fn code(&self) -> Option<u16> {
        match self {
            CallError::Refused(kube::Error::Api(status)) => Some(status.code),
            _ => None,
        }
    }

    /// Whether the object to be created already exists. Other conflicts, such as an exceeded quota, leave nothing
    /// behind.
    pub fn already_exists(&self) -> bool {
        matches!(self, CallError::Refused(kube::Error::Api(status)) if status.reason == "AlreadyExists")
    }

    /// Whether another client wrote first: read the object again.
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// Whether the same request would be refused again, unless somebody changes something: rights, quotas, policies.
    pub fn is_for_good(&self) -> bool {
        self.code().is_some_and(|code| (400..500).contains(&code) && ![401, 404, 408, 409, 429].contains(&code))
    }

    /// Whether there is no such namespace.
    pub fn is_of_missing_namespace(&self) -> bool {
        matches!(self, CallError::Refused(kube::Error::Api(status)) if status.code == 404
            && status.details.as_ref().is_some_and(|details| details.kind == "namespaces"))
    }

    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }
}

/// Requests sent, for metrics.
#[derive(Clone, Debug, Default)]
pub struct RequestCount {
    pub reads: Counter,
    pub writes: Counter,
}

/// Returns a kube client for `config` that reports the API server's time to `clock`.
pub fn connect(config: kube::Config, clock: Clock, count: RequestCount) -> Result<Client, kube::Error> {
    Ok(observe(ClientBuilder::try_from(config)?, clock, count))
}

/// Returns a kube client that uses any service in place of a connection.
pub fn over<S, B>(service: S, clock: Clock, count: RequestCount) -> Client
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: BodyExt<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    observe(ClientBuilder::new(service, "default"), clock, count)
}

fn observe<S, B>(builder: ClientBuilder<S>, clock: Clock, count: RequestCount) -> Client
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: BodyExt<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let hear = MapFutureLayer::new(move |answer: ResponseFuture<S::Future>| {
        let (clock, asked) = (clock.clone(), monotonic());
        async move {
            let response = answer.await?;
            if let Some(date) = response.headers().get(DATE).map(HeaderValue::to_str).and_then(Result::ok) {
                clock.heard(date, asked);
            }
            Ok::<_, BoxError>(response)
        }
    });
    let count = MapRequestLayer::new(move |mut request: Request<Body>| {
        request.headers_mut().entry(USER_AGENT).or_insert(HeaderValue::from_static(NAME));
        let kind = if request.method() == http::Method::GET { &count.reads } else { &count.writes };
        kind.inc();
        request
    });
    builder.with_layer(&TimeoutLayer::new(HEAD_TIMEOUT)).with_layer(&hear).with_layer(&count).build()
}

/// Sends a write and returns only the version of the outcome: the rest is never used, and with thousands of objects,
/// encoding and reading it is a good part of the work.
pub async fn write(
    client: &Client,
    request: Result<Request<Vec<u8>>, kube::core::request::Error>,
) -> Result<Option<String>, kube::Error> {
    #[derive(serde::Deserialize)]
    struct Outcome {
        metadata: Metadata,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        resource_version: Option<String>,
    }
    let mut request = request.map_err(kube::Error::BuildRequest)?;
    let metadata = HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
    request.headers_mut().insert(ACCEPT, metadata);
    let outcome: Outcome = client.request(request).await?;
    Ok(outcome.metadata.resource_version)
}

/// Waits for a call for at most `CALL_TIMEOUT`: the kube client itself retries for minutes and has no read timeout.
pub async fn call<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, CallError> {
    match tokio::time::timeout(CALL_TIMEOUT, request).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(CallError::TimedOut),
    }
}

/// Lists all objects, page after page. `list` sends the request for one page.
pub async fn list_all<T: Clone, F>(list: impl Fn(ListParams) -> F) -> Result<Vec<T>, CallError>
where
    F: Future<Output = Result<ObjectList<T>, kube::Error>>,
{
    let mut all = Vec::new();
    let mut token = None;
    loop {
        let params = ListParams { limit: Some(PAGE), continue_token: token, ..ListParams::default() };
        let page = call(list(params)).await?;
        all.extend(page.items);
        token = page.metadata.continue_.filter(|token| !token.is_empty());
        if token.is_none() {
            return Ok(all);
        }
    }
}
