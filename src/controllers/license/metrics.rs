//! Metrics of Licenses, in the words of the API: licence, mode, seats, keys.

use kube::ResourceExt;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::api::License;
use crate::api::conditions::{ConditionType, is_true};
use crate::api::license::{KeyStateName, LicenseStatus};
use crate::domain::license::mode::Mode;
use crate::domain::license::name::LicenseName;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLicense {
    namespace: String,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPool {
    namespace: String,
    name: String,
    pool: String,
}

/// What is measured of each License.
#[derive(Default)]
pub struct LicenseMetrics {
    licensed: Family<OfLicense, Gauge>,
    mode: Family<OfLicense, Gauge>,
    expires: Family<OfLicense, Gauge>,
    refused: Family<OfLicense, Gauge>,
    limit: Family<OfPool, Gauge>,
    in_use: Family<OfPool, Gauge>,
    peak: Family<OfPool, Gauge>,
}

impl LicenseMetrics {
    pub fn register(&self, registry: &mut Registry) {
        let help = "1 if the License is in mode Full or Grace, 0 in mode Demo";
        registry.register("license_licensed", help, self.licensed.clone());
        registry.register("license_mode", "Mode of the License: 2 Full, 1 Grace, 0 Demo", self.mode.clone());
        let help = "When what the License grants ends; absent if never";
        registry.register("license_expires_timestamp_seconds", help, self.expires.clone());
        registry.register("license_keys_refused", "Refused keys of the License", self.refused.clone());
        registry.register("license_pool_limit", "Seats of a pool; absent if unlimited", self.limit.clone());
        registry.register("license_pool_in_use", "Seats of a pool in use", self.in_use.clone());
        registry.register("license_pool_peak", "The most seats of a pool in use at once", self.peak.clone());
    }

    /// Updates the metrics of a License from its new status.
    pub fn show(&self, license: &License, status: &LicenseStatus) {
        let of = of(license);
        let mode = match status.mode {
            Some(Mode::Full) => 2,
            Some(Mode::Grace) => 1,
            _ => 0,
        };
        self.mode.get_or_create(&of).set(mode);
        self.licensed.get_or_create(&of).set(i64::from(is_true(&status.conditions, ConditionType::Licensed)));
        let refused = status.keys.iter().filter(|key| key.state == KeyStateName::Refused).count();
        self.refused.get_or_create(&of).set(i64::try_from(refused).unwrap_or(i64::MAX));
        match status.expires_at {
            Some(at) => _ = self.expires.get_or_create(&of).set(at.0.timestamp()),
            None => _ = self.expires.remove(&of),
        }
        for pool in &status.pools {
            let of = OfPool { namespace: of.namespace.clone(), name: of.name.clone(), pool: pool.name.clone() };
            for (family, count) in [(&self.in_use, pool.in_use), (&self.peak, pool.peak)] {
                match count {
                    Some(count) => _ = family.get_or_create(&of).set(i64::try_from(count).unwrap_or(i64::MAX)),
                    None => _ = family.remove(&of),
                }
            }
            match pool.limit {
                Some(limit) => _ = self.limit.get_or_create(&of).set(i64::try_from(limit).unwrap_or(i64::MAX)),
                None => _ = self.limit.remove(&of),
            }
        }
        for gone in
            license.status.iter().flat_map(|s| &s.pools).filter(|p| status.pools.iter().all(|q| q.name != p.name))
        {
            self.forget_pool(&of, &gone.name);
        }
    }

    fn forget_pool(&self, of: &OfLicense, pool: &str) {
        let of = OfPool { namespace: of.namespace.clone(), name: of.name.clone(), pool: pool.to_owned() };
        for family in [&self.limit, &self.in_use, &self.peak] {
            family.remove(&of);
        }
    }

    /// Removes the metrics of a License, of whose pools `shown` has the names.
    pub fn forget(&self, license: &LicenseName, shown: Option<&LicenseStatus>) {
        let of = OfLicense { namespace: license.namespace.to_string(), name: license.name.to_string() };
        for family in [&self.mode, &self.licensed, &self.expires, &self.refused] {
            family.remove(&of);
        }
        for pool in shown.iter().flat_map(|status| &status.pools) {
            self.forget_pool(&of, &pool.name);
        }
    }
}

fn of(license: &License) -> OfLicense {
    OfLicense { namespace: license.namespace().unwrap_or_default(), name: license.name_any() }
}
