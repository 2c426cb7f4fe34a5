//! Connections: bounded in number, size and age, each with its own task, over TLS or not. `guests.rs` says which one
//! makes room for others.

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::guests::{Connection, Guest, Guests};

/// How long to wait when no connection can be accepted because file descriptors have run out.
const OUT_OF_FILES: Duration = Duration::from_millis(500);
/// How long a connection may be silent between two requests, and how long the head of a request may take. Clients that
/// keep a seat are heard far more often. Replicas that watch this one are cut off too, and connect again
/// (`cluster/watch_leader.rs`).
const SILENT: Duration = Duration::from_secs(120);
/// A client has this long to finish its TLS handshake; then it is cut off. So are replicas that watch this one over a
/// silent connection (`cluster/watch_leader.rs`): they open another.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The most bytes of a request that are read before they are used: its head has to fit. Thousands of heads that never end
/// fit into memory.
const MOST_READ_AHEAD: usize = 16 * 1024;
/// After this time a connection ends with the answer to its next request.
const AGE: Duration = Duration::from_secs(3_600);

/// Answers the requests of one connection, one after another.
pub trait Service: Send + Sync + 'static {
    type Body: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static;

    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// Serves HTTP until the task is dropped, over at most `most` connections at a time. `service` makes what answers the
/// requests of a connection.
pub async fn serve<S: Service>(listener: TcpListener, most: usize, service: impl Fn(Arc<Guest>) -> S) {
    let take = |connection: Connection| {
        let service = service(connection.guest.clone());
        tokio::spawn(answer(connection, service));
    };
    accept(listener, most, take).await;
}

/// The same over HTTPS. Each connection gets the certificate that is in use when it comes. A slow handshake holds up no
/// other connection.
pub async fn serve_tls<S: Service>(
    listener: TcpListener,
    most: usize,
    certificate: impl Fn() -> Arc<ServerConfig>,
    service: impl Fn(Arc<Guest>) -> S,
) {
    let take = |connection: Connection| {
        let service = service(connection.guest.clone());
        let handshake = TlsAcceptor::from(certificate()).accept(connection);
        tokio::spawn(async move {
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, handshake).await {
                answer(stream, service).await;
            }
        });
    };
    accept(listener, most, take).await;
}

async fn accept(listener: TcpListener, most: usize, take: impl Fn(Connection)) {
    let guests = Guests::with_room(most);
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let _ = stream.set_nodelay(true);
                take(guests.admit(stream, from.ip()));
            }
            Err(_) => tokio::time::sleep(OUT_OF_FILES).await,
        }
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, service: impl Service) {
    let service = &service;
    let answering = service_fn(async move |request| Ok::<_, Infallible>(service.answer(request).await));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(SILENT)
            .max_buf_size(MOST_READ_AHEAD)
            .serve_connection(TokioIo::new(stream), answering)
    );
    // If the connection breaks, there is nobody left to notify.
    if tokio::time::timeout(AGE, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}
