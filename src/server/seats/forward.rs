//! A replica that does not own the ledger passes requests on to the one that does.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

use super::problem::Problem;
use super::{MOST_BYTES, Seats};

/// Marks what was passed on already: it is not passed on twice.
const PASSED_ON: HeaderName = HeaderName::from_static("seatkeeper-passed-on");
/// Who owns the ledger answers within this time, or is taken to be out of reach.
const PATIENCE: Duration = Duration::from_secs(12);

/// Passes requests on to whoever leads.
pub struct Forward {
    leader: watch::Receiver<Option<String>>,
    client: Client<HttpConnector, Full<axum::body::Bytes>>,
}

impl Forward {
    /// `leader` is where another replica's seat server is reached; None: nobody else leads, as far as is known.
    pub fn new(leader: watch::Receiver<Option<String>>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(1)));
        Forward { leader, client: Client::builder(TokioExecutor::new()).build(connector) }
    }

    async fn pass_on(&self, request: Request) -> Response {
        let leader = self.leader.borrow().clone();
        let Some(leader) = leader.filter(|_| !request.headers().contains_key(PASSED_ON)) else {
            return nobody("nobody owns the seats at present: another replica is taking over");
        };
        let (mut parts, body) = request.into_parts();
        let Ok(body) = to_bytes(body, MOST_BYTES).await else {
            let detail = format!("the body has more than {MOST_BYTES} bytes, or ended early");
            return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "TooLarge", detail).into_response();
        };
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let Ok(uri) = format!("http://{leader}{path}").parse::<Uri>() else {
            return nobody("the leader's address cannot be read");
        };
        parts.uri = uri;
        parts.headers.insert(PASSED_ON, HeaderValue::from_static("1"));
        let asked = self.client.request(Request::from_parts(parts, Full::new(body)));
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(response)) => response.map(Body::new),
            _ => nobody("the replica that owns the seats does not answer: it is asked again, or another takes over"),
        }
    }
}

fn nobody(detail: &str) -> Response {
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "NotOwner", detail);
    problem.retry_after(Duration::from_secs(1)).into_response()
}

/// Answers here where this replica owns the ledger.
pub async fn forward(State(seats): State<Arc<Seats>>, request: Request, next: Next) -> Response {
    match &seats.forward {
        Some(forward) if !seats.desk.owns() => forward.pass_on(request).await,
        _ => next.run(request).await,
    }
}
