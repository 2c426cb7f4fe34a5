//! The seat port: its connections, who calls, and which replica answers. What is answered is in `routes.rs`.
//!
//! Every replica takes requests. One that does not own the ledger passes them on to the owner.

use http::{Request, StatusCode};
use http_body_util::Either;
use hyper::body::Incoming;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::http::asked::Asked;
use super::http::body::{Arriving, Room};
use super::http::callers::{Callers, LastCaller};
use super::http::forward::Forward;
use super::http::guests::Guest;
use super::http::outgoing::Outgoing;
use super::http::problem::{A_MOMENT, Problem};
use super::http::reply::Reply;
use super::http::serve::{self, Service};
use super::http::share::Share;
use super::http::tls::Tls;
use super::routes::{self, AnsweredBy};
use super::seats::access::Seats;
use super::seats::audit::Audit;
use crate::seats::Desk;

/// The most connections at a time.
pub const MOST_CONNECTIONS: usize = 4_096;

/// The most bytes of large answers that wait to be read, in all and of one group: of several answers to a thousand requests.
const MOST_ANSWERS: (usize, usize) = (32 << 20, 4 << 20);

/// What answers at the seat port.
pub struct SeatPort {
    seats: Seats,
    forward: Option<Forward>,
    room: Room,
    /// Room for answers that are being read.
    answers: Share,
}

impl SeatPort {
    /// Answers for `desk`. `forward` is `None` if there are no other replicas.
    pub fn new(desk: Desk, callers: Callers, forward: Option<Forward>) -> Self {
        SeatPort {
            seats: Seats { desk, callers, audit: Audit::default() },
            forward,
            room: Room::default(),
            answers: Share::new(MOST_ANSWERS.0, MOST_ANSWERS.1),
        }
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
        let mut reply = route.answer(&self.seats, Asked { caller, id, query: head.uri.query(), body }).await?;
        let has_room = match reply.body_mut() {
            Either::Left(answer) => answer.take_room(&self.answers, &caller.group),
            Either::Right(_) => true,
        };
        if has_room { Ok(reply) } else { Err(too_many_unread()) }
    }
}

/// What was asked for may be done: a session that asks for its seats again gets the same ones.
fn too_many_unread() -> Problem {
    let detail = "too many large answers wait to be read: read them, then ask again, or ask for less at once";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "Overloaded", detail).retry_after(A_MOMENT)
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
    type Body = Either<Outgoing, Incoming>;

    async fn answer(&self, request: Request<Incoming>) -> Reply {
        self.port.answer(request, &self.shown).await.unwrap_or_else(|problem| problem.reply())
    }
}
