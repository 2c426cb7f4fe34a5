//! The operator: watches, judges with the domain, carries out, and shows.
//!
//! **Architecture Invariant:** no step depends on having seen an event. Every reconcile starts from what is there.

pub mod license;
pub mod observed;
pub mod plan;
pub mod queue;
pub mod runner;
pub mod subscription;
mod wiring;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::cluster::client::{RequestCount, call};
use crate::cluster::clock::{Clock, jittered};
use crate::cluster::events::Events;
use crate::cluster::leader::Candidate;
use crate::server::health::{Health, serve};
use crate::server::metrics::Metrics;
use runner::Surroundings;
use wiring::Wiring;

/// What is under way when the operator is told to stop has this long to finish.
const DRAIN: Duration = Duration::from_secs(20);
/// How long the first look at the API server is tried again.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// How to run the operator.
pub struct Operator {
    pub client: Client,
    pub clock: Clock,
    pub requests: RequestCount,
    /// The operator's own namespace: its Lease, and the trust that the installation pins.
    pub namespace: String,
    /// Tells replicas apart.
    pub identity: String,
    /// Where health and metrics are served.
    pub listener: Option<TcpListener>,
}

/// Why the operator ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was told to.
    Stopped,
    /// Another replica leads. The process ends and begins anew as one that stands by.
    LostLead,
}

impl Operator {
    /// Runs until `stop` turns true or the lead is lost: caches first, then the lead, then the controllers. At the end what
    /// is under way is finished and the lead given back.
    pub async fn run(self, mut stop: watch::Receiver<bool>) -> std::io::Result<End> {
        let events = Events::start(self.client.clone(), &self.identity);
        let metrics = Arc::new(Metrics::new(&self.requests, events.dropped.clone()));
        let health = Arc::new(Health::default());
        let mut background = tokio::task::JoinSet::new();
        if let Some(listener) = self.listener {
            background.spawn(serve(listener, health.clone(), metrics.clone()));
        }
        let (beating, watched, clock) = (health.clone(), metrics.clone(), self.clock.clone());
        background.spawn(async move {
            tokio::join!(beating.beat(), watch_clock(&clock, &watched));
            Ok(())
        });

        let mut candidate =
            Candidate::new(self.client.clone(), &self.namespace, self.identity.clone(), self.clock.clone());
        let Some(cluster) = first_look(&self.client, &candidate, &mut stop).await else { return Ok(End::Stopped) };
        let with = Surroundings { clock: self.clock.clone(), events, metrics: metrics.clone() };
        let wiring = Wiring::start(self.client.clone(), &self.namespace, cluster, with);
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return Ok(End::Stopped),
            () = wiring.synced() => health.synced.store(true, Ordering::Relaxed),
        }
        tracing::info!(identity = self.identity, "caches are there; standing by");

        if !candidate.lead(&mut stop).await {
            return Ok(End::Stopped);
        }
        tracing::info!(identity = self.identity, "leads");
        health.leads.store(true, Ordering::Relaxed);
        metrics.leads.set(1);
        let controllers = tokio::spawn(wiring.clone().run_controllers());
        let ours = candidate.keep(&mut stop).await;
        health.leads.store(false, Ordering::Relaxed);
        metrics.leads.set(0);
        wiring.close();
        if !ours {
            tracing::warn!("the lead is lost; ending at once, another replica acts");
            controllers.abort();
            return Ok(End::LostLead);
        }
        if tokio::time::timeout(DRAIN, controllers).await.is_err() {
            tracing::warn!("some work was cut short; it is found again from what is there");
        }
        candidate.release().await;
        tracing::info!("ended");
        Ok(End::Stopped)
    }
}

/// The UID of kube-system and the time that was stored, tried again until the API server answers. None: told to stop.
async fn first_look(client: &Client, candidate: &Candidate, stop: &mut watch::Receiver<bool>) -> Option<String> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    loop {
        let looked = async {
            let uid = call(namespaces.get("kube-system")).await?.uid().unwrap_or_default();
            candidate.recall_time().await.map(|()| uid)
        };
        match looked.await {
            Ok(uid) => return Some(uid),
            Err(error) => tracing::warn!(%error, "the API server cannot be read yet"),
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return None,
            () = tokio::time::sleep(jittered(FIRST_LOOK)) => {}
        }
    }
}

/// Shows whether the clocks agree. Never returns.
async fn watch_clock(clock: &Clock, metrics: &Metrics) {
    loop {
        metrics.clock_trusted.set(i64::from(clock.now().doubt.is_none()));
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
}
