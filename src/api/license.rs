//! `License`: the customer's side: which keys to read, whose signatures to trust, and what the keys grant now.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{LocalDay, SecretRef, SecretSource, Timestamp, is_address, is_name, items_are_names};
use super::conditions::Condition;
use crate::domain::license::mode::Mode;
use crate::domain::license::pool::PoolModel;

/// Points at licence keys and shows what they grant now. Written by the customer.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "seatkeeper.dev",
    version = "v1alpha1",
    kind = "License",
    namespaced,
    status = "LicenseStatus",
    shortname = "lic",
    category = "licensing",
    selectable = ".spec.product",
    selectable = ".status.mode",
    printcolumn = r#"{"name":"Product","type":"string","jsonPath":".spec.product"}"#,
    printcolumn = r#"{"name":"Licensed","type":"string","jsonPath":".status.conditions[?(@.type=='Licensed')].status"}"#,
    printcolumn = r#"{"name":"Mode","type":"string","jsonPath":".status.mode"}"#,
    printcolumn = r#"{"name":"Seats","type":"string","jsonPath":".status.seats"}"#,
    printcolumn = r#"{"name":"Last day","type":"string","jsonPath":".status.lastDay","description":"The last day that the licence covers, in status.timeZone"}"#,
    printcolumn = r#"{"name":"Cancel by","type":"string","priority":1,"jsonPath":".status.cancelBy","description":"The last day on which the contract can be cancelled for that end"}"#,
    printcolumn = r#"{"name":"Grace to","type":"string","priority":1,"jsonPath":".status.graceLastDay","description":"The last day of the grace after that end"}"#,
    printcolumn = r#"{"name":"Organisation","type":"string","priority":1,"jsonPath":".status.organisation"}"#,
    printcolumn = r#"{"name":"Plan","type":"string","priority":1,"jsonPath":".status.plan"}"#,
    printcolumn = r#"{"name":"Expires","type":"string","priority":1,"jsonPath":".status.expiresAt","description":"The first instant that the licence does not cover"}"#,
    printcolumn = r#"{"name":"Status","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type=='Licensed')].message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct LicenseSpec {
    /// The licensed product; keys for another product are refused.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub product: String,
    /// Allows this Subscription to deliver its keys here. Not needed for keys that come as files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_ref: Option<SubscriptionRef>,
    /// The Secrets with licence keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub keys: Vec<KeySource>,
    /// The vendor's public keys, in a Secret of type seatkeeper.dev/trust. Used only where the installation lets
    /// Licenses say whom to trust and does not pin the trust of this product. Not needed for keys that a Subscription in
    /// this cluster delivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<SecretSource>,
    /// A root licence server to fetch keys from. Stored and shown; this version does not act on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<RootServer>,
    /// The other namespaces that may use the seats. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
    /// The people who administer this License. Stored and shown; this version does not act on them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub administrators: Vec<Administrator>,
    /// The users that the seats of Fixed and Named pools belong to, for pools whose key names no users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["pool"]))]
    pub assignments: Vec<Assignment>,
    /// Seats of a pool that are kept for the members of a team.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["pool", "team"]))]
    pub reservations: Vec<Reservation>,
    /// How the people who hold seats are shown to those who may list them. Unless Named, the ledger does not keep the names
    /// of users and their machines either.
    #[serde(default, skip_serializing_if = "HoldersShown::is_default")]
    pub holders: HoldersShown,
}

/// How the people who hold seats are shown to those who may list them. Named: by name. Pseudonymous: each by a name such
/// as `agent-7f3a`, which is another one every day (UTC). Hidden: not at all; only how many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HoldersShown {
    #[default]
    Named,
    Pseudonymous,
    Hidden,
}

impl HoldersShown {
    fn is_default(&self) -> bool {
        *self == HoldersShown::default()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SubscriptionRef {
    /// The name of the Subscription.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The namespace of the Subscription. Default: the namespace of the License.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// A Secret of type seatkeeper.dev/license. Every entry is a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeySource {
    /// The name of this entry in the list.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The Secret, in the namespace of the License.
    pub secret_ref: SecretRef,
    /// The only entry to read. Default: every entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RootServer {
    /// A Secret of type seatkeeper.dev/root-server with the URL and the credentials.
    pub secret_ref: SecretRef,
    /// The name of the profile at the root server.
    #[schemars(length(min = 1, max = 253))]
    pub profile: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "(self.?from.orValue('Same') == 'Selector') == has(self.selector)", "message": "from: Selector needs a selector; with Same or All, leave selector out"}
]))]
pub struct AllowedNamespaces {
    /// Which namespaces are admitted: Same, All, or those that the selector selects.
    #[serde(default)]
    pub from: AllowedFrom,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Which rank people have who are on the Rosters of these namespaces. After: they come after all people on the Rosters of
    /// the License's own namespace, whatever their dates, and no seats are reserved for their teams. Equal: they count like
    /// these.
    #[serde(default, skip_serializing_if = "RosterRank::is_default")]
    pub rosters: RosterRank,
}

/// The rank of people on Rosters of other namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RosterRank {
    #[default]
    After,
    Equal,
}

impl RosterRank {
    fn is_default(&self) -> bool {
        *self == RosterRank::default()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AllowedFrom {
    #[default]
    Same,
    All,
    Selector,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Administrator {
    /// The name under which the administrator is known.
    #[schemars(length(min = 1, max = 253), extend("x-kubernetes-validations" = is_name()))]
    pub user: String,
    /// The address for notices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 254), extend("x-kubernetes-validations" = is_address()))]
    pub email: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Assignment {
    /// The name of the pool.
    #[schemars(length(min = 1, max = 63))]
    pub pool: String,
    /// The users who have its seats, in this order, up to the limit. Not used if the keys name the users, or if the pool is
    /// neither Fixed nor Named; the condition PartRefused says so.
    #[schemars(length(max = 1000), inner(length(min = 1, max = 253)), transform = items_are_names)]
    pub users: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reservation {
    /// The name of the pool.
    #[schemars(length(min = 1, max = 63))]
    pub pool: String,
    /// The team, as the Rosters name it.
    #[schemars(length(min = 1, max = 63), extend("x-kubernetes-validations" = is_name()))]
    pub team: String,
    /// How many seats are kept free.
    #[schemars(range(min = 1, max = 1000000))]
    pub seats: u32,
}

/// What the keys grant now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LicenseStatus {
    /// The generation of the License that this status was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// How holders are shown. Absent if by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holders: Option<HoldersShown>,
    /// The customer, as the keys name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub organisation: Option<String>,
    /// The product that the keys have to be for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub product: Option<String>,
    /// The Plan of the key that counts, or counted last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub plan: Option<String>,
    /// The instant from which the key that counts is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// When the licence ends, including keys that continue it. Absent if it never ends, or was never valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When the grace after that end is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ends_at: Option<Timestamp>,
    /// The time zone of the days below, as the contract has it; UTC if its keys do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub time_zone: Option<String>,
    /// The last day that the licence covers, including keys that continue it. Absent if it never ends, or was never valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_day: Option<LocalDay>,
    /// The last day of the grace after that. Absent if there is no grace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_last_day: Option<LocalDay>,
    /// The last day on which the contract can be cancelled for that end. Absent once it is over, and if the keys do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_by: Option<LocalDay>,
    /// The next change of mode, grace or a limit that happens by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_transition: Option<NextMode>,
    /// The seats that demo mode grants, over all pools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4294967295u32))]
    pub demo_seats: Option<u32>,
    /// A summary of the pools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4000))]
    pub seats: Option<String>,
    /// The pools, with their limits and their use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub pools: Vec<PoolStatus>,
    /// The Licenses, as namespace/name, that had the same keys before and under which seats are still held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 1000)))]
    pub held_under: Vec<String>,
    /// The features that are granted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1000)))]
    pub features: Vec<String>,
    /// Other Licenses, as namespace/name, that present a key of the same grants. They are refused these keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 1000)))]
    pub contested_by: Vec<String>,
    /// The licence grants that the keys belong to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub grants: Vec<GrantStatus>,
    /// How many entries were read as keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4294967295u32))]
    pub keys_read: Option<u32>,
    /// The keys that were read, usable or not, the most important first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub keys: Vec<KeyStatus>,
    /// The issuers of the Subscriptions that deliver to this License, or did. They are trusted if nobody else says whom to
    /// trust.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub issuers: Vec<IssuerStatus>,
    /// What holds and what does not, each with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NextMode {
    /// When it changes.
    pub at: Timestamp,
    /// The day on which it changes, in the time zone of the contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<LocalDay>,
    pub to: Mode,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolStatus {
    /// The name of the pool.
    #[schemars(length(max = 1000))]
    pub name: String,
    pub model: PoolModel,
    /// The most seats that may be held at once. Absent if unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub limit: Option<u64>,
    /// The seats held now. Absent if they are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub in_use: Option<u64>,
    /// The most seats that were ever held at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub peak: Option<u64>,
    /// Seats of this pool that are still held under other Licenses, which had the same keys before. They count against
    /// the limit until they end, and are not in `inUse`. Absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub held_elsewhere: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuerStatus {
    /// The namespace/name of the Secret with the signing key.
    #[schemars(length(max = 1000))]
    pub issuer: String,
    /// The UID of the Secret that publishes its keys. Another Secret of that name does not count.
    #[schemars(length(max = 128))]
    pub published_in: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantStatus {
    /// The name of the grant.
    #[schemars(length(max = 1000))]
    pub grant: String,
    pub mode: Mode,
    /// When the grant ends, or ended. Absent if it does not end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When the grace period after that ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ends_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeyStatus {
    /// The Secret that holds the key.
    #[schemars(length(max = 253))]
    pub secret: String,
    /// The entry of the Secret.
    #[schemars(length(max = 253))]
    pub key: String,
    /// The serial of the key. Absent if the entry is no genuine key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub serial: Option<String>,
    /// The grant that the key belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub grant: Option<String>,
    /// The thumbprint (RFC 7638) of the public key with which the key was verified. Absent if it is not genuine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub signer: Option<String>,
    /// Whether the key counts now.
    pub state: KeyStateName,
    /// Why the key was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub reason: Option<String>,
    /// Why the key is refused, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub message: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum KeyStateName {
    InForce,
    Future,
    Refused,
    Superseded,
    Expired,
}
