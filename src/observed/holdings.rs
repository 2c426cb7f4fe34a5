//! A grant counts for one License in a cluster: the one that had it first (docs/design/domain.md, Which keys count).
//!
//! Between two Licenses, only claims count whose signer both trust. Otherwise anybody could sign a key with the name of another
//! customer's grant and take that grant away. Creation times decide only after a restart, and only if no status shows
//! the grant (`take_stock`): an older object can be restored, or made in advance.

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use crate::api::License;
use crate::cluster::watch::Guarded;
use crate::domain::license::grant::GrantId;
use crate::domain::license::trust::Trust;
use crate::wrong::{self, Variant::ForeignClaimsCount};

/// A License that holds keys, and whom it trusts.
#[derive(Clone, Debug)]
pub struct Claimant {
    uid: String,
    namespace: String,
    name: String,
    trust: Arc<Trust>,
}

impl Claimant {
    pub fn of(license: &License, trust: &Arc<Trust>) -> Self {
        Claimant {
            uid: license.uid().unwrap_or_default(),
            namespace: license.namespace().unwrap_or_default(),
            name: license.name_any(),
            trust: trust.clone(),
        }
    }

    fn object(&self) -> ObjectRef<Guarded<License>> {
        ObjectRef::new(&self.name).within(&self.namespace)
    }
}

impl std::fmt::Display for Claimant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The Licenses that hold keys of each grant.
#[derive(Default)]
pub struct Holdings(Mutex<State>);

/// The claims on a grant with keys of one signer, in the order in which they were made.
type InOrder = BTreeMap<u64, Claimant>;

#[derive(Default)]
struct State {
    /// How many claims were made. It numbers them.
    made: u64,
    /// By the name of the grant, and then by the signer.
    claims: HashMap<Arc<str>, HashMap<Arc<str>, InOrder>>,
    /// By the UID of the License, with the number of each of its claims.
    of: HashMap<String, BTreeMap<GrantId, u64>>,
    /// UIDs of Licenses that claimed grants while they were being deleted.
    gone: Vec<String>,
    /// Licenses for which `claim_too` has changed something.
    affected: Vec<Claimant>,
}

impl State {
    /// Replaces what is known of a claimant, and keeps its turn. Returns the Licenses that have the grant if the claim is
    /// new.
    fn claim(&mut self, claimant: &Claimant, grant: &GrantId) -> Vec<Claimant> {
        let grants = self.of.entry(claimant.uid.clone()).or_default();
        let before = self.made;
        let number = *grants.entry(grant.clone()).or_insert_with(|| {
            self.made += 1;
            self.made
        });
        let by_signer = self.claims.entry(grant.name.clone()).or_default();
        by_signer.entry(grant.signer.clone()).or_default().insert(number, claimant.clone());
        if self.made > before { self.first_of(grant) } else { Vec::new() }
    }

    /// Those of the first two claimants with each signer that trust the signer of `grant`. The first usually has the grant,
    /// and the second gets it when the first leaves.
    fn first_of(&self, grant: &GrantId) -> Vec<Claimant> {
        let by_signer = self.claims.get(&grant.name).into_iter().flat_map(HashMap::values);
        let firsts = by_signer.flat_map(|in_order| in_order.values().take(2));
        firsts.filter(|first| first.trust.key(&grant.signer).is_some()).cloned().collect()
    }

    /// When `claimant` first claimed the grant of that name, with a signer that `rival` trusts as well.
    fn since(&self, claimant: &Claimant, grant: &GrantId, rival: &Claimant) -> Option<u64> {
        let claimed = self.of.get(&claimant.uid)?;
        let of_name = claimed.range(GrantId { signer: "".into(), ..grant.clone() }..);
        let of_name = of_name.take_while(|(claimed, _)| claimed.name == grant.name);
        of_name.filter(|(claimed, _)| rival.trust.key(&claimed.signer).is_some()).map(|(_, number)| *number).min()
    }

    /// Takes back a claim. Returns the Licenses that have the grant now, or whose turn it may be.
    fn take_back(&mut self, uid: &str, grant: &GrantId) -> Vec<Claimant> {
        let Some(number) = self.of.get_mut(uid).and_then(|grants| grants.remove(grant)) else { return Vec::new() };
        let Some(by_signer) = self.claims.get_mut(&grant.name) else { return Vec::new() };
        let Some(in_order) = by_signer.get_mut(&grant.signer) else { return Vec::new() };
        in_order.remove(&number);
        if in_order.is_empty() {
            by_signer.remove(&grant.signer);
        }
        if by_signer.is_empty() {
            self.claims.remove(&grant.name);
        }
        self.first_of(grant)
    }
}

impl Holdings {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that `claimant` holds keys of exactly these grants. Returns the other Licenses for which that changes
    /// something.
    pub fn claim(&self, claimant: &Claimant, grants: &BTreeSet<GrantId>) -> Vec<ObjectRef<Guarded<License>>> {
        let mut state = self.lock();
        let before: Vec<GrantId> = state.of.get(&claimant.uid).into_iter().flat_map(|of| of.keys().cloned()).collect();
        let mut affected = BTreeMap::new();
        for grant in before.iter().filter(|grant| !grants.contains(grant)) {
            let others = state.take_back(&claimant.uid, grant);
            affected.extend(others.into_iter().map(|other| (other.uid.clone(), other)));
        }
        for grant in grants {
            let others = state.claim(claimant, grant);
            affected.extend(others.into_iter().map(|other| (other.uid.clone(), other)));
        }
        if grants.is_empty() {
            state.of.remove(&claimant.uid);
        }
        affected.remove(&claimant.uid);
        affected.values().map(Claimant::object).collect()
    }

    /// Records that `claimant` holds keys of these grants too. A new claim comes after all others, so none of them loses a
    /// grant; who has the grant shows that it is contested after `catch_up`.
    pub fn claim_too(&self, claimant: &Claimant, grants: &BTreeSet<GrantId>) {
        let mut state = self.lock();
        for grant in grants {
            let others = state.claim(claimant, grant);
            state.affected.extend(others);
        }
    }

    /// The License `uid` is gone. Returns the other Licenses for which that changes something.
    pub fn release(&self, uid: &str) -> Vec<ObjectRef<Guarded<License>>> {
        let mut state = self.lock();
        let grants: Vec<GrantId> = state.of.get(uid).into_iter().flat_map(|of| of.keys().cloned()).collect();
        let affected = grants.iter().flat_map(|grant| state.take_back(uid, grant));
        let affected: BTreeMap<String, Claimant> = affected.map(|other| (other.uid.clone(), other)).collect();
        state.of.remove(uid);
        affected.values().map(Claimant::object).collect()
    }

    /// Records that the License `uid` was deleted while it claimed grants. `catch_up` takes its claims back.
    pub fn note_gone(&self, uid: &str) {
        self.lock().gone.push(uid.to_owned());
    }

    /// Takes back the claims of deleted Licenses. Returns the Licenses for which that, or a claim made by `claim_too`,
    /// changes something.
    pub fn catch_up(&self) -> Vec<ObjectRef<Guarded<License>>> {
        let (gone, affected) = {
            let mut state = self.lock();
            (std::mem::take(&mut state.gone), std::mem::take(&mut state.affected))
        };
        let released = gone.iter().flat_map(|uid| self.release(uid));
        released.chain(affected.iter().map(Claimant::object)).collect()
    }

    /// The License that had the grant before `me`, as `namespace/name`; `None` if `me` has it. Between two Licenses only
    /// claims count whose signer both trust: nobody is earlier by a key that only they trust.
    pub fn earlier_claimant(&self, grant: &GrantId, me: &Claimant) -> Option<String> {
        let state = self.lock();
        let by_signer = state.claims.get(&grant.name)?;
        if wrong::is(ForeignClaimsCount) {
            let rival = by_signer.values().flat_map(BTreeMap::values).find(|rival| rival.uid != me.uid);
            return rival.map(Claimant::to_string);
        }
        let latest =
            me.trust.signers().filter_map(|signer| by_signer.get(signer)?.iter().rfind(|(_, c)| c.uid == me.uid));
        let latest = latest.map(|(number, _)| *number).max();
        let trusted = me.trust.signers().filter_map(|signer| by_signer.get(signer));
        let mut before = trusted.flat_map(|in_order| in_order.range(..latest.unwrap_or(u64::MAX)));
        let is_earlier = |rival: &Claimant| {
            // Where a rival trusts none of the signers of my keys, all of my claims count: it may have kept an old key.
            let mine = state.since(me, grant, rival).or_else(|| state.since(me, grant, me));
            let theirs = state.since(rival, grant, me);
            theirs.is_some_and(|theirs| mine.is_none_or(|mine| theirs < mine))
        };
        let first = before.find(|(_, rival)| rival.uid != me.uid && is_earlier(rival));
        first.map(|(_, rival)| rival.to_string())
    }

    /// Other Licenses that claim these grants, `most` at most, as `namespace/name`. Only claims whose signer `me` trusts
    /// count.
    pub fn contesting(&self, grants: &BTreeSet<GrantId>, me: &Claimant, most: usize) -> Vec<String> {
        let state = self.lock();
        let by_signer = grants.iter().filter_map(|grant| state.claims.get(&grant.name));
        let trusted = by_signer.flat_map(|by_signer| me.trust.signers().filter_map(|signer| by_signer.get(signer)));
        let others = trusted.flat_map(BTreeMap::values).filter(|other| other.uid != me.uid);
        // One License may claim many of the grants.
        let mut named = BTreeSet::new();
        for other in others {
            if named.len() == most {
                break;
            }
            named.insert(other.to_string());
        }
        named.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;

    use crate::domain::license::jwk::thumbprint;

    fn key(n: u8) -> SigningKey {
        SigningKey::from_bytes(&[n; 32])
    }

    fn license(name: &str, trusts: &[u8]) -> Claimant {
        let trust = Arc::new(Trust::new(trusts.iter().map(|n| key(*n).verifying_key())));
        Claimant { uid: name.into(), namespace: "a".into(), name: name.into(), trust }
    }

    fn grant(signer: u8) -> GrantId {
        GrantId {
            product: "p".into(),
            name: "g".into(),
            signer: thumbprint(&key(signer).verifying_key()).as_str().into(),
        }
    }

    fn named(affected: &[ObjectRef<Guarded<License>>]) -> Vec<&str> {
        affected.iter().map(|object| object.name.as_str()).collect()
    }

    #[test]
    fn the_first_claim_stands_until_it_is_taken_back() {
        let (holdings, first, second) = (Holdings::default(), license("first", &[1]), license("second", &[1]));
        assert_eq!(holdings.earlier_claimant(&grant(1), &first), None);
        assert!(holdings.claim(&first, &[grant(1)].into()).is_empty());
        assert_eq!(named(&holdings.claim(&second, &[grant(1)].into())), ["first"], "it shows who else claims it");
        assert_eq!(holdings.contesting(&[grant(1)].into(), &first, 16), ["a/second"]);
        assert!(holdings.claim(&first, &[grant(1)].into()).is_empty(), "it keeps its turn");
        assert_eq!(holdings.earlier_claimant(&grant(1), &second).as_deref(), Some("a/first"));
        assert_eq!(holdings.earlier_claimant(&grant(1), &first), None);
        assert_eq!(named(&holdings.release("first")), ["second"]);
        assert_eq!(holdings.earlier_claimant(&grant(1), &second), None);
        holdings.claim_too(&first, &[grant(1)].into());
        assert_eq!(holdings.earlier_claimant(&grant(1), &first).as_deref(), Some("a/second"));
        assert_eq!(named(&holdings.claim(&second, &BTreeSet::new())), ["first"]);
        assert!(holdings.release("nobody").is_empty());
    }

    /// The attack: a key of one's own with the name of another's grant, trusted only by oneself.
    #[test]
    fn a_claim_affects_nobody_who_does_not_trust_its_signer() {
        let (holdings, victim) = (Holdings::default(), license("victim", &[1]));
        let intruder = license("intruder", &[1, 2]);
        holdings.claim(&intruder, &[grant(2)].into());
        holdings.claim(&victim, &[grant(1)].into());
        assert_eq!(holdings.earlier_claimant(&grant(1), &victim), None);
        assert_eq!(holdings.earlier_claimant(&grant(2), &intruder), None);
        assert!(holdings.release("intruder").is_empty());
    }

    /// The attack: an earlier claim with a signer that only the intruder trusts, and then a copy of the victim's key.
    #[test]
    fn nobody_is_earlier_by_a_key_that_only_they_trust() {
        let (holdings, victim) = (Holdings::default(), license("victim", &[1]));
        let intruder = license("intruder", &[1, 2]);
        holdings.claim(&intruder, &[grant(2)].into());
        holdings.claim(&victim, &[grant(1)].into());
        holdings.claim(&intruder, &[grant(1), grant(2)].into());
        assert_eq!(holdings.earlier_claimant(&grant(1), &victim), None);
        assert_eq!(holdings.earlier_claimant(&grant(1), &intruder).as_deref(), Some("a/victim"));
        assert_eq!(named(&holdings.release("victim")), ["intruder"]);
        assert_eq!(holdings.earlier_claimant(&grant(1), &intruder), None);
    }

    /// The attack: a copy of an old key, by a License that trusts only its signer, and the vendor has changed its signing
    /// key twice since.
    #[test]
    fn a_rival_that_trusts_less_takes_nothing_from_a_license_that_was_earlier() {
        let (holdings, victim) = (Holdings::default(), license("victim", &[1, 2, 3]));
        let rival = license("rival", &[1]);
        holdings.claim(&victim, &[grant(2)].into());
        holdings.claim(&rival, &[grant(1)].into());
        holdings.claim(&victim, &[grant(2), grant(3)].into());
        assert_eq!(holdings.earlier_claimant(&grant(3), &victim), None);
        assert_eq!(holdings.earlier_claimant(&grant(2), &victim), None);
    }

    /// A vendor that changes its signing key signs the same grant with both: a customer must not use each in a License.
    #[test]
    fn keys_of_two_signers_are_one_grant_to_a_license_that_trusts_both() {
        let (holdings, first, second) = (Holdings::default(), license("first", &[1]), license("second", &[1, 2]));
        holdings.claim(&first, &[grant(1)].into());
        holdings.claim(&second, &[grant(2)].into());
        assert_eq!(holdings.earlier_claimant(&grant(2), &second).as_deref(), Some("a/first"));
        assert_eq!(named(&holdings.release("first")), ["second"]);
    }
}
