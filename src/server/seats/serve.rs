//! The seat server's connections.

use bytes::Bytes;
use http::Request;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::Seats;
use crate::server::http::callers::Shown;
use crate::server::http::guests::Guest;
use crate::server::http::reply::Reply;
use crate::server::http::serve::{self, Service};
use crate::server::http::tls::Tls;

/// The most connections at a time.
pub const MOST_CONNECTIONS: usize = 4_096;

/// Serves HTTP until the task is dropped.
pub async fn serve(listener: TcpListener, seats: Arc<Seats>) {
    serve::serve(listener, MOST_CONNECTIONS, |guest| Connected::new(&seats, guest)).await;
}

/// Serves HTTPS until the task is dropped.
pub async fn serve_tls(listener: TcpListener, seats: Arc<Seats>, tls: watch::Receiver<Tls>) {
    let certificate = || tls.borrow().server.clone();
    serve::serve_tls(listener, MOST_CONNECTIONS, certificate, |guest| Connected::new(&seats, guest)).await;
}

/// One connection, and what it has shown.
struct Connected {
    seats: Arc<Seats>,
    shown: Shown,
}

impl Connected {
    fn new(seats: &Arc<Seats>, guest: Arc<Guest>) -> Self {
        Connected { seats: seats.clone(), shown: Shown::by(guest) }
    }
}

impl Service for Connected {
    type Body = Either<Full<Bytes>, Incoming>;

    async fn answer(&self, request: Request<Incoming>) -> Reply {
        self.seats.answer(request, &self.shown).await
    }
}
