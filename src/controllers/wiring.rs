//! Puts caches, controllers and watches together.

use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::watcher;
use kube::{Api, Client};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::kept_lists;
use super::kinds::{Controllers, Kinds, Whose};
use super::relations::{self, Watches};
use super::runner::Surroundings;
use crate::api::secret_type;
use crate::cluster::room::Rooms;
use crate::cluster::scope::Scope;
use crate::cluster::secrets::SecretCaches;
use crate::cluster::watch::{cache, cache_of};
use crate::domain::license::whom_to_trust::TrustFromLicenses;
use crate::observed::Observed;
use crate::observed::enrolment::Enrolment;
use crate::observed::issuers::Issuers;

/// How often the operator checks whether the clocks agree.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(10);

/// What is kept of the Secrets of each type in a namespace, in bytes: thousands of keys; of trust, thousands of key sets, or three
/// lists of 1 MiB. In memory, a list takes several times its size.
const SHARE: usize = 16 << 20;
const SHARE_OF_TRUST: usize = 4 << 20;
const SHARE_OF_ISSUERS: usize = 4 << 20;

/// What an operator looks at, and whom it believes.
#[derive(Clone, Debug)]
pub struct Bounds {
    pub trust_from_licenses: TrustFromLicenses,
    pub scope: Scope,
    /// Whether it only uses keys: Plans, Subscriptions and signing keys are not looked at.
    pub keys_only: bool,
}

/// Everything in the cluster.
impl From<TrustFromLicenses> for Bounds {
    fn from(trust_from_licenses: TrustFromLicenses) -> Self {
        Bounds { trust_from_licenses, scope: Scope::Everywhere, keys_only: false }
    }
}

/// The caches before the watches that fill them are started.
pub struct Caches {
    pub observed: Observed,
    kinds: Kinds,
    watches: Watches,
}

impl Caches {
    /// `namespace` is the operator's own.
    pub fn new(client: &Client, namespace: &str, bounds: Bounds) -> Self {
        let Bounds { trust_from_licenses, scope: customer, keys_only } = bounds;
        let vendor = if keys_only { Scope::nowhere() } else { customer.clone() };
        let whose = Whose { vendor, customer };
        let listing = Arc::new(Semaphore::new(1));
        let kinds = Kinds::new(client, &whose, &listing);
        let rooms = Rooms::default();
        let secrets = SecretCaches { client, own_namespace: namespace, rooms: &rooms, listing };
        let (keys, watch_keys) = secrets.of(secret_type::LICENSE, &whose.customer, SHARE);
        // What the installation pins is in the operator's own namespace.
        let (trusts, watch_trusts) = secrets.of(secret_type::TRUST, &whose.customer.and(namespace), SHARE_OF_TRUST);
        let (issuers, watch_issuers) = secrets.of(secret_type::ISSUER, &whose.vendor, SHARE_OF_ISSUERS);
        let (issued, watch_issued) = secrets.of(secret_type::ISSUED, &whose.vendor, SHARE);
        // Only those in its own namespace: anybody can make a Secret of that type elsewhere.
        let of_kept = watcher::Config::default().fields(&format!("type={}", secret_type::REVOCATIONS));
        let (kept, watch_kept) = cache(Api::<Secret>::namespaced(client.clone(), namespace), of_kept);
        let (namespaces, watch_namespaces) = cache_of(whose.customer.namespaces(client));
        let rosters = &kinds.rosters;
        let queue = rosters.queue.clone();
        let look_again = move |roster| queue.add(roster);
        let enrolment =
            Enrolment::new(rosters.cache.clone(), rosters.references.clone(), namespaces.clone(), look_again);
        let contracts = &kinds.subscriptions;
        let contract_issuers = Issuers::new(contracts.cache.clone(), contracts.references.clone());
        let observed = Observed {
            client: client.clone(),
            namespace: namespace.to_owned(),
            trust_from_licenses,
            licenses: kinds.licenses.cache.clone(),
            plans: kinds.plans.cache.clone(),
            namespaces,
            keys,
            trusts,
            issuers,
            issued,
            rooms,
            kept,
            kept_lists: Arc::default(),
            contract_issuers: Arc::new(contract_issuers),
            trusting: Arc::default(),
            pins: Arc::default(),
            enrolment: Arc::new(enrolment),
            holdings: Arc::default(),
            verified: Arc::default(),
            keyrings: Arc::default(),
            built_trust: Arc::default(),
            revocation_lists: Arc::default(),
        };
        let watches = Watches {
            keys: watch_keys,
            trusts: watch_trusts,
            issuers: watch_issuers,
            issued: watch_issued,
            kept: watch_kept,
            namespaces: watch_namespaces,
        };
        Caches { observed, kinds, watches }
    }
}

/// The controllers, with the watches that feed them.
#[derive(Clone)]
pub struct Wiring(Arc<Controllers>);

impl Wiring {
    /// Starts the watches. Nothing is judged before `run_controllers`.
    pub fn start(caches: Caches, with: Surroundings) -> Self {
        let all = Arc::new(Controllers::new(caches.kinds, with));
        relations::watch(&all, caches.watches);
        Wiring(all)
    }

    /// Returns once every cache has listed. An error means that a watch has ended, which none does.
    pub async fn synced(&self) {
        let o = &self.0.with.observed;
        let secrets = [&o.keys, &o.trusts, &o.issuers, &o.issued, &o.kept].map(|secrets| secrets.wait_until_ready());
        let kinds = self.0.each();
        let kinds = kinds.iter().map(|kind| kind.synced());
        let _ = tokio::join!(join_all(secrets), join_all(kinds), o.namespaces.wait_until_ready());
        // No key is judged by the lists alone, and none without them.
        o.note_trusts();
        o.read_kept_lists();
    }

    /// Finds out which License has each grant that several claim. Call before anything is judged.
    pub async fn take_stock(&self) {
        self.0.licenses.controller.take_stock().await;
    }

    /// Works until `close`, and returns once the work under way is done.
    pub async fn run_controllers(self) {
        let work = join_all(self.0.each().into_iter().map(|kind| kind.run()));
        // On a task of its own: it reads all lists, while controllers work and show that they do.
        let mut keeps = JoinSet::new();
        let all = self.0.clone();
        keeps.spawn(async move { kept_lists::keep(&all).await });
        tokio::select! {
            biased;
            _ = work => {}
            () = self.watch_clock() => {}
            () = self.0.licenses.controller.watch_desk() => {}
            _ = keeps.join_next() => {}
        }
    }

    /// Looks at every License again when the clocks begin or cease to agree, as each License shows that. Never returns.
    async fn watch_clock(&self) {
        let with = &self.0.with;
        let mut before = None;
        loop {
            let doubt = with.clock.now().doubt;
            with.metrics.clock_trusted.set(i64::from(doubt.is_none()));
            if before.replace(doubt).is_some_and(|before| before != doubt) {
                self.0.licenses.kind.look_at_all();
            }
            tokio::time::sleep(LOOK_AT_CLOCK).await;
        }
    }

    /// Begins nothing new.
    pub fn close(&self) {
        self.0.each().iter().for_each(|kind| kind.close());
    }
}
