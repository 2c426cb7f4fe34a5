//! The seat server's connections: bounded in number; one that has not shown a valid token makes room for others.

use http::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::Seats;
use super::callers::Shown;
use super::tls::Tls;
use crate::server::guests::{Connection, Guest, Guests};

/// The most connections at a time.
pub const MOST_CONNECTIONS: usize = 4_096;
/// How long to wait when no connection can be accepted because file descriptors have run out.
const OUT_OF_FILES: Duration = Duration::from_millis(500);
/// A client has this long to finish its TLS handshake; then it is cut off. So are replicas that watch this one over a
/// silent connection (`cluster/watch_leader.rs`): they open another.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Serves HTTP until the task is dropped.
pub async fn serve(listener: TcpListener, seats: Arc<Seats>) {
    let take = |connection: Connection| {
        let (guest, seats) = (connection.guest.clone(), seats.clone());
        tokio::spawn(async move { answer(connection, &guest, &seats).await });
    };
    accept(listener, take).await;
}

/// Serves HTTPS until the task is dropped. Each connection gets the certificate that is in use when it comes. A slow
/// handshake holds up no other connection.
pub async fn serve_tls(listener: TcpListener, seats: Arc<Seats>, tls: watch::Receiver<Tls>) {
    let take = |connection: Connection| {
        let (guest, seats) = (connection.guest.clone(), seats.clone());
        let handshake = TlsAcceptor::from(tls.borrow().server.clone()).accept(connection);
        tokio::spawn(async move {
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, handshake).await {
                answer(stream, &guest, &seats).await;
            }
        });
    };
    accept(listener, take).await;
}

async fn accept(listener: TcpListener, take: impl Fn(Connection)) {
    let guests = Guests::with_room(MOST_CONNECTIONS);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                if let Some(connection) = guests.admit(stream) {
                    take(connection);
                }
            }
            Err(_) => tokio::time::sleep(OUT_OF_FILES).await,
        }
    }
}

/// Answers one request after another. The guest counts as known once a request has shown a valid token.
async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, guest: &Arc<Guest>, seats: &Seats) {
    let shown = &Shown::by(guest.clone());
    let service = service_fn(async move |request| {
        let reply = seats.answer(request, shown).await;
        if reply.status() != StatusCode::UNAUTHORIZED {
            guest.is_known();
        }
        Ok::<_, Infallible>(reply)
    });
    // If the connection breaks, there is nobody left to notify.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
