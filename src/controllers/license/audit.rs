//! What an auditor wants to know of trust: a line each time a License comes to trust other signers, or their lists of
//! revoked keys begin or cease to be outdated. The lines have the target and the message `audit`, as those of seats do.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::cluster::audit_lines::AuditLines;
use crate::domain::license::name::LicenseName;
use crate::domain::reason::Reason;
use crate::machine::monotonic;
use crate::observed::Judged;

/// The most signers that a line names.
const SHOWN: usize = 16;
/// The most lines about the Licenses of a namespace in a minute.
const MOST_LINES: u32 = 64;

/// Writes the lines.
pub struct TrustAudit {
    /// By the UID of the License, what was noted of it last.
    noted: Mutex<HashMap<String, Noted>>,
    lines: AuditLines,
}

#[derive(Clone, PartialEq)]
struct Noted {
    who: &'static str,
    signers: Vec<String>,
    outdated: Option<Reason>,
}

impl Default for TrustAudit {
    fn default() -> Self {
        TrustAudit { noted: Mutex::default(), lines: AuditLines::about("trust", MOST_LINES) }
    }
}

impl TrustAudit {
    /// Takes note of whom a License trusts. The first look at it since the operator leads has no line, unless a list is
    /// outdated.
    pub fn note(&self, license: &LicenseName, judged: &Judged) {
        let trust = &judged.reading.trust;
        let now = Noted {
            who: judged.reading.says.as_str(),
            signers: trust.signers().map(str::to_owned).collect(),
            outdated: trust.outdated_lists(judged.at).map(|(reason, _)| reason),
        };
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let before = noted.insert(judged.uid.clone(), now.clone());
        drop(noted);
        let may_write = || self.lines.take(&license.namespace, monotonic());
        let (who, name) = (now.who, license.to_string());
        if before.as_ref().is_some_and(|before| (before.who, &before.signers) != (now.who, &now.signers)) && may_write()
        {
            let signers = now.signers.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(" ");
            tracing::info!(target: "audit", who, what = "trust", license = name, signers, result = "changed", "audit");
        }
        match (before.and_then(|before| before.outdated), now.outdated) {
            (before, Some(reason)) if before != Some(reason) && may_write() => {
                let result = reason.as_str();
                tracing::warn!(target: "audit", who, what = "list of revoked keys", license = name, result, "audit");
            }
            (Some(_), None) if may_write() => {
                tracing::info!(target: "audit", who, what = "list of revoked keys", license = name, result = "current", "audit");
            }
            _ => {}
        }
    }

    /// The License is gone: drops what was noted of it.
    pub fn forget(&self, uid: &str) {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}
