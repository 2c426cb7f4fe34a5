//! The embedded API over HTTPS, for kubectl: only callers with the credential are answered.

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::serve::{IncomingStream, Listener};
use futures::future::BoxFuture;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

use super::guests::{Connection, Guest, Guests};
use crate::cluster::metrics::Metrics;

/// The most connections at a time. A shell with kubectl and a few dashboards need a few dozen.
pub const MOST_CONNECTIONS: usize = 512;
/// A client has this long to finish its TLS handshake; then it is cut off.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long to wait when no connection can be accepted because file descriptors have run out.
const OUT_OF_FILES: Duration = Duration::from_millis(500);

/// Answers the requests that carry the credential.
pub type Answer = Arc<dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync>;

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    api: Answer,
    /// The SHA-256 of the bearer token. Comparing hashes takes the same time whatever is wrong.
    token: [u8; 32],
    metrics: Option<Arc<Metrics>>,
}

/// Serves until the task is dropped. `metrics` are those of an operator in this process.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    api: Answer,
    token: &str,
    metrics: Option<Arc<Metrics>>,
) -> std::io::Result<()> {
    let shared = Shared { api, token: Sha256::digest(token).into(), metrics };
    let routes = Router::new().route("/metrics", get(show_metrics)).fallback(any(answer)).with_state(shared);
    let address = listener.local_addr()?;
    let (ready, connections) = mpsc::channel(MOST_CONNECTIONS);
    let accepting = tokio::spawn(accept(listener, TlsAcceptor::from(tls), ready));
    let served =
        axum::serve(Connections { connections, address }, routes.into_make_service_with_connect_info::<Caller>()).await;
    accepting.abort();
    served
}

/// Accepts connections. Each handshake runs in a task, so that a slow client holds up no other.
async fn accept(listener: TcpListener, acceptor: TlsAcceptor, ready: mpsc::Sender<Shaken>) {
    let guests = Guests::with_room(MOST_CONNECTIONS);
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let _ = stream.set_nodelay(true);
                let Some(connection) = guests.admit(stream) else { continue };
                let (handshake, ready) = (acceptor.accept(connection), ready.clone());
                tokio::spawn(async move {
                    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, handshake).await {
                        // An error means that the server is being dropped.
                        let _ = ready.send((stream, address)).await;
                    }
                });
            }
            Err(_) => tokio::time::sleep(OUT_OF_FILES).await,
        }
    }
}

type Shaken = (TlsStream<Connection>, SocketAddr);

/// Connections whose handshake is done.
struct Connections {
    connections: mpsc::Receiver<Shaken>,
    address: SocketAddr,
}

/// The other end of the connection that a request came over.
#[derive(Clone)]
struct Caller(Arc<Guest>);

impl Connected<IncomingStream<'_, Connections>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        Caller(stream.io().get_ref().0.guest.clone())
    }
}

impl Listener for Connections {
    type Io = TlsStream<Connection>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.connections.recv().await {
            Some(connection) => connection,
            // The accepting task has ended: the server is being dropped.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok(self.address)
    }
}

impl Shared {
    fn knows(&self, request: &Request) -> bool {
        let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token =
            given.and_then(|text| text.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let knows = token.is_some_and(|(_, token)| <[u8; 32]>::from(Sha256::digest(token.trim())) == self.token);
        if let Some(ConnectInfo(Caller(guest))) = request.extensions().get().filter(|_| knows) {
            guest.is_known();
        }
        knows
    }
}

fn unauthorized() -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "Unauthorized",
        "reason": "Unauthorized", "code": 401,
    });
    (StatusCode::UNAUTHORIZED, [(header::CONTENT_TYPE, "application/json")], status.to_string()).into_response()
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    match shared.knows(&request) {
        true => (shared.api)(request).await,
        false => unauthorized(),
    }
}

async fn show_metrics(State(shared): State<Shared>, request: Request) -> Response {
    match (&shared.metrics, shared.knows(&request)) {
        (_, false) => unauthorized(),
        (Some(metrics), true) => {
            let text = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
            (text, metrics.render()).into_response()
        }
        (None, true) => (StatusCode::NOT_FOUND, "no operator runs here\n").into_response(),
    }
}
