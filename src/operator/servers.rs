//! The servers of an operator: seats, and health with metrics.

use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::seats::thread::SeatThread;
use crate::server::health;
use crate::server::http::callers::Callers;
use crate::server::http::forward::Forward;
use crate::server::http::tls::Folder;
use crate::server::seat_port::SeatPort;

use super::run::Operator;

/// Where an operator serves, and to whom.
pub struct Servers {
    /// Where health and metrics are served; `None` if they are not.
    pub health: Option<TcpListener>,
    pub seats: SeatServer,
}

/// The seat server.
pub struct SeatServer {
    /// Where seats are granted and served.
    pub thread: SeatThread,
    /// Made on that thread.
    pub listener: TcpListener,
    pub callers: Callers,
    /// `None` if there is no other replica, and will be none.
    pub replicas: Option<Replicas>,
}

/// How replicas reach one another's seat servers.
pub struct Replicas {
    /// `ADDRESS:PORT` at which others reach this one; `None` for where it listens.
    pub advertised: Option<String>,
    /// `None` if seats are served over plain HTTP.
    pub tls: Option<TlsFiles>,
}

/// The certificates of the seat server, which may be renewed while it runs.
pub struct TlsFiles {
    pub folder: PathBuf,
    /// The name that every replica's certificate is for.
    pub name: String,
}

/// The servers, while they run. They end when this value is dropped.
pub struct Serving {
    _tasks: JoinSet<()>,
    _thread: SeatThread,
}

impl SeatServer {
    /// Where other replicas reach this one; `None` if there are no others.
    pub fn address(&self) -> Option<String> {
        let listens = || self.listener.local_addr().ok().map(|address| address.to_string());
        self.replicas.as_ref().and_then(|replicas| replicas.advertised.clone().or_else(listens))
    }
}

impl Servers {
    /// Serves what `operator` knows. Fails if the certificates of the seat server cannot be used; the error says why.
    pub async fn start(self, operator: &Operator) -> Result<Serving, String> {
        let mut tasks = JoinSet::new();
        if let Some(listener) = self.health {
            tasks.spawn(health::serve(listener, operator.health.clone(), operator.metrics.clone(), operator.desk()));
        }
        let SeatServer { thread, listener, callers, replicas } = self.seats;
        let leader = || operator.rank.leader.subscribe();
        let port = |forward| SeatPort::new(operator.desk.clone(), callers, forward);
        match replicas.map(|replicas| replicas.tls) {
            None => _ = tasks.spawn_on(port(None).serve(listener), thread.runtime()),
            Some(None) => {
                let forward = Forward::new(leader());
                tasks.spawn_on(port(Some(forward)).serve(listener), thread.runtime());
            }
            Some(Some(TlsFiles { folder, name })) => {
                let refused = operator.metrics.seat_certificate_refused.clone();
                let folder = Folder::open(&folder, &name, refused).await?;
                let forward = Forward::over_tls(leader(), folder.subscribe());
                tasks.spawn_on(port(Some(forward)).serve_tls(listener, folder.subscribe()), thread.runtime());
                tasks.spawn_on(async move { folder.take_up_renewed().await }, thread.runtime());
            }
        }
        Ok(Serving { _tasks: tasks, _thread: thread })
    }
}
