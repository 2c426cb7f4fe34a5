//! Who may do what with the seats of a License.

use http::StatusCode;

use super::audit::Audit;
use crate::domain::license::name::LicenseName;
use crate::seats::Desk;
use crate::server::http::callers::{Caller, Callers, Object, Right};
use crate::server::http::problem::Problem;

/// The most Licenses that one request may name.
pub const MOST_LICENSES: usize = 32;
const LONGEST_NAMESPACE: usize = 63;
const LONGEST_NAME: usize = 253;

/// The right to take seats of a License and to keep them, in terms of RBAC.
pub const CREATE: Right = Right { verb: "create", group: "seatkeeper.dev", resource: "licenses", subresource: "seats" };
/// The right to see the holders.
pub const LIST: Right = Right { verb: "list", ..CREATE };
/// The right to release one's own seats.
pub const DELETE: Right = Right { verb: "delete", ..CREATE };
/// The right to free the seats of others.
pub const EVICT: Right = Right { verb: "evict", ..CREATE };

/// The seats of every License, and who may have them.
pub struct Seats {
    pub desk: Desk,
    pub callers: Callers,
    pub audit: Audit,
}

impl Seats {
    /// Fails unless `caller` has `right` on `license`, and the License may be used from the caller's namespace.
    pub async fn check(&self, caller: &Caller, right: Right, license: &LicenseName) -> Result<(), Problem> {
        let checked = self.find_out(caller, right, license).await;
        if checked.as_ref().is_err_and(is_forbidden) {
            self.audit.refused(caller, right, license);
        }
        checked
    }

    async fn find_out(&self, caller: &Caller, right: Right, license: &LicenseName) -> Result<(), Problem> {
        // The limits of Kubernetes. A longer name is not asked about, not cached and not sent back.
        if license.namespace.len() > LONGEST_NAMESPACE || license.name.len() > LONGEST_NAME {
            let detail =
                format!("a License's namespace has at most {LONGEST_NAMESPACE} bytes, and its name {LONGEST_NAME}");
            return Err(Problem::invalid(detail));
        }
        let object = Object { namespace: license.namespace.clone(), name: license.name.clone() };
        self.callers.check(caller, right, &object).await?;
        match caller.namespace().filter(|namespace| *namespace != &*license.namespace) {
            Some(namespace) if !self.desk.admits(license, namespace) => {
                let detail = format!(
                    "License {license} may not be used from namespace {namespace}: allow it in spec.allowedNamespaces"
                );
                Err(Problem::new(StatusCode::FORBIDDEN, "NamespaceNotAllowed", detail))
            }
            _ => Ok(()),
        }
    }

    /// Whether `caller` may keep and free the seats of others. That it tried is noted if it may not.
    pub async fn may_evict(&self, caller: &Caller, license: &LicenseName) -> Result<bool, Problem> {
        match self.check(caller, EVICT, license).await {
            Ok(()) => Ok(true),
            Err(problem) if is_forbidden(&problem) => Ok(false),
            Err(problem) => Err(problem),
        }
    }

    /// The same for several Licenses, each of which is checked once. Fails if there are more than `MOST_LICENSES`: each is a
    /// question to the API server.
    pub async fn check_each<'l>(
        &self,
        caller: &Caller,
        right: Right,
        licenses: impl Iterator<Item = &'l LicenseName>,
    ) -> Result<(), Problem> {
        for license in distinct(licenses)? {
            self.check(caller, right, license).await?;
        }
        Ok(())
    }

    /// How long a seat is held without a heartbeat, in seconds.
    pub fn ttl_seconds(&self) -> u64 {
        self.desk.ttl().as_secs()
    }
}

/// The Licenses that one request names, each once and in the order in which they come.
fn distinct<'l>(licenses: impl Iterator<Item = &'l LicenseName>) -> Result<Vec<&'l LicenseName>, Problem> {
    let mut all: Vec<&LicenseName> = Vec::new();
    for license in licenses {
        // Those that follow one another are often the same.
        if all.last() != Some(&license) && !all.contains(&license) {
            if all.len() == MOST_LICENSES {
                let detail = format!("one request names more than {MOST_LICENSES} Licenses: split it into several");
                return Err(Problem::invalid(detail));
            }
            all.push(license);
        }
    }
    Ok(all)
}

fn is_forbidden(problem: &Problem) -> bool {
    problem.status == StatusCode::FORBIDDEN.as_u16()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body of 300 KB with ids of 10,400 Licenses was as many questions to the API server, and one of two Licenses that
    /// alternate as many as it had ids.
    #[test]
    fn a_request_asks_about_each_license_once_and_about_few() {
        let license = |n: usize| LicenseName::new("centre", &format!("license-{n}"));
        let all: Vec<LicenseName> = (0..10_400).map(license).collect();
        let refused = distinct(all.iter()).unwrap_err();
        assert!(refused.status == 400 && refused.detail.contains("split it"), "{}", refused.detail);
        let alternating = (0..10_000).map(|n| &all[n % MOST_LICENSES]);
        assert_eq!(distinct(alternating).unwrap().len(), MOST_LICENSES);
    }
}
