//! The people on a License's Rosters: the Rosters that name the License and are admitted by it are united, and the
//! result is kept until one of them changes. Thousands of people are united once, not once for each Roster that shows
//! them.

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
    united: Mutex<HashMap<String, United>>,
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

    /// The Rosters that count for `license`, by namespace and name. A Roster that cannot be read does not count.
    fn counting(&self, license: &License) -> Vec<Arc<Guarded<Roster>>> {
        let name = name_of(license);
        let mut rosters: Vec<_> =
            self.references.of(&name).iter().filter_map(|roster| self.rosters.get(roster)).collect();
        rosters.retain(|roster| {
            let namespace = roster.namespace().unwrap_or_default();
            readable(roster).is_some_and(|roster| license_of(roster) == name)
                && admits(license, &namespace, labels(&self.namespaces, &namespace).as_ref())
        });
        rosters
    }

    /// The people on the Rosters that count for `license`.
    pub fn people(&self, license: &License) -> Arc<Members> {
        let name = name_of(license);
        let rosters = self.counting(license);
        let of: Vec<_> = rosters.iter().map(|roster| (roster.uid(), roster.meta().generation)).collect();
        let rank = license.spec.allowed_namespaces.as_ref().map(|allowed| allowed.rosters).unwrap_or_default();
        let mut united = self.united.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = united.get(&name).filter(|known| known.of == of && known.rank == rank) {
            return known.people.clone();
        }
        // A Roster whose time zone is unknown says so in its own status, and so do entries whose dates name no instants.
        let people = rosters.iter().filter_map(|roster| readable(roster)?.people().ok());
        let mut lists: Vec<_> = people.map(|(list, _)| list).collect();
        lists.iter_mut().for_each(|list| list.is_equal = rank == RosterRank::Equal);
        let people = Arc::new(Members::unite(&lists));
        let before = match of.is_empty() {
            true => united.remove(&name),
            false => united.insert(name, United { of, rank, people: people.clone() }),
        };
        drop(united);
        let before = before.as_ref().map(|before| &*before.people);
        for roster in otherwise_shown(before, &people) {
            if let Some((namespace, name)) = roster.split_once('/') {
                (self.look_again)(ObjectRef::new(name).within(namespace));
            }
        }
        people
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
