//! The ledger in the API server: `SeatLedger` objects in the operator's own namespace, written only by
//! compare-and-swap.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{DeleteParams, ListParams, PostParams, Request};
use kube::core::request::Error as InvalidRequest;
use kube::{Api, Client, ResourceExt};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::api::seat_ledger::{Base as BasePlace, Journal as JournalPlace, OfLicense, SeatLedgerSpec};
use crate::api::{License, SeatLedger};
use crate::cluster::client::{self, CallError, call};
use crate::domain::license::name::LicenseName;
use crate::domain::seats::journal::{Base, BaseName, Entry, Found, Incomplete, place, read};
use crate::machine::{jittered, random_bytes};

/// The most objects listed in one request.
const PAGE: u32 = 500;
/// The first and the longest wait after a write whose outcome is unknown.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Another owner has taken over, or the ledger was deleted or set back. An owner that continues must take over again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger is not as this owner left it: {0}")]
pub struct Fenced(String);

/// Why a ledger could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("{0}")]
    Call(#[from] CallError),
    #[error("{0}")]
    Fenced(#[from] Fenced),
    #[error("the system provides no random bytes: {0}")]
    Randomness(#[from] std::io::Error),
}

/// The objects of the ledger, and the versions at which they were last seen.
pub struct Ledger {
    client: Client,
    api: Api<SeatLedger>,
    namespace: String,
    identity: String,
    runtime: Handle,
    known: Mutex<Known>,
}

/// The ledger as it was last seen.
#[derive(Default)]
struct Known {
    /// The version of each object, and the entry up to which it was written.
    objects: HashMap<String, (String, i64)>,
    /// The last entry known to be durable.
    last: u64,
}

impl Ledger {
    /// `namespace` is the operator's own; `identity` distinguishes replicas. Writes are sent from the runtime that this
    /// function is called in, whichever thread asks for them.
    pub fn new(client: Client, namespace: &str, identity: &str) -> Self {
        Ledger {
            api: Api::namespaced(client.clone(), namespace),
            client,
            namespace: namespace.to_owned(),
            identity: identity.to_owned(),
            runtime: Handle::current(),
            known: Mutex::default(),
        }
    }

    /// Makes this owner, which grants seats for `ttl`, the only one that can write, and returns the contents of the
    /// ledger.
    pub async fn seal(&self, ttl: Duration) -> Result<Found, LedgerError> {
        let salt = random_bytes::<8>()?.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let who = format!("{}-{salt}", self.identity);
        loop {
            let (entries, bases) = self.list().await?;
            let mut found = read(&entries, &bases);
            // The seal overwrites an entry that the previous owner may not have folded into its bases.
            if let Err(fenced) = self.fold(&mut found).await {
                tracing::info!(%fenced, "the previous owner is still writing to the ledger");
                continue;
            }
            let last = self.known().last;
            found.journal.grant_for(ttl.as_secs());
            let seal = found.journal.seal(&who);
            match self.write_entry(&seal).await {
                Ok(_) => {
                    if last > found.journal.sequence() {
                        let here = found.journal.sequence();
                        found.incomplete.get_or_insert(Incomplete::SetBack { found: here, written: last });
                    }
                    found.journal.wrote(&seal, &Vec::new());
                    return Ok(found);
                }
                // The previous owner has written meanwhile, or another replica is taking over: read the ledger again.
                Err(fenced) => tracing::info!(%fenced, "sealing the ledger again"),
            }
        }
    }

    async fn fold(&self, found: &mut Found) -> Result<(), Fenced> {
        for base in found.fold() {
            self.write_base(&base, found.journal.epoch()).await?;
            found.journal.wrote_base(&base.name, base.sequence);
        }
        Ok(())
    }

    /// The UIDs of all Licenses that exist now.
    pub async fn licenses(&self) -> Result<HashSet<String>, CallError> {
        let api: Api<License> = Api::all(self.client.clone());
        let mut uids = HashSet::new();
        let mut token = None;
        loop {
            let params = ListParams { limit: Some(PAGE), continue_token: token, ..ListParams::default() };
            let page = call(api.list_metadata(&params)).await?;
            token = page.metadata.continue_.filter(|token| !token.is_empty());
            uids.extend(page.items.into_iter().filter_map(|license| license.metadata.uid));
            if token.is_none() {
                return Ok(uids);
            }
        }
    }

    async fn list(&self) -> Result<(Vec<Entry>, Vec<Base>), LedgerError> {
        let mut objects = Vec::new();
        let mut token = None;
        loop {
            let params = ListParams { limit: Some(PAGE), continue_token: token, ..ListParams::default() };
            let page = call(self.api.list(&params)).await?;
            token = page.metadata.continue_.filter(|token| !token.is_empty());
            objects.extend(page.items);
            if token.is_none() {
                break;
            }
        }
        let mut known = self.known();
        known.objects.clear();
        let (mut entries, mut bases) = (Vec::new(), Vec::new());
        for object in objects {
            if let Some(version) = object.resource_version() {
                known.objects.insert(object.name_any(), (version, object.spec.sequence));
            }
            match object.spec.base.clone() {
                Some(base) => bases.push(read_base(base, object.spec)),
                None => entries.push(read_entry(object.spec)),
            }
        }
        Ok((entries, bases))
    }

    /// Overwrites the entry in its place of the ring. Returns the size of the write in bytes once it is durable; if the
    /// outcome of a write is unknown, the outcome is found out, however long that takes. Nothing else may be written
    /// meanwhile.
    pub async fn write_entry(&self, entry: &Entry) -> Result<usize, Fenced> {
        let name = format!("journal-{:02}", place(entry.sequence));
        let spec = SeatLedgerSpec {
            journal: Some(JournalPlace { number: u32::try_from(place(entry.sequence)).unwrap_or(u32::MAX) }),
            base: None,
            epoch: i64::try_from(entry.epoch).unwrap_or(i64::MAX),
            sequence: i64::try_from(entry.sequence).unwrap_or(i64::MAX),
            bases: Some(i64::try_from(entry.bases).unwrap_or(i64::MAX)),
            lines: entry.lines.clone(),
        };
        let is_ours = |found: &SeatLedgerSpec| read_entry(found.clone()) == *entry;
        let is_older = |found: &SeatLedgerSpec| found.epoch <= spec.epoch && found.sequence < spec.sequence;
        let size = self.write(&name, &spec, is_ours, is_older).await?;
        self.known().last = entry.sequence;
        Ok(size)
    }

    /// Overwrites a base. Returns the size of the write in bytes once it is durable.
    pub async fn write_base(&self, base: &Base, epoch: u64) -> Result<usize, Fenced> {
        let BaseName { license, pool, number } = &base.name;
        let spec = SeatLedgerSpec {
            journal: None,
            base: Some(BasePlace {
                license: OfLicense { namespace: license.namespace.to_string(), name: license.name.to_string() },
                pool: pool.to_string(),
                number: *number,
            }),
            epoch: i64::try_from(epoch).unwrap_or(i64::MAX),
            sequence: i64::try_from(base.sequence).unwrap_or(i64::MAX),
            bases: None,
            lines: base.lines.clone(),
        };
        let is_ours = |found: &SeatLedgerSpec| *found == spec;
        // A previous owner's write that was under way when the ledger was sealed: it holds nothing that this owner does
        // not know.
        let is_older = |found: &SeatLedgerSpec| found.epoch <= spec.epoch && found.sequence <= spec.sequence;
        self.write(&object_name(&base.name), &spec, is_ours, is_older).await
    }

    /// Deletes a base that is no longer needed. Succeeds if the base does not exist.
    pub async fn delete_base(&self, base: &BaseName) -> Result<(), CallError> {
        let name = object_name(base);
        self.known().objects.remove(&name);
        match call(self.api.delete(&name, &DeleteParams::default())).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Sends a write from the runtime that sends all other requests, so that the seat thread can answer others
    /// meanwhile. Dropping the future cancels the write.
    async fn send(&self, request: Result<http::Request<Vec<u8>>, InvalidRequest>) -> Result<Option<String>, CallError> {
        let (client, mut sending) = (self.client.clone(), JoinSet::new());
        sending.spawn_on(async move { call(client::write(&client, request)).await }, &self.runtime);
        match sending.join_next().await {
            Some(Ok(sent)) => sent,
            _ => Err(CallError::TimedOut),
        }
    }

    async fn write(
        &self,
        name: &str,
        spec: &SeatLedgerSpec,
        is_ours: impl Fn(&SeatLedgerSpec) -> bool,
        is_older: impl Fn(&SeatLedgerSpec) -> bool,
    ) -> Result<usize, Fenced> {
        let mut wait = FIRST_WAIT;
        loop {
            let (version, last) = self.known().objects.get(name).cloned().unzip();
            let mut object = SeatLedger::new(name, spec.clone());
            object.metadata.namespace = Some(self.namespace.clone());
            // No other client writes fields of a ledger, and tracking their managers costs the API server a quarter of
            // a write.
            object.metadata.managed_fields = version.is_some().then(|| vec![ManagedFieldsEntry::default()]);
            object.metadata.resource_version = version;
            let bytes = serde_json::to_vec(&object).unwrap_or_default();
            let size = bytes.len();
            let (request, params) = (Request::new(self.api.resource_url()), PostParams::default());
            let request = match object.metadata.resource_version {
                Some(_) => request.replace(name, &params, bytes),
                None => request.create(&params, bytes),
            };
            match self.send(request).await {
                Ok(version) => {
                    if let Some(version) = version {
                        self.known().objects.insert(name.to_owned(), (version, spec.sequence));
                    }
                    return Ok(size);
                }
                Err(error) => {
                    tracing::debug!(%error, name, "the outcome of a write to the ledger is unknown; reading it back");
                }
            }
            // Read the object on a conflict too: it may be our own write, whose reply was lost and that the client sent
            // again.
            match call(self.api.get_opt(name)).await {
                Ok(None) if last.is_some() => return Err(Fenced(format!("{name} was deleted"))),
                Ok(None) => {}
                Ok(Some(found)) => {
                    if last.is_some_and(|last| found.spec.sequence < last) {
                        return Err(Fenced(format!("{name} was set back to entry {}", found.spec.sequence)));
                    }
                    if let Some(version) = found.resource_version() {
                        self.known().objects.insert(name.to_owned(), (version, found.spec.sequence));
                    }
                    if is_ours(&found.spec) {
                        return Ok(size);
                    }
                    if !is_older(&found.spec) {
                        let SeatLedgerSpec { epoch, sequence, .. } = found.spec;
                        return Err(Fenced(format!("{name} has epoch {epoch}, entry {sequence}")));
                    }
                }
                Err(error) => tracing::warn!(%error, name, "the ledger cannot be read or written; trying again"),
            }
            tokio::time::sleep(jittered(wait)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_entry(spec: SeatLedgerSpec) -> Entry {
    let number = |number: i64| u64::try_from(number).unwrap_or(0);
    Entry {
        epoch: number(spec.epoch),
        sequence: number(spec.sequence),
        bases: number(spec.bases.unwrap_or(0)),
        lines: spec.lines,
    }
}

fn read_base(place: BasePlace, spec: SeatLedgerSpec) -> Base {
    let license = LicenseName::new(&place.license.namespace, &place.license.name);
    let name = BaseName { license, pool: place.pool.as_str().into(), number: place.number };
    Base { name, sequence: u64::try_from(spec.sequence).unwrap_or(0), lines: spec.lines }
}

/// `base-NAMESPACE-LICENSE-POOL-NUMBER-HASH`, cut to the length of a name. The hash distinguishes bases whose readable
/// parts are the same.
fn object_name(base: &BaseName) -> String {
    let full = format!("{}/{}/{}", base.license, base.pool, base.number);
    let hash: String = Sha256::digest(&full).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let readable: String = full.chars().map(plain).take(200).collect();
    format!("base-{}-{hash}", readable.trim_matches('-'))
}
