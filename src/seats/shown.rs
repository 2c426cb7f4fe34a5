//! How the people who hold seats are shown.

use super::asked::Seat;
use crate::api::license::HoldersShown;
use crate::domain::license::name::LicenseName;
use crate::domain::seats::keyed::is_keyed;
use crate::domain::seats::tag::{OfDay, Tagger};

/// How the holders of a License are shown, and what its users are called today (UTC) if not by name.
pub struct Shown {
    /// What the License says.
    pub holders: HoldersShown,
    pub(super) license: LicenseName,
    pub(super) tagger: Tagger,
    pub(super) today: OfDay,
}

impl Shown {
    /// Whether a seat is shown by the name of its user: the License says so, and the name is kept.
    pub fn is_named(&self, seat: &Seat) -> bool {
        self.holders == HoldersShown::Named && !seat.user.as_deref().is_some_and(is_keyed)
    }

    /// What a user is called today whose seats are kept under that name.
    pub fn pseudonym(&self, user: &str) -> String {
        match is_keyed(user) {
            true => self.today.pseudonym(&self.license, user),
            false => self.today.pseudonym(&self.license, &self.keyed(user)),
        }
    }

    /// Under which name the seats of a user are kept if names are not.
    pub fn keyed(&self, user: &str) -> String {
        self.tagger.user(&self.license, user)
    }
}
