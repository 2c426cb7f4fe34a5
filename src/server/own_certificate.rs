//! HTTPS for seats where nobody provides a certificate: an authority of the operator's own.
//!
//! It is in a Secret of the operator's namespace, which all replicas read. The first replica makes it, and each renews
//! what is due: the API server takes one of two writes at once, and the other replica reads what that one has written.
//! The certificate of the authority is public, and is shown in a ConfigMap for programs.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use prometheus_client::metrics::gauge::Gauge;
use rustls::pki_types::ServerName;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot, watch};

use super::authority::Issued;
use super::http::tls::{Files, Tls};
use crate::api::secret_type::SEATS_AUTHORITY;
use crate::cluster::client::call;
use crate::cluster::clock::Clock;
use crate::cluster::secrets::{KeepError, OwnSecret};
use crate::cluster::watch::cache;
use crate::machine::jittered;

/// The Secret with the authority.
const SECRET: &str = "seatkeeper-seats-authority";
/// The ConfigMap with the public certificate of the authority, and its entry.
const CONFIG_MAP: &str = "seatkeeper-ca";
const CERTIFICATE: &str = "ca.crt";
/// The pause after a look that failed.
const LOOK_AGAIN: Duration = Duration::from_secs(4);

/// What is needed to keep the certificate.
pub struct OwnCertificate {
    client: Client,
    clock: Clock,
    namespace: String,
    /// The name that every replica's certificate is for.
    name: String,
    server_name: ServerName<'static>,
    refused: Gauge,
}

impl OwnCertificate {
    /// `namespace` is the operator's own; `refused` is 1 while a certificate that is due cannot be made or used. Fails
    /// if `name` is not the name of a server.
    pub fn new(client: Client, clock: Clock, namespace: &str, name: String, refused: Gauge) -> Result<Self, String> {
        let server_name =
            ServerName::try_from(name.clone()).map_err(|e| format!("{name:?} is not the name of a server: {e}"))?;
        Ok(OwnCertificate { client, clock, namespace: namespace.to_owned(), name, server_name, refused })
    }

    /// Makes or reads the certificate, gives it to `first`, and keeps it up to date. Never returns.
    pub async fn keep(self, first: oneshot::Sender<watch::Receiver<Tls>>) {
        let changed = Arc::new(Notify::new());
        let changes = changed.clone();
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let (_cache, of_type) = cache(secrets, watcher::Config::default().fields(&format!("type={SEATS_AUTHORITY}")));
        of_type.start(move |_| changes.notify_one());
        let mut first = Some(first);
        let mut used: Option<(Issued, watch::Sender<Tls>)> = None;
        let mut trouble = None;
        loop {
            let looked = self.look(&mut used).await;
            self.refused.set(i64::from(looked.is_err()));
            if let (Some((_, now)), Some(first)) = (&used, first.take_if(|_| used.is_some())) {
                let _ = first.send(now.subscribe());
            }
            // Logged once, not at every look.
            if let Some(why) = looked.as_ref().err().filter(|_| looked.as_ref().err() != trouble.as_ref()) {
                tracing::warn!(%why, "the seat server has no new certificate of its own authority; trying again");
            }
            trouble = looked.err();
            tokio::select! {
                () = changed.notified() => {}
                () = tokio::time::sleep(jittered(LOOK_AGAIN)), if trouble.is_some() => {}
                () = self.until_due(used.as_ref()), if trouble.is_none() => {}
            }
        }
    }

    async fn until_due(&self, used: Option<&(Issued, watch::Sender<Tls>)>) {
        if let Some((issued, _)) = used {
            self.clock.sleep_until(issued.renew_at()).await;
        }
    }

    /// Reads the Secret, renews what is due, and uses and publishes what is there.
    async fn look(&self, used: &mut Option<(Issued, watch::Sender<Tls>)>) -> Result<(), String> {
        let issued = self.issued().await?;
        if used.as_ref().is_none_or(|(before, _)| *before != issued) {
            let files = Files {
                certificate: issued.server.certificate.clone().into_bytes(),
                key: issued.server.key.clone().into_bytes(),
                authority: Some(issued.authority.certificate.clone().into_bytes()),
            };
            let place = PathBuf::from(format!("Secret {}/{SECRET}", self.namespace));
            let tls = files.tls(&place, &self.server_name);
            let tls = tls.map_err(|why| format!("{why}; delete the Secret, and another is made"))?;
            *used = Some(match used.take() {
                Some((_, now)) => {
                    now.send_replace(tls);
                    (issued.clone(), now)
                }
                None => (issued.clone(), watch::Sender::new(tls)),
            });
            tracing::info!(until = %issued.server.until, "the seat server uses a certificate of its own authority");
        }
        self.publish(&issued.authority.certificate).await
    }

    /// What the Secret keeps, after what is due has been made.
    async fn issued(&self) -> Result<Issued, String> {
        let own = OwnSecret {
            namespace: &self.namespace,
            name: SECRET,
            type_: SEATS_AUTHORITY,
            owner: &format!("Lease {}/seatkeeper", self.namespace),
            label: None,
        };
        // By type, so that no other Secret is ever read, and not from a cache, which may lack what was just written.
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let params = ListParams::default().fields(&format!("type={SEATS_AUTHORITY}"));
        let found = call(secrets.list(&params)).await.map_err(|error| error.to_string())?;
        let found = found.items.into_iter().find(|secret| secret.name_any() == SECRET);
        let before = found.as_ref().and_then(|secret| Issued::read(secret.data.as_ref()?));
        let due = Issued::due(before.as_ref(), &self.name, self.clock.now().at);
        let due = due.map_err(|error| format!("a certificate could not be made: {error}"))?;
        let issued = match (due, before) {
            (Some(due), _) => due,
            (None, Some(before)) => return Ok(before),
            (None, None) => return Err("no certificate is due, and there is none".to_owned()),
        };
        match own.write(&self.client, found.as_ref(), issued.entries()).await {
            Ok(()) => Ok(issued),
            Err(KeepError::Call(error)) if error.is_conflict() => Err("another replica has just made one".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn publish(&self, certificate: &str) -> Result<(), String> {
        let failed = |error| format!("ConfigMap {}/{CONFIG_MAP}, which the chart makes: {error}", self.namespace);
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let there = call(maps.get(CONFIG_MAP)).await.map_err(failed)?;
        if there.data.and_then(|data| data.get(CERTIFICATE).cloned()).as_deref() == Some(certificate) {
            return Ok(());
        }
        let patch = Patch::Merge(json!({"data": {CERTIFICATE: certificate}}));
        call(maps.patch(CONFIG_MAP, &PatchParams::default(), &patch)).await.map(|_| ()).map_err(failed)
    }
}
