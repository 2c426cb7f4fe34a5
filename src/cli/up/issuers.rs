//! Signing keys for contracts that name a missing Secret: on one machine there may be no vendor who brings one.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};
use zeroize::{Zeroize, Zeroizing};

use super::screen::Screen;
use crate::api::secret_type;
use crate::cli::yaml::Document;
use crate::domain::license::jwk::signing_key_pem;
use crate::machine::fill_with_random;

/// Makes the issuer's Secret of a Subscription if it is missing, and says so. An existing Secret is never touched.
pub async fn make_missing(client: &Client, subscription: &Document, namespace: &str, screen: &Screen) {
    let Some(name) = subscription.text("/spec/issuer/secretRef/name") else { return };
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    if !matches!(secrets.get_metadata_opt(name).await, Ok(None)) {
        return;
    }
    let mut bytes = Zeroizing::new([0; 32]);
    let Ok(()) = fill_with_random(&mut *bytes) else { return };
    let Ok((_, pem)) = signing_key_pem(&bytes) else { return };
    let mut secret = Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        type_: Some(secret_type::ISSUER.to_owned()),
        string_data: Some([("signing-key.pem".to_owned(), pem.to_string())].into()),
        ..Secret::default()
    };
    let made = secrets.create(&PostParams::default(), &secret).await;
    secret.string_data.iter_mut().flat_map(|texts| texts.values_mut()).for_each(Zeroize::zeroize);
    match made {
        Ok(_) => screen.tell(&format!("made a signing key: Secret {namespace}/{name} was missing")),
        Err(error) => screen.warn(&format!("Secret {namespace}/{name}: {error}")),
    }
}
