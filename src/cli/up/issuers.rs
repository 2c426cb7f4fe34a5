//! Signing keys for contracts that name a missing Secret: on one machine there may be no vendor who brings one.

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;

use super::screen::Screen;
use crate::api::secret_type;
use crate::cli::yaml::Document;
use crate::domain::license::jwk::signing_key_pem;
use crate::machine::random_bytes;

/// Makes the issuer's Secret of a Subscription if it is missing, and says so. An existing Secret is never touched.
pub async fn make_missing(client: &Client, subscription: &Document, namespace: &str, screen: &Screen) {
    let Some(name) = subscription.text("/spec/issuer/secretRef/name") else { return };
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    if !matches!(secrets.get_metadata_opt(name).await, Ok(None)) {
        return;
    }
    let Ok(bytes) = random_bytes::<32>() else { return };
    let Ok((_, pem)) = signing_key_pem(&bytes) else { return };
    let secret = json!({
        "metadata": {"name": name},
        "type": secret_type::ISSUER,
        "stringData": {"signing-key.pem": pem},
    });
    let Ok(secret) = serde_json::from_value(secret) else { return };
    match secrets.create(&PostParams::default(), &secret).await {
        Ok(_) => screen.tell(&format!("made a signing key: Secret {namespace}/{name} was missing")),
        Err(error) => screen.warn(&format!("Secret {namespace}/{name}: {error}")),
    }
}
