//! The servers of an operator: seats, and health with metrics.

use futures::FutureExt;
use futures::future::Shared;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::seats::thread::SeatThread;
use crate::server::health;
use crate::server::http::callers::Callers;
use crate::server::http::forward::Forward;
use crate::server::http::tls::{Folder, Tls};
use crate::server::metrics_port::MetricsPort;
use crate::server::own_certificate::OwnCertificate;
use crate::server::seat_port::SeatPort;

use super::run::Operator;

/// Where an operator serves, and to whom.
pub struct Servers {
    /// Where health is served, and metrics if they have no port of their own; `None` if neither is.
    pub health: Option<TcpListener>,
    /// Where metrics are served to those with the right, over HTTPS if seats are.
    pub metrics: Option<TcpListener>,
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
    pub tls: Option<Certificates>,
}

/// The certificates of the seat server, which may be renewed while it runs.
pub struct Certificates {
    pub from: CertificatesFrom,
    /// The name that every replica's certificate is for.
    pub name: String,
}

/// Who makes the certificates of the seat server.
pub enum CertificatesFrom {
    /// Somebody who puts them into this folder.
    Folder(PathBuf),
    /// The operator, with an authority of its own.
    Own,
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
            let metrics = self.metrics.is_none().then(|| operator.metrics.clone());
            tasks.spawn(health::serve(listener, operator.health.clone(), metrics, operator.desk()));
        }
        let SeatServer { thread, listener, callers, replicas } = self.seats;
        let leader = operator.rank.leader.subscribe();
        let desk = operator.desk.clone();
        let port = move |forward| SeatPort::new(desk, callers, forward);
        let replicated = replicas.is_some();
        let tls = match replicas.and_then(|replicas| replicas.tls) {
            Some(certificates) => Some(certificates.kept(operator, &mut tasks, thread.runtime()).await?),
            None => None,
        };
        match tls.clone() {
            Some(tls) => {
                let port = move |tls| port(Some(Forward::over_tls(leader, tls)));
                let serving = async move {
                    if let Ok(tls) = tls.await {
                        port(tls.clone()).serve_tls(listener, tls).await;
                    }
                };
                tasks.spawn_on(serving, thread.runtime());
            }
            None => {
                let forward = replicated.then(|| Forward::new(leader));
                tasks.spawn_on(port(forward).serve(listener), thread.runtime());
            }
        }
        if let Some(listener) = self.metrics {
            let port = MetricsPort::new(operator.client.clone(), operator.clock.clone(), operator.metrics.clone());
            match tls {
                None => _ = tasks.spawn(port.serve(listener)),
                Some(tls) => {
                    tasks.spawn(async move {
                        if let Ok(tls) = tls.await {
                            port.serve_tls(listener, move || tls.borrow().server.clone()).await;
                        }
                    });
                }
            }
        }
        Ok(Serving { _tasks: tasks, _thread: thread })
    }
}

/// The certificates in use, once there are any.
type Kept = Shared<oneshot::Receiver<watch::Receiver<Tls>>>;

impl Certificates {
    /// Keeps them up to date in a task. Fails if a folder has none that can be used.
    async fn kept(self, operator: &Operator, tasks: &mut JoinSet<()>, seats_run: &Handle) -> Result<Kept, String> {
        let refused = operator.metrics.seat_certificate_refused.clone();
        let (first, kept) = oneshot::channel();
        match self.from {
            CertificatesFrom::Folder(folder) => {
                let folder = Folder::open(&folder, &self.name, refused).await?;
                let _ = first.send(folder.subscribe());
                tasks.spawn_on(async move { folder.take_up_renewed().await }, seats_run);
            }
            CertificatesFrom::Own => {
                let (client, clock) = (operator.client.clone(), operator.clock.clone());
                let own = OwnCertificate::new(client, clock, &operator.namespace, self.name, refused)?;
                let (health, mut restrained) = (operator.health.clone(), operator.restrained.subscribe());
                health.awaits_certificate.store(true, Ordering::Relaxed);
                let (told, made) = oneshot::channel();
                tasks.spawn(async move {
                    if let Ok(tls) = made.await {
                        health.awaits_certificate.store(false, Ordering::Relaxed);
                        let _ = first.send(tls);
                    }
                });
                tasks.spawn(async move {
                    // Nothing is written before the operator is restrained as the chart says.
                    if restrained.wait_for(|restrained| *restrained).await.is_ok() {
                        own.keep(told).await;
                    }
                });
            }
        }
        Ok(kept.shared())
    }
}
