//! `SeatLedger`: who holds which numbered seat, durably (`design.md` §5). Each one is a base of a pool, or an object of the
//! journal in front of all bases.
//!
//! Every seat that is taken or freed is a write of one of these: the object is small, and has no status and no default.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who holds which numbered seat. Written by the operator, in its own namespace, and by nobody else.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "seatkeeper.dev",
    version = "v1alpha1",
    kind = "SeatLedger",
    namespaced,
    shortname = "lledger",
    category = "licensing",
    printcolumn = r#"{"name":"License","type":"string","jsonPath":".spec.base.license.name"}"#,
    printcolumn = r#"{"name":"Pool","type":"string","jsonPath":".spec.base.pool"}"#,
    printcolumn = r#"{"name":"Epoch","type":"integer","jsonPath":".spec.epoch"}"#,
    printcolumn = r#"{"name":"Sequence","type":"integer","jsonPath":".spec.sequence"}"#,
    printcolumn = r#"{"name":"License namespace","type":"string","priority":1,"jsonPath":".spec.base.license.namespace"}"#,
    printcolumn = r#"{"name":"Base","type":"integer","priority":1,"jsonPath":".spec.base.number"}"#,
    printcolumn = r#"{"name":"Journal","type":"integer","priority":1,"jsonPath":".spec.journal.number"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.journal) != has(self.base)", "message": "a ledger is either a journal or a base: give exactly one of them"},
    {"rule": "self.epoch >= oldSelf.epoch", "message": "a ledger's epoch never falls: another owner has sealed it since; read it again, or stop", "fieldPath": ".epoch"},
    {"rule": "self.epoch != oldSelf.epoch || self.sequence >= oldSelf.sequence", "message": "a ledger's sequence never falls within an epoch: this write is older than what is there", "fieldPath": ".sequence"},
    {"rule": "has(self.base) == has(oldSelf.base) && (!has(self.base) || self.base == oldSelf.base)", "message": "a ledger stays that of its License, pool and number: make another object"}
]))]
pub struct SeatLedgerSpec {
    /// An object of the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<Journal>,
    /// The seats of a range of slots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// Rises with every owner.
    #[schemars(range(min = 0))]
    pub epoch: i64,
    /// Rises with every write of an owner.
    #[schemars(range(min = 0))]
    pub sequence: i64,
    /// Up to which sequence the bases held every entry of the journal when this was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub bases: Option<i64>,
    /// A line for each seat (`slot user session since`), or for each change of one.
    #[schemars(length(max = 262144))]
    pub lines: String,
}

/// Its place in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Journal {
    #[schemars(range(min = 0, max = 65535))]
    pub number: u32,
}

/// Which slots of which pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Base {
    pub license: OfLicense,
    #[schemars(length(min = 1, max = 1000))]
    pub pool: String,
    /// Counted from 0; each base has the same number of slots.
    #[schemars(range(min = 0, max = 1000000))]
    pub number: u32,
}

/// A License by name, wherever it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct OfLicense {
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
