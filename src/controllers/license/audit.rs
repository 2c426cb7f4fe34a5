//! What an auditor wants to know of trust: a line each time a License comes to trust other signers, or their lists of
//! revoked keys begin or cease to be outdated. The lines have the target and the message `audit`, as those of seats do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::domain::license::name::LicenseName;
use crate::domain::reason::Reason;
use crate::domain::tick::Moment;
use crate::machine::monotonic;
use crate::observed::Judged;

/// The most signers that a line names.
const SHOWN: usize = 16;
/// The most lines about the Licenses of a namespace in each `WINDOW`, with one that says that no more follow: a tenant can
/// change whom its License trusts as often as it likes.
const MOST_LINES: u32 = 64;
const WINDOW: Duration = Duration::from_secs(60);
/// The most namespaces whose lines are counted. If there are more, only these have lines.
const MOST_NAMESPACES: usize = 4_096;

/// Writes the lines.
#[derive(Default)]
pub struct TrustAudit {
    /// By the UID of the License, what was noted of it last.
    noted: Mutex<HashMap<String, Noted>>,
    lines: Lines,
}

/// How many lines each namespace has had, and since when they are counted.
#[derive(Default)]
struct Lines(Mutex<HashMap<Arc<str>, (Moment, u32)>>);

impl Lines {
    /// Whether a line about a License of this namespace may be written now.
    fn take(&self, namespace: &Arc<str>, now: Moment) -> bool {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !lines.contains_key(namespace) && lines.len() >= MOST_NAMESPACES {
            lines.retain(|_, (since, _)| now - *since < WINDOW);
            if lines.len() >= MOST_NAMESPACES {
                return false;
            }
        }
        let (since, count) = lines.entry(namespace.clone()).or_insert((now, 0));
        if now - *since >= WINDOW {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        if *count == MOST_LINES {
            tracing::warn!(target: "audit", %namespace, what = "trust", result = "changes too often to be shown", "audit");
        }
        *count < MOST_LINES
    }
}

#[derive(Clone, PartialEq)]
struct Noted {
    who: &'static str,
    signers: Vec<String>,
    outdated: Option<Reason>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_a_bounded_number_of_lines_a_minute_and_takes_none_from_another() {
        let lines = Lines::default();
        let at = |seconds| Moment::after_start(Duration::from_secs(seconds));
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let written = (0..1_000).filter(|_| lines.take(&one, at(1))).count();
        assert_eq!(written, MOST_LINES as usize - 1, "and one says that no more follow");
        assert!(lines.take(&other, at(1)) && !lines.take(&one, at(60)) && lines.take(&one, at(61)));
        (0..2 * MOST_NAMESPACES).for_each(|n| _ = lines.take(&format!("n{n}").into(), at(70)));
        assert_eq!(lines.0.lock().unwrap().len(), MOST_NAMESPACES);
        assert!(lines.take(&"late".into(), at(200)), "those of more than a minute ago give way");
    }
}
