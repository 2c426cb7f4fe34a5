//! Names of what is made for a Subscription. A name that would be too long is cut and gets a hash.

use sha2::{Digest, Sha256};

/// The most characters of the name of a Secret.
const LONGEST: usize = 253;

/// The name of a Secret: `name` with `suffix` behind it.
pub fn secret_name(name: &str, suffix: &str) -> String {
    shortened(name, LONGEST - suffix.len()) + suffix
}

/// `name` in at most `most` characters, of which there are at least 12.
pub fn shortened(name: &str, most: usize) -> String {
    if name.len() <= most {
        return name.to_owned();
    }
    let digest: String = Sha256::digest(name).iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    let cut = name.get(..most - digest.len() - 1).unwrap_or_default();
    format!("{}-{digest}", cut.trim_end_matches(['.', '-']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_too_long_is_cut_and_stays_its_own() {
        assert_eq!(secret_name("stadtwerke", "-keys"), "stadtwerke-keys");
        let longest = "s".repeat(248);
        assert_eq!(secret_name(&longest, "-keys"), format!("{longest}-keys"));
        let names = [format!("{longest}a.b-c"), format!("{longest}a.b-d")].map(|name| secret_name(&name, "-keys"));
        assert_ne!(names[0], names[1]);
        assert!(names.iter().all(|name| name.len() == 253 && name.ends_with("-keys")), "{names:?}");
        assert_eq!(shortened(&"s".repeat(64), 63).len(), 63);
    }
}
