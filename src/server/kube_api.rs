//! The embedded API over HTTPS, for kubectl: only callers with the credential are answered. TLS is served even on
//! loopback, because kubectl sends no token without it.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use seatkeeper_embedded::{Body, Embedded};
use serde_json::json;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;

use super::http::credential::Credential;
use super::http::group::Group;
use super::http::guests::Guest;
use super::http::reply;
use super::http::serve::{self, Service};
use super::metrics;
use crate::cluster::metrics::Metrics;

/// The most connections at a time. A shell with kubectl and a few dashboards need a few dozen.
pub const MOST_CONNECTIONS: usize = 512;

/// The embedded API, and what is served beside it.
#[derive(Clone)]
pub struct KubeApi {
    api: Embedded,
    credential: Credential,
    /// Everybody with the credential.
    owner: Group,
    metrics: Option<watch::Receiver<Arc<Metrics>>>,
}

impl KubeApi {
    /// Serves `api` to callers with `token`. `metrics` are those of the operator in this process, which may begin again.
    pub fn new(api: Embedded, token: &str, metrics: Option<watch::Receiver<Arc<Metrics>>>) -> Self {
        KubeApi { api, credential: Credential::of(token), owner: Group::User("seatkeeper-up".into()), metrics }
    }

    /// Serves until the task is dropped.
    pub async fn serve(self, listener: TcpListener, tls: Arc<ServerConfig>) {
        let service = |guest| Connected { server: self.clone(), guest };
        serve::serve_tls(listener, MOST_CONNECTIONS, || tls.clone(), service).await;
    }
}

/// A connection.
struct Connected {
    server: KubeApi,
    guest: Arc<Guest>,
}

impl Service for Connected {
    type Body = Either<Full<Bytes>, Body>;

    async fn answer(&self, request: Request<Incoming>) -> Response<Self::Body> {
        let KubeApi { api, credential, metrics, .. } = &self.server;
        if !credential.is_in(request.headers()) {
            return unauthorized().map(Either::Left);
        }
        self.guest.becomes_known(&self.server.owner);
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        match (request.uri().path(), metrics) {
            ("/metrics", Some(metrics)) if is_read => metrics::shown(&metrics.borrow()).map(Either::Left),
            ("/metrics", None) if is_read => {
                reply::whole(StatusCode::NOT_FOUND, reply::TEXT, "no operator runs here\n").map(Either::Left)
            }
            _ => api.answer(request).await.map(Either::Right),
        }
    }
}

fn unauthorized() -> Response<Full<Bytes>> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "Unauthorized",
        "reason": "Unauthorized", "code": 401,
    });
    reply::whole(StatusCode::UNAUTHORIZED, "application/json", status.to_string())
}
