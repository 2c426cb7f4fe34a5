//! Types that several kinds use.

use chrono::{DateTime, NaiveDate, SecondsFormat, SubsecRound, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use std::borrow::Cow;

/// A civil date, "YYYY-MM-DD", in the time zone of the object that contains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CivilDate(pub NaiveDate);

impl JsonSchema for CivilDate {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "CivilDate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date",
            "maxLength": 10,
            "x-kubernetes-validations": [{
                "rule": "self >= timestamp('1970-01-01T00:00:00Z') && self < timestamp('2100-01-01T00:00:00Z')",
                "message": "must be a civil date YYYY-MM-DD from 1970-01-01 to 2099-12-31"
            }]
        })
    }
}

/// A civil day, "YYYY-MM-DD", in the time zone that the status names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LocalDay(pub NaiveDate);

impl JsonSchema for LocalDay {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "LocalDay".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date", "maxLength": 10})
    }
}

/// An instant in whole seconds, RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub DateTime<Utc>);

impl From<DateTime<Utc>> for Timestamp {
    fn from(at: DateTime<Utc>) -> Self {
        Timestamp(at.trunc_subsecs(0))
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Secs, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        DateTime::<Utc>::deserialize(from).map(Timestamp::from)
    }
}

impl JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time", "maxLength": 32})
    }
}

/// A Secret in the same namespace, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretRef {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253), extend("x-kubernetes-validations" = [
        {"rule": "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')", "message": "must be a name that an object can have: lower case letters, digits, - and ., with a letter or digit at both ends"}
    ]))]
    pub name: String,
}

/// A reference to a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretSource {
    /// The Secret.
    pub secret_ref: SecretRef,
}

/// A License in the same namespace, or one in another namespace whose `spec.allowedNamespaces` admits this namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LicenseRef {
    /// The name of the License.
    #[schemars(length(min = 1, max = 253), extend("x-kubernetes-validations" = [
        {"rule": "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')", "message": "must be a name that an object can have: lower case letters, digits, - and ., with a letter or digit at both ends"}
    ]))]
    pub name: String,
    /// The namespace of the License. Default: the namespace of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), extend("x-kubernetes-validations" = [
        {"rule": "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')", "message": "must be a name that a namespace can have: lower case letters, digits and -, with a letter or digit at both ends"}
    ]))]
    pub namespace: Option<String>,
}

/// An amount of money, a decimal number in quotes, in the currency of the Plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(pub String);

impl JsonSchema for Money {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Money".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 17,
            "x-kubernetes-validations": [{
                "rule": "self.matches('^(0|[1-9][0-9]{0,11})([.][0-9]{1,4})?$')",
                "message": "must be an amount as a decimal string such as \"180.00\", with at most four decimals"
            }]
        })
    }
}

/// The rule of an e-mail address.
pub fn is_address() -> Value {
    json!([{
        "rule": "self.matches(\"^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\
            ([.][A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$\")",
        "message": "must be one address such as it@stadtwerke.example; write a domain with other letters in its xn-- form"
    }])
}

/// The rule of a name that somebody or something has in other places too, where it is compared with this one. The pattern
/// is short: an API server counts what it costs for the longest list of the longest names.
pub fn is_name() -> Value {
    json!([{
        "rule": r"!self.matches('^\\s|\\s$|[[:cntrl:]]')",
        "message": "must be a name without control characters and without white space at its ends"
    }])
}

/// Gives the items of a list of users the rule of names.
pub fn items_are_names(schema: &mut Schema) {
    if let Some(items) = schema.get_mut("items").and_then(Value::as_object_mut) {
        items.insert("x-kubernetes-validations".into(), is_name());
    }
}

/// The default of `status.observedGeneration` in the schemas. It shows that no controller has looked at the object yet
/// (kstatus).
pub const NOT_YET_OBSERVED: i64 = -1;
