//! What counts of lists of revoked keys that were put back to older ones, cut or deleted.

use std::sync::Arc;

use proptest::prelude::*;
use seatkeeper::domain::Instant;
use seatkeeper::domain::license::jwk::{signing_key_pem, thumbprint};
use seatkeeper::domain::license::kept_lists::{Kept, MAX_SHARE_BYTES, MAX_SIGNERS, keep};
use seatkeeper::domain::license::token::sign;
use seatkeeper::domain::license::trust::{REVOCATIONS_TYPE, Revocations, Trust, adds_to, sign_revocations};
use seatkeeper::domain::reason::Reason;
use serde_json::json;

fn list(version: u64, serials: &[&str]) -> Revocations {
    let serials = serials.iter().map(|serial| (*serial).to_owned()).collect();
    Revocations { version, iat: 1_000 + i64::try_from(version).unwrap(), exp: None, serials }
}

fn many(version: u64, prefix: &str, count: usize) -> Revocations {
    let serials = (0..count).map(|n| format!("{prefix}-{n:08}")).collect();
    Revocations { version, iat: 1_000, exp: None, serials }
}

/// The attack: an older genuine list is put back, or none is there any more.
#[test]
fn k4_what_was_revoked_stays_revoked_and_the_reason_says_what_happened_to_the_list() {
    let (key, _) = signing_key_pem(&[1; 32]).unwrap();
    let signer = thumbprint(&key.verifying_key());
    let now = chrono::DateTime::from_timestamp(5_000, 0).unwrap();
    let trust = |there: Option<&Revocations>, kept: &Revocations| {
        let mut trust = Trust::new([key.verifying_key()]);
        there.iter().for_each(|list| trust.heed(sign_revocations(list, &key).as_bytes()).unwrap());
        trust.recall(&signer, &Arc::new(kept.clone()));
        trust
    };
    let kept = list(2, &["a", "b"]);
    let reason = |trust: &Trust| trust.outdated_lists(now).map(|(reason, _)| reason);
    for (there, says) in [
        (None, Some(Reason::RevocationsMissing)),
        (Some(list(1, &["a"])), Some(Reason::RevocationsOlder)),
        (Some(list(2, &["a", "b"])), None),
        (Some(list(3, &[])), None),
        (Some(Revocations { exp: Some(5_000), ..list(3, &[]) }), Some(Reason::RevocationsExpired)),
        (Some(Revocations { exp: Some(5_001), ..list(3, &[]) }), None),
    ] {
        let trust = trust(there.as_ref(), &kept);
        assert!(trust.is_revoked("a") && trust.is_revoked("b"), "{there:?}");
        assert_eq!(reason(&trust), says, "{there:?}");
    }
    // A vendor that changes its signing key signs its next list with the new one.
    let (new, _) = signing_key_pem(&[3; 32]).unwrap();
    let mut both = Trust::new([key.verifying_key(), new.verifying_key()]);
    both.recall(&signer, &Arc::new(kept.clone()));
    both.heed(sign_revocations(&list(3, &["a", "b"]), &new).as_bytes()).unwrap();
    assert_eq!(reason(&both), None);
    // What is kept of a signer says nothing to those who do not trust it.
    let (other, _) = signing_key_pem(&[2; 32]).unwrap();
    let mut elsewhere = Trust::new([other.verifying_key()]);
    elsewhere.recall(&signer, &Arc::new(kept));
    assert!(!elsewhere.is_revoked("a") && elsewhere.latest_list().is_none() && reason(&elsewhere).is_none());
}

#[test]
fn a_list_without_version_time_or_expiry_is_read_and_is_older_than_any_with_a_version() {
    let (key, _) = signing_key_pem(&[1; 32]).unwrap();
    let mut trust = Trust::new([key.verifying_key()]);
    let bare = sign(REVOCATIONS_TYPE, &json!({"serials": ["a"]}), &key);
    trust.heed(bare.as_bytes()).unwrap();
    assert!(trust.is_revoked("a") && trust.outdated_lists(chrono::DateTime::UNIX_EPOCH).is_none());
    trust.recall(&thumbprint(&key.verifying_key()), &Arc::new(list(1, &["b"])));
    let (reason, _) = trust.outdated_lists(chrono::DateTime::UNIX_EPOCH).unwrap();
    assert_eq!(reason, Reason::RevocationsOlder);
}

/// A list that is dated in milliseconds, or by a machine that is far ahead, ends no licence for good.
#[test]
fn a_newer_list_takes_back_a_time_that_was_wrong_and_an_impossible_time_counts_for_nothing() {
    let mut kept = Revocations { iat: 2_000_000_000, ..list(1, &["a"]) };
    kept.unite(&Revocations { iat: 1_900_000_000, ..list(2, &["b"]) });
    assert_eq!((kept.version, kept.iat, kept.serials.len()), (2, 1_900_000_000, 2));
    let (key, _) = signing_key_pem(&[1; 32]).unwrap();
    let mut trust = Trust::new([key.verifying_key()]);
    let kept = Revocations { iat: 1_900_000_000_000, ..list(1, &[]) };
    trust.recall(&thumbprint(&key.verifying_key()), &Arc::new(kept));
    assert_eq!(trust.latest_list(), None);
}

/// The attack: a namespace brings many signers, each with a huge list, so that there is no room for another's.
#[test]
fn a_full_share_forgets_nothing_of_a_trusted_signer_and_says_of_whom_it_lacks_something() {
    let vendor: Kept = [("vendor".to_owned(), many(1, "v", 1_000))].into();
    let mut crowd: Kept = (0..10_000).map(|n| (format!("crowd-{n:05}"), many(9, "c", 40))).collect();
    crowd.insert("vendor".into(), many(1, "v", 1_000));
    let share = keep(&vendor, &crowd);
    assert_eq!(share.kept["vendor"], vendor["vendor"]);
    assert_eq!((share.kept.len(), share.not_kept.len()), (MAX_SIGNERS, 10_001 - MAX_SIGNERS));

    // A list that is too large for the room that is left is kept in part, and that is said.
    let trusted: Kept = [("huge".to_owned(), many(1, "h", 70_000)), ("vendor".to_owned(), many(2, "v", 1_001))].into();
    let share = keep(&vendor, &trusted);
    assert_eq!(share.kept["vendor"].serials.len(), 1_001, "what is kept already is added to first");
    assert!(share.not_kept.contains("huge") && !share.not_kept.contains("vendor"));
    assert!(serde_json::to_vec(&share.kept).unwrap().len() <= MAX_SHARE_BYTES);

    // What is kept of a signer that nobody trusts any more stays while there is room, and gives way after that.
    let share = keep(&vendor, &[("small".to_owned(), list(1, &["s"]))].into());
    assert_eq!(share.kept.len(), 2);
    let share = keep(&vendor, &[("huge".to_owned(), many(1, "h", 70_000))].into());
    assert_eq!(share.kept.keys().collect::<Vec<_>>(), ["huge"]);
}

fn some_lists() -> impl Strategy<Value = Kept> {
    let serials = proptest::collection::btree_set("[a-z\"\u{e9}]{1,6}", 0..6);
    let list = (0..4_u64, 0..9_i64, proptest::option::of(0..9_i64), serials);
    let list = list.prop_map(|(version, iat, exp, serials)| Revocations { version, iat, exp, serials });
    proptest::collection::btree_map("[a-e]", list, 0..5)
}

proptest! {
    #[test]
    fn whatever_lists_come_and_go_nothing_is_ever_less(steps in proptest::collection::vec(some_lists(), 1..8)) {
        let mut kept = Kept::new();
        for trusted in steps {
            let next = keep(&kept, &trusted);
            prop_assert!(next.not_kept.is_empty());
            for (signer, before) in kept.iter().chain(&trusted) {
                let now = &next.kept[signer];
                prop_assert!(now.version >= before.version && now.serials.is_superset(&before.serials));
            }
            prop_assert_eq!(&keep(&next.kept, &trusted).kept, &next.kept, "looking again changes nothing");
            kept = next.kept;
        }
    }
}

fn some_list() -> impl Strategy<Value = Arc<Revocations>> {
    let serials = prop::collection::btree_set((0..6_u8).prop_map(|serial| serial.to_string()), 0..4);
    (0..4_u64, 0..3_i64, prop::option::of(5..8_i64), serials)
        .prop_map(|(version, iat, exp, serials)| Arc::new(Revocations { version, iat, exp, serials }))
}

/// All that trust in a signer with these lists shows.
fn shown(lists: &[Arc<Revocations>], kept: Option<&Arc<Revocations>>) -> impl PartialEq + std::fmt::Debug {
    let (key, _) = signing_key_pem(&[7; 32]).expect("a key");
    let mut trust = Trust::new([key.verifying_key()]);
    let signer = thumbprint(&key.verifying_key());
    lists.iter().for_each(|list| trust.heed_genuine(&signer, list));
    kept.into_iter().for_each(|kept| trust.recall(&signer, kept));
    let at = |seconds| Instant::from_timestamp(seconds, 0).expect("a time");
    let outdated: Vec<_> = (0..9).map(|seconds| trust.outdated_lists(at(seconds))).collect();
    let expiries: Vec<_> = (0..9).map(|seconds| trust.next_expiry(at(seconds))).collect();
    let revoked: Vec<bool> = (0..6).map(|serial| trust.is_revoked(&serial.to_string())).collect();
    (outdated, expiries, revoked, trust.latest_list())
}

proptest! {
    /// Whether a list comes or goes that adds nothing, nobody has to look again.
    #[test]
    fn k4_a_list_that_adds_nothing_changes_nothing(
        list in some_list(),
        others in prop::collection::vec(some_list(), 0..4),
        kept in prop::option::of(some_list()),
    ) {
        let with: Vec<_> = others.iter().cloned().chain([list.clone()]).collect();
        if !adds_to(&list, &others, kept.as_deref()) {
            prop_assert_eq!(shown(&with, kept.as_ref()), shown(&others, kept.as_ref()));
        }
    }
}

#[test]
fn k4_a_copy_of_an_older_list_adds_nothing_and_the_newest_or_only_one_does() {
    let of = |version, serials| Arc::new(list(version, serials));
    let (old, new) = (of(1, &["a"]), of(2, &["a", "b"]));
    assert!(!adds_to(&old, std::slice::from_ref(&new), None));
    assert!(adds_to(&new, std::slice::from_ref(&old), None));
    assert!(adds_to(&old, &[], Some(&new)), "that there is none is shown");
    assert!(adds_to(&of(1, &["c"]), std::slice::from_ref(&new), None));
    assert!(!adds_to(&of(1, &["c"]), &[new], Some(&list(1, &["c"]))));
}
