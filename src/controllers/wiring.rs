//! Which change causes another look at which object.

use k8s_openapi::api::core::v1::Secret;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use super::license::{self, LicenseController};
use super::plan::PlanController;
use super::queue::{Queue, Wakes};
use super::roster::RosterController;
use super::runner::{self, Surroundings};
use super::subscription::{self, SubscriptionController};
use crate::api::{License, Plan, Roster, Subscription, mark, secret_type};
use crate::cluster::watch::{Change, Guarded, Watch, all, cache};
use crate::observed::Observed;
use crate::observed::enrolment::{Enrolment, license_of};
use crate::observed::namespaces::NamespaceMeta;
use crate::observed::references::{References, target};
use crate::wrong::{self, Variant::*};

/// How often the operator checks whether the clocks agree.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(10);

/// The controllers and what feeds them.
#[derive(Clone)]
pub struct Wiring {
    licenses: Arc<LicenseController>,
    subscriptions: Arc<SubscriptionController>,
    plans: Arc<PlanController>,
    rosters: Arc<RosterController>,
    license_queue: Queue<Guarded<License>>,
    subscription_queue: Queue<Guarded<Subscription>>,
    plan_queue: Queue<Guarded<Plan>>,
    roster_queue: Queue<Guarded<Roster>>,
    observed: Observed,
    with: Surroundings,
}

/// Where the changes that the watches see go.
struct Feeds {
    wiring: Wiring,
    license_references: References<Guarded<License>>,
    subscription_references: References<Guarded<Subscription>>,
}

impl Wiring {
    /// Starts the watches. Nothing is judged before `run_controllers`.
    pub fn start(caches: Caches, with: Surroundings) -> Self {
        let Caches { observed, watches, roster_queue } = caches;
        let license_queue = Queue::default();
        let wiring = Wiring {
            licenses: Arc::new(LicenseController {
                observed: observed.clone(),
                with: with.clone(),
                statuses: Arc::default(),
                wakes: Arc::new(Wakes::default()),
                queue: license_queue.clone(),
            }),
            subscriptions: Arc::new(SubscriptionController {
                observed: observed.clone(),
                with: with.clone(),
                statuses: Arc::default(),
                wakes: Arc::new(Wakes::default()),
            }),
            plans: Arc::new(PlanController {
                observed: observed.clone(),
                with: with.clone(),
                statuses: Arc::default(),
            }),
            rosters: Arc::new(RosterController {
                observed: observed.clone(),
                with: with.clone(),
                statuses: Arc::default(),
                wakes: Arc::new(Wakes::default()),
            }),
            license_queue,
            subscription_queue: Queue::default(),
            plan_queue: Queue::default(),
            roster_queue,
            observed,
            with,
        };
        let feeds = Feeds {
            wiring: wiring.clone(),
            license_references: References::default(),
            subscription_references: References::default(),
        };
        watches.start(&Arc::new(feeds));
        wiring
    }

    /// Returns once every cache has listed. An error means that a watch has ended, which none does.
    pub async fn synced(&self) {
        let o = &self.observed;
        let (keys, trusts, issuers) =
            (o.keys.wait_until_ready(), o.trusts.wait_until_ready(), o.issuers.wait_until_ready());
        let kinds = (o.licenses.wait_until_ready(), o.subscriptions.wait_until_ready(), o.plans.wait_until_ready());
        let people = (o.rosters.wait_until_ready(), o.namespaces.wait_until_ready());
        let _ = tokio::join!(keys, trusts, issuers, kinds.0, kinds.1, kinds.2, people.0, people.1);
    }

    /// Works until `close`, and returns once the work under way is done.
    pub async fn run_controllers(self) {
        self.licenses.take_stock();
        let clock = &self.with.clock;
        let work = async {
            tokio::join!(
                runner::run(
                    self.licenses.clone(),
                    self.license_queue.clone(),
                    self.observed.licenses.clone(),
                    self.with.clone()
                ),
                runner::run(
                    self.subscriptions.clone(),
                    self.subscription_queue.clone(),
                    self.observed.subscriptions.clone(),
                    self.with.clone()
                ),
                runner::run(
                    self.plans.clone(),
                    self.plan_queue.clone(),
                    self.observed.plans.clone(),
                    self.with.clone()
                ),
                runner::run(
                    self.rosters.clone(),
                    self.roster_queue.clone(),
                    self.observed.rosters.clone(),
                    self.with.clone()
                ),
            );
        };
        tokio::select! {
            biased;
            () = work => {}
            () = self.licenses.wakes.run(clock, &self.license_queue) => {}
            () = self.subscriptions.wakes.run(clock, &self.subscription_queue) => {}
            () = self.rosters.wakes.run(clock, &self.roster_queue) => {}
            () = self.watch_clock() => {}
            () = self.licenses.watch_desk() => {}
        }
    }

    /// Looks at every License again when the clocks begin or cease to agree, as each License shows that. Never returns.
    async fn watch_clock(&self) {
        let mut before = None;
        loop {
            let doubt = self.with.clock.now().doubt;
            self.with.metrics.clock_trusted.set(i64::from(doubt.is_none()));
            if before.replace(doubt).is_some_and(|before| before != doubt) {
                add_all(&self.license_queue, names(&self.observed.licenses));
            }
            tokio::time::sleep(LOOK_AT_CLOCK).await;
        }
    }

    /// Begins nothing new.
    pub fn close(&self) {
        self.license_queue.close();
        self.subscription_queue.close();
        self.plan_queue.close();
        self.roster_queue.close();
    }
}

/// The caches before the watches that fill them are started.
pub struct Caches {
    pub observed: Observed,
    watches: Watches,
    roster_queue: Queue<Guarded<Roster>>,
}

struct Watches {
    keys: Watch<Secret>,
    trusts: Watch<Secret>,
    issuers: Watch<Secret>,
    licenses: Watch<Guarded<License>>,
    subscriptions: Watch<Guarded<Subscription>>,
    plans: Watch<Guarded<Plan>>,
    rosters: Watch<Guarded<Roster>>,
    namespaces: Watch<NamespaceMeta>,
}

impl Caches {
    pub fn new(client: &Client, namespace: &str) -> Self {
        let secrets = |type_: &str| {
            cache(Api::<Secret>::all(client.clone()), watcher::Config::default().fields(&format!("type={type_}")))
        };
        let config = watcher::Config::default;
        let (keys, watch_keys) = secrets(secret_type::LICENSE);
        let (trusts, watch_trusts) = secrets(secret_type::TRUST);
        let (issuers, watch_issuers) = secrets(secret_type::ISSUER);
        let (licenses, watch_licenses) = cache(Api::all(client.clone()), config());
        let (subscriptions, watch_subscriptions) = cache(Api::all(client.clone()), config());
        let (plans, watch_plans) = cache(Api::all(client.clone()), config());
        let (rosters, watch_rosters) = cache(Api::all(client.clone()), config());
        let (namespaces, watch_namespaces) = cache(Api::all(client.clone()), config());
        let roster_queue = Queue::default();
        let queue = roster_queue.clone();
        let look_again = move |roster| queue.add(roster);
        let enrolment = Arc::new(Enrolment::new(rosters.clone(), namespaces.clone(), look_again));
        let observed = Observed {
            client: client.clone(),
            namespace: namespace.to_owned(),
            licenses,
            subscriptions,
            plans,
            rosters,
            namespaces,
            keys,
            trusts,
            issuers,
            enrolment,
            holdings: Arc::default(),
            verified: Arc::default(),
            keyrings: Arc::default(),
            built_trust: Arc::default(),
        };
        let watches = Watches {
            keys: watch_keys,
            trusts: watch_trusts,
            issuers: watch_issuers,
            licenses: watch_licenses,
            subscriptions: watch_subscriptions,
            plans: watch_plans,
            rosters: watch_rosters,
            namespaces: watch_namespaces,
        };
        Caches { observed, watches, roster_queue }
    }
}

impl Watches {
    fn start(self, feeds: &Arc<Feeds>) {
        start(self.keys, feeds, Feeds::referred_secret);
        start(self.trusts, feeds, Feeds::trust_secret);
        start(self.issuers, feeds, Feeds::referred_secret);
        start(self.licenses, feeds, Feeds::license);
        start(self.subscriptions, feeds, Feeds::subscription);
        start(self.plans, feeds, Feeds::plan);
        start(self.rosters, feeds, Feeds::roster);
        start(self.namespaces, feeds, Feeds::namespace);
    }
}

fn start<K>(watch: Watch<K>, feeds: &Arc<Feeds>, feed: fn(&Feeds, &K))
where
    K: Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    let feeds = feeds.clone();
    watch.start(move |change| match change {
        Change::Of(object) => feed(&feeds, object),
        Change::Relisted => feeds.everything(),
    });
}

impl Feeds {
    fn license(&self, object: &Guarded<License>) {
        let wiring = &self.wiring;
        let name = ObjectRef::from_obj(object);
        if wiring.licenses.statuses.is_echo(object) {
            return;
        }
        if let Ok(license) = &object.0 {
            match is_there(&wiring.observed.licenses, object) {
                true => self.license_references.set(name.clone(), license::references(license)),
                false => {
                    self.license_references.set(name.clone(), Vec::new());
                    wiring.licenses.forget(license);
                }
            }
        }
        let referred = target("License", &object.namespace().unwrap_or_default(), &object.name_any());
        add_all(&self.wiring.subscription_queue, self.subscription_references.of(&referred));
        add_all(&self.wiring.roster_queue, wiring.observed.enrolment.references.of(&referred));
        self.wiring.license_queue.add(name);
    }

    fn subscription(&self, object: &Guarded<Subscription>) {
        let wiring = &self.wiring;
        let name = ObjectRef::from_obj(object);
        if wiring.subscriptions.statuses.is_echo(object) {
            return;
        }
        if let Ok(subscription) = &object.0 {
            match is_there(&wiring.observed.subscriptions, object) {
                true => self.subscription_references.set(name.clone(), subscription::references(subscription)),
                false => {
                    self.subscription_references.set(name.clone(), Vec::new());
                    wiring.subscriptions.forget(subscription);
                }
            }
        }
        self.wiring.subscription_queue.add(name);
    }

    fn plan(&self, object: &Guarded<Plan>) {
        let wiring = &self.wiring;
        let name = ObjectRef::from_obj(object);
        if wiring.plans.statuses.is_echo(object) {
            return;
        }
        if let Ok(plan) = &object.0
            && !is_there(&wiring.observed.plans, object)
        {
            wiring.plans.forget(plan);
        }
        let referred = target("Plan", &object.namespace().unwrap_or_default(), &object.name_any());
        add_all(&self.wiring.subscription_queue, self.subscription_references.of(&referred));
        self.wiring.plan_queue.add(name);
    }

    fn roster(&self, object: &Guarded<Roster>) {
        let wiring = &self.wiring;
        let name = ObjectRef::from_obj(object);
        if wiring.rosters.statuses.is_echo(object) {
            return;
        }
        let references = &wiring.observed.enrolment.references;
        let before = references.by(&name);
        if let Ok(roster) = &object.0 {
            match is_there(&wiring.observed.rosters, object) {
                true => references.set(name.clone(), vec![license_of(roster)]),
                false => {
                    references.set(name.clone(), Vec::new());
                    wiring.rosters.forget(roster);
                }
            }
        }
        let after = references.by(&name);
        for license in before.iter().filter(|license| !after.contains(license)) {
            // Users who were also in this Roster are no longer duplicates, so look at their other Rosters again.
            add_all(&self.wiring.roster_queue, references.of(license));
        }
        add_all(
            &self.wiring.license_queue,
            before.iter().chain(&after).filter_map(|target| license_named(target)).collect(),
        );
        self.wiring.roster_queue.add(name);
    }

    /// A Namespace, whose labels decide whether Rosters in it count for Licenses elsewhere.
    fn namespace(&self, namespace: &NamespaceMeta) {
        let wiring = &self.wiring;
        let references = &wiring.observed.enrolment.references;
        let inside = names(&wiring.observed.rosters).into_iter().filter(|r| r.namespace == namespace.metadata.name);
        for roster in inside {
            for license in references.by(&roster) {
                add_all(&self.wiring.license_queue, license_named(&license).into_iter().collect());
                add_all(&self.wiring.roster_queue, references.of(&license));
            }
        }
    }

    /// A Secret that Licenses or Subscriptions name.
    fn referred_secret(&self, secret: &Secret) {
        let referred = target("Secret", &secret.namespace().unwrap_or_default(), &secret.name_any());
        add_all(&self.wiring.license_queue, self.license_references.of(&referred));
        add_all(&self.wiring.subscription_queue, self.subscription_references.of(&referred));
    }

    /// A trust Secret. If the installation pins it, or it has a list of revoked keys, it concerns Licenses that do not
    /// name it.
    fn trust_secret(&self, secret: &Secret) {
        let wiring = &self.wiring;
        wiring.observed.built_trust.forget();
        let pins = secret.namespace().as_deref() == Some(&wiring.observed.namespace)
            && secret.labels().contains_key(mark::PRODUCT);
        let revokes = secret.data.iter().flatten().any(|(entry, _)| entry == "revoked.jwt");
        if pins || revokes {
            add_all(&self.wiring.license_queue, names(&wiring.observed.licenses));
        }
        self.referred_secret(secret);
    }

    /// A list was read again: anything may have changed without an event.
    fn everything(&self) {
        let wiring = &self.wiring;
        let led = wiring.with.metrics.leads.get() == 1;
        if wrong::is(RelistIgnored) && led {
            return;
        }
        wiring.observed.built_trust.forget();
        for object in wiring.observed.licenses.state() {
            if let Ok(license) = &object.0 {
                self.license_references.set(ObjectRef::from_obj(object.as_ref()), license::references(license));
            }
        }
        for object in wiring.observed.subscriptions.state() {
            if let Ok(subscription) = &object.0 {
                let name = ObjectRef::from_obj(object.as_ref());
                self.subscription_references.set(name, subscription::references(subscription));
            }
        }
        for object in wiring.observed.rosters.state() {
            if let Ok(roster) = &object.0 {
                let references = &wiring.observed.enrolment.references;
                references.set(ObjectRef::from_obj(object.as_ref()), vec![license_of(roster)]);
            }
        }
        if wrong::is(NoCatchUp) && !led {
            return;
        }
        add_all(&self.wiring.license_queue, names(&wiring.observed.licenses));
        add_all(&self.wiring.subscription_queue, names(&wiring.observed.subscriptions));
        add_all(&self.wiring.plan_queue, names(&wiring.observed.plans));
        add_all(&self.wiring.roster_queue, names(&wiring.observed.rosters));
    }
}

/// The License that a reference names.
fn license_named(target: &str) -> Option<ObjectRef<Guarded<License>>> {
    let (namespace, name) = target.strip_prefix("License/")?.split_once('/')?;
    Some(ObjectRef::new(name).within(namespace))
}

/// Whether the cache has this very object, not another one of the same name.
fn is_there<K>(cache: &Store<K>, object: &K) -> bool
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    cache.get(&ObjectRef::from_obj(object)).is_some_and(|there| there.uid() == object.uid())
}

fn names<K>(cache: &Store<K>) -> Vec<ObjectRef<K>>
where
    K: reflector::Lookup<DynamicType = ()> + Clone + 'static,
    ObjectRef<K>: Hash + Eq,
{
    all(cache).iter().map(|object| ObjectRef::from_obj(object.as_ref())).collect()
}

fn add_all<K: reflector::Lookup<DynamicType = ()> + 'static>(queue: &Queue<K>, objects: Vec<ObjectRef<K>>) {
    for object in objects {
        queue.add(object);
    }
}
