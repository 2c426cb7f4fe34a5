//! A caller, what it may have a right to, and what a right is.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::group::{Group, namespace_of};
use crate::domain::seats::taker::Taker;

/// Says in which pod a ServiceAccount is, if its token is bound to one.
const POD: &str = "authentication.kubernetes.io/pod-uid";

/// A caller with a valid token.
#[derive(Debug)]
pub struct Caller {
    pub user: Arc<str>,
    pub(super) uid: Option<String>,
    pub(super) groups: Vec<String>,
    pub(super) extra: BTreeMap<String, Vec<String>>,
    /// Stands for all of the above: two callers with the same name may differ in the rest, and in what they may do.
    pub identity: [u8; 32],
    /// Those with whom it shares what there is.
    pub group: Group,
    /// Who takes seats with this token.
    pub taker: Taker,
    /// Whether it was found to have any right at all.
    has_right: AtomicBool,
}

impl Caller {
    /// A user with this name, as the API server describes it.
    pub fn new(user: &str, uid: Option<String>, groups: Vec<String>, extra: BTreeMap<String, Vec<String>>) -> Self {
        // Strings and lists always serialise.
        let all = serde_json::to_vec(&(user, &uid, &groups, &extra)).unwrap_or_default();
        let (identity, group) = (Sha256::digest(all).into(), Group::of(user));

        let pod = extra.get(POD).and_then(|pods| pods.first());
        let taker = Taker::of(user, uid.as_deref(), pod.map(String::as_str));
        Caller { user: user.into(), uid, groups, extra, identity, group, taker, has_right: AtomicBool::new(false) }
    }

    /// The namespace of a ServiceAccount; `None` for any other user.
    pub fn namespace(&self) -> Option<&str> {
        namespace_of(&self.user)
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let texts = |texts: &[String]| texts.iter().map(|text| text.len() + size_of::<String>()).sum::<usize>();
        let extra = self.extra.iter().map(|(name, values)| name.len() + texts(values)).sum::<usize>();
        size_of::<Self>() + self.user.len() + texts(&self.groups) + extra
    }

    /// Whether it was found to have any right at all.
    pub fn has_right(&self) -> bool {
        self.has_right.load(Relaxed)
    }

    /// Notes that it has a right.
    pub fn note_right(&self) {
        self.has_right.store(true, Relaxed);
    }
}

/// A right in terms of RBAC: a verb on a subresource. It may exist in RBAC alone, as `licenses/seats` does.
#[derive(Clone, Copy, Debug, Eq)]
pub struct Right {
    pub verb: &'static str,
    pub group: &'static str,
    pub resource: &'static str,
    pub subresource: &'static str,
}

/// One is looked up for each request, and texts of the program that are the same are nearly always in one place.
impl PartialEq for Right {
    fn eq(&self, other: &Self) -> bool {
        let is_same = |one: &str, other: &str| std::ptr::eq(one, other) || one == other;
        is_same(self.verb, other.verb)
            && is_same(self.group, other.group)
            && is_same(self.resource, other.resource)
            && is_same(self.subresource, other.subresource)
    }
}

/// Most rights differ in the verb.
impl Hash for Right {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.verb.hash(state);
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.verb, self.resource, self.subresource)
    }
}

/// The object that a right is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Object {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_of_the_same_name_who_differ_in_anything_else_are_not_the_same() {
        let caller = |uid: Option<&str>, groups: &[&str], extra: &[(&str, &[&str])]| {
            let texts = |of: &[&str]| of.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            let extra = extra.iter().map(|(name, values)| ((*name).to_owned(), texts(values))).collect();
            Caller::new("u", uid.map(str::to_owned), texts(groups), extra).identity
        };
        let all = [
            caller(None, &[], &[]),
            caller(Some(""), &[], &[]),
            caller(Some("1"), &[], &[]),
            caller(None, &["a", "b"], &[]),
            caller(None, &["a,b"], &[]),
            caller(None, &[], &[("a", &["b"])]),
            caller(None, &[], &[("a", &["b", ""])]),
            caller(None, &[], &[("a", &[]), ("b", &[])]),
        ];
        for (nth, one) in all.iter().enumerate() {
            assert_eq!(all.iter().position(|other| other == one), Some(nth));
        }
    }
}
