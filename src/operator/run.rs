//! One operator from its start to its end: caches, the lead, the controllers and the seats, in this order.

use kube::Client;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::policies;
use super::settings::Policies;
use crate::cluster::client::RequestCount;
use crate::cluster::clock::Clock;
use crate::cluster::events::Events;
use crate::cluster::health::Health;
use crate::cluster::leader::{Candidate, Rank};
use crate::cluster::metrics::Metrics;
use crate::cluster::trouble::Trouble;
use crate::cluster::watch_leader::watch_leader;
use crate::controllers::metrics::LookMetrics;
use crate::controllers::runner::Surroundings;
use crate::controllers::wiring::{Bounds, Caches, Wiring};
use crate::machine::jittered;
use crate::seats::Desk;
use crate::seats::budget::BYTES_A_SECOND;
use crate::seats::ledger::Ledger;
use crate::seats::metrics::SeatMetrics;

/// Work that is under way when the operator is to stop has this long to finish.
const DRAIN: Duration = Duration::from_secs(20);
/// The pause before the first look at the API server is tried again.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// The operator, ready to run.
pub struct Operator {
    pub(super) client: Client,
    /// For the Lease and the ledger, which nothing else may delay.
    pub(super) for_lead: Client,
    caches: Caches,
    pub(super) clock: Clock,
    pub(super) namespace: String,
    identity: String,
    bounds: Bounds,
    pub(super) policies: Policies,
    /// Whether the admission policies are in force, if they are awaited.
    pub(super) restrained: watch::Sender<bool>,
    pub(super) health: Arc<Health>,
    pub(super) metrics: Arc<Metrics>,
    /// Grants seats while this replica leads.
    pub(super) desk: Desk,
    /// The runtime on which seats are granted; `None` to use that of everything else.
    pub(super) seats_run: Option<Handle>,
    /// Which replica leads, and the address of its seat server.
    pub(super) rank: Rank,
}

/// Why the operator ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was asked to stop.
    Stopped,
    /// Another replica leads. The process ends and starts again as one that stands by.
    LostLead,
}

impl Operator {
    /// `namespace` is the operator's own, with its Lease and the trust that the installation pins. `identity` tells
    /// replicas apart. `client` counts its requests in `requests`. A seat is freed after `seat_ttl` without a
    /// heartbeat. Admission policies are not awaited.
    pub fn new(
        client: Client,
        clock: Clock,
        requests: &RequestCount,
        namespace: &str,
        identity: &str,
        bounds: impl Into<Bounds>,
        seat_ttl: Duration,
    ) -> Self {
        let bounds = bounds.into();
        let seats = SeatMetrics::default();
        let metrics = Arc::new(Metrics::new(requests));
        metrics.export(|registry| seats.register(registry));
        let caches = Caches::new(&client, namespace, bounds.clone());
        let desk = Desk::new(caches.observed.clone(), clock.clone(), seat_ttl, Some(BYTES_A_SECOND), seats);
        Operator {
            for_lead: client.clone(),
            client,
            caches,
            rank: Rank { renew: desk.wants_proof(), ..Rank::default() },
            desk,
            seats_run: None,
            clock,
            namespace: namespace.to_owned(),
            identity: identity.to_owned(),
            bounds,
            policies: Policies::NotAwaited,
            restrained: watch::Sender::new(false),
            health: Arc::default(),
            metrics,
        }
    }

    /// Where it grants seats while it leads.
    pub fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// Runs until `stop` turns true or the lead is lost: caches first, then the lead, then the controllers. When it
    /// stops, work under way is finished and the lead is given back.
    pub async fn run(self, mut stop: watch::Receiver<bool>) -> End {
        let Operator {
            client,
            for_lead,
            caches,
            clock,
            namespace,
            identity,
            bounds,
            policies,
            restrained,
            health,
            metrics,
            desk,
            seats_run,
            rank,
        } = self;
        let seats_run = seats_run.unwrap_or_else(Handle::current);
        let events = Events::start(client.clone(), &identity, metrics.events_dropped.clone());
        let _background = background(&health, &seats_run, &rank);

        if policies == Policies::Awaited && !policies::in_force(&client, &namespace, &bounds, &mut stop).await {
            return End::Stopped;
        }
        restrained.send_replace(true);
        let at_desk = desk.clone();
        let proven = move |sent| at_desk.proven(sent);
        let mut candidate =
            Candidate::new(for_lead.clone(), &namespace, identity.clone(), clock.clone(), rank.clone(), proven);
        let ledger = Arc::new(Ledger::new(for_lead, &namespace, &identity));
        if !first_look(&candidate, &mut stop).await {
            return End::Stopped;
        }
        let with = Surroundings {
            observed: caches.observed.clone(),
            clock,
            events,
            metrics: metrics.clone(),
            look_metrics: look_metrics(&metrics),
            desk: desk.clone(),
            health: health.clone(),
        };
        let wiring = Wiring::start(caches, with);
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return End::Stopped,
            () = wiring.synced() => health.synced.store(true, Ordering::Relaxed),
        }
        tracing::info!(identity, "caches are complete; standing by");

        if !candidate.lead(&mut stop).await {
            return End::Stopped;
        }
        tracing::info!(identity, "leads");
        health.leads.store(true, Ordering::Relaxed);
        metrics.leads.set(1);
        let mut until = stop.clone();
        let own = || seats_run.spawn(async move { desk.own(ledger, &mut until).await });
        let (ours, begun) = lead(&wiring, own, keep_lead(&mut candidate, &health, &mut stop)).await;
        health.leads.store(false, Ordering::Relaxed);
        metrics.leads.set(0);
        wiring.close();
        if !ours {
            tracing::warn!("the lead is lost; ending at once, another replica acts");
            begun.iter().for_each(Begun::abort);
            return End::LostLead;
        }
        if let Some(begun) = begun {
            begun.finished().await;
        }
        candidate.release().await;
        tracing::info!("ended");
        End::Stopped
    }
}

/// What runs while this replica leads.
struct Begun {
    controllers: JoinHandle<()>,
    seats: JoinHandle<()>,
}

impl Begun {
    fn abort(&self) {
        self.controllers.abort();
        self.seats.abort();
    }

    /// Returns once the work under way is done, or is cut short.
    async fn finished(self) {
        // Callers in the queue now wait for the next owner: the sooner it takes over, the better.
        let _ = self.seats.await;
        if tokio::time::timeout(DRAIN, self.controllers).await.is_err() {
            tracing::warn!("some work was cut short; the next leader resumes it from what exists");
        }
    }
}

/// Begins to work, as long as the lead is `kept`. Returns whether it is still ours in the end, and what has begun.
async fn lead(
    wiring: &Wiring,
    own_seats: impl FnOnce() -> JoinHandle<()>,
    kept: impl Future<Output = bool>,
) -> (bool, Option<Begun>) {
    let mut begun = None;
    let begin = async {
        // With thousands of Licenses it takes a while.
        wiring.take_stock().await;
        let controllers = tokio::spawn(wiring.clone().run_controllers());
        begun = Some(Begun { controllers, seats: own_seats() });
        std::future::pending().await
    };
    let ours = tokio::select! {
        biased;
        ours = kept => ours,
        () = begin => false,
    };
    (ours, begun)
}

fn look_metrics(metrics: &Metrics) -> LookMetrics {
    let look_metrics = LookMetrics::default();
    metrics.export(|registry| look_metrics.register(registry));
    look_metrics
}

/// Keeps the lead, and shows that this runs.
async fn keep_lead(candidate: &mut Candidate, health: &Health, stop: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        biased;
        ours = candidate.keep(stop) => ours,
        () = health.beat("Lease") => false,
    }
}

/// What runs beside the operator until this is dropped: its threads show that they run, and the leader is watched.
fn background(health: &Arc<Health>, seats_run: &Handle, rank: &Rank) -> JoinSet<()> {
    let mut background = JoinSet::new();
    let beating = health.clone();
    background.spawn(async move { beating.beat("threads").await });
    let beating = health.clone();
    background.spawn_on(async move { beating.beat("seats").await }, seats_run);
    background.spawn(watch_leader(rank.clone()));
    background
}

/// Recalls the stored time, retrying until the API server answers. Returns false if `stop` turns true first.
async fn first_look(candidate: &Candidate, stop: &mut watch::Receiver<bool>) -> bool {
    let mut trouble = Trouble::with("the API server cannot be read yet");
    loop {
        match candidate.recall_time().await {
            Ok(()) => return true,
            Err(error) => trouble.lasts(error),
        }
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return false,
            () = tokio::time::sleep(jittered(FIRST_LOOK)) => {}
        }
    }
}
