//! Who says whom a License trusts.
//!
//! A licence restrains the people who write it, and a person who may write Licenses and Secrets can sign a key of any
//! size. So the trust of a License comes from somebody else, unless the installation says otherwise.

use crate::domain::reason::Reason;

/// Whether a License may name whom it trusts, in `spec.trust`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrustFromLicenses {
    #[default]
    Refuse,
    Allow,
}

/// Who says whom a License trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// The installation, which pins the trust of the product.
    Installation,
    /// The License itself.
    License,
    /// The Subscriptions that deliver to it: their issuers are trusted.
    Subscriptions,
}

impl Says {
    pub const fn as_str(self) -> &'static str {
        match self {
            Says::Installation => "installation",
            Says::License => "License",
            Says::Subscriptions => "Subscriptions",
        }
    }
}

/// Who says whom to trust, and why `spec.trust` is not used if the License has one.
pub fn who_says(is_pinned: bool, has_own: bool, from_licenses: TrustFromLicenses) -> (Says, Option<Reason>) {
    match (is_pinned, has_own, from_licenses) {
        (true, own, _) => (Says::Installation, own.then_some(Reason::TrustPinned)),
        (false, true, TrustFromLicenses::Allow) => (Says::License, None),
        (false, own, _) => (Says::Subscriptions, own.then_some(Reason::TrustNotAllowed)),
    }
}
