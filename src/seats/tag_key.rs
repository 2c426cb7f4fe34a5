//! The key with which the ids of seats are made. It outlives every owner, and neither tenants nor the role `view` can read
//! it: it is in a Secret of the operator's own namespace.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::ledger::{Ledger, LedgerError};
use crate::api::secret_type::SEAT_IDS;
use crate::cluster::client::call;
use crate::cluster::secrets::{KeepError, OwnSecret};
use crate::domain::Instant;
use crate::domain::seats::tag::{KEY_BYTES, Tagger};
use crate::machine::random_bytes;

const NAME: &str = "seatkeeper-seat-ids";
/// The entries: the key, and since when it is used, in seconds since 1970.
const KEY: &str = "key";
const SINCE: &str = "since";

/// The key, made now if there is none. Only the owner of the ledger calls this, before it grants anything.
pub(super) async fn read_or_make(ledger: &Ledger, now: Instant) -> Result<Tagger, LedgerError> {
    let own = OwnSecret {
        namespace: &ledger.namespace,
        name: NAME,
        type_: SEAT_IDS,
        owner: &format!("Lease {}/seatkeeper", ledger.namespace),
        label: None,
    };
    let api: Api<Secret> = Api::namespaced(ledger.client.clone(), own.namespace);
    // By type, so that no other Secret is ever read, and not from a cache, which may lack one that was just made.
    let params = ListParams::default().fields(&format!("type={SEAT_IDS}"));
    let found = call(api.list(&params)).await?.items.into_iter().find(|secret| secret.name_any() == NAME);
    if let Some(secret) = found.as_ref().filter(|secret| own.is_ours(secret)) {
        return read(secret).ok_or_else(|| {
            LedgerError::Key(format!("Secret {}/{NAME} cannot be read; delete it, and another is made", own.namespace))
        });
    }
    let (key, since) = (random_bytes::<KEY_BYTES>()?, now.timestamp());
    let entries = [(KEY, key.to_vec()), (SINCE, since.to_string().into_bytes())];
    let entries = entries.map(|(name, bytes)| (name.to_owned(), ByteString(bytes))).into();
    // If somebody else has just made one, this fails, and the ledger is taken over again with that one. One that was found
    // and is not ours is left unchanged, and the error says what to do.
    own.write(&ledger.client, found.as_ref(), entries).await.map_err(|error| match error {
        KeepError::Stopped(fault) => LedgerError::Key(fault.to_string()),
        KeepError::Call(error) => error.into(),
    })?;
    Ok(Tagger::new(&key, since))
}

fn read(secret: &Secret) -> Option<Tagger> {
    let data = secret.data.as_ref()?;
    let key: &[u8; KEY_BYTES] = data.get(KEY)?.0.as_slice().try_into().ok()?;
    Some(Tagger::new(key, std::str::from_utf8(&data.get(SINCE)?.0).ok()?.parse().ok()?))
}
