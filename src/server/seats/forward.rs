//! A replica that does not own the ledger passes requests on to the one that does.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, request};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;
use tokio::sync::watch;

use super::body::{Reply, whole};
use super::problem::Problem;
use super::wire::wait_of;

/// Marks what was passed on already: it is not passed on twice.
const PASSED_ON: HeaderName = HeaderName::from_static("seatkeeper-passed-on");
/// Who owns the ledger answers within this time, or is taken to be out of reach; a request that waits in the queue, so
/// long after its wait.
const PATIENCE: Duration = Duration::from_secs(12);

/// Passes requests on to whoever leads.
pub struct Forward {
    leader: watch::Receiver<Option<String>>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Forward {
    /// `leader` is where another replica's seat server is reached; None: nobody else leads, as far as is known.
    pub fn new(leader: watch::Receiver<Option<String>>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(1)));
        Forward { leader, client: Client::builder(TokioExecutor::new()).build(connector) }
    }

    /// Sends a request there, and its answer back.
    pub async fn pass_on(&self, mut head: request::Parts, body: Incoming) -> Result<Reply, Problem> {
        let leader = self.leader.borrow().clone();
        let leader = leader
            .filter(|_| !head.headers.contains_key(PASSED_ON))
            .ok_or_else(|| nobody("nobody owns the seats at present: another replica is taking over"))?;
        let body = whole(body).await?;
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let patience = PATIENCE + if head.method == Method::POST { wait_of(&body) } else { Duration::ZERO };
        let uri = format!("http://{leader}{path}").parse::<Uri>();
        head.uri = uri.map_err(|_| nobody("the leader's address cannot be read"))?;
        head.headers.insert(PASSED_ON, HeaderValue::from_static("1"));
        let asked = self.client.request(Request::from_parts(head, Full::new(body)));
        match tokio::time::timeout(patience, asked).await {
            Ok(Ok(reply)) => Ok(reply.map(Either::Right)),
            _ => {
                Err(nobody("the replica that owns the seats does not answer: it is asked again, or another takes over"))
            }
        }
    }
}

fn nobody(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "NotOwner", detail).retry_after(Duration::from_secs(1))
}
