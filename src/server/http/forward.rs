//! A replica that does not own the ledger passes requests on to the owner.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header, request};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use std::error::Error;
use std::time::Duration;
use tokio::sync::watch;

use super::body::Arriving;
use super::connector::connector;
use super::problem::Problem;
use super::reply::Reply;
use super::tls::Tls;

/// Marks a request that was passed on, so that it is not passed on twice.
const PASSED_ON: HeaderName = HeaderName::from_static("seatkeeper-passed-on");
static HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
/// Never removed, whatever `Connection` names: without them it would be another request.
static KEPT: [HeaderName; 3] = [header::AUTHORIZATION, header::CONTENT_TYPE, PASSED_ON];
/// The owner has this long to answer; then it counts as out of reach. For a request that wants to wait, the time starts
/// after its wait.
const PATIENCE: Duration = Duration::from_secs(12);

/// Passes requests on to the replica that leads.
pub struct Forward {
    leader: watch::Receiver<Option<String>>,
    way: Way,
}

/// How other replicas are reached.
enum Way {
    Plain(Client<HttpConnector, Full<Bytes>>),
    /// With the certificates in use at the time.
    Tls(watch::Receiver<Tls>),
}

impl Forward {
    /// `leader` is the address of another replica's seat server; `None` while no other replica is known to lead.
    pub fn new(leader: watch::Receiver<Option<String>>) -> Self {
        Forward { leader, way: Way::Plain(Client::builder(TokioExecutor::new()).build(connector())) }
    }

    /// Passes requests on over TLS, and only to a replica that shows the right certificate: each request carries a
    /// token.
    pub fn over_tls(leader: watch::Receiver<Option<String>>, tls: watch::Receiver<Tls>) -> Self {
        Forward { leader, way: Way::Tls(tls) }
    }

    /// Passes a request on and returns the answer. `wait` reads from the body how long the request wants to wait before
    /// it is answered. Fails with `NotOwner` if the leader is unknown or out of reach.
    pub async fn pass_on(
        &self,
        mut head: request::Parts,
        body: Arriving<'_>,
        wait: impl FnOnce(&[u8]) -> Duration,
    ) -> Result<Reply, Problem> {
        let leader = self.leader.borrow().clone();
        let leader = leader
            .filter(|_| !head.headers.contains_key(PASSED_ON))
            .ok_or_else(|| nobody("no replica owns the seats at present: another one is taking over"))?;
        let caller = body.caller;
        let body = body.whole().await?;
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let is_one = head.method != Method::GET && head.uri.path().starts_with("/v1/seats/");
        let patience = PATIENCE + wait(&body);
        let scheme = match self.way {
            Way::Plain(_) => "http",
            Way::Tls(_) => "https",
        };
        let uri = format!("{scheme}://{leader}{path}").parse::<Uri>();
        head.uri = uri.map_err(|_| nobody("the leader's address cannot be read"))?;
        remove_hop_by_hop(&mut head.headers);
        head.headers.insert(PASSED_ON, HeaderValue::from_static("1"));
        let asked = self.ask(Request::from_parts(head, Full::new(body)));
        let error = match tokio::time::timeout(patience, asked).await {
            Ok(Ok(mut reply)) => {
                // The owner has checked its rights. Of several seats at once, it may have refused each.
                if reply.status() == StatusCode::CREATED || (reply.status().is_success() && is_one) {
                    caller.note_right();
                }
                remove_hop_by_hop(reply.headers_mut());
                return Ok(reply.map(Either::Right));
            }
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        Err(match error.as_ref().and_then(|error| of_tls(error)) {
            Some(why) => nobody(&format!(
                "the replica that owns the seats cannot be reached over TLS: {why}; check --seats-tls-dir and \
                 --seats-tls-name of both replicas"
            )),
            None => nobody("the replica that owns the seats does not answer: ask again, another one may take over"),
        })
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, legacy::Error> {
        let asked = match &self.way {
            Way::Plain(client) => client.request(request),
            Way::Tls(tls) => tls.borrow().peers.request(request),
        };
        asked.await
    }
}

/// Removes the headers that are about one connection (RFC 9110, section 7.6.1), and those that `Connection` names: they
/// mean nothing on the next one, or something else.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| !KEPT.contains(name))
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// What TLS found wrong, if that is why a request could not be sent.
fn of_tls<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = match error.downcast_ref::<std::io::Error>() {
            Some(error) => error.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

fn nobody(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "NotOwner", detail).retry_after(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_about_one_connection_are_not_passed_on() {
        let name = |name: &'static str| HeaderName::from_static(name);
        let mut headers: HeaderMap = [
            ("connection", "close, X-Mine"),
            ("connection", "Authorization,,x y, te"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic YQ=="),
            ("te", "trailers"),
            ("trailer", "x-late"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("x-mine", "1"),
            ("x-other", "1"),
            ("authorization", "Bearer a"),
            ("content-type", "application/json"),
        ]
        .into_iter()
        .map(|(header, value)| (name(header), HeaderValue::from_bytes(value.as_bytes()).unwrap()))
        .collect();
        remove_hop_by_hop(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "content-type", "x-other"]);
    }
}
