//! Which change causes another look at which object.

use k8s_openapi::api::core::v1::Secret;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use std::hash::Hash;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::license::{self, LicenseController};
use super::plan::PlanController;
use super::queue::{Queue, Wakes};
use super::roster::RosterController;
use super::runner::{self, Surroundings};
use super::subscription::{self, SubscriptionController};
use crate::api::{License, Plan, Roster, Subscription, mark, secret_type};
use crate::cluster::watch::{Change, Guarded, all, cache};
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
    namespace: String,
    controllers: OnceLock<Wiring>,
    license_queue: Queue<Guarded<License>>,
    subscription_queue: Queue<Guarded<Subscription>>,
    plan_queue: Queue<Guarded<Plan>>,
    roster_queue: Queue<Guarded<Roster>>,
    license_references: References<Guarded<License>>,
    subscription_references: References<Guarded<Subscription>>,
}

impl Wiring {
    /// Starts the watches. Nothing is judged before `run_controllers`.
    pub fn start(client: Client, namespace: &str, cluster: String, with: Surroundings) -> Self {
        let feeds = Arc::new(Feeds {
            namespace: namespace.to_owned(),
            controllers: OnceLock::new(),
            license_queue: Queue::default(),
            subscription_queue: Queue::default(),
            plan_queue: Queue::default(),
            roster_queue: Queue::default(),
            license_references: References::default(),
            subscription_references: References::default(),
        });
        let observed = observe(client, namespace, cluster, &feeds);
        let wiring = Wiring {
            licenses: Arc::new(LicenseController {
                observed: observed.clone(),
                with: with.clone(),
                statuses: Arc::default(),
                wakes: Arc::new(Wakes::default()),
                queue: feeds.license_queue.clone(),
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
            license_queue: feeds.license_queue.clone(),
            subscription_queue: feeds.subscription_queue.clone(),
            plan_queue: feeds.plan_queue.clone(),
            roster_queue: feeds.roster_queue.clone(),
            observed,
            with,
        };
        let _ = feeds.controllers.set(wiring.clone());
        wiring.with.desk.look_licenses_up_in(Box::new(license::SeatTerms(wiring.licenses.clone())));
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

/// Starts the watches.
fn observe(client: Client, namespace: &str, cluster: String, feeds: &Arc<Feeds>) -> Observed {
    let secrets = |type_: &str, feed: fn(&Feeds, &Secret)| {
        let feeds = feeds.clone();
        let config = watcher::Config::default().fields(&format!("type={type_}"));
        cache(Api::<Secret>::all(client.clone()), config, move |change| match change {
            Change::Of(secret) => feed(&feeds, secret),
            Change::Relisted => feeds.everything(),
        })
    };
    let keys = secrets(secret_type::LICENSE, Feeds::referred_secret);
    let trusts = secrets(secret_type::TRUST, Feeds::trust_secret);
    let issuers = secrets(secret_type::ISSUER, Feeds::referred_secret);
    let licenses = of_kind(&client, feeds, Feeds::license);
    let subscriptions = of_kind(&client, feeds, Feeds::subscription);
    let plans = of_kind(&client, feeds, Feeds::plan);
    let rosters = of_kind(&client, feeds, Feeds::roster);
    let namespaces = {
        let feeds = feeds.clone();
        cache(Api::<NamespaceMeta>::all(client.clone()), watcher::Config::default(), move |change| match change {
            Change::Of(namespace) => feeds.namespace(namespace),
            Change::Relisted => feeds.everything(),
        })
    };
    let roster_queue = feeds.roster_queue.clone();
    let look_again = move |roster| roster_queue.add(roster);
    let enrolment = Arc::new(Enrolment::new(rosters.clone(), namespaces.clone(), look_again));
    Observed {
        client,
        namespace: namespace.to_owned(),
        cluster,
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
    }
}

/// A cache of one of our kinds, in which one malformed object does not stop the others.
fn of_kind<K>(client: &Client, feeds: &Arc<Feeds>, feed: fn(&Feeds, &Guarded<K>)) -> Store<Guarded<K>>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    let feeds = feeds.clone();
    cache(Api::<Guarded<K>>::all(client.clone()), watcher::Config::default(), move |change| match change {
        Change::Of(object) => feed(&feeds, object),
        Change::Relisted => feeds.everything(),
    })
}

impl Feeds {
    fn license(&self, object: &Guarded<License>) {
        let Some(wiring) = self.controllers.get() else { return };
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
        add_all(&self.subscription_queue, self.subscription_references.of(&referred));
        add_all(&self.roster_queue, wiring.observed.enrolment.references.of(&referred));
        self.license_queue.add(name);
    }

    fn subscription(&self, object: &Guarded<Subscription>) {
        let Some(wiring) = self.controllers.get() else { return };
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
        self.subscription_queue.add(name);
    }

    fn plan(&self, object: &Guarded<Plan>) {
        let Some(wiring) = self.controllers.get() else { return };
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
        add_all(&self.subscription_queue, self.subscription_references.of(&referred));
        self.plan_queue.add(name);
    }

    fn roster(&self, object: &Guarded<Roster>) {
        let Some(wiring) = self.controllers.get() else { return };
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
            add_all(&self.roster_queue, references.of(license));
        }
        add_all(&self.license_queue, before.iter().chain(&after).filter_map(|target| license_named(target)).collect());
        self.roster_queue.add(name);
    }

    /// A Namespace, whose labels decide whether Rosters in it count for Licenses elsewhere.
    fn namespace(&self, namespace: &NamespaceMeta) {
        let Some(wiring) = self.controllers.get() else { return };
        let references = &wiring.observed.enrolment.references;
        let inside = names(&wiring.observed.rosters).into_iter().filter(|r| r.namespace == namespace.metadata.name);
        for roster in inside {
            for license in references.by(&roster) {
                add_all(&self.license_queue, license_named(&license).into_iter().collect());
                add_all(&self.roster_queue, references.of(&license));
            }
        }
    }

    /// A Secret that Licenses or Subscriptions name.
    fn referred_secret(&self, secret: &Secret) {
        let referred = target("Secret", &secret.namespace().unwrap_or_default(), &secret.name_any());
        add_all(&self.license_queue, self.license_references.of(&referred));
        add_all(&self.subscription_queue, self.subscription_references.of(&referred));
    }

    /// A trust Secret. If the installation pins it, or it has a list of revoked keys, it concerns Licenses that do not
    /// name it.
    fn trust_secret(&self, secret: &Secret) {
        let Some(wiring) = self.controllers.get() else { return };
        wiring.observed.built_trust.forget();
        let pins =
            secret.namespace().as_deref() == Some(&self.namespace) && secret.labels().contains_key(mark::PRODUCT);
        let revokes = secret.data.iter().flatten().any(|(entry, _)| entry == "revoked.jwt");
        if pins || revokes {
            add_all(&self.license_queue, names(&wiring.observed.licenses));
        }
        self.referred_secret(secret);
    }

    /// A list was read again: anything may have changed without an event.
    fn everything(&self) {
        let Some(wiring) = self.controllers.get() else { return };
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
        add_all(&self.license_queue, names(&wiring.observed.licenses));
        add_all(&self.subscription_queue, names(&wiring.observed.subscriptions));
        add_all(&self.plan_queue, names(&wiring.observed.plans));
        add_all(&self.roster_queue, names(&wiring.observed.rosters));
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
