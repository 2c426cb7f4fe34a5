//! `SeatLedger`: the durable record of who holds which numbered seat (docs/design/seats.md). Each object is either a
//! base of a pool or a part of the journal that precedes all bases.
//!
//! Every seat that is taken or freed costs a write of such an object, so the object is small and has no status and no
//! default.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who holds which numbered seat. Written only by the operator, in its own namespace.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "seatkeeper.dev",
    version = "v1alpha1",
    kind = "SeatLedger",
    namespaced,
    shortname = "lledger",
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
    {"rule": "self.epoch >= oldSelf.epoch", "message": "a ledger's epoch must not decrease: another owner has sealed this ledger since; read it again, or stop", "fieldPath": ".epoch"},
    {"rule": "self.epoch != oldSelf.epoch || self.sequence >= oldSelf.sequence", "message": "a ledger's sequence must not decrease within an epoch: this write is older than the stored ledger", "fieldPath": ".sequence"},
    {"rule": "has(self.base) == has(oldSelf.base) && (!has(self.base) || self.base == oldSelf.base)", "message": "a ledger's License, pool and number cannot be changed: create another object"}
]))]
pub struct SeatLedgerSpec {
    /// Set if this object is a part of the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<Journal>,
    /// Set if this object is a base: the seats of a range of slots of one pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// The owner that wrote this object: rises each time a replica takes the ledger over.
    #[schemars(range(min = 0))]
    pub epoch: i64,
    /// Rises with every write of the same owner.
    #[schemars(range(min = 0))]
    pub sequence: i64,
    /// In the journal: the number of bases when the entry was written. If fewer are found later, bases were lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub bases: Option<i64>,
    /// In a base: the grants on which the seats of the License draw, each as a hash of its name and the thumbprint of
    /// its signer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512), inner(length(max = 100)))]
    pub grants: Vec<String>,
    /// In a base: who took the seats of `lines`, in their order: a hash of the UIDs of the ServiceAccount and its pod, or
    /// `-` if that is unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 131072))]
    pub takers: String,
    /// In a base one line for each seat (`slot user session since`). In the journal one line for each change of a seat,
    /// after a line with the License (`@namespace/name`). There, `!by` names who took the seats of the lines after it;
    /// other lines that begin with `!` are not about seats.
    #[schemars(length(max = 1048576))]
    pub lines: String,
}

/// The place of this object in the ring of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Journal {
    /// The number of this object in the ring, counted from 0.
    #[schemars(range(min = 0, max = 65535))]
    pub number: u32,
}

/// The slots that a base covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Base {
    pub license: OfLicense,
    /// The pool of the License.
    #[schemars(length(min = 1, max = 1000))]
    pub pool: String,
    /// The number of the base in its pool, counted from 0; every base covers the same number of slots.
    #[schemars(range(min = 0, max = 1000000))]
    pub number: u32,
}

/// A License in any namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct OfLicense {
    /// The namespace of the License.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// The name of the License.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
