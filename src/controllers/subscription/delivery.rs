//! Delivery: keys into Secrets, revoked serials into the issuer's list, and the License if there is none.
//!
//! Every step is found again from what exists, so the work may be cut short after any write. Keys are added first,
//! revoked second and removed last: the customer is never without one.

use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use std::collections::{BTreeMap, BTreeSet};

use super::issued::{Issued, issued_secret_name};
use super::issuer::Issuer;
use super::names::{secret_name, shortened};
use crate::api::common::{SecretRef, SecretSource};
use crate::api::delivery::{license_of, takes_keys_of};
use crate::api::license::{HoldersShown, KeySource, LicenseSpec, SubscriptionRef};
use crate::api::{License, Subscription, mark, secret_type};
use crate::cluster::client::{CallError, call};
use crate::cluster::secrets::{self, Entries, KeepError, OwnSecret, refusal};
use crate::cluster::specs::left_out;
use crate::cluster::status::FIELD_MANAGER;
use crate::domain::Instant;
use crate::domain::contract::Contract;
use crate::domain::contract::issuing::{IssuedKey, Work, refused_seat_changes, sign_due, wanted, work};
use crate::domain::contract::renewal::Standing;
use crate::domain::fault::Fault;
use crate::domain::license::key::Claims;
use crate::domain::license::trust::Revoked;
use crate::domain::license::whom_to_trust::who_says;
use crate::domain::reason::Reason;
use crate::machine::random_bytes;
use crate::observed::Observed;
use crate::observed::issuers::trust_secret_name;
use crate::observed::references::target;
use crate::wrong::{self, Variant::*};

/// What was done, and what exists now.
#[derive(Default)]
pub struct Done {
    /// The keys that exist, the newest last.
    pub keys: Vec<Claims>,
    /// How many keys were issued this time.
    pub newly_issued: usize,
    /// How many serials were revoked this time.
    pub newly_revoked: usize,
    /// Every serial that the issuer has revoked so far.
    pub revoked: Revoked,
    /// Changes of seats that are not followed.
    pub refused: Vec<Fault>,
    /// Why no keys are issued.
    pub not_issued: Option<Fault>,
    /// Why keys do not get to where they should be.
    pub not_delivered: Option<Fault>,
}

impl Done {
    /// Whether one of these keys is nowhere yet.
    fn lacks(&self, keys: &[IssuedKey]) -> bool {
        keys.iter().any(|key| self.keys.iter().all(|there| there.jti != key.claims.jti))
    }
}

/// A Secret that keys go to, and the product whose keys it takes; `None` takes the keys of all products.
struct Place {
    namespace: String,
    secret: String,
    product: Option<String>,
}

/// The Secrets that keys may go to, as references.
pub fn secrets_of(subscription: &Subscription) -> Vec<String> {
    let own = subscription.namespace().unwrap_or_default();
    let kept = target("Secret", &own, &kept_secret_name(subscription));
    let issued = target("Secret", &own, &issued_secret_name(subscription));
    let delivered =
        license_of(subscription).map(|(namespace, _)| target("Secret", &namespace, &license_secret_name(subscription)));
    delivered.into_iter().chain([kept, issued]).collect()
}

/// A Secret with keys of a Subscription, as `namespace/name`.
fn keys_in(subscription: &Subscription, observed: &Observed) -> Option<String> {
    let own = subscription.namespace().unwrap_or_default();
    let delivered = license_of(subscription).map(|(namespace, _)| (namespace, license_secret_name(subscription)));
    let kept = delivered.into_iter().chain([(own.clone(), kept_secret_name(subscription))]);
    let kept = kept.map(|(namespace, name)| (&observed.keys, namespace, name));
    let mut all = kept.chain([(&observed.issued, own, issued_secret_name(subscription))]);
    let owner = owner(subscription);
    let (_, namespace, name) = all.find(|(cache, namespace, name)| {
        secrets::find(cache, namespace, name).is_some_and(|secret| {
            secret.annotations().get(mark::OWNER) == Some(&owner) && secret.data.as_ref().is_some_and(|d| !d.is_empty())
        })
    })?;
    Some(format!("{namespace}/{name}"))
}

fn license_secret_name(subscription: &Subscription) -> String {
    let license = subscription.spec.deliver_to.as_ref().and_then(|to| to.license.as_ref());
    license.map_or_else(String::new, |l| l.secret_name.clone().unwrap_or_else(|| format!("{}-license", l.name)))
}

fn kept_secret_name(subscription: &Subscription) -> String {
    secret_name(&subscription.name_any(), "-keys")
}

fn owner(subscription: &Subscription) -> String {
    format!("Subscription {}/{}", subscription.namespace().unwrap_or_default(), subscription.name_any())
}

/// A label value that finds what was made for a Subscription. A name too long for a label is cut and gets a hash.
fn label(subscription: &Subscription) -> String {
    shortened(&subscription.name_any(), 63)
}

/// Brings keys, revocations and the License in line with the contract.
pub async fn carry_out(
    subscription: &Subscription,
    contract: &Contract,
    standing: &Standing,
    observed: &Observed,
    now: Instant,
) -> Result<Done, CallError> {
    let mut done = Done { refused: refused_seat_changes(contract, now), ..Done::default() };
    let mut issuer = match Issuer::of(subscription, keys_in(subscription, observed).as_deref(), observed).await? {
        Ok(issuer) => issuer,
        Err(fault) => {
            done.not_issued = Some(fault);
            return Ok(done);
        }
    };
    let (keys, _) = wanted(contract, standing, &issuer.name, now);
    if let Err(error) = issuer.publish(observed, &BTreeSet::new(), now).await {
        done.not_issued = Some(not_kept(error)?);
        return Ok(done);
    }
    let mut issued = Issued::of(subscription, owner(subscription), label(subscription), observed);
    let places = match places(subscription, contract, observed) {
        Ok(places) => places,
        Err(fault) => {
            done.not_delivered = Some(fault);
            settle(&mut issued, &keys, &mut issuer, observed, now, &mut done).await?;
            return Ok(done);
        }
    };
    // The product whose keys did not get to a place. They are not delivered to the next one either: the keys that they replace
    // would be revoked, and those of another grant would count twice.
    let mut held_up: Option<&String> = None;
    for place in &places {
        let is_for =
            |product: &Option<String>, key: &&Claims| product.as_ref().is_none_or(|product| *product == key.aud);
        let of_place = keys.iter().filter(|key| is_for(&place.product, key) && held_up != Some(&key.aud));
        let of_place: Vec<Claims> = of_place.cloned().collect();
        let delivery = Delivery { place, wanted: &of_place, observed, now };
        if let Err(error) = deliver(subscription, &delivery, &mut issued, &mut issuer, &mut done).await {
            done.not_delivered = Some(not_kept(error)?);
            held_up = place.product.as_ref();
        }
    }
    settle(&mut issued, &keys, &mut issuer, observed, now, &mut done).await?;
    done.keys.sort_by(|a, b| (a.iat, a.nbf, &a.jti).cmp(&(b.iat, b.nbf, &b.jti)));
    done.keys.dedup_by(|a, b| a.jti == b.jti);
    if let Some(fault) = make_license(subscription, contract, observed).await? {
        done.not_delivered = Some(fault);
    }
    Ok(done)
}

/// Revokes keys that went to another namespace, wherever they are now.
async fn settle(
    issued: &mut Issued,
    wanted: &[Claims],
    issuer: &mut Issuer,
    observed: &Observed,
    now: Instant,
    done: &mut Done,
) -> Result<(), CallError> {
    let is_delivered = done.not_delivered.is_none() && done.not_issued.is_none();
    match issued.settle(wanted, is_delivered, issuer, observed, now).await {
        Ok(revoked) => done.newly_revoked += revoked,
        Err(error) => done.not_delivered = Some(not_kept(error)?),
    }
    done.revoked = issuer.trust().revoked();
    Ok(())
}

/// A Secret of another owner is a fault to show; a failed call is an error, so that it is tried again.
fn not_kept(error: KeepError) -> Result<Fault, CallError> {
    match error {
        KeepError::Stopped(fault) => Ok(fault),
        KeepError::Call(error) => Err(error),
    }
}

/// Where keys go: those of the License's product to its Secret, and all others, and those to keep, to a Secret beside
/// the Subscription.
fn places(subscription: &Subscription, contract: &Contract, observed: &Observed) -> Result<Vec<Place>, Fault> {
    let own = subscription.namespace().unwrap_or_default();
    let keep = Place { namespace: own.clone(), secret: kept_secret_name(subscription), product: None };
    let Some((namespace, name)) = license_of(subscription) else {
        return Ok(vec![keep]);
    };
    let license = observed.license(&namespace, &name);
    // Which product it is for is not known, and keys that are taken for another's would be revoked.
    if let Some(why) = license.as_ref().and_then(|license| left_out(license)) {
        return Err(Fault { field: "spec.deliverTo.license".to_owned(), ..why });
    }
    let license = license.as_ref().and_then(|license| license.0.as_ref().ok());
    if namespace != own && !license.is_some_and(|license| takes_keys_of(license, subscription)) {
        let message = format!(
            "License {namespace}/{name} does not accept this contract: it must say subscriptionRef: {{name: {}, namespace: {own}}}",
            subscription.name_any()
        );
        return Err(Fault::new(Reason::NotAccepted, "spec.deliverTo.license", message));
    }
    let product =
        license.map(|l| l.spec.product.clone()).or_else(|| contract.lines.first().map(|line| line.product.clone()));
    let others = contract.lines.iter().any(|line| Some(&line.product) != product.as_ref());
    let asked = subscription.spec.deliver_to.as_ref().is_some_and(|to| to.file.is_some());
    let to_license = Place { namespace, secret: license_secret_name(subscription), product };
    Ok(if others || asked { vec![to_license, keep] } else { vec![to_license] })
}

/// The keys that a place is to have.
struct Delivery<'d> {
    place: &'d Place,
    wanted: &'d [Claims],
    observed: &'d Observed,
    now: Instant,
}

async fn deliver(
    subscription: &Subscription,
    &Delivery { place, wanted, observed, now }: &Delivery<'_>,
    kept: &mut Issued,
    issuer: &mut Issuer,
    done: &mut Done,
) -> Result<(), KeepError> {
    let (owner, label) = (owner(subscription), label(subscription));
    let secret = OwnSecret {
        namespace: &place.namespace,
        name: &place.secret,
        type_: secret_type::LICENSE,
        owner: &owner,
        label: Some(&label),
    };
    let found = secrets::find(&observed.keys, &place.namespace, &place.secret);
    let mut entries = found.as_ref().filter(|s| secret.is_ours(s)).and_then(|s| s.data.clone()).unwrap_or_default();
    let issued = read_issued(&entries, issuer, observed);
    let Work { mut issue, mut revoke, remove } = work(wanted, &issued, |serial| issuer.trust().is_revoked(serial), now);
    let mut version = found;
    let is_elsewhere = subscription.namespace().as_deref() != Some(&place.namespace);
    if wrong::is(RandomSerial) {
        issue.iter_mut().for_each(|key| key.claims.jti = format!("{:?}", random_bytes::<8>()));
    }
    if wrong::is(NotRevoked) {
        revoke.clear();
    }
    if wrong::is(RevokedFirst) && !revoke.is_empty() {
        issuer.publish(observed, &revoke, now).await?;
    }
    if wrong::is(RemovedFirst) && !remove.is_empty() {
        entries.retain(|entry, _| !remove.contains(entry));
        return observed.write(&secret, version.as_deref(), entries).await;
    }

    if let Err(fault) = sign_into(&mut entries, &issue, issuer) {
        // The keys that are there stay until another can follow them.
        done.keys.extend(issued.into_iter().map(|key| key.claims));
        done.not_issued = Some(fault);
        return Ok(());
    }
    let mut written = Ok(());
    if is_elsewhere {
        let lasting = issued.iter().filter(|key| !remove.contains(&key.entry) || revoke.contains(&key.claims.jti));
        let with_texts = lasting.chain(&issue).filter_map(|key| Some((&key.claims, entries.get(&key.entry)?)));
        written = kept.add(&with_texts.collect::<Vec<_>>(), observed).await;
    }
    if !issue.is_empty() {
        if written.is_ok() {
            written = observed.write(&secret, version.as_deref(), entries.clone()).await;
        }
        // What is left follows once the cache shows the version that this write made.
        version = None;
    }
    if let Err(error) = written {
        done.not_issued = error.fault().filter(|_| done.lacks(&issue)).cloned();
        return Err(error);
    }
    done.keys.extend(issued.iter().filter(|key| !remove.contains(&key.entry)).map(|key| key.claims.clone()));
    done.keys.extend(issue.iter().map(|key| key.claims.clone()));
    done.newly_issued += issue.len();
    if !revoke.is_empty() {
        issuer.publish(observed, &revoke, now).await?;
        done.newly_revoked += revoke.len();
    }
    if !remove.is_empty()
        && let Some(version) = &version
    {
        entries.retain(|entry, _| !remove.contains(entry));
        observed.write(&secret, Some(version), entries).await?;
    }
    Ok(())
}

/// Signs the keys that are due into the entries of a Secret.
fn sign_into(entries: &mut Entries, issue: &[IssuedKey], issuer: &Issuer) -> Result<(), Fault> {
    for key in issue {
        entries.insert(key.entry.clone(), ByteString(sign_due(&key.claims, issuer.key())?.into_bytes()));
    }
    Ok(())
}

/// The entries that this issuer signed. All other entries are left alone.
fn read_issued(entries: &Entries, issuer: &Issuer, observed: &Observed) -> Vec<IssuedKey> {
    let read = |(entry, text): (&String, &ByteString)| {
        let key = observed.verified.verify(&text.0, issuer.trust()).ok()?;
        Some(IssuedKey { entry: entry.clone(), claims: Claims::clone(&key.claims) })
    };
    entries.iter().filter_map(read).collect()
}

/// Makes the License if there is none and it belongs in the Subscription's own namespace. If there is one that does not
/// read the keys, returns that fault.
async fn make_license(
    subscription: &Subscription,
    contract: &Contract,
    observed: &Observed,
) -> Result<Option<Fault>, CallError> {
    let Some((namespace, name)) = license_of(subscription) else { return Ok(None) };
    let secret = license_secret_name(subscription);
    match observed.license(&namespace, &name) {
        Some(found) => Ok(found.0.as_ref().ok().and_then(|license| {
            let read = license.spec.keys.iter().any(|source| source.secret_ref.name == secret);
            let message = format!("License {namespace}/{name} does not read Secret {secret}: name it in its spec.keys");
            (!read).then(|| Fault::new(Reason::SecretNotRead, "spec.deliverTo.license", message))
        })),
        None if subscription.namespace().as_deref() != Some(&namespace) => Ok(None),
        None => {
            let api: Api<License> = Api::namespaced(observed.client.clone(), &namespace);
            let license = license(subscription, contract, observed, &namespace, &name, &secret);
            let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
            match call(api.create(&params, &license)).await {
                Err(error) if !error.already_exists() => {
                    match refusal(&format!("License {namespace}/{name}"), &error) {
                        Some(fault) => Ok(Some(fault)),
                        None => Err(error),
                    }
                }
                // The License exists; the cache will show it.
                _ => Ok(None),
            }
        }
    }
}

fn license(
    subscription: &Subscription,
    contract: &Contract,
    observed: &Observed,
    namespace: &str,
    name: &str,
    secret: &str,
) -> License {
    let product = contract.lines.first().map(|line| line.product.clone()).unwrap_or_default();
    let is_pinned = !observed.pinned_trust(&product).is_empty();
    let (_, unused) = who_says(is_pinned, true, observed.trust_from_licenses);
    let issuer = subscription.spec.issuer.as_ref().filter(|_| unused.is_none());
    let trust = issuer.map(|i| SecretSource { secret_ref: SecretRef { name: trust_secret_name(&i.secret_ref.name) } });
    let labels = [(mark::MANAGED_BY, mark::SEATKEEPER.to_owned()), (mark::SUBSCRIPTION, label(subscription))];
    License {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<BTreeMap<_, _>>()),
            ..ObjectMeta::default()
        },
        spec: LicenseSpec {
            product,
            subscription_ref: Some(SubscriptionRef { name: subscription.name_any(), namespace: None }),
            keys: vec![KeySource {
                name: "subscription".into(),
                secret_ref: SecretRef { name: secret.to_owned() },
                key: None,
            }],
            trust,
            server: None,
            allowed_namespaces: None,
            administrators: Vec::new(),
            assignments: Vec::new(),
            reservations: Vec::new(),
            holders: HoldersShown::default(),
        },
        status: None,
    }
}
