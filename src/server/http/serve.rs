//! Connections: bounded in number, size and age, each with its own task, over TLS or not. `guests.rs` says which one
//! makes room for others.

use http::{HeaderValue, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::guests::{Connection, Guest, Guests};
use super::patience::LOOK;
use crate::machine::monotonic;

/// How long to wait when no connection can be accepted because file descriptors have run out.
const OUT_OF_FILES: Duration = Duration::from_millis(500);
/// How many connections are accepted in each `TURN`: thousands that come at once would otherwise hold up those that are
/// served, by what a turn of them takes. A second has room for some 2,500.
const IN_A_TURN: u32 = 4;
const TURN: Duration = Duration::from_millis(1);
/// A client has this long to finish its TLS handshake; then it is cut off. So are replicas that watch this one over a
/// silent connection (`cluster/watch_leader.rs`): they open another.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The most bytes of a request that are read before they are used: its head has to fit. Thousands of heads that never end
/// fit into memory.
const MOST_READ_AHEAD: usize = 16 * 1024;
/// Answers the requests of one connection, one after another.
pub trait Service: Send + Sync + 'static {
    type Body: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static;

    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// Serves HTTP until the task is dropped, over at most `most` connections at a time. `service` makes what answers the
/// requests of a connection.
pub async fn serve<S: Service>(listener: TcpListener, most: usize, service: impl Fn(Arc<Guest>) -> S) {
    let take = |connection: Connection| {
        let guest = connection.guest.clone();
        let service = service(guest.clone());
        tokio::spawn(answer(connection, guest, service));
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
        let guest = connection.guest.clone();
        let service = service(guest.clone());
        let handshake = TlsAcceptor::from(certificate()).accept(connection);
        tokio::spawn(async move {
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, handshake).await {
                answer(stream, guest, service).await;
            }
        });
    };
    accept(listener, most, take).await;
}

async fn accept(listener: TcpListener, most: usize, take: impl Fn(Connection)) {
    let guests = Guests::with_room(most);
    let mut looks = tokio::time::interval(LOOK);
    let (mut turn, mut in_turn) = (monotonic(), 0);
    loop {
        let accepted = tokio::select! {
            biased;
            _ = looks.tick() => {
                guests.look();
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let now = monotonic();
        if now - turn >= TURN {
            (turn, in_turn) = (now, 0);
        }
        in_turn += 1;
        if in_turn >= IN_A_TURN {
            tokio::time::sleep(TURN.saturating_sub(now - turn)).await;
        }
        match accepted {
            Ok((stream, from)) => {
                let _ = stream.set_nodelay(true);
                take(guests.admit(stream, from.ip()));
            }
            Err(_) => tokio::time::sleep(OUT_OF_FILES).await,
        }
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, guest: Arc<Guest>, service: impl Service) {
    let (service, guest) = (&service, &guest);
    let answering = service_fn(async move |request| {
        guest.patience.takes_step();
        let mut response = service.answer(request).await;
        if guest.patience.is_old() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok::<_, Infallible>(response.map(|body| Answer { body, guest: guest.clone() }))
    });
    let connection =
        http1::Builder::new().max_buf_size(MOST_READ_AHEAD).serve_connection(TokioIo::new(stream), answering);
    // If the connection breaks, there is nobody left to notify.
    let _ = connection.await;
}

/// The body of an answer, which notes when it has been handed over.
struct Answer<B> {
    body: B,
    guest: Arc<Guest>,
}

impl<B> Drop for Answer<B> {
    fn drop(&mut self) {
        self.guest.patience.takes_step();
    }
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
