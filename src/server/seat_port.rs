//! The seat port: its connections, who calls, and which replica answers. What is answered is in `routes.rs`.
//!
//! Every replica takes requests. One that does not own the ledger passes them on to the owner.

use bytes::Bytes;
use http::Request;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::http::asked::Asked;
use super::http::body::{Arriving, Room};
use super::http::callers::{Callers, LastCaller};
use super::http::forward::Forward;
use super::http::guests::Guest;
use super::http::problem::Problem;
use super::http::reply::Reply;
use super::http::serve::{self, Service};
use super::http::tls::Tls;
use super::routes::{self, AnsweredBy};
use super::seats::access::Seats;
use super::seats::audit::Audit;
use crate::seats::Desk;

/// The most connections at a time.
pub const MOST_CONNECTIONS: usize = 4_096;

/// What answers at the seat port.
pub struct SeatPort {
    seats: Seats,
    forward: Option<Forward>,
    room: Room,
}

impl SeatPort {
    /// Answers for `desk`. `forward` is `None` if there are no other replicas.
    pub fn new(desk: Desk, callers: Callers, forward: Option<Forward>) -> Self {
        SeatPort { seats: Seats { desk, callers, audit: Audit::default() }, forward, room: Room::default() }
    }

    /// Serves HTTP until the task is dropped.
    pub async fn serve(self, listener: TcpListener) {
        let port = Arc::new(self);
        serve::serve(listener, MOST_CONNECTIONS, |guest| Connected::new(&port, guest)).await;
    }

    /// Serves HTTPS until the task is dropped.
    pub async fn serve_tls(self, listener: TcpListener, tls: watch::Receiver<Tls>) {
        let port = Arc::new(self);
        let certificate = || tls.borrow().server.clone();
        serve::serve_tls(listener, MOST_CONNECTIONS, certificate, |guest| Connected::new(&port, guest)).await;
    }

    /// Answers a request. A caller without a valid token learns nothing, and its body is not read.
    /// `shown` is what the same connection showed before.
    async fn answer(&self, request: Request<Incoming>, shown: &LastCaller) -> Result<Reply, Problem> {
        let caller = &*self.seats.callers.identify(request.headers(), shown).await?;
        let (head, body) = request.into_parts();
        let body = Arriving { body, room: &self.room, caller };
        let Some((route, id)) = routes::find(&head.method, head.uri.path()) else {
            return Ok(routes::not_found(&head.method, head.uri.path()));
        };
        if let Some(forward) = &self.forward
            && let AnsweredBy::Owner { waits } = route.by
            && !self.seats.desk.owns()
        {
            return forward.pass_on(head, body, waits).await;
        }
        route.answer(&self.seats, Asked { caller, id, query: head.uri.query(), body }).await
    }
}

/// One connection, and what it has shown.
struct Connected {
    port: Arc<SeatPort>,
    shown: LastCaller,
}

impl Connected {
    fn new(port: &Arc<SeatPort>, guest: Arc<Guest>) -> Self {
        Connected { port: port.clone(), shown: LastCaller::by(guest) }
    }
}

impl Service for Connected {
    type Body = Either<Full<Bytes>, Incoming>;

    async fn answer(&self, request: Request<Incoming>) -> Reply {
        self.port.answer(request, &self.shown).await.unwrap_or_else(|problem| problem.reply())
    }
}
