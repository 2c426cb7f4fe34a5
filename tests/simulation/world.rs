//! The subject of a simulation: vendors, contracts, and what people do to them over the years.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use seatkeeper::domain::Instant;
use serde_json::{Value, json};

use crate::contract::{Contract, Plan, Span};

/// An action of a person.
#[derive(Clone, Debug)]
pub enum Edit {
    /// Applies the Subscription in the contract's present version.
    Order(usize),
    Seats {
        contract: usize,
        line: usize,
        pool: usize,
        on: NaiveDate,
        seats: u32,
        received_on: Option<NaiveDate>,
    },
    Cancel {
        contract: usize,
        received_on: NaiveDate,
    },
    Withdraw(usize),
    Approve {
        contract: usize,
        on: NaiveDate,
    },
    /// Creates the signing key of a namespace, or replaces it with another.
    Issuer {
        namespace: String,
        key: u8,
    },
    /// Applies a License of the customer, with the Secrets that it reads.
    License {
        namespace: String,
        name: String,
        product: String,
        secrets: Vec<String>,
        subscription: Option<(String, String)>,
    },
    DeleteLicense {
        namespace: String,
        name: String,
    },
    DeleteSubscription(usize),
    DeletePlan(usize),
    MakePlan(usize),
    DeleteKeys {
        namespace: String,
        secret: String,
    },
    /// Puts something that is not a key into a Secret of the customer.
    Rubbish {
        namespace: String,
        secret: String,
    },
    /// The vendor enters the newest key of a contract into the list of revoked keys by hand.
    RevokeByHand(usize),
    /// Copies the vendor's public keys to another namespace that needs them.
    Trust {
        namespace: String,
    },
    /// The customer writes the Roster of a License.
    Roster {
        license: (String, String),
        members: Vec<String>,
    },
    /// Changes an object that the operator does not use.
    Noise {
        namespace: String,
        number: u32,
    },
}

/// What people do at one instant.
#[derive(Clone, Debug)]
pub struct Step {
    pub at: Instant,
    pub edits: Vec<Edit>,
}

/// Someone who uses seats of one pool of a License.
#[derive(Clone, Debug)]
pub struct User {
    pub name: String,
    pub license: (String, String),
    pub pool: String,
    /// Whether the pool is for members of Rosters only.
    pub per_user: bool,
}

/// A world and its future history.
#[derive(Clone, Debug)]
pub struct World {
    pub start: Instant,
    pub end: Instant,
    pub namespaces: Vec<String>,
    pub plans: Vec<Plan>,
    pub contracts: Vec<Contract>,
    /// Those who take the seats of Licenses, by name: the License, and the pool from which they take them.
    pub users: Vec<User>,
    pub steps: Vec<Step>,
}

/// Licenses by namespace and name: product, Secrets, and the Subscription from which they accept keys.
pub type Licenses = BTreeMap<(String, String), LicenseModel>;

#[derive(Clone, Debug)]
pub struct LicenseModel {
    pub product: String,
    pub secrets: Vec<String>,
    /// Namespace and name of the Subscription that it names.
    pub subscription: Option<(String, String)>,
}

fn period(span: Span) -> Value {
    let mut period = serde_json::Map::new();
    if span.months > 0 {
        period.insert("months".into(), span.months.into());
    }
    if span.days > 0 {
        period.insert("days".into(), span.days.into());
    }
    Value::Object(period)
}

impl Plan {
    pub fn json(&self) -> Value {
        let pool = |name: &String| match self.per_user {
            true => json!({"name": name, "model": "PerUser", "countBy": "Start", "loginMode": "Active"}),
            false => json!({"name": name, "model": "Concurrent"}),
        };
        let pools: Vec<Value> = self.pools.iter().map(pool).collect();
        let mut license = json!({"graceDays": self.grace_days, "demoSeats": self.demo_seats, "pools": pools});
        if let Some(minutes) = self.on_demo_minutes {
            license["onDemo"] = "EndAfterMinutes".into();
            license["onDemoMinutes"] = minutes.into();
        }
        let mut spec = json!({"title": self.name, "product": self.product});
        match &self.terms {
            Some(terms) => {
                spec["terms"] = json!({"interval": period(terms.interval), "notice": period(terms.notice)});
                if let Some(length) = terms.length {
                    spec["terms"]["length"] = period(length);
                }
            }
            None => license["lifetime"] = "Perpetual".into(),
        }
        if let Some(before) = self.issue_before {
            license["issueBefore"] = period(before);
        }
        if self.manual {
            spec["orders"] = json!({"approval": "Manual"});
        }
        spec["license"] = license;
        json!({
            "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "Plan",
            "metadata": {"name": self.name, "namespace": self.namespace}, "spec": spec,
        })
    }
}

impl Contract {
    pub fn json(&self, plans: &[Plan]) -> Value {
        let line = |line: &crate::contract::Line| {
            let plan = &plans[line.plan];
            let pool = |n: usize| {
                let changes: Vec<Value> = line.changes[n]
                    .iter()
                    .map(|change| {
                        let mut value = json!({"on": change.on.to_string(), "seats": change.seats});
                        if let Some(day) = change.received_on {
                            value["receivedOn"] = day.to_string().into();
                        }
                        value
                    })
                    .collect();
                json!({"name": plan.pools[n], "seats": line.seats[n], "changes": changes})
            };
            json!({"name": plan.name, "pools": (0..plan.pools.len()).map(pool).collect::<Vec<_>>()})
        };
        let mut spec = json!({
            "customer": {"organisation": self.name},
            "startsOn": self.starts_on.to_string(),
            "timeZone": self.zone.iana_name(),
            "plans": self.lines.iter().map(line).collect::<Vec<_>>(),
            "issuer": {"secretRef": {"name": "issuer"}},
            "order": {"approvedOn": self.approved_on.map(|day| day.to_string())},
            "cancellation": self.cancelled_on.map(|day| json!({"receivedOn": day.to_string(), "evidence": "a letter"})),
        });
        let mut to = json!({});
        if let Some((namespace, name)) = &self.license {
            to["license"] = json!({"name": name, "namespace": namespace, "secretName": self.secret});
        }
        if self.keep || self.license.is_none() {
            to["file"] = "Keep".into();
        }
        spec["deliverTo"] = to;
        json!({
            "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "Subscription",
            "metadata": {"name": self.name, "namespace": self.namespace}, "spec": spec,
        })
    }

    /// Whether a Secret of this name can be one of its [`places`](Self::places), whatever else exists.
    pub fn may_keep_keys_in(&self, secret: &str) -> bool {
        secret == self.secret || secret.strip_suffix("-keys") == Some(&self.name)
    }

    /// Returns the Secrets to which its keys go: namespace, name, and the product whose keys go there; `None` for the
    /// keys of all its Plans.
    pub fn places(&self, plans: &[Plan], license: Option<&LicenseModel>) -> Vec<(String, String, Option<String>)> {
        let kept = (self.namespace.clone(), format!("{}-keys", self.name), None);
        let Some((namespace, _)) = &self.license else { return vec![kept] };
        let products: Vec<&String> = self.lines.iter().map(|line| &plans[line.plan].product).collect();
        let product = license.map_or(products[0], |license| &license.product);
        let to_license = (namespace.clone(), self.secret.clone(), Some(product.clone()));
        let others = products.iter().any(|other| *other != product);
        if others || self.keep { vec![to_license, kept] } else { vec![to_license] }
    }
}
