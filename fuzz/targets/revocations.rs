//! Lists of revoked keys (`revoked.jwt`): as they come, and with any payload behind a good signature.

use seatkeeper::domain::Instant;
use seatkeeper::domain::license::trust::{
    MAX_SERIALS, REVOCATIONS_TYPE, Revocations, claimed_signer, read_revocations, read_revocations_of, sign_revocations,
};
use seatkeeper::domain::transit::token_in;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::shared::{is_json, signer, token, trust};

/// The only genuine list that is among the seeds.
static GENUINE: LazyLock<String> = LazyLock::new(|| {
    let serials = BTreeSet::from(["a1", "b2"].map(str::to_owned));
    sign_revocations(&Revocations { version: 3, iat: 1_767_225_600, exp: Some(1_769_904_000), serials }, signer())
});

pub fn genuine() -> Vec<u8> {
    GENUINE.clone().into_bytes()
}

pub fn run(data: &[u8]) {
    let _ = claimed_signer(data);
    if let Ok((kid, _)) = read_revocations_of(data, trust()) {
        assert_eq!(token_in(data).as_deref(), Ok(GENUINE.as_str()), "nobody else has signed a list");
        assert!(trust().key(&kid).is_some());
    }
    if !is_json(data) {
        return;
    }
    let text = token(REVOCATIONS_TYPE, data, true);
    let Ok(list) = read_revocations(text.as_bytes(), trust()) else { return };
    assert!(list.serials.len() <= MAX_SERIALS);
    let again = read_revocations(sign_revocations(&list, signer()).as_bytes(), trust());
    assert_eq!(again.as_ref(), Ok(&list), "a list that is signed again reads as it was");
    let mut trust = trust().clone();
    assert_eq!(trust.heed(text.as_bytes()), Ok(()));
    assert!(list.serials.iter().all(|serial| trust.is_revoked(serial)));
    let now = Instant::from_timestamp(1_767_225_600, 0).expect("it is a time");
    let _ = (trust.outdated_lists(now), trust.latest_list());
    assert!(trust.next_expiry(now).is_none_or(|end| end > now));
}
