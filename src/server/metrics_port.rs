//! `/metrics` on a port of its own, for callers with the right to `get` the path `/metrics`.

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Either;
use hyper::body::Incoming;
use kube::Client;
use rustls::ServerConfig;
use std::sync::Arc;
use tokio::net::TcpListener;

use super::http::answers::{CachedAnswers, Share, TRUSTED};
use super::http::caller::Caller;
use super::http::credential::{TokenHash, bearer_token, hash_of};
use super::http::guests::Guest;
use super::http::outgoing::Outgoing;
use super::http::problem::Problem;
use super::http::reply;
use super::http::reviews::{Known, Reviews, review_of_path, share_of, unauthorized};
use super::http::serve::{self, Service};
use super::metrics::{Chunks, Shown};
use crate::cluster::clock::Clock;
use crate::cluster::metrics::Metrics;

/// The most connections at a time. A few scrapers need a handful; `http/guests.rs` says which one makes room for a newer
/// one.
const MOST_CONNECTIONS: usize = 64;
const PATH: &str = "/metrics";

type Shows = Either<Chunks, Either<Outgoing, Incoming>>;

/// What answers at the port of the metrics.
pub struct MetricsPort {
    shown: Shown,
    reviews: Arc<Reviews>,
    known: CachedAnswers<TokenHash, Known>,
    rights: CachedAnswers<[u8; 32], bool>,
}

impl MetricsPort {
    /// Asks the API server with `client` who a caller is. `clock` says which tokens have expired.
    pub fn new(client: Client, clock: Clock, metrics: Arc<Metrics>) -> Self {
        MetricsPort {
            shown: Shown::of(metrics),
            reviews: Arc::new(Reviews::of_api_server(client, clock)),
            known: CachedAnswers::default(),
            rights: CachedAnswers::default(),
        }
    }

    /// Serves HTTP until the task is dropped.
    pub async fn serve(self, listener: TcpListener) {
        let port = Arc::new(self);
        serve::serve(listener, MOST_CONNECTIONS, |guest| Connected { port: port.clone(), guest }).await;
    }

    /// Serves HTTPS until the task is dropped.
    pub async fn serve_tls(self, listener: TcpListener, certificate: impl Fn() -> Arc<ServerConfig>) {
        let port = Arc::new(self);
        let connected = |guest| Connected { port: port.clone(), guest };
        serve::serve_tls(listener, MOST_CONNECTIONS, certificate, connected).await;
    }

    async fn answer(&self, request: &Request<Incoming>, guest: &Arc<Guest>) -> Result<Response<Shows>, Problem> {
        let caller = self.identify(request, guest).await?;
        let (reviews, asking) = (self.reviews.clone(), caller.clone());
        let ask = |_| async move {
            let may = reviews.allows(asking.group.clone(), review_of_path(&asking, PATH)).await?;
            Ok((may, TRUSTED))
        };
        let share = Share { group: caller.group.clone(), bytes: 0 };
        if !self.rights.answer(caller.identity, |_| share, ask).await?.0 {
            let user = &caller.user;
            let detail = format!("{user} may not get {PATH}: bind the ClusterRole seatkeeper-metrics-reader");
            return Err(Problem::new(StatusCode::FORBIDDEN, "Forbidden", detail));
        }
        if request.uri().path() != PATH {
            return Err(Problem::new(StatusCode::NOT_FOUND, "NotFound", format!("there is {PATH} here alone")));
        }
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return Ok(self.shown.answer().map(Either::Left));
        }
        let mut reply = reply::empty(StatusCode::METHOD_NOT_ALLOWED);
        reply.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,HEAD"));
        Ok(reply.map(Either::Right))
    }

    async fn identify(&self, request: &Request<Incoming>, guest: &Arc<Guest>) -> Result<Arc<Caller>, Problem> {
        let wanted = "send `Authorization: Bearer TOKEN`, with a ServiceAccount token for the API server";
        let token = bearer_token(request.headers()).ok_or_else(|| unauthorized(wanted))?;
        let ask = |before| self.reviews.clone().whose(token.to_owned(), before, Some(guest.clone()));
        let refused = || unauthorized(&format!("the API server does not accept this token; {wanted}"));
        let known = match self.known.answer(hash_of(token), share_of(Some(guest)), ask).await {
            Err(problem) if problem.status == StatusCode::UNAUTHORIZED.as_u16() => return Err(refused()),
            known => known?.0,
        };
        let caller = known.ok_or_else(refused)?;
        guest.becomes_known(&caller.group);
        Ok(caller)
    }
}

/// One connection.
struct Connected {
    port: Arc<MetricsPort>,
    guest: Arc<Guest>,
}

impl Service for Connected {
    type Body = Shows;

    async fn answer(&self, request: Request<Incoming>) -> Response<Shows> {
        let answer = self.port.answer(&request, &self.guest).await;
        answer.unwrap_or_else(|problem| problem.reply().map(Either::Right))
    }
}
