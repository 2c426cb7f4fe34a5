//! The operator: watches, judges with the domain, carries out, and shows.
//!
//! **Architecture Invariant:** no step depends on having seen an event. Every reconcile starts from what is there.

mod enrolment;
pub mod keyrings;
pub mod license;
pub mod observed;
pub mod plan;
pub mod queue;
pub mod roster;
pub mod runner;
pub mod subscription;
pub mod verified;
mod wiring;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::cluster::client::{RequestCount, call};
use crate::cluster::clock::Clock;
use crate::machine::jittered;
use crate::cluster::events::Events;
use crate::cluster::health::Health;
use crate::cluster::leader::{Candidate, Rank};
use crate::cluster::metrics::Metrics;
use crate::seats::Desk;
use crate::seats::budget::BYTES_A_SECOND;
use crate::seats::ledger::Ledger;
use crate::seats::metrics::SeatMetrics;
use crate::cluster::watch_leader::watch_leader;
use runner::Surroundings;
use wiring::Wiring;

/// What is under way when the operator is told to stop has this long to finish.
const DRAIN: Duration = Duration::from_secs(20);
/// How long the first look at the API server is tried again.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// The operator, ready to run.
pub struct Operator {
    client: Client,
    clock: Clock,
    namespace: String,
    identity: String,
    pub health: Arc<Health>,
    pub metrics: Arc<Metrics>,
    /// Where seats are handed out while this replica leads.
    pub desk: Desk,
    /// Where seats are handed out. None: where all else is.
    pub seats_run: Option<Handle>,
    /// Who leads, and where it is reached.
    pub rank: Rank,
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
    /// `namespace` is the operator's own: its Lease, and the trust that the installation pins. `identity` tells replicas
    /// apart. `requests` is what `client` counts into. A seat whose holder is not heard of for `seat_ttl` is free again.
    pub fn new(
        client: Client,
        clock: Clock,
        requests: &RequestCount,
        namespace: &str,
        identity: &str,
        seat_ttl: Duration,
    ) -> Self {
        let seats = SeatMetrics::default();
        let metrics = Arc::new(Metrics::new(requests, &seats));
        let desk = Desk::new(clock.clone(), seat_ttl, Some(BYTES_A_SECOND), seats);
        Operator {
            client,
            rank: Rank { renew: desk.wants_proof(), ..Rank::default() },
            desk,
            seats_run: None,
            clock,
            namespace: namespace.to_owned(),
            identity: identity.to_owned(),
            health: Arc::default(),
            metrics,
        }
    }

    /// Runs until `stop` turns true or the lead is lost: caches first, then the lead, then the controllers. At the end what
    /// is under way is finished and the lead given back.
    pub async fn run(self, mut stop: watch::Receiver<bool>) -> End {
        let Operator { client, clock, namespace, identity, health, metrics, desk, seats_run, rank } = self;
        let seats_run = seats_run.unwrap_or_else(Handle::current);
        let events = Events::start(client.clone(), &identity, metrics.events_dropped.clone());
        let mut background = tokio::task::JoinSet::new();
        let beating = health.clone();
        background.spawn(async move { beating.beat().await });
        background.spawn(watch_leader(rank.clone()));

        let at_desk = desk.clone();
        let proven = move |sent| at_desk.proven(sent);
        let mut candidate =
            Candidate::new(client.clone(), &namespace, identity.clone(), clock.clone(), rank.clone(), proven);
        let ledger = Arc::new(Ledger::new(client.clone(), &namespace, &identity));
        let Some(cluster) = first_look(&client, &candidate, &mut stop).await else { return End::Stopped };
        let with = Surroundings { clock, events, metrics: metrics.clone(), desk: desk.clone() };
        let wiring = Wiring::start(client, &namespace, cluster, with);
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return End::Stopped,
            () = wiring.synced() => health.synced.store(true, Ordering::Relaxed),
        }
        tracing::info!(identity, "caches are there; standing by");

        if !candidate.lead(&mut stop).await {
            return End::Stopped;
        }
        tracing::info!(identity, "leads");
        health.leads.store(true, Ordering::Relaxed);
        metrics.leads.set(1);
        let controllers = tokio::spawn(wiring.clone().run_controllers());
        let mut until = stop.clone();
        let seats = seats_run.spawn(async move { desk.own(ledger, &mut until).await });
        let ours = candidate.keep(&mut stop).await;
        health.leads.store(false, Ordering::Relaxed);
        metrics.leads.set(0);
        wiring.close();
        if !ours {
            tracing::warn!("the lead is lost; ending at once, another replica acts");
            controllers.abort();
            seats.abort();
            return End::LostLead;
        }
        // Whoever waits for a seat waits for the next owner: the sooner the better.
        let _ = seats.await;
        if tokio::time::timeout(DRAIN, controllers).await.is_err() {
            tracing::warn!("some work was cut short; it is found again from what is there");
        }
        candidate.release().await;
        tracing::info!("ended");
        End::Stopped
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
            biased;
            _ = stop.wait_for(|stop| *stop) => return None,
            () = tokio::time::sleep(jittered(FIRST_LOOK)) => {}
        }
    }
}
