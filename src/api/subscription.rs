//! `Subscription`: one customer's contract over one or more Plans. Applying it is how an order is placed (I11).

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{CivilDate, LocalDay, Money, SecretSource, Timestamp, is_address};
use super::conditions::Condition;
use crate::domain::contract::renewal::State;

/// A customer's contract. It renews itself, issues keys, and ends as its Plans say. Written by the vendor.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "seatkeeper.dev",
    version = "v1alpha1",
    kind = "Subscription",
    namespaced,
    status = "SubscriptionStatus",
    shortname = "lsub",
    category = "licensing",
    selectable = ".status.state",
    printcolumn = r#"{"name":"Organisation","type":"string","jsonPath":".spec.customer.organisation"}"#,
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"Term","type":"integer","jsonPath":".status.term.number"}"#,
    printcolumn = r#"{"name":"Last day","type":"string","jsonPath":".status.runsTo","description":"The last day of the contract where its end is certain, otherwise of the term"}"#,
    printcolumn = r#"{"name":"Cancel by","type":"string","jsonPath":".status.cancelBy","description":"The last day on which a cancellation ends the contract with this term"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name":"Ends","type":"string","priority":1,"jsonPath":".status.lastDay","description":"The last day of the contract, where its end is certain"}"#,
    printcolumn = r#"{"name":"Next","type":"string","priority":1,"jsonPath":".status.nextTransition.event"}"#,
    printcolumn = r#"{"name":"Next at","type":"string","priority":1,"jsonPath":".status.nextTransition.day"}"#,
    printcolumn = r#"{"name":"Status","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type=='Ready')].message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.startsOn == oldSelf.startsOn", "message": "startsOn of an existing contract cannot be changed: create a new Subscription", "fieldPath": ".startsOn"},
    {"rule": "(has(self.timeZone) ? self.timeZone : 'UTC') == (has(oldSelf.timeZone) ? oldSelf.timeZone : 'UTC')", "message": "timeZone of an existing contract cannot be changed: create a new Subscription"},
    {"rule": "self.plans.map(p, p.name) == oldSelf.plans.map(p, p.name)", "message": "the Plans of an existing contract cannot be changed: create a new Subscription", "fieldPath": ".plans"},
    {"rule": "!has(self.issuer) || self.issuer.secretRef.name.size() <= 247", "message": "the Secret with the public keys would be named as this one followed by -trust, in more than 253 characters: use a shorter name", "fieldPath": ".issuer"}
]))]
pub struct SubscriptionSpec {
    /// The order that the contract came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// Who has ordered.
    pub customer: Customer,
    /// The first day of the first term, in timeZone.
    pub starts_on: CivilDate,
    /// The time zone of every date of the contract, an IANA name such as Europe/Berlin. Default: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// The Plans that are ordered, all with equal terms.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub plans: Vec<OrderedPlan>,
    /// The customer's cancellation. If it is removed before it takes effect, the contract goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation: Option<Cancellation>,
    /// The Secret with the signing key. Without it no keys are issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<SecretSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver_to: Option<DeliverTo>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// The number of the order, as the customer or the vendor has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub reference: Option<String>,
    /// The day on which the order was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_on: Option<CivilDate>,
    /// The day of approval. If the Plan says orders.approval: Manual, nothing happens before this day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_on: Option<CivilDate>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Customer {
    /// The name of the organisation, which its keys state.
    #[schemars(length(min = 1, max = 200))]
    pub organisation: String,
    /// Whether it is a legal entity or a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legal_form: Option<LegalForm>,
    /// The kind of organisation, for Plans that depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub kind: Option<String>,
    /// The size of the organisation, for Plans that depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub size: Option<String>,
    /// Whom to write to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum LegalForm {
    LegalEntity,
    Person,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Contact {
    /// The name of the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub name: Option<String>,
    /// The e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 254), extend("x-kubernetes-validations" = is_address()))]
    pub email: Option<String>,
}

/// One Plan of the contract and what is ordered of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderedPlan {
    /// A Plan in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The ordered features of the Plan. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    pub features: Option<Vec<String>>,
    /// The major version that was bought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100000))]
    pub major: Option<u32>,
    /// The fixed price offered for the first year of a Plan billed by usage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_offer: Option<Money>,
    /// The seats that are ordered, by pool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pools: Vec<OrderedPool>,
    /// Upgrades that were ordered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub upgrades: Vec<Upgrade>,
    /// Extensions of the support that were ordered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub support_extensions: Vec<SupportExtension>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderedPool {
    /// The name of the pool in the Plan.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The seats at the start of the contract; later changes have dates. Leave it out for a pool of model Unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000000))]
    pub seats: Option<u32>,
    /// The users that the seats of a Fixed or Named pool belong to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), inner(length(min = 1, max = 253)))]
    pub users: Vec<String>,
    /// Later changes of the number of seats.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub changes: Vec<OrderedSeats>,
}

/// A change of the number of seats. More seats may start on any day; fewer only at the start of a term, and the change
/// must be received in time, like a cancellation.
///
/// kubectl, helm and GitOps tools read YAML 1.1, where an unquoted `on` is the boolean true, and send the field `true`.
/// Both spellings are accepted, which is why this list has no map key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.on) != has(self.__true__)", "message": "on is missing: write the first day with this number of seats, for example \"on\": \"2026-06-01\""}
]))]
pub struct OrderedSeats {
    /// The first day with this number of seats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<CivilDate>,
    /// What a YAML 1.1 reader turns an unquoted `on` into: write `on` instead.
    #[serde(rename = "true", default, skip_serializing_if = "Option::is_none")]
    pub on_unquoted: Option<CivilDate>,
    /// How many seats the pool has from then on.
    #[schemars(range(min = 0, max = 1000000))]
    pub seats: u32,
    /// The day on which the change was received. Needed for fewer seats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_on: Option<CivilDate>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Upgrade {
    /// The major version that is wanted.
    #[schemars(range(min = 0, max = 100000))]
    pub to_major: u32,
    /// The day of the order.
    pub requested_on: CivilDate,
    /// The seats that are upgraded, by pool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub pools: Vec<UpgradedPool>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UpgradedPool {
    /// The name of the pool.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// How many of its seats are upgraded.
    #[schemars(range(min = 0, max = 1000000))]
    pub seats: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SupportExtension {
    /// The day of the order.
    pub requested_on: CivilDate,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cancellation {
    /// The day on which the cancellation was received. It decides which term is the last, whenever it is entered here.
    pub received_on: CivilDate,
    /// Where the written cancellation is kept. Needed if the Plan says terms.noticeForm: Written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2000))]
    pub evidence: Option<String>,
}

/// Where the keys are delivered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeliverTo {
    /// The License that the keys are for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<DeliverToLicense>,
    /// Whom keys are sent to by e-mail. This version sends none, and says so in `FullyActedOn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<DeliverByEmail>,
    /// Keep leaves the keys in a Secret in the namespace of the Subscription, for download by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<DeliverAsFile>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.secretName) || self.name.size() <= 245", "message": "the Secret would be named as the License followed by -license, in more than 253 characters: give secretName", "fieldPath": ".name"}
]))]
pub struct DeliverToLicense {
    /// The name of the License.
    #[schemars(length(min = 1, max = 253), extend("x-kubernetes-validations" = [
        {"rule": "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')", "message": "must be a name that an object can have: lower case letters, digits, - and ., with a letter or digit at both ends"}
    ]))]
    pub name: String,
    /// The namespace of the License. Default: the namespace of the Subscription, where the License is created if it
    /// does not exist. In another namespace keys are delivered only to a License that names this Subscription in
    /// spec.subscriptionRef.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), extend("x-kubernetes-validations" = [
        {"rule": "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')", "message": "must be a name that a namespace can have: lower case letters, digits and -, with a letter or digit at both ends"}
    ]))]
    pub namespace: Option<String>,
    /// The Secret that the keys are written to. Default: the name of the License followed by -license.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), extend("x-kubernetes-validations" = [
        {"rule": "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')", "message": "must be a name that an object can have: lower case letters, digits, - and ., with a letter or digit at both ends"}
    ]))]
    pub secret_name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum DeliverByEmail {
    Contact,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum DeliverAsFile {
    Keep,
}

/// The state of the contract now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionStatus {
    /// The generation of the Subscription that this status was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The current term: the first one before the contract starts, the last one after it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<TermStatus>,
    /// The first instant at which a cancellation is too late for this term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice_deadline: Option<Timestamp>,
    /// The last day on which a cancellation ends the contract with this term. Absent once that day is over, and where the
    /// contract does not renew itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_by: Option<LocalDay>,
    /// When the contract ends. Absent while that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// The last day of the contract where its end is certain, otherwise of the term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_to: Option<LocalDay>,
    /// The last day of the contract. Absent while its end is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_day: Option<LocalDay>,
    /// The time zone of the days in this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub time_zone: Option<String>,
    /// The end of a contract that has ended for good: its grace is over, and removing the cancellation no longer
    /// revives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_as_of: Option<Timestamp>,
    /// The next event of the contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_transition: Option<NextEvent>,
    /// The newest issued keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub keys: Vec<IssuedKeyStatus>,
    /// What holds and what does not, each with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TermStatus {
    /// The number of the term, counted from 1.
    #[schemars(range(min = 1, max = 10000000))]
    pub number: u32,
    /// When the term starts.
    pub starts_at: Timestamp,
    /// When the term ends.
    pub ends_at: Timestamp,
    /// The last day of the term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_day: Option<LocalDay>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NextEvent {
    /// When it happens.
    pub at: Timestamp,
    /// The day on which it happens, in the time zone of the contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<LocalDay>,
    /// What happens.
    #[schemars(length(max = 63))]
    pub event: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuedKeyStatus {
    /// The serial of the key.
    #[schemars(length(max = 128))]
    pub serial: String,
    /// The Plan that the key is for.
    #[schemars(length(max = 253))]
    pub plan: String,
    /// The term that the key is for.
    #[schemars(range(min = 1, max = 10000000))]
    pub term: u32,
    /// When the key was issued.
    pub issued_at: Timestamp,
    /// When the key ends. Absent if it does not end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}
