//! The people on a License's Rosters: the Rosters that name the License and are admitted by it are united, and the
//! result is kept until one of them changes. Thousands of people are united once, not once for each Roster that shows
//! them. Anybody can write Rosters that name a License: those that it does not admit cost it nothing.

use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Store;
use kube::{Resource, ResourceExt};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::namespaces::{NamespaceMeta, labels};
use super::references::{References, target};
use crate::api::allowed_namespaces::admits;
use crate::api::license::RosterRank;
use crate::api::roster::MemberCounts;
use crate::api::{License, Roster};
use crate::cluster::watch::Guarded;
use crate::domain::Instant;
use crate::domain::license::name::LicenseName;
use crate::domain::names::normal;
use crate::domain::seats::roster::{MemberMode, Members};

/// The Rosters of Licenses and the people on them.
pub struct Enrolment {
    /// Which Rosters name which License.
    references: Arc<References<Guarded<Roster>>>,
    rosters: Store<Guarded<Roster>>,
    namespaces: Store<NamespaceMeta>,
    look_again: LookAgain,
    /// Each License has a lock of its own: nobody waits while the people of another are united.
    united: Mutex<HashMap<String, Arc<Mutex<Option<United>>>>>,
}

/// Called with each Roster for which something changes because another Roster did.
type LookAgain = Box<dyn Fn(ObjectRef<Guarded<Roster>>) + Send + Sync>;

struct United {
    /// The UID and generation of each Roster that counts.
    of: Vec<(Option<String>, Option<i64>)>,
    rank: RosterRank,
    people: Arc<Members>,
}

/// The License that a Roster names, in the form in which references are kept.
pub fn license_of(roster: &Roster) -> String {
    let (namespace, name) = roster.license();
    target("License", &namespace, name)
}

fn name_of(license: &License) -> String {
    target("License", &license.namespace().unwrap_or_default(), &license.name_any())
}

fn readable(roster: &Guarded<Roster>) -> Option<&Roster> {
    roster.0.as_ref().ok()
}

impl Enrolment {
    /// Calls `look_again` with each Roster for which something changes because another Roster did.
    pub fn new(
        rosters: Store<Guarded<Roster>>,
        references: Arc<References<Guarded<Roster>>>,
        namespaces: Store<NamespaceMeta>,
        look_again: impl Fn(ObjectRef<Guarded<Roster>>) + Send + Sync + 'static,
    ) -> Self {
        let look_again = Box::new(look_again);
        Enrolment { references, rosters, namespaces, look_again, united: Mutex::default() }
    }

    /// The Rosters that count for `license`, by namespace and name. A Roster that cannot be read does not count. Those of
    /// namespaces that are not admitted are not looked for: anybody can write any number of them.
    fn counting(&self, license: &License) -> Vec<Arc<Guarded<Roster>>> {
        let name = name_of(license);
        let is_admitted = |namespace: &str| admits(license, namespace, labels(&self.namespaces, namespace).as_ref());
        let admitted = self.references.of_those_in(is_admitted, &name);
        let mut rosters: Vec<_> = admitted.iter().filter_map(|roster| self.rosters.get(roster)).collect();
        rosters.retain(|roster| readable(roster).is_some_and(|roster| license_of(roster) == name));
        rosters
    }

    /// The people on the Rosters that count for `license`. The seat server asks for them while everybody waits, so the
    /// controller of Licenses asks before.
    pub fn people(&self, license: &License) -> Arc<Members> {
        let rosters = self.counting(license);
        let of: Vec<_> = rosters.iter().map(|roster| (roster.uid(), roster.meta().generation)).collect();
        let rank = license.spec.allowed_namespaces.as_ref().map(|allowed| allowed.rosters).unwrap_or_default();
        let of_license = self.of_license(license, of.is_empty());
        let mut united = of_license.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = united.as_ref().filter(|known| known.of == of && known.rank == rank) {
            return known.people.clone();
        }
        // A Roster whose time zone is unknown says so in its own status, and so do entries whose dates name no instants.
        let people = rosters.iter().filter_map(|roster| readable(roster)?.people().ok());
        let mut lists: Vec<_> = people.map(|(list, _)| list).collect();
        lists.iter_mut().for_each(|list| list.is_equal = rank == RosterRank::Equal);
        let people = Arc::new(Members::unite(&lists));
        let before = united.replace(United { of, rank, people: people.clone() });
        drop(united);
        let before = before.as_ref().map(|before| &*before.people);
        for roster in otherwise_shown(before, &people) {
            if let Some((namespace, name)) = roster.split_once('/') {
                (self.look_again)(ObjectRef::new(name).within(namespace));
            }
        }
        people
    }

    /// What is kept of a License. If it has no Rosters any longer, this is the last time.
    fn of_license(&self, license: &License, is_last: bool) -> Arc<Mutex<Option<United>>> {
        let mut united = self.united.lock().unwrap_or_else(PoisonError::into_inner);
        match is_last {
            true => united.remove(&name_of(license)).unwrap_or_default(),
            false => united.entry(name_of(license)).or_default().clone(),
        }
    }

    /// The License is gone: drops its people.
    pub fn forget(&self, license: &LicenseName) {
        let name = target("License", &license.namespace, &license.name);
        self.united.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
    }
}

/// Every user that a Roster names, as names are compared.
pub fn users(roster: &Roster) -> impl Iterator<Item = Cow<'_, str>> {
    roster.spec.members.iter().map(|member| normal(&member.user))
}

/// How many of `users` are members at `now`.
pub fn counts<'u>(people: &Members, users: impl Iterator<Item = Cow<'u, str>>, now: Instant) -> MemberCounts {
    let mut counts = MemberCounts::default();
    for member in users.collect::<HashSet<_>>().into_iter().filter_map(|user| people.current(&user, None, now)) {
        counts.current += 1;
        match member.mode {
            MemberMode::Active => counts.active += 1,
            MemberMode::Passive => counts.passive += 1,
            MemberMode::None => counts.none += 1,
        }
    }
    counts
}

/// The Rosters that show other users than before, as duplicate or as alike, or name other Rosters with them.
fn otherwise_shown<'m>(before: Option<&'m Members>, after: &'m Members) -> BTreeSet<&'m str> {
    fn each(members: &Members) -> BTreeSet<(&str, &[String], &[String])> {
        let doubled = members.duplicates.iter().map(|doubled| (std::slice::from_ref(&doubled.user), &*doubled.rosters));
        let shown = doubled.chain(members.alike.iter().map(|alike| (&*alike.users, &*alike.rosters)));
        shown.flat_map(|(users, rosters)| rosters.iter().map(move |roster| (roster.as_str(), users, rosters))).collect()
    }
    let (before, after) = (before.map(each).unwrap_or_default(), each(after));
    before.symmetric_difference(&after).map(|(roster, ..)| *roster).collect()
}

#[cfg(test)]
mod tests {
    use kube::core::DeserializeGuard;
    use kube::runtime::{reflector, watcher};
    use serde_json::json;

    use super::*;

    fn license(name: &str, from: &str) -> License {
        let spec = json!({"product": "p", "keys": [], "allowedNamespaces": {"from": from}});
        let object = json!({
            "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License", "spec": spec,
            "metadata": {"name": name, "namespace": "home"},
        });
        serde_json::from_value(object).expect("a License")
    }

    fn roster(namespace: &str, name: &str, license: &str) -> Roster {
        let member = json!({"user": format!("{namespace}-{name}"), "loginMode": "Active", "entryDate": "2020-01-01"});
        let object = json!({
            "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "Roster",
            "metadata": {"name": name, "namespace": namespace, "uid": format!("{namespace}/{name}"), "generation": 1},
            "spec": {"licenseRef": {"name": license, "namespace": "home"}, "members": [member]},
        });
        serde_json::from_value(object).expect("a Roster")
    }

    fn enrolment(rosters: Vec<Roster>) -> Enrolment {
        let (cache, mut writer) = reflector::store();
        let references = Arc::new(References::default());
        for roster in rosters {
            let named = vec![license_of(&roster)];
            let object = DeserializeGuard(Ok(roster));
            references.set(ObjectRef::from_obj(&object), named);
            writer.apply_watcher_event(&watcher::Event::Apply(object));
        }
        Enrolment::new(cache, references, reflector::store().0, |_| {})
    }

    #[test]
    fn a_roster_counts_from_the_look_at_which_its_namespace_is_admitted() {
        let enrolment = enrolment(vec![roster("away", "r", "l"), roster("home", "r", "l")]);
        let counting = |from: &str| {
            let (people, now) = (enrolment.people(&license("l", from)), Instant::MAX_UTC);
            ["away-r", "home-r"].map(|user| people.last_known(user, None, now).is_some())
        };
        assert_eq!(counting("Same"), [false, true]);
        assert_eq!(counting("All"), [true, true]);
        assert_eq!(counting("Same"), [false, true], "expelled again");
    }

    /// The seat server waits for the people of one License with all seats in its hands.
    #[test]
    fn nobody_waits_while_the_people_of_another_license_are_united() {
        let enrolment = enrolment(vec![roster("home", "r", "l"), roster("home", "s", "m")]);
        let of_one = enrolment.of_license(&license("l", "Same"), false);
        let _uniting = of_one.lock().expect("nobody has it");
        assert!(enrolment.people(&license("m", "Same")).has_roster());
        assert!(!enrolment.people(&license("none", "Same")).has_roster());
        let known = enrolment.people(&license("m", "Same"));
        assert!(Arc::ptr_eq(&known, &enrolment.people(&license("m", "Same"))), "united once");
    }
}
