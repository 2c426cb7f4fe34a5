//! Which change makes which object worth another look.
//!
//! A change of an object also means a look at the object itself, and nothing but that if no line here says more.

use k8s_openapi::api::core::v1::Secret;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use super::kind::Changed;
use super::kinds::Controllers;
use super::runner::{Controller, RunningKind};
use crate::api::License;
use crate::cluster::watch::{Change, Guarded, Watch, all};
use crate::domain::license::name::LicenseName;
use crate::observed::namespaces::NamespaceMeta;
use crate::observed::references::{object, target};
use crate::wrong::{self, Variant::*};

/// The watches of what is not one of our kinds.
pub struct Watches {
    pub keys: Watch<Secret>,
    pub trusts: Watch<Secret>,
    pub issuers: Watch<Secret>,
    pub issued: Watch<Secret>,
    pub kept: Watch<Secret>,
    pub namespaces: Watch<NamespaceMeta>,
}

/// Starts all watches.
pub fn watch(all: &Arc<Controllers>, other: Watches) {
    other.keys.start(feed(all, secret));
    other.trusts.start(feed(all, trust_secret));
    other.issuers.start(feed(all, secret));
    other.issued.start(feed(all, secret));
    other.kept.start(feed(all, kept_lists));
    watch_kind(all, &all.licenses, |all, license| {
        // Lists are kept of the signers that Licenses trust.
        if license.before != license.after {
            all.with.observed.kept_lists.changed.notify_one();
        }
        // A Subscription that delivers there, and Rosters for it: it exists now, or admits others than before.
        all.subscriptions.kind.look_at_referrers(&license.target());
        all.rosters.kind.look_at_referrers(&license.target());
    });
    watch_kind(all, &all.subscriptions, |all, subscription| {
        // The License that its keys are for, and were for before, trusts its issuer.
        look_at_licenses(all, subscription.before.iter().chain(&subscription.after));
    });
    watch_kind(all, &all.plans, |all, plan| {
        // Contracts are read with their Plans.
        all.subscriptions.kind.look_at_referrers(&plan.target());
    });
    watch_kind(all, &all.rosters, |all, roster| {
        // Anybody can write a Roster that names a License. One that is not admitted means nothing to the License, which is
        // looked at when it begins to admit the namespace.
        let namespace = roster.object.namespace().unwrap_or_default();
        let counted = |license: &&String| admits(all, license, &namespace);
        // Users who were also in this Roster are no longer duplicates, so look at their other Rosters again.
        for license in roster.before.iter().filter(|license| !roster.after.contains(license)).filter(counted) {
            all.rosters.kind.look_at_referrers(license);
        }
        // The License, whose members these are.
        look_at_licenses(all, roster.before.iter().chain(&roster.after).filter(counted));
    });
    other.namespaces.start(feed(all, namespace));
}

/// Whether the License that a reference names may be used from that namespace.
fn admits(all: &Controllers, license: &str, namespace: &str) -> bool {
    let license = object::<Guarded<License>>("License", license);
    license.is_some_and(|license| {
        let home = license.namespace.unwrap_or_default();
        all.with.observed.admits(&LicenseName::new(&home, &license.name), namespace)
    })
}

/// A Namespace, whose labels decide whether Rosters in it count for Licenses elsewhere.
fn namespace(all: &Controllers, namespace: &NamespaceMeta) {
    let rosters = &all.rosters.kind;
    let mut licenses = BTreeSet::new();
    for roster in self::all(&rosters.cache).iter().filter(|roster| roster.namespace() == namespace.metadata.name) {
        let name = ObjectRef::from_obj(roster.as_ref());
        licenses.extend(rosters.references.by(&name));
        // It says whether it is admitted.
        rosters.queue.add(name);
    }
    // Each once, however many Rosters name it. It tells which Rosters elsewhere are to be looked at.
    look_at_licenses(all, &licenses);
}

/// A Secret that objects name.
fn secret(all: &Controllers, secret: &Secret) {
    let target = target("Secret", &secret.namespace().unwrap_or_default(), &secret.name_any());
    all.each().iter().for_each(|kind| kind.look_at_referrers(&target));
}

/// A trust Secret. It concerns Licenses that do not name it if the installation pins it, if it publishes the keys of an
/// issuer that they trust, or if a list of revoked keys came or went with it.
fn trust_secret(all: &Controllers, trust: &Secret) {
    let (observed, licenses) = (&all.with.observed, &all.licenses.kind);
    let (namespace, name) = (trust.namespace().unwrap_or_default(), trust.name_any());
    if namespace == observed.namespace && observed.pins.note(&observed.trusts, &namespace, &name) {
        licenses.look_at_all();
    }
    for license in observed.note_list(&namespace, &name) {
        licenses.queue.add(ObjectRef::new(&license.name).within(&license.namespace));
    }
    observed.kept_lists.changed.notify_one();
    for license in observed.trusting.of(&target("Secret", &namespace, &name)) {
        licenses.queue.add(license);
    }
    secret(all, trust);
}

/// What is kept of lists of revoked keys. It was read or set back, perhaps by somebody else.
fn kept_lists(all: &Controllers, kept: &Secret) {
    let observed = &all.with.observed;
    observed.kept_lists.changed.notify_one();
    if observed.kept_lists.note(kept) {
        observed.built_trust.forget();
        all.licenses.kind.look_at_all();
    }
}

/// A list was read again: anything may have changed without an event.
fn everything(all: &Controllers) {
    let led = all.with.metrics.leads.get() == 1;
    if wrong::is(RelistIgnored) && led {
        return;
    }
    all.with.observed.note_trusts();
    all.with.observed.read_kept_lists();
    all.with.observed.kept_lists.changed.notify_one();
    all.each().iter().for_each(|kind| kind.read_references());
    if wrong::is(NoCatchUp) && !led {
        return;
    }
    all.each().iter().for_each(|kind| kind.look_at_all());
}

fn look_at_licenses<'t>(all: &Controllers, targets: impl IntoIterator<Item = &'t String>) {
    for license in targets.into_iter().filter_map(|target| object("License", target)) {
        all.licenses.kind.queue.add(license);
    }
}

/// Starts the watch of one of our kinds. `related` looks at others; the object itself is looked at last.
fn watch_kind<C: Controller>(
    all: &Arc<Controllers>,
    of: &Arc<RunningKind<C>>,
    related: impl Fn(&Controllers, &Changed<C::Object>) + Send + 'static,
) {
    let Some(watch) = of.kind.watch() else { return };
    let of = of.clone();
    watch.start(feed(all, move |all, object| {
        let Some(changed) = of.kind.note(object, C::references) else { return };
        if changed.is_gone {
            of.forget(object);
        }
        related(all, &changed);
        of.kind.queue.add(changed.name);
    }));
}

fn feed<K>(
    all: &Arc<Controllers>,
    on: impl Fn(&Controllers, &K) + Send + 'static,
) -> impl FnMut(Change<K>) + Send + 'static
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let all = all.clone();
    move |change| match change {
        Change::Of(object) => on(&all, object),
        Change::Relisted => everything(&all),
    }
}
