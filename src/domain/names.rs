//! Names of users, machines and teams, compared as people see them.
//!
//! A name can be written in ways that look the same: the `é` of most keyboards is one character, that of a Mac's files is
//! two. So every name is brought into one form where it comes in, by the rules of the profile UsernameCasePreserved (RFC
//! 8265, 3.4): characters of another width become ordinary ones, then Unicode's Normalization Form C. Upper and lower case
//! stay apart.
//!
//! The profile also refuses names: those with a blank, with most punctuation beyond ASCII, or with a character newer than
//! its registry, which is that of Unicode 6.3. People have been called that in directories and applications for years, and
//! hold seats under such names, so nobody is refused because of it. Both rules work on these names too. The keeper of a
//! Roster is told of names that are truly odd (`is_unusual`).

use std::borrow::Cow;

use precis_profiles::UsernameCasePreserved;
use precis_profiles::precis_core::profile::{Profile, Rules};
use precis_profiles::precis_core::{CodepointInfo, DerivedPropertyValue, Error};

/// The longest name that is brought into its form, in bytes. A form is at least a quarter as long as the name, so the form of
/// a longer name would be refused as too long as well; a caller that sends one should not cost time.
const LONGEST: usize = 1_024;

/// The form of a name in which it is compared. Nearly every name is ASCII, and has it already: that costs no allocation.
pub fn normal(name: &str) -> Cow<'_, str> {
    if name.is_ascii() || name.len() > LONGEST {
        return Cow::Borrowed(name);
    }
    let profile = UsernameCasePreserved::new();
    let form = profile.width_mapping_rule(name).and_then(|name| profile.normalization_rule(name));
    form.unwrap_or(Cow::Borrowed(name))
}

/// The same, of a name that is not needed as it was.
pub fn into_normal(name: String) -> String {
    let form = match normal(&name) {
        Cow::Owned(form) => Some(form),
        Cow::Borrowed(_) => None,
    };
    form.unwrap_or(name)
}

/// Whether RFC 8265 does not allow the name for a user, for example because of characters that nobody sees, or of two
/// directions of writing that cannot be told apart. Parts with a blank between them are names of their own (3.5). That a
/// character is newer than the registry says nothing.
pub fn is_unusual(name: &str) -> bool {
    let refused = |part: &str| match UsernameCasePreserved::new().enforce(part) {
        Err(Error::BadCodepoint(CodepointInfo { property, .. })) => property != DerivedPropertyValue::Unassigned,
        outcome => outcome.is_err(),
    };
    name.split(' ').any(refused)
}

/// What two names have in common that differ only in upper and lower case.
pub fn without_case(name: &str) -> Cow<'_, str> {
    match name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        true => Cow::Borrowed(name),
        false => Cow::Owned(name.to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_the_same_is_the_same_and_case_is_kept() {
        let one_form = |names: &[&str]| {
            let forms: Vec<_> = names.iter().map(|name| normal(name)).collect();
            forms.windows(2).all(|pair| pair[0] == pair[1])
        };
        assert!(one_form(&["j.m\u{fc}ller", "j.mu\u{308}ller", "\u{ff4a}.m\u{fc}ller"]));
        assert!(one_form(&["\u{c5}sa", "\u{212b}sa", "A\u{30a}sa"]), "a sign that the profile refuses, and its letter");
        assert!(one_form(&["\u{1ed9}", "o\u{302}\u{323}", "o\u{323}\u{302}", "\u{f4}\u{323}"]), "marks in any order");
        assert!(one_form(&["\u{ac00}\u{b098}", "\u{1100}\u{1161}\u{1102}\u{1161}"]));
        assert!(one_form(&["\u{30ac}", "\u{ff76}\u{ff9e}", "\u{30ab}\u{3099}"]), "half as wide");
        // With a blank, a newer letter, an apostrophe of print: refused by the profile.
        assert!(one_form(&["J\u{f6}rg Stra\u{df}er", "Jo\u{308}rg Stra\u{df}er"]));
        assert!(
            one_form(&["\u{1e922}\u{e9}", "\u{1e922}e\u{301}"])
                && one_form(&["O\u{2019}N\u{e9}e", "O\u{2019}Ne\u{301}e"])
        );
        assert!(!one_form(&["anna", "Anna"]) && !one_form(&["\u{fc}", "\u{dc}"]) && !one_form(&["\u{fc}", "u"]));
    }

    #[test]
    fn a_name_in_its_form_is_neither_copied_nor_changed() {
        for name in ["", "a.ivanov", "DOMAIN\\a+b@x.example", "j.m\u{fc}ller", "\u{65e5}\u{672c}", "\u{1f3a7}"] {
            assert!(matches!(normal(name), Cow::Borrowed(same) if same == name), "{name}");
            assert_eq!(into_normal(name.to_owned()), name);
        }
        let long = "e\u{301}".repeat(LONGEST);
        assert!(matches!(normal(&long), Cow::Borrowed(_)), "what is refused as too long costs no time");
    }

    /// A name may become longer: its bounds are checked in its form.
    #[test]
    fn a_form_may_be_longer_than_the_name_and_not_much_shorter() {
        assert_eq!(normal("\u{9dc}"), "\u{9a1}\u{9bc}", "letters of Bengali that Unicode writes as two");
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let name = c.to_string();
            let form = normal(&name);
            assert!(form.len() * 4 >= name.len() && normal(&form) == form, "{c:?} is {form:?}");
        }
    }

    #[test]
    fn a_name_is_unusual_if_it_has_what_nobody_sees_and_not_if_it_has_a_blank_or_a_new_letter() {
        for name in ["a.ivanov", "J\u{f6}rg Stra\u{df}er", "DOMAIN\\anna", "\u{1e922}\u{1e93a}", "\u{5d0}\u{5d1}"] {
            assert!(!is_unusual(name), "{name}");
        }
        for name in ["anna\u{200b}", "a\u{202e}b", "anna\u{a0}b", "a  b", "O\u{2019}Neil", "\u{1f3a7}", "\u{5d0}a"] {
            assert!(is_unusual(name), "{name:?}");
        }
    }
}
