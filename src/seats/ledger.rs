//! The ledger in the API server: `SeatLedger` objects in the operator's own namespace, written only by
//! compare-and-swap.

use kube::{Client, ResourceExt};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::api::SeatLedger;
use crate::api::seat_ledger::{Base as BasePlace, Journal as JournalPlace, OfLicense, SeatLedgerSpec};
use crate::cluster::client::CallError;
use crate::cluster::compare_and_swap::{CompareAndSwap, Comparison, Overtaken, Sequenced};
use crate::domain::license::name::LicenseName;
use crate::domain::seats::journal::{Base, BaseName, Entry, Incomplete, LedgerContents, place, read};
use crate::machine::random_bytes;
use crate::wrong::{self, Variant::*};

/// Another owner has taken over, or the ledger was deleted or set back. An owner that continues must take over again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger is not as this owner left it: {0}")]
pub struct Fenced(#[from] Overtaken);

/// Why a ledger could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("{0}")]
    Call(#[from] CallError),
    #[error("{0}")]
    Fenced(#[from] Fenced),
    #[error("the system provides no random bytes: {0}")]
    Randomness(#[from] std::io::Error),
    #[error("the key of the seats' ids: {0}")]
    Key(String),
}

/// The ledger of all seats, in the operator's own namespace.
pub struct Ledger {
    pub(super) client: Client,
    /// The operator's own.
    pub(super) namespace: String,
    objects: CompareAndSwap<SeatLedger>,
    identity: String,
    /// The last entry known to be durable.
    last: AtomicU64,
    /// Bases that earlier versions have called otherwise than `object_name` does.
    names: Mutex<HashMap<BaseName, String>>,
}

impl Sequenced for SeatLedger {
    fn sequence(&self) -> i64 {
        self.spec.sequence
    }
}

impl Ledger {
    /// `namespace` is the operator's own; `identity` distinguishes replicas. Writes are sent from the runtime that this
    /// function is called in, whichever thread asks for them.
    pub fn new(client: Client, namespace: &str, identity: &str) -> Self {
        Ledger {
            objects: CompareAndSwap::new(client.clone(), namespace),
            client,
            namespace: namespace.to_owned(),
            identity: identity.to_owned(),
            last: AtomicU64::new(0),
            names: Mutex::default(),
        }
    }

    /// Makes this owner, which grants seats for `ttl`, the only one that can write, and returns the contents of the
    /// ledger.
    pub async fn seal(&self, ttl: Duration) -> Result<LedgerContents, LedgerError> {
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
            let last = self.last.load(Ordering::Relaxed);
            found.journal.grant_for(ttl.as_secs());
            let seal = found.journal.seal(&who);
            let written = if wrong::is(NoSeal) { Ok(0) } else { self.write_entry(&seal).await };
            match written {
                Ok(_) => {
                    if last > found.journal.sequence() {
                        let here = found.journal.sequence();
                        found.incomplete.get_or_insert(Incomplete::SetBack { found: here, written: last });
                    }
                    found.journal.wrote(&seal, &[]);
                    return Ok(found);
                }
                // The previous owner has written meanwhile, or another replica is taking over: read the ledger again.
                Err(fenced) => tracing::info!(%fenced, "sealing the ledger again"),
            }
        }
    }

    async fn fold(&self, found: &mut LedgerContents) -> Result<(), Fenced> {
        for base in found.fold() {
            self.write_base(&base, found.journal.epoch()).await?;
            found.journal.wrote_base(&base.name, base.sequence);
        }
        Ok(())
    }

    async fn list(&self) -> Result<(Vec<Entry>, Vec<Base>), CallError> {
        let (mut entries, mut bases) = (Vec::new(), Vec::new());
        let mut names = HashMap::new();
        for object in self.objects.list().await? {
            let name = object.name_any();
            match object.spec.base.clone() {
                Some(base) => {
                    let base = read_base(base, object.spec);
                    if name != object_name(&base.name) {
                        names.insert(base.name.clone(), name);
                    }
                    bases.push(base);
                }
                None => entries.push(read_entry(object.spec)),
            }
        }
        *self.names() = names;
        Ok((entries, bases))
    }

    fn names(&self) -> MutexGuard<'_, HashMap<BaseName, String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name_of(&self, base: &BaseName) -> String {
        self.names().get(base).cloned().unwrap_or_else(|| object_name(base))
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
            grants: Vec::new(),
            takers: String::new(),
            lines: entry.lines.clone(),
        };
        let compare = |found: &SeatLedger, sent: &SeatLedger| {
            let (found, sent) = (&found.spec, &sent.spec);
            if read_entry(found.clone()) == *entry {
                Comparison::Written
            } else if found.epoch <= sent.epoch && found.sequence < sent.sequence {
                Comparison::Older
            } else {
                Comparison::Foreign
            }
        };
        let size = self.objects.write(SeatLedger::new(&name, spec), compare).await?;
        self.last.store(entry.sequence, Ordering::Relaxed);
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
            grants: base.grants.split(' ').filter(|grant| !grant.is_empty()).map(str::to_owned).collect(),
            takers: base.takers.clone(),
            lines: base.lines.clone(),
        };
        let compare = |found: &SeatLedger, sent: &SeatLedger| {
            let (found, sent) = (&found.spec, &sent.spec);
            if found == sent {
                Comparison::Written
            } else if found.epoch <= sent.epoch && found.sequence <= sent.sequence {
                // A previous owner's write that was under way when the ledger was sealed: it holds nothing that this
                // owner does not know.
                Comparison::Older
            } else {
                Comparison::Foreign
            }
        };
        Ok(self.objects.write(SeatLedger::new(&self.name_of(&base.name), spec), compare).await?)
    }

    /// Deletes a base that is no longer needed. Succeeds if the base does not exist.
    pub async fn delete_base(&self, base: &BaseName) -> Result<(), CallError> {
        self.objects.delete(&self.name_of(base)).await
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
    let sequence = u64::try_from(spec.sequence).unwrap_or(0);
    Base { name, sequence, grants: spec.grants.join(" "), lines: spec.lines, takers: spec.takers }
}

/// `base-NAMESPACE-LICENSE-POOL-NUMBER-HASH`, cut to the length of a name. The hash distinguishes bases whose readable
/// parts are the same. Of half its length, somebody with two Licenses could find two with the same one, and no seat of
/// anybody would be written any more.
fn object_name(base: &BaseName) -> String {
    let full = format!("{}/{}/{}", base.license, base.pool, base.number);
    let hash: String = Sha256::digest(&full).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let readable: String = full.chars().map(plain).take(200).collect();
    format!("base-{}-{hash}", readable.trim_matches('-'))
}
