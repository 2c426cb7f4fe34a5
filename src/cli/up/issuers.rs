//! Signing keys for contracts that name a missing Secret: on one machine there may be no vendor who brings one.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DynamicObject, ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use std::collections::BTreeSet;
use zeroize::{Zeroize, Zeroizing};

use super::screen::Screen;
use crate::api::{Subscription, mark, secret_type};
use crate::cli::yaml::{DEFAULT_NAMESPACE, Document};
use crate::cluster::client::CallError;
use crate::domain::license::jwk::signing_key_pem;
use crate::machine::fill_with_random;
use crate::observed::issuers::{owner, trust_secret_name};

/// The issuer that a Subscription names, as `namespace/name`; `None` if it names none, or is none.
pub fn named_by(document: &Document) -> Option<String> {
    let name = document.text("/spec/issuer/secretRef/name").filter(|_| document.kind() == "Subscription")?;
    Some(format!("{}/{name}", document.namespace().unwrap_or(DEFAULT_NAMESPACE)))
}

/// Makes the Secret of an issuer, named `namespace/name`, if it is missing, and says so. An existing Secret is never touched,
/// and one with which keys were issued is replaced only if `new_keys` names it.
pub async fn make_missing(client: &Client, full_name: &str, new_keys: &mut BTreeSet<String>, screen: &Screen) {
    let Some((namespace, name)) = full_name.split_once('/') else { return };
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    match secrets.get_metadata_opt(name).await {
        Ok(None) => {}
        Ok(Some(_)) if new_keys.remove(full_name) => {
            screen.warn(&format!("--new-signing-key {full_name}: this Secret exists, so no new key is made"));
            return;
        }
        _ => return,
    }
    if !new_keys.contains(full_name) {
        match issued_before(client, namespace, name).await {
            Ok(None) => {}
            Ok(Some(shown)) => {
                screen.warn(&format!(
                    "Secret {full_name} with the signing key is gone, and keys were issued with it ({shown}): restore it from a \
                     backup, with the same signing-key.pem and of type {}. If it is lost for good, start with \
                     --new-signing-key {full_name}",
                    secret_type::ISSUER
                ));
                return;
            }
            Err(error) => {
                let error = CallError::from(error);
                screen.warn(&format!("Secret {full_name} is missing, and no signing key is made: {error}"));
                return;
            }
        }
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
        Ok(_) => {
            new_keys.remove(full_name);
            screen.tell(&format!("made a signing key: Secret {full_name} was missing"));
        }
        Err(error) => screen.warn(&format!("Secret {full_name}: {}", CallError::from(error))),
    }
}

/// What shows that keys were issued with the signing key of an issuer.
async fn issued_before(client: &Client, namespace: &str, issuer: &str) -> kube::Result<Option<String>> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let published = secrets.get_metadata_opt(&trust_secret_name(issuer)).await?;
    if published.is_some_and(|secret| secret.annotations().get(mark::OWNER) == Some(&owner(namespace, issuer))) {
        return Ok(Some(format!("Secret {namespace}/{} publishes the public key", trust_secret_name(issuer))));
    }
    let kind = ApiResource::erase::<Subscription>(&());
    let subscriptions: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
    let has_keys = |subscription: &DynamicObject| {
        let named = subscription.data.pointer("/spec/issuer/secretRef/name").and_then(Value::as_str);
        let keys = subscription.data.pointer("/status/keys").and_then(Value::as_array);
        named == Some(issuer) && keys.is_some_and(|keys| !keys.is_empty())
    };
    let issued = subscriptions.list(&ListParams::default()).await?.items.into_iter().find(has_keys);
    Ok(issued.map(|subscription| format!("Subscription {namespace}/{} names them", subscription.name_any())))
}
