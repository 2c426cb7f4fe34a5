//! How long the certificates last that the operator makes for its seat server, and when they are renewed.

use chrono::Duration;

use super::Instant;

/// How long a certificate lasts, and how long before its end it is renewed.
#[derive(Clone, Copy, Debug)]
pub struct Lifetime {
    lasts: Duration,
    renewed: Duration,
}

/// The authority. It is renewed on the same key, so programs that trust the one before go on trusting what it issues.
pub const AUTHORITY: Lifetime = Lifetime { lasts: Duration::days(3_650), renewed: Duration::days(730) };
/// The certificate of the seat server.
pub const SERVER: Lifetime = Lifetime { lasts: Duration::days(90), renewed: Duration::days(30) };

impl Lifetime {
    /// The end of a certificate made at `now`.
    pub fn end(self, now: Instant) -> Instant {
        now.checked_add_signed(self.lasts).unwrap_or(Instant::MAX_UTC)
    }

    /// When a certificate is renewed that lasts until `end`.
    pub fn renew_at(self, end: Instant) -> Instant {
        end.checked_sub_signed(self.renewed).unwrap_or(Instant::MIN_UTC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_before_it_ends_and_an_authority_outlives_what_it_issues() {
        let now = Instant::UNIX_EPOCH;
        for of in [AUTHORITY, SERVER] {
            assert!(now < of.renew_at(of.end(now)) && of.renew_at(of.end(now)) < of.end(now));
        }
        // The last certificate that the authority issues before it is renewed.
        assert!(SERVER.end(AUTHORITY.renew_at(AUTHORITY.end(now))) < AUTHORITY.end(now));
        assert_eq!(SERVER.end(Instant::MAX_UTC), Instant::MAX_UTC);
        assert_eq!(SERVER.renew_at(Instant::MIN_UTC), Instant::MIN_UTC);
    }
}
