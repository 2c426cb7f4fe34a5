//! The keys of a contract that go to another namespace, kept beside the Subscription as well.
//!
//! The customer can take a key out of the Secret that it was delivered to, or take no more keys of this contract. What was
//! issued is known here all the same, and is revoked when the contract no longer grants it.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use std::sync::Arc;

use super::issuer::Issuer;
use super::names::secret_name;
use crate::api::{Subscription, secret_type};
use crate::cluster::secrets::{self, Entries, KeepError, OwnSecret};
use crate::domain::Instant;
use crate::domain::contract::issuing::{IssuedKey, stands_in_for, work};
use crate::domain::license::key::Claims;
use crate::observed::Observed;

/// The Secret with the keys of a contract that went to another namespace.
pub struct Issued {
    namespace: String,
    subscription: String,
    name: String,
    owner: String,
    label: String,
    found: Option<Arc<Secret>>,
    entries: Entries,
    /// It was written, so the version that was found is no longer the newest.
    is_written: bool,
}

pub fn issued_secret_name(subscription: &Subscription) -> String {
    secret_name(&subscription.name_any(), "-issued")
}

impl Issued {
    /// `owner` and `label` are those of all Secrets of this Subscription.
    pub fn of(subscription: &Subscription, owner: String, label: String, observed: &Observed) -> Self {
        let (namespace, name) = (subscription.namespace().unwrap_or_default(), issued_secret_name(subscription));
        let subscription = subscription.name_any();
        let found = secrets::find(&observed.issued, &namespace, &name);
        let entries = Entries::new();
        let mut issued = Issued { namespace, subscription, name, owner, label, found, entries, is_written: false };
        let ours = issued.found.as_ref().filter(|secret| issued.secret().is_ours(secret));
        issued.entries = ours.and_then(|secret| secret.data.clone()).unwrap_or_default();
        issued
    }

    fn secret(&self) -> OwnSecret<'_> {
        OwnSecret {
            namespace: &self.namespace,
            name: &self.name,
            type_: secret_type::ISSUED,
            owner: &self.owner,
            label: Some(&self.label),
        }
    }

    /// Adds keys, before they are delivered.
    pub async fn add(&mut self, keys: &[(&Claims, &ByteString)], observed: &Observed) -> Result<(), KeepError> {
        let before = self.entries.len();
        let (namespace, name) = (&self.namespace, &self.subscription);
        let is_ours = |claims: &Claims| {
            claims.subscription.as_ref().is_some_and(|of| of.namespace == *namespace && of.name == *name)
        };
        // Keys of another contract of this issuer may have been copied there.
        for (claims, text) in keys.iter().filter(|(claims, _)| is_ours(claims)) {
            self.entries.entry(entry_of(claims)).or_insert_with(|| ByteString::clone(text));
        }
        if self.entries.len() > before { self.write(observed).await } else { Ok(()) }
    }

    /// Revokes what the contract no longer grants, and drops what was revoked or has ended. Before the keys that are
    /// `wanted` have been delivered, a key that one of them replaces is spared: the customer is never without a key that is
    /// owed. Returns how many keys were revoked.
    pub async fn settle(
        &mut self,
        wanted: &[Claims],
        is_delivered: bool,
        issuer: &mut Issuer,
        observed: &Observed,
        now: Instant,
    ) -> Result<usize, KeepError> {
        if self.found.is_none()
            && let Some(fault) = observed.rooms.left_out(secret_type::ISSUED, &self.namespace, &self.name)
        {
            return Err(KeepError::Stopped(fault));
        }
        if self.entries.is_empty() {
            return Ok(0);
        }
        let issued: Vec<IssuedKey> = self.keys(issuer, observed);
        let mut work = work(wanted, &issued, |serial| issuer.trust().is_revoked(serial), now);
        let is_spared = |key: &&IssuedKey| !is_delivered && wanted.iter().any(|w| stands_in_for(w, &key.claims));
        for key in issued.iter().filter(is_spared) {
            work.revoke.remove(&key.claims.jti);
            if !issuer.trust().is_revoked(&key.claims.jti) {
                work.remove.remove(&key.entry);
            }
        }
        if !work.revoke.is_empty() {
            issuer.publish(observed, &work.revoke, now).await?;
        }
        let before = self.entries.len();
        self.entries.retain(|entry, _| !work.remove.contains(entry));
        // What is left follows once the cache shows the version that this look has written.
        if self.entries.len() < before && !self.is_written {
            self.write(observed).await?;
        }
        Ok(work.revoke.len())
    }

    fn keys(&self, issuer: &Issuer, observed: &Observed) -> Vec<IssuedKey> {
        let read = |(entry, text): (&String, &ByteString)| {
            let key = observed.verified.verify(&text.0, issuer.trust()).ok()?;
            Some(IssuedKey { entry: entry.clone(), claims: Claims::clone(&key.claims) })
        };
        self.entries.iter().filter_map(read).collect()
    }

    async fn write(&mut self, observed: &Observed) -> Result<(), KeepError> {
        observed.write(&self.secret(), self.found.as_deref(), self.entries.clone()).await?;
        self.is_written = true;
        Ok(())
    }
}

fn entry_of(claims: &Claims) -> String {
    format!("{}.jwt", claims.jti)
}
