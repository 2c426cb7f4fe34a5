//! The seat server's connections: bounded, and whoever has not shown a valid token makes room for others.

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

/// Connections at a time.
pub const MOST_CONNECTIONS: usize = 4_096;
/// How long to wait when no connection can be taken, for want of file descriptors.
const OUT_OF_FILES: Duration = Duration::from_millis(500);
/// A client that has not finished its TLS handshake by then is cut off. So are replicas that watch this one over a connection
/// on which they say nothing (`cluster/watch_leader.rs`): they make another.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Serves HTTP until the task is dropped.
pub async fn serve(listener: TcpListener, seats: Arc<Seats>) {
    let take = |connection: Connection| {
        let (guest, seats) = (connection.guest.clone(), seats.clone());
        tokio::spawn(async move { answer(connection, &guest, &seats).await });
    };
    accept(listener, take).await;
}

/// Serves HTTPS until the task is dropped, each connection with the certificate that is used when it comes. Whoever is slow
/// to shake hands holds up nobody.
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

/// Answers one request after another. Whoever was not turned away for want of a valid token is known.
async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, guest: &Arc<Guest>, seats: &Seats) {
    let shown = &Shown::by(guest.clone());
    let service = service_fn(async move |request| {
        let reply = seats.answer(request, shown).await;
        if reply.status() != StatusCode::UNAUTHORIZED {
            guest.is_known();
        }
        Ok::<_, Infallible>(reply)
    });
    // There is nobody to tell where it breaks off.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
