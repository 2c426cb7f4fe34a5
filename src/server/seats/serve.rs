//! The seat server's connections: bounded, and whoever has not shown a valid token makes room for others.

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

use crate::server::guests::{Connection, Guest, Guests};

/// Connections at a time.
pub const MOST_CONNECTIONS: usize = 4_096;
/// How long to wait when no connection can be taken, for want of file descriptors.
const OUT_OF_FILES: Duration = Duration::from_millis(500);

/// Serves until the task is dropped.
pub async fn serve(listener: TcpListener, routes: Router) -> std::io::Result<()> {
    let routes = routes.layer(from_fn(note_who_is_known));
    let door = Door { listener, guests: Guests::with_room(MOST_CONNECTIONS) };
    axum::serve(door, routes.into_make_service_with_connect_info::<Seated>()).await
}

/// Whoever was not turned away for want of a valid token is known.
async fn note_who_is_known(ConnectInfo(Seated(guest)): ConnectInfo<Seated>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if response.status() != StatusCode::UNAUTHORIZED {
        guest.is_known();
    }
    response
}

struct Door {
    listener: TcpListener,
    guests: Guests,
}

/// Who is at the other end.
#[derive(Clone)]
struct Seated(Arc<Guest>);

impl Connected<IncomingStream<'_, Door>> for Seated {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Seated(stream.io().guest.clone())
    }
}

impl Listener for Door {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let _ = stream.set_nodelay(true);
                    if let Some(connection) = self.guests.admit(stream) {
                        return (connection, address);
                    }
                }
                Err(_) => tokio::time::sleep(OUT_OF_FILES).await,
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
