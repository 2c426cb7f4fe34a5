//! How many audit lines are written: a tenant may cause any number of them, and a log is cut when it is long. So each namespace
//! has a bound, and takes no lines from another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::domain::tick::Moment;

/// The time for which lines are counted together.
const WINDOW: Duration = Duration::from_secs(60);
/// The most namespaces whose lines are counted. If there are more, only these have lines.
const MOST_NAMESPACES: usize = 4_096;

/// How many lines the Licenses of each namespace have had, and since when they are counted.
pub struct AuditLines {
    /// What the lines are about.
    what: &'static str,
    /// The most in each `WINDOW`, with one that says that no more follow.
    most: u32,
    of: Mutex<HashMap<Arc<str>, (Moment, u32)>>,
}

impl AuditLines {
    pub fn about(what: &'static str, most: u32) -> Self {
        AuditLines { what, most, of: Mutex::default() }
    }

    /// Whether a line about a License of this namespace may be written now.
    pub fn take(&self, namespace: &Arc<str>, now: Moment) -> bool {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if !of.contains_key(namespace) && of.len() >= MOST_NAMESPACES {
            of.retain(|_, (since, _)| now - *since < WINDOW);
            if of.len() >= MOST_NAMESPACES {
                return false;
            }
        }
        let (since, count) = of.entry(namespace.clone()).or_insert((now, 0));
        if now - *since >= WINDOW {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        if *count == self.most {
            let (what, result) = (self.what, "too many lines to show all");
            tracing::warn!(target: "audit", %namespace, what, result, "audit");
        }
        *count < self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_a_bounded_number_of_lines_a_minute_and_takes_none_from_another() {
        let lines = AuditLines::about("trust", 64);
        let at = |seconds| Moment::after_start(Duration::from_secs(seconds));
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let written = (0..1_000).filter(|_| lines.take(&one, at(1))).count();
        assert_eq!(written, 63, "and one says that no more follow");
        assert!(lines.take(&other, at(1)) && !lines.take(&one, at(60)) && lines.take(&one, at(61)));
        (0..2 * MOST_NAMESPACES).for_each(|n| _ = lines.take(&format!("n{n}").into(), at(70)));
        assert_eq!(lines.of.lock().unwrap().len(), MOST_NAMESPACES);
        assert!(lines.take(&"late".into(), at(200)), "those of more than a minute ago give way");
    }
}
