//! The seat server's connections: bounded, and whoever has not shown a valid token makes room for others.

use http::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

use super::Seats;
use super::callers::Shown;
use crate::server::guests::{Connection, Guests};

/// Connections at a time.
pub const MOST_CONNECTIONS: usize = 4_096;
/// How long to wait when no connection can be taken, for want of file descriptors.
const OUT_OF_FILES: Duration = Duration::from_millis(500);

/// Serves until the task is dropped.
pub async fn serve(listener: TcpListener, seats: Arc<Seats>) {
    let guests = Guests::with_room(MOST_CONNECTIONS);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                if let Some(connection) = guests.admit(stream) {
                    tokio::spawn(answer(connection, seats.clone()));
                }
            }
            Err(_) => tokio::time::sleep(OUT_OF_FILES).await,
        }
    }
}

/// Answers one request after another. Whoever was not turned away for want of a valid token is known.
async fn answer(connection: Connection, seats: Arc<Seats>) {
    let (guest, shown, seats) = (&connection.guest.clone(), &Shown::by(connection.guest.clone()), &*seats);
    let service = service_fn(async move |request| {
        let reply = seats.answer(request, shown).await;
        if reply.status() != StatusCode::UNAUTHORIZED {
            guest.is_known();
        }
        Ok::<_, Infallible>(reply)
    });
    // There is nobody to tell where it breaks off.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
}
