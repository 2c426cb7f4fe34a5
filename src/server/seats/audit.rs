//! What an auditor wants to know: a line for each eviction, each release of a seat that another caller took, each page of
//! holders that was read, and each refusal of a right. The lines have the target and the message `audit`, and show no token,
//! session or id. All that a caller chose is written as text with escapes, so it cannot make up a line.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::cluster::audit_lines::AuditLines;
use crate::domain::license::name::LicenseName;
use crate::domain::tick::Moment;
use crate::machine::monotonic;
use crate::seats::Seat;
use crate::server::http::callers::{Caller, Right};

/// A caller that is refused again and again on the same License fills no log.
const ONE_REFUSAL: Duration = Duration::from_secs(60);
/// The most callers and Licenses whose refusals are remembered, and the most Licenses of one caller. If there are more,
/// only these have lines.
const MOST_REFUSED: usize = 4_096;
const MOST_OF_CALLER: usize = 64;

/// The most lines about the Licenses of a namespace in a minute, beside refusals: more than people cause.
const MOST_LINES: u32 = 600;

/// Writes the lines.
pub struct Audit {
    lines: AuditLines,
    /// When each caller was last noted as refused on each License.
    refused: Mutex<HashMap<Arc<str>, HashMap<LicenseName, Moment>>>,
}

impl Default for Audit {
    fn default() -> Self {
        Audit { lines: AuditLines::about("seats", MOST_LINES), refused: Mutex::default() }
    }
}

impl Audit {
    /// An administrator freed the seats of a user, or of all users. If there were none, nothing happened to anybody.
    pub fn evicted(&self, caller: &Caller, license: &LicenseName, user: Option<&str>, seats: usize) {
        if seats == 0 || !self.lines.take(&license.namespace, monotonic()) {
            return;
        }
        let (who, license) = (&*caller.user, license.to_string());
        tracing::info!(target: "audit", who, what = "evict", license, user, seats, result = "done", "audit");
    }

    /// A caller has read a page of the holders, with names or pseudonyms as the License shows them.
    pub fn holders_seen(&self, caller: &Caller, license: &LicenseName, seats: usize) {
        if !self.lines.take(&license.namespace, monotonic()) {
            return;
        }
        let (who, license) = (&*caller.user, license.to_string());
        tracing::info!(target: "audit", who, what = "see holders", license, seats, result = "done", "audit");
    }

    /// A caller with the right to evict freed a seat that another one took, or could not free it.
    pub fn released_of_another(&self, caller: &Caller, seat: &Seat, is_free: bool) {
        if !self.lines.take(&seat.license.namespace, monotonic()) {
            return;
        }
        let result = if is_free { "done" } else { "not done" };
        let (who, license, Seat { pool, slot, .. }) = (&*caller.user, seat.license.to_string(), seat);
        tracing::info!(target: "audit", who, what = "release of another", license, pool, slot, result, "audit");
    }

    /// A caller lacks a right.
    pub fn refused(&self, caller: &Caller, right: Right, license: &LicenseName) {
        if self.is_first(&caller.user, license, monotonic()) {
            let (who, license) = (&*caller.user, license.to_string());
            tracing::warn!(target: "audit", who, what = %right, license, result = "refused", "audit");
        }
    }

    fn is_first(&self, user: &Arc<str>, license: &LicenseName, now: Moment) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = refused.values().map(HashMap::len).sum();
        if all >= MOST_REFUSED {
            refused.retain(|_, of_caller| {
                of_caller.retain(|_, last| now - *last < ONE_REFUSAL);
                !of_caller.is_empty()
            });
        }
        let fits = refused.values().map(HashMap::len).sum::<usize>() < MOST_REFUSED;
        let of_caller = refused.entry(user.clone()).or_default();
        if of_caller.len() >= MOST_OF_CALLER {
            of_caller.retain(|_, last| now - *last < ONE_REFUSAL);
        }
        let is_first = of_caller.get(license).is_none_or(|last| now - *last >= ONE_REFUSAL);
        let fits = is_first && fits && of_caller.len() < MOST_OF_CALLER;
        if fits {
            of_caller.insert(license.clone(), now);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_a_line_a_minute_for_each_caller_and_license_and_memory_stays_bounded() {
        let audit = Audit::default();
        let at = |seconds| Moment::after_start(Duration::from_secs(seconds));
        let license = |n: usize| LicenseName::new("centre", &format!("l{n}"));
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        assert!(audit.is_first(&one, &license(0), at(0)));
        assert!(!audit.is_first(&one, &license(0), at(59)));
        assert!(audit.is_first(&one, &license(1), at(59)) && audit.is_first(&other, &license(0), at(59)));
        assert!(audit.is_first(&one, &license(0), at(60)));
        let noted = (1..MOST_REFUSED).filter(|n| audit.is_first(&other, &license(*n), at(100))).count();
        assert_eq!(noted, MOST_OF_CALLER - 1, "its line about the first License is of less than a minute ago");
        assert!(audit.is_first(&one, &license(2), at(100)), "another caller has lines");
        let caller = |n: usize| -> Arc<str> { format!("caller-{n}").into() };
        (0..2 * MOST_REFUSED).for_each(|n| _ = audit.is_first(&caller(n), &license(0), at(100)));
        let all = audit.refused.lock().unwrap().values().map(HashMap::len).sum::<usize>();
        assert_eq!(all, MOST_REFUSED);
        assert!(
            audit.is_first(&caller(2 * MOST_REFUSED), &license(0), at(200)),
            "those of more than a minute ago give way"
        );
    }
}
