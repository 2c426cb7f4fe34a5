//! Names that are not kept in clear. A License may say that its holders are not shown by name
//! (`License.spec.holders`). A user, and the machine of a user, then stand in the table and in the ledger as a keyed hash:
//! `~` and 20 characters of base64url (`tag.rs`).
//!
//! The License may say otherwise while seats are held, and a hash does not give the name back. So a table may have names
//! of both forms. **All seats of one user have one form**: that of the seats that the user holds, or else what the License
//! says now. No user has a second seat because the form has changed.

use std::ops::Deref;
use std::sync::Arc;

use super::roster::Members;

/// Begins a keyed hash.
pub const MARK: char = '~';
/// The length of a keyed hash.
pub const CHARACTERS: usize = 21;

/// Whether a name is a keyed hash. A user whose name looks like one is hashed, whatever the License says.
pub fn is_keyed(name: &str) -> bool {
    name.len() == CHARACTERS && name.starts_with(MARK)
}

/// What stands for the names of a request, where these are not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyed<'r> {
    pub user: Option<&'r str>,
    pub client: Option<&'r str>,
}

/// The keyed hash of each user who is, was or will be a member.
#[derive(Debug, Default)]
pub struct KeyedMembers {
    /// By place among the members.
    names: Vec<Box<str>>,
    /// The places, in order of these names.
    in_order: Vec<u32>,
}

impl KeyedMembers {
    /// The keyed hashes of `members`. Those of people who were members `before` too are copied: a Roster that changes by
    /// one person costs one hash.
    pub fn of(members: &Members, before: (&Members, &KeyedMembers), key: impl Fn(&str) -> String) -> Self {
        let mut known = before.0.users().zip(&before.1.names).peekable();
        let mut names: Vec<Box<str>> = Vec::with_capacity(members.users().len());
        for user in members.users() {
            while known.next_if(|(other, _)| *other < user).is_some() {}
            let name = known.next_if(|(other, _)| *other == user).map(|(_, name)| name.clone());
            names.push(name.unwrap_or_else(|| key(user).into()));
        }
        let mut in_order: Vec<u32> = (0..names.len() as u32).collect();
        in_order.sort_unstable_by(|a, b| names[*a as usize].cmp(&names[*b as usize]));
        KeyedMembers { names, in_order }
    }

    /// Whether the keyed hash of each of `members` is known.
    pub(super) fn are_of(&self, members: &Members) -> bool {
        self.names.len() == members.users().len()
    }

    /// The place of the user with this keyed hash among all who ever were or will be members.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let found = self.in_order.binary_search_by(|place| (*self.names[*place as usize]).cmp(name));
        Some(self.in_order[found.ok()?] as usize)
    }
}

/// The members, and how those are found whose names are not kept.
#[derive(Debug)]
pub(super) struct People {
    pub members: Arc<Members>,
    pub keyed: Arc<KeyedMembers>,
}

impl People {
    /// The place of the user whose seats are kept under that name among all who ever were or will be members.
    pub fn find(&self, user: &str) -> Option<usize> {
        if is_keyed(user) { self.keyed.find(user) } else { self.members.find(user) }
    }
}

impl Deref for People {
    type Target = Members;

    fn deref(&self) -> &Members {
        &self.members
    }
}
