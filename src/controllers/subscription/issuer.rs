//! The issuer of a contract: its signing key, and the Secret beside it that publishes the keys to trust.
//!
//! The operator writes `<issuer>-trust` (type seatkeeper.dev/trust): the public keys, old ones too, and the list of
//! revoked serials. The issuer's own Secret belongs to the vendor, often to a tool that would undo every change, so it
//! is only read.

use ed25519_dalek::SigningKey;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::api::{Subscription, secret_type};
use crate::cluster::client::CallError;
use crate::cluster::secrets::{self, Entries, KeepError, OwnSecret};
use crate::domain::Instant;
use crate::domain::contract::default_issuer;
use crate::domain::fault::Fault;
use crate::domain::license::jwk::{publish, thumbprint};
use crate::domain::license::trust::{Revocations, Trust, sign_revocations};
use crate::domain::reason::Reason;
use crate::observed::Observed;
use crate::observed::issuers::{is_published, owner, trust_secret_name};
use crate::observed::keyrings::Keyring;
use crate::observed::references::target;
use crate::wrong::{self, Variant::*};

/// What signs the keys of a contract.
pub struct Issuer {
    pub name: String,
    keyring: Arc<Keyring>,
    namespace: String,
    secret_name: String,
    trust_secret: Option<Arc<Secret>>,
    /// The published list lacks something that it said before: it was put back to an older one, cut or deleted.
    list_is_older: bool,
}

/// What shows that keys were issued before.
fn issued_before(
    subscription: &Subscription,
    issuer: &str,
    keys_in: Option<&str>,
    observed: &Observed,
) -> Option<String> {
    let namespace = subscription.namespace().unwrap_or_default();
    if is_published(&namespace, issuer, &observed.trusts) {
        return Some(format!("Secret {namespace}/{} publishes the public key", trust_secret_name(issuer)));
    }
    if subscription.status.as_ref().is_some_and(|status| !status.keys.is_empty()) {
        return Some("the status of this Subscription names them".to_owned());
    }
    keys_in.map(|secret| format!("Secret {secret} has them"))
}

/// A signing key that is gone, with what shows that there was one. Another one must not take its place unnoticed: customers do
/// not trust it yet.
fn if_lost(fault: Fault, issued_before: Option<String>) -> Fault {
    let reason = match fault.reason {
        Reason::SecretMissing | Reason::SigningKeyMissing => Reason::SigningKeyLost,
        Reason::SecretTypeMismatch | Reason::SigningKeyInvalid => fault.reason,
        _ => return fault,
    };
    let Some(shown) = issued_before else { return fault };
    let message = format!(
        "{}. Keys were issued before ({shown}): restore the same signing-key.pem from a backup. Put a new one there only on \
         purpose: its keys count once the customers have the new jwks.json",
        fault.message
    );
    Fault { reason, message, ..fault }
}

impl Issuer {
    /// Returns the issuer that `subscription` names, or why it cannot sign. `keys_in` is a Secret with keys of this contract.
    pub async fn of(
        subscription: &Subscription,
        keys_in: Option<&str>,
        observed: &Observed,
    ) -> Result<Result<Self, Fault>, CallError> {
        let Some(source) = &subscription.spec.issuer else {
            let message = "no signing key is named, so no keys are issued here";
            return Ok(Err(Fault::new(Reason::NoIssuer, "spec.issuer", message)));
        };
        let namespace = subscription.namespace().unwrap_or_default();
        let name = &source.secret_ref.name;
        let fault = |reason: Reason, message: String| {
            Ok(Err(if_lost(
                Fault::new(reason, "spec.issuer", message),
                issued_before(subscription, name, keys_in, observed),
            )))
        };
        let Some(secret) = secrets::find(&observed.issuers, &namespace, name) else {
            let missing = observed.explain_missing(secret_type::ISSUER, &namespace, name).await?;
            return fault(missing.reason, missing.message);
        };
        let entry = |entry: &str| secret.data.as_ref().and_then(|data| data.get(entry)).map(|bytes| bytes.0.as_slice());
        let Some(pem) = entry("signing-key.pem") else {
            let message =
                format!("Secret {namespace}/{name} has no entry signing-key.pem; `seatkeeper keygen` makes one");
            return fault(Reason::SigningKeyMissing, message);
        };
        let trust_secret = secrets::find(&observed.trusts, &namespace, &trust_secret_name(name));
        let published = trust_secret.as_ref().and_then(|s| s.data.as_ref());
        let published = |entry: &str| published.and_then(|data| data.get(entry)).map(|bytes| bytes.0.as_slice());
        let read = observed.keyrings.of(
            &target("Secret", &namespace, name),
            pem,
            published("jwks.json"),
            published("revoked.jwt"),
        );
        let mut keyring = match read {
            Ok(keyring) => keyring,
            Err(wrong) => {
                let message = format!("Secret {namespace}/{name}, {}: {}", wrong.field, wrong.message);
                return fault(wrong.reason, message);
            }
        };
        let kept = observed.kept_lists.of_issuer(&namespace, keyring.trust.signers());
        let list_is_older = kept.version > keyring.revocations.version
            || kept.serials.iter().any(|serial| !keyring.trust.is_revoked(serial));
        if list_is_older {
            Arc::make_mut(&mut keyring).recall(&Arc::new(kept));
        }
        let named = entry("issuer")
            .and_then(|text| std::str::from_utf8(text).ok())
            .map(str::trim)
            .filter(|text| !text.is_empty());
        let issuer_name: String = named.unwrap_or(default_issuer(&namespace)).chars().take(200).collect();
        let secret_name = name.clone();
        Ok(Ok(Issuer { name: issuer_name, keyring, namespace, secret_name, trust_secret, list_is_older }))
    }

    /// The key that signs the keys of the contract.
    pub fn key(&self) -> &SigningKey {
        &self.keyring.key
    }

    /// The keys that this issuer has signed with, and the serials it has revoked, so far.
    pub fn trust(&self) -> &Trust {
        &self.keyring.trust
    }

    /// Publishes the signing key's public half, if it is not published yet, the serials in `revoke`, and those that were
    /// taken out of the list.
    pub async fn publish(
        &mut self,
        observed: &Observed,
        revoke: &BTreeSet<String>,
        now: Instant,
    ) -> Result<(), KeepError> {
        if self.keyring.is_published
            && !self.list_is_older
            && revoke.iter().all(|serial| self.trust().is_revoked(serial))
        {
            return Ok(());
        }
        let published = self.trust_secret.as_ref().and_then(|secret| secret.data.clone());
        let mut entries: Entries = published.unwrap_or_default();
        let jwks = match wrong::is(OldKeysUnpublished) {
            true => publish([&self.key().verifying_key()]),
            false => publish(self.trust().keys()),
        };
        let jwks = serde_json::to_string_pretty(&jwks).unwrap_or_default();
        entries.insert("jwks.json".into(), ByteString(jwks.into_bytes()));
        if !revoke.is_empty() || self.list_is_older {
            let Keyring { key, trust, revocations, .. } = Arc::make_mut(&mut self.keyring);
            let serials = trust.revoked().serials().chain(revoke).cloned().collect();
            let version = revocations.version + 1;
            *revocations = Arc::new(Revocations { version, iat: now.timestamp(), exp: None, serials });
            trust.heed_genuine(&thumbprint(&key.verifying_key()), revocations);
            entries.insert("revoked.jwt".into(), ByteString(sign_revocations(revocations, key).into_bytes()));
            self.list_is_older = false;
        }
        let owner = owner(&self.namespace, &self.secret_name);
        let name = trust_secret_name(&self.secret_name);
        let kept = OwnSecret {
            namespace: &self.namespace,
            name: &name,
            type_: secret_type::TRUST,
            owner: &owner,
            label: None,
        };
        observed.write(&kept, self.trust_secret.as_deref(), entries).await
    }
}
