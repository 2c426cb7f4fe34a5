//! `Plan`: a vendor's product contract (docs/requirements.md, P1–P8).

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::common::{CivilDate, Money};
use super::conditions::Condition;
use crate::domain::contract::term::Period;
use crate::domain::license::key::Lifetime;
use crate::domain::license::pool::{CountBy, LoginMode, PoolModel};

/// A product contract: licence model, terms, price, meters and releases. Written by the vendor.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "seatkeeper.dev",
    version = "v1alpha1",
    kind = "Plan",
    namespaced,
    status = "PlanStatus",
    shortname = "lplan",
    category = "licensing",
    selectable = ".spec.product",
    printcolumn = r#"{"name":"Product","type":"string","jsonPath":".spec.product","description":"The product that a License asks for"}"#,
    printcolumn = r#"{"name":"Title","type":"string","jsonPath":".spec.title"}"#,
    printcolumn = r#"{"name":"Lifetime","type":"string","jsonPath":".spec.license.lifetime"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name":"Folder","type":"string","priority":1,"jsonPath":".spec.folder"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.product == oldSelf.product", "message": "product cannot be changed, because contracts rely on it: create a new Plan", "fieldPath": ".product"},
    {"rule": "has(self.terms) == has(oldSelf.terms) && (!has(self.terms) || self.terms == oldSelf.terms)", "message": "terms cannot be changed, because contracts rely on them: create a new Plan"},
    {"rule": "self.license.lifetime == oldSelf.license.lifetime && self.license.?graceDays.orValue(0) == oldSelf.license.?graceDays.orValue(0) && self.license.?demoSeats.orValue(0) == oldSelf.license.?demoSeats.orValue(0)", "message": "license.lifetime, graceDays and demoSeats cannot be changed, because contracts rely on them: create a new Plan", "fieldPath": ".license"},
    {"rule": "oldSelf.license.pools.all(o, self.license.pools.exists(p, p.name == o.name && p.model == o.model && has(p.countBy) == has(o.countBy) && (!has(p.countBy) || p.countBy == o.countBy)))", "message": "a pool's name, model and countBy cannot be changed and no pool can be removed, because contracts rely on them: create a new Plan", "fieldPath": ".license.pools"},
    {"rule": "(self.license.lifetime == 'Term') == has(self.terms)", "message": "a licence with lifetime Term needs terms, for example terms: {interval: {months: 12}, notice: {months: 3}}; a Perpetual licence takes no terms"},
    {"rule": ISSUE_BEFORE_RULE, "message": "license.issueBefore must not be longer than terms.notice: the next key is issued at the notice deadline, once renewal is certain", "fieldPath": ".license.issueBefore"},
    {"rule": "!has(self.terms) || has(self.terms.notice)", "message": "terms.notice is missing: write how long before the end of a term a cancellation must be received, for example {months: 3}"}
]))]
pub struct PlanSpec {
    /// The title, for the vendor's own use.
    #[schemars(length(min = 1, max = 200))]
    pub title: String,
    /// What the Plan offers, for people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4000))]
    pub description: Option<String>,
    /// The place of this Plan in a folder structure, such as /contact-centre/standard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500), regex(pattern = r"^/"))]
    pub folder: Option<String>,
    /// Tags for reporting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)))]
    pub tags: Vec<String>,
    /// The product that a License asks for.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub product: String,
    /// The kinds of organisation that may order. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)))]
    pub eligible_kinds: Vec<String>,
    /// How orders are accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders: Option<Orders>,
    /// How long a contract runs and how it renews. Leave it out for a perpetual licence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<PlanTerms>,
    pub license: LicenseTerms,
    /// Single or Bundle. A Bundle has one number of users for all its products.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Offer>,
    /// The major versions of the product.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["major"]))]
    pub releases: Vec<Release>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrades: Option<UpgradeTerms>,
    /// The quantities that are measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub meters: Vec<Meter>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

/// What every period must satisfy.
fn not_empty() -> Value {
    json!([{
        "rule": "self.?days.orValue(0) + self.?weeks.orValue(0) + self.?months.orValue(0) + self.?years.orValue(0) > 0",
        "message": "a period needs at least one positive part of days, weeks, months, years, for example {months: 3}"
    }])
}

/// The same rule as `Period::never_longer_than`: n months have at least 30·n − 2 and at most 31·n days.
const ISSUE_BEFORE_RULE: &str = "!has(self.license.issueBefore) || !has(self.terms) || !has(self.terms.notice) || \
[self.terms.notice.?years.orValue(0) * 12 + self.terms.notice.?months.orValue(0) - self.license.issueBefore.?years.orValue(0) * 12 - self.license.issueBefore.?months.orValue(0)].all(m, \
[self.terms.notice.?weeks.orValue(0) * 7 + self.terms.notice.?days.orValue(0) - self.license.issueBefore.?weeks.orValue(0) * 7 - self.license.issueBefore.?days.orValue(0)].all(d, \
m == 0 ? d >= 0 : m > 0 ? d + 30 * m - 2 >= 0 : d + 31 * m >= 0))";

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Orders {
    /// Automatic accepts every order; Manual waits for order.approvedOn of the Subscription.
    #[serde(default)]
    pub approval: Approval,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Approval {
    #[default]
    Automatic,
    Manual,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum Offer {
    Single,
    Bundle,
}

/// How long a contract runs and how it renews.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanTerms {
    /// The length of every term: the first one, and each one by which the contract renews.
    #[schemars(extend("x-kubernetes-validations" = not_empty()))]
    pub interval: Period,
    /// How long before the end of a term a cancellation must be received.
    #[schemars(extend("x-kubernetes-validations" = not_empty()))]
    pub notice: Period,
    #[serde(default)]
    pub notice_form: NoticeForm,
    /// How often the customer is billed. Default: the interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = not_empty()))]
    pub billing_period: Option<Period>,
    /// The length of a fixed contract, which then ends by itself. Absent: the contract renews until it is cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = not_empty()))]
    pub length: Option<Period>,
}

/// How a cancellation must be given. Written needs evidence of the cancellation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NoticeForm {
    #[default]
    Any,
    Written,
}

/// What the keys of a contract grant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "(self.?onDemo.orValue('Finish') == 'EndAfterMinutes') == has(self.onDemoMinutes)", "message": "onDemo: EndAfterMinutes needs onDemoMinutes; with Finish, leave onDemoMinutes out"},
    {"rule": "self.pools.all(p, !has(p.overflowsTo) || self.pools.exists(o, o.name == p.overflowsTo && o.name != p.name))", "message": "overflowsTo must name another pool of this Plan", "fieldPath": ".pools"}
]))]
pub struct LicenseTerms {
    #[serde(default)]
    pub lifetime: Lifetime,
    /// Who may order. LegalEntities needs customer.legalForm LegalEntity in the Subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eligibility: Option<Eligibility>,
    /// How long support is included, from the start of a perpetual licence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = not_empty()))]
    pub support_included: Option<Period>,
    /// The promise that the next key is issued no later than this long before expiry. Not longer than the notice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = not_empty()))]
    pub issue_before: Option<Period>,
    /// The number of days after the end in which everything keeps working. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3660))]
    pub grace_days: Option<u32>,
    /// The seats of demo mode, over all pools together. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000000))]
    pub demo_seats: Option<u32>,
    /// What happens to running work when demo mode begins. Default: Finish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_demo: Option<OnDemoAction>,
    /// How many minutes running work may go on in demo mode, for onDemo EndAfterMinutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100000))]
    pub on_demo_minutes: Option<u32>,
    /// The features that a key grants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    pub features: Vec<String>,
    /// The most users that one Subscription may have. Absent: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000))]
    pub max_users: Option<u32>,
    /// Whether an organisation may have one licence of this Plan only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_per_organisation: Option<bool>,
    /// The pools of seats that can be ordered.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pools: Vec<PlanPool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum Eligibility {
    Anyone,
    LegalEntities,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum OnDemoAction {
    Finish,
    EndAfterMinutes,
}

/// A pool: seats of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!(self.model in ['PerEmployee', 'PerUser']) || self.?countBy.orValue('Start') == 'Start'", "message": "pools of model PerEmployee and PerUser count starts: leave countBy out or write Start"},
    {"rule": "(self.model == 'PerUser') == has(self.loginMode)", "message": "a pool of model PerUser needs loginMode Active or Passive; a pool of another model takes no loginMode"},
    {"rule": "!has(self.overflowsTo) || self.?loginMode.orValue('Active') == 'Passive'", "message": "only a pool with loginMode Passive can overflow, never the reverse: remove overflowsTo"}
]))]
pub struct PlanPool {
    /// The name of the pool.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    pub model: PoolModel,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count_by: Option<CountBy>,
    /// The most seats that one Subscription may have in this pool. Absent: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000))]
    pub max_seats: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_mode: Option<LoginMode>,
    /// The pool whose free seats may be used once this pool is full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub overflows_to: Option<String>,
    /// What is still allowed for members with login mode None.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none_members: Option<NoneMembers>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NoneMembers {
    /// Whether members with login mode None can be planned.
    pub plannable: bool,
}

/// A major version and the day it came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// The major version.
    #[schemars(range(min = 0, max = 100000))]
    pub major: u32,
    /// The day of its release.
    pub released_on: CivilDate,
}

/// What upgrades to a later major version cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeTerms {
    #[schemars(extend("x-kubernetes-validations" = not_empty()))]
    pub free_within: Period,
    /// The price of an upgrade to the next major version, in percent of the licence.
    #[schemars(range(min = 0, max = 100))]
    pub next_major_percent: u32,
    /// The price of an upgrade that skips a major version, in percent of the licence.
    #[schemars(range(min = 0, max = 100))]
    pub skipping_percent: u32,
}

/// A quantity that is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Meter {
    /// The name of the meter.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The name of the OpenTelemetry metric that measures it.
    #[schemars(length(min = 1, max = 255))]
    pub metric: String,
    /// What it counts, for people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub unit: Option<String>,
    /// How its values add up.
    pub aggregation: Aggregation,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum Aggregation {
    Sum,
    Max,
    Latest,
}

/// What a contract costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Price {
    /// The currency of all amounts, as its ISO 4217 code, such as EUR.
    #[schemars(length(min = 3, max = 3), regex(pattern = r"^[A-Z]{3}$"))]
    pub currency: String,
    /// A fee for each billing period, whatever the number of users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_fee: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Quantity>,
    /// The price of a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_user: Option<UserPrice>,
    /// The price of a package of users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_package: Option<PackagePrice>,
    /// Prices of single pools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pools: Vec<PoolPrice>,
    /// The price of a longer support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support_extension: Option<SupportExtensionPrice>,
    /// The prices of what was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsagePrice>,
}

/// What is billed: the ordered Seats, or the licensed Members of the Rosters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum Quantity {
    Seats,
    Members,
}

/// A price for each user: one amount, dated amounts, or tiers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "[has(self.amount), has(self.amounts), has(self.tiers)].exists_one(x, x)", "message": "write exactly one of amount, amounts (dated) and tiers"}
]))]
pub struct UserPrice {
    /// The price of each user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Prices that hold from certain days.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub amounts: Vec<DatedAmount>,
    /// Prices that depend on how many users there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiers: Option<Tiers>,
}

/// An amount that applies from a civil date on. The first one applies from the beginning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DatedAmount {
    /// The first day of this price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<CivilDate>,
    /// The price.
    pub amount: Money,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tiers {
    /// Whether a price is for all users or for those in its step.
    pub mode: TierMode,
    /// The steps, the smallest first.
    #[schemars(length(min = 1, max = 32))]
    pub steps: Vec<TierStep>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum TierMode {
    Graduated,
    Volume,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TierStep {
    /// The last unit at this price. Leave it out in the last step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100000000))]
    pub up_to: Option<u32>,
    /// The price in this step.
    pub amount: Money,
}

/// A price for each package of users: packages of one size, or a list of predefined packages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.size) != has(self.steps) && (!has(self.size) || has(self.amount) != has(self.tiers)) && (!has(self.steps) || !has(self.amount) && !has(self.tiers))", "message": "write either size with amount or tiers, or steps (the predefined packages)"}
]))]
pub struct PackagePrice {
    /// How many users a package is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000))]
    pub size: Option<u32>,
    /// The price of a package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Prices that depend on how many packages are ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiers: Option<Tiers>,
    /// Packages of several sizes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub steps: Vec<Package>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Package {
    /// How many users the package is for.
    #[schemars(range(min = 1, max = 1000000))]
    pub users: u32,
    /// The price of the package.
    pub amount: Money,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolPrice {
    /// The name of the pool.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The price of a user of the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_user: Option<UserPrice>,
    /// The price of a package of the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_package: Option<PackagePrice>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SupportExtensionPrice {
    #[schemars(extend("x-kubernetes-validations" = not_empty()))]
    pub period: Period,
    /// The price of the extension.
    pub amount: Money,
}

/// What measured usage costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsagePrice {
    /// For how many days after a period its usage is still accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 366))]
    pub late_days: Option<u32>,
    /// What is charged, by meter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub charges: Vec<UsageCharge>,
    /// Fixed prices offered for the first year, by kind and size of the organisation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub estimates: Vec<Estimate>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsageCharge {
    /// The name of the meter.
    #[schemars(length(min = 1, max = 63))]
    pub meter: String,
    /// How many units the amount is for.
    #[schemars(range(min = 1))]
    pub per: u64,
    /// The price of that many units.
    pub amount: Money,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// The kind of organisation.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// The size of the organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub size: Option<String>,
    /// The price of the first year.
    pub amount: Money,
}

/// What the operator reports about the Plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStatus {
    /// The generation of the Plan that this status was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What holds and what does not, each with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
