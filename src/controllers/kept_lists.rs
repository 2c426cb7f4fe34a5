//! Keeps what lists of revoked keys say, so that it still counts once a list was put back to an older one or is gone.
//!
//! The leader alone writes it. Whatever is found, it is worked out from what is there, so nothing depends on having seen
//! a list when it came. Each Secret is written on the version that was read.

use ed25519_dalek::VerifyingKey;
use futures::FutureExt;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use super::kinds::Controllers;
use crate::api::secret_type;
use crate::cluster::secrets::{self, KeepError, OwnSecret};
use crate::cluster::trouble::Trouble;
use crate::domain::license::jwk::{read_jwks, thumbprint};
use crate::domain::license::kept_lists::{Kept, keep as keep_in_share};
use crate::domain::license::whom_to_trust::TrustFromLicenses;
use crate::machine::{jittered, monotonic};
use crate::observed::Observed;
use crate::observed::issuers::{owner, publisher, trust_secret_name};
use crate::observed::kept_lists::{Share, entries, read, secret_of};
use crate::observed::references::target;
use crate::observed::revocation_lists::Genuine;
use crate::wrong::{self, Variant::ListsNotKept};

/// How long to wait before what could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// The rest after a look: this many times as long as it took, within these bounds. Somebody may change trust Secrets without end.
const RESTS: u32 = 9;
const SHORTEST_REST: Duration = Duration::from_millis(200);
const LONGEST_REST: Duration = Duration::from_secs(10);

/// Keeps lists whenever something has changed. Never returns.
pub async fn keep(all: &Controllers) {
    let observed = &all.with.observed;
    let mut known = HashMap::new();
    let mut there = BTreeMap::new();
    let mut trouble = Trouble::with("what revoked.jwt says could not be kept yet");
    loop {
        let began = monotonic();
        let look = async {
            let found = Found::of(all, &mut known);
            let done = if wrong::is(ListsNotKept) { Ok(BTreeSet::new()) } else { keep_all(observed, &found).await };
            // A License that does not name the Secret shows it too if a list is gone or older than before.
            let is_older = |(signer, before): &(&String, &u64)| found.there.get(*signer).is_none_or(|now| now < before);
            let older = there.iter().filter(is_older).map(|(signer, _)| signer);
            found.look_again(all, older.chain(done.iter().flatten()).collect());
            there = found.there;
            done.map(|_| ()).map_err(|error| error.to_string())
        };
        // A panic stops nothing else, and it is tried again.
        let done = AssertUnwindSafe(look).catch_unwind().await.unwrap_or_else(|_| Err("a panic".to_owned()));
        let took = monotonic() - began;
        match done {
            Ok(()) => {
                trouble.is_over();
                observed.kept_lists.changed.notified().await;
            }
            Err(error) => {
                trouble.lasts(error);
                tokio::time::sleep(jittered(AGAIN)).await;
            }
        }
        tokio::time::sleep((took * RESTS).clamp(SHORTEST_REST, LONGEST_REST)).await;
    }
}

/// Writes what is to be kept in each share. Returns the signers of whom more or less can be kept than before.
async fn keep_all(observed: &Observed, found: &Found) -> Result<BTreeSet<String>, KeepError> {
    let mut failed = None;
    let mut differs = BTreeSet::new();
    for (share, trusted) in &found.shares {
        let to_keep = keep_in_share(&observed.kept_lists.in_share(share), trusted);
        let kept = to_keep.kept.clone();
        differs.extend(observed.kept_lists.set(share, to_keep));
        let (name, owner) = (share.secret_name(), share.owner());
        let secret = secret_of(&observed.namespace, &name, &owner);
        let there = secrets::find(&observed.kept, &observed.namespace, &name);
        let is_kept = match &there {
            Some(there) => read(there).as_ref() == Some(&kept),
            None => kept.is_empty(),
        };
        if !is_kept && let Err(error) = secret.write(&observed.client, there.as_deref(), entries(&kept)).await {
            // One share that cannot be written keeps no other from being written.
            failed = Some(error);
        }
    }
    failed.map_or(Ok(differs), Err)
}

/// The lists that are there now, and for whom they are kept.
#[derive(Default)]
struct Found {
    shares: BTreeMap<Share, Kept>,
    /// For whom the lists of each trusted signer are kept.
    sharing: BTreeMap<String, BTreeSet<Share>>,
    /// The version of the newest list of each signer.
    there: BTreeMap<String, u64>,
}

/// The keys in a version of a trust Secret.
struct Known {
    version: Option<String>,
    keys: Vec<(String, VerifyingKey)>,
}

impl Known {
    fn of(secret: &Secret) -> Self {
        let jwks = secret.data.as_ref().and_then(|data| data.get("jwks.json"));
        let keys = jwks.and_then(|jwks| read_jwks(&jwks.0).ok()).unwrap_or_default().keys;
        let keys = keys.into_iter().map(|key| (thumbprint(&key), key)).collect();
        Known { version: secret.resource_version(), keys }
    }
}

impl Found {
    /// Reads every trust Secret that anybody is to trust once for each of its versions.
    fn of(controllers: &Controllers, known: &mut HashMap<String, Known>) -> Self {
        let observed = &controllers.with.observed;
        let mut read = HashMap::new();
        let mut sharing: BTreeMap<String, BTreeSet<Share>> = BTreeMap::new();
        let mut keys = HashMap::new();
        for secret in observed.trusts.state().iter().filter(|secret| is_trusted(controllers, secret)) {
            let uid = secret.uid().unwrap_or_default();
            let before = known.remove(&uid).filter(|known| known.version == secret.resource_version());
            let now = before.unwrap_or_else(|| Known::of(secret));
            for (signer, key) in &now.keys {
                let share = match observed.pins(secret) {
                    true => Share::Pinned { signer: signer.clone() },
                    false => Share::Namespace(secret.namespace().unwrap_or_default()),
                };
                sharing.entry(signer.clone()).or_default().insert(share);
                keys.insert(signer.clone(), *key);
            }
            read.insert(uid, now);
        }
        *known = read;
        let mut found = Found::default();
        for (signer, shares) in &sharing {
            let trusting: BTreeSet<&str> = shares.iter().filter_map(Share::namespace).collect();
            let is_pinned = trusting.len() < shares.len();
            for Genuine { list, namespaces } in observed.revocation_lists.all_of(signer, &keys[signer]) {
                let newest = found.there.entry(signer.clone()).or_default();
                *newest = list.version.max(*newest);
                // A list in a namespace that does not trust its signer is kept for all that do.
                let is_foreign = !is_pinned && namespaces.iter().any(|place| !trusting.contains(place.as_str()));
                let is_for = |share: &&Share| share.namespace().is_none_or(|namespace| namespaces.contains(namespace));
                for share in shares.iter().filter(|share| is_foreign || is_for(share)) {
                    let kept = found.shares.entry(share.clone()).or_default();
                    kept.entry(signer.clone()).or_default().unite(&list);
                }
            }
            // What is kept of a signer stays kept while it is trusted, also without any list.
            for share in shares.iter().filter(|share| observed.kept_lists.keeps(share, signer)) {
                found.shares.entry(share.clone()).or_default().entry(signer.clone()).or_default();
            }
        }
        found.sharing = sharing;
        found
    }

    /// Looks again at what shows whether the lists of these signers are there and kept: the Licenses that trust them, and the
    /// contracts in the namespaces for which they are kept.
    fn look_again(&self, all: &Controllers, signers: BTreeSet<&String>) {
        let observed = &all.with.observed;
        for license in signers.iter().flat_map(|signer| observed.built_trust.forget_signer(signer)) {
            all.licenses.kind.queue.add(ObjectRef::new(&license.name).within(&license.namespace));
        }
        let shares = signers.iter().filter_map(|signer| self.sharing.get(*signer)).flatten();
        let namespaces: BTreeSet<&str> = shares.filter_map(Share::namespace).collect();
        if !namespaces.is_empty() {
            all.subscriptions.kind.look_at_all_in(|namespace| namespaces.contains(namespace));
        }
    }
}

/// Whether anybody is to trust the keys in this Secret: the installation pins them, the operator publishes them for an
/// issuer, or a License names them.
fn is_trusted(controllers: &Controllers, secret: &Secret) -> bool {
    let observed = &controllers.with.observed;
    let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
    let published = publisher(secret).is_some_and(|issuer| {
        let issuer = issuer.rsplit('/').next().unwrap_or_default();
        let (name, owner) = (trust_secret_name(issuer), owner(&namespace, issuer));
        let own =
            OwnSecret { namespace: &namespace, name: &name, type_: secret_type::TRUST, owner: &owner, label: None };
        own.is_ours(secret)
    });
    let named = target("Secret", &namespace, &name);
    let is_named = || controllers.licenses.kind.references.has(&named);
    observed.pins(secret) || published || (observed.trust_from_licenses == TrustFromLicenses::Allow && is_named())
}
