//! What keys grant, compared with brute force over instants; keys against tampering; trusted time against wrong clocks.

use chrono::{DateTime, Duration};
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use seatkeeper::domain::Instant;
use seatkeeper::domain::license::entitlement::{
    KeyState, Presented, entitlement, grants_of, next_transition, next_wake, refuse_in_use_elsewhere,
};
use seatkeeper::domain::license::grant::GrantId;
use seatkeeper::domain::license::jwk::{publish, read_jwks, signing_key_pem};
use seatkeeper::domain::license::key::{Claims, sign_key, verify_key};
use seatkeeper::domain::license::mode::Mode;
use seatkeeper::domain::license::refusal::Refusal;
use seatkeeper::domain::license::trust::{Revocations, Trust, sign_revocations};
use seatkeeper::domain::license::whom_to_trust::{Says, TrustFromLicenses, who_says};
use seatkeeper::domain::reason::Reason;
use seatkeeper::domain::trusted_time::{ClockReadings, MarkChange, TOLERANCE, trusted_time};

fn second(seconds: i64) -> Instant {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

/// A key in a small world in which a licence lasts a few seconds.
#[derive(Clone, Debug)]
struct Key {
    grant: u8,
    nbf: i64,
    exp: Option<i64>,
    grace: i64,
    iat: i64,
    seats: u32,
    by_start: bool,
    refused: bool,
}

fn key() -> impl Strategy<Value = Key> {
    let times = (0..30_i64, prop::option::weighted(0.9, 1..15_i64), 0..10_i64, 0..6_i64);
    let what = (0..3_u8, 1..100_u32, prop::bool::weighted(0.15), prop::bool::weighted(0.1));
    (times, what).prop_map(|((nbf, length, grace, iat), (grant, seats, by_start, refused))| Key {
        grant,
        nbf,
        exp: length.map(|length| nbf + length),
        grace,
        iat,
        seats,
        by_start,
        refused,
    })
}

fn claims(key: &Key, serial: usize) -> Claims {
    serde_json::from_value(json!({
        "iss": "v", "jti": format!("s{serial:02}"), "sub": "A", "aud": "p", "iat": key.iat, "nbf": key.nbf, "exp": key.exp,
        "grace_until": key.exp.map(|exp| exp + key.grace), "grant": format!("g{}", key.grant), "demo_seats": key.seats % 5,
        "features": [format!("f{}", key.seats % 7)],
        "pools": [{"name": "agents", "model": "Concurrent", "countBy": if key.by_start { "Start" } else { "User" }, "seats": key.seats}],
    }))
    .unwrap()
}

fn present_all(keys: &[Key]) -> Vec<Presented> {
    let presented = |(n, key): (usize, &Key)| Presented {
        secret: "s".into(),
        entry: n.to_string(),
        claims: Some(Arc::new(claims(key, n))),
        grant: Some(GrantId::of("p", &format!("g{}", key.grant), "signer")),
        refusal: key.refused.then_some(Refusal::Revoked),
    };
    keys.iter().enumerate().map(presented).collect()
}

/// Returns the key of a grant that counts at `t`, by comparing each with each.
fn counting(keys: &[(usize, &Key)], t: i64) -> Option<usize> {
    let in_force = |key: &Key| key.nbf <= t && key.exp.is_none_or(|exp| t < exp);
    let beats = |(n, a): &(usize, &Key), (m, b): &(usize, &Key)| {
        a.nbf > b.nbf || (a.nbf == b.nbf && (a.iat > b.iat || (a.iat == b.iat && n > m)))
    };
    let candidates: Vec<&(usize, &Key)> = keys.iter().filter(|(_, key)| in_force(key)).collect();
    candidates.iter().find(|one| candidates.iter().all(|other| one.0 == other.0 || beats(one, other))).map(|one| one.0)
}

#[derive(Debug, PartialEq)]
struct Expected {
    mode: Mode,
    in_grace: bool,
    limit: Option<u64>,
    features: BTreeSet<String>,
    demo_seats: u32,
    conflicts: BTreeSet<usize>,
}

/// The rules of the domain, applied second by second.
fn brute_force(keys: &[Key], t: i64) -> Expected {
    let mut grants: BTreeMap<u8, Vec<(usize, &Key)>> = BTreeMap::new();
    for (n, key) in keys.iter().enumerate().filter(|(_, key)| !key.refused) {
        grants.entry(key.grant).or_default().push((n, key));
    }
    let mut by_age: Vec<(u8, Vec<(usize, &Key)>)> = grants.into_iter().collect();
    by_age.sort_by_key(|(name, keys)| (keys.iter().map(|(_, key)| key.iat).min(), *name));
    let (mut limit, mut full, mut grace) = (0, false, false);
    let (mut features, mut conflicts, mut kind) = (BTreeSet::new(), BTreeSet::new(), None);
    let mut ended_last: Option<((i64, i64, i64, usize), u32)> = None;
    for (_, of_grant) in &by_age {
        let now = counting(of_grant, t);
        let graceful = of_grant.iter().any(|(_, key)| key.exp.is_some_and(|exp| exp <= t && t < exp + key.grace));
        let last_counted = || (0..t).rev().find_map(|earlier| counting(of_grant, earlier));
        let (speaks, is_full) = match now {
            Some(n) => (n, true),
            None if graceful => (last_counted().unwrap(), false),
            None => {
                if let Some(n) = last_counted() {
                    let rank = (keys[n].exp.unwrap(), keys[n].nbf, keys[n].iat, n);
                    if ended_last.is_none_or(|(other, _)| rank > other) {
                        ended_last = Some((rank, keys[n].seats % 5));
                    }
                }
                continue;
            }
        };
        if *kind.get_or_insert(keys[speaks].by_start) != keys[speaks].by_start {
            conflicts.extend(of_grant.iter().map(|(n, _)| *n));
            continue;
        }
        limit += u64::from(keys[speaks].seats);
        features.insert(format!("f{}", keys[speaks].seats % 7));
        full |= is_full;
        grace |= !is_full;
    }
    let mode = if full {
        Mode::Full
    } else if grace {
        Mode::Grace
    } else {
        Mode::Demo
    };
    let limit = match mode {
        Mode::Demo => ended_last.map(|_| 0),
        _ => Some(limit),
    };
    let demo_seats = if mode == Mode::Demo { ended_last.map_or(0, |(_, seats)| seats) } else { 0 };
    Expected { mode, in_grace: grace, limit, features, demo_seats, conflicts }
}

fn found(keys: &[Presented], t: i64) -> Expected {
    let e = entitlement(keys, second(t));
    let conflict = |state: &KeyState| matches!(state, KeyState::Refused(Refusal::PoolConflict { .. }));
    Expected {
        mode: e.mode,
        in_grace: e.in_grace,
        limit: e.pools.first().map(|pool| pool.limit.unwrap()),
        features: e.features,
        demo_seats: if e.mode == Mode::Demo { e.demo_seats } else { 0 },
        conflicts: e.keys.iter().enumerate().filter(|(_, state)| conflict(state)).map(|(n, _)| n).collect(),
    }
}

const END: i64 = 60;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_keys_grant_is_what_brute_force_finds_at_every_second_i8_i9_i10(keys in prop::collection::vec(key(), 0..8)) {
        let presented = present_all(&keys);
        for t in 0..END {
            prop_assert_eq!(found(&presented, t), brute_force(&keys, t), "at {}", t);
        }
    }

    #[test]
    fn every_key_is_shown_as_what_it_is(keys in prop::collection::vec(key(), 0..8), t in 0..END) {
        let expected = brute_force(&keys, t);
        for (n, state) in entitlement(&present_all(&keys), second(t)).keys.into_iter().enumerate() {
            let key = &keys[n];
            let of_grant: Vec<(usize, &Key)> =
                keys.iter().enumerate().filter(|(_, other)| other.grant == key.grant && !other.refused).collect();
            let right = match state {
                KeyState::Refused(Refusal::Revoked) => key.refused,
                KeyState::Refused(_) => expected.conflicts.contains(&n),
                KeyState::Future => t < key.nbf,
                KeyState::Expired => key.exp.is_some_and(|exp| exp <= t),
                KeyState::InForce => counting(&of_grant, t) == Some(n),
                KeyState::Superseded => counting(&of_grant, t).is_some_and(|counts| counts != n) && t >= key.nbf,
            };
            prop_assert!(right, "{} {:?}", n, key);
        }
    }

    /// K3: nothing is shown late, and the announced transition is the next one.
    #[test]
    fn nothing_changes_between_now_and_the_next_wake_and_the_next_transition_is_the_next_change(
        keys in prop::collection::vec(key(), 0..8), t in 0..END
    ) {
        let presented = present_all(&keys);
        let before = entitlement(&presented, second(t));
        let wake = next_wake(&presented, second(t)).map_or(END, |at| at.timestamp());
        prop_assert!(wake > t);
        for asleep in t + 1..wake {
            prop_assert_eq!(&entitlement(&presented, second(asleep)), &before, "at {}", asleep);
        }
        let granted = |t: i64| { let e = entitlement(&presented, second(t)); (e.mode, e.in_grace, e.pools, e.features, e.demo_seats) };
        let change = (t + 1..END).find(|later| granted(*later) != granted(t));
        let announced = next_transition(&presented, second(t));
        prop_assert_eq!(announced.map(|transition| transition.at.timestamp()), change);
        prop_assert_eq!(announced.map(|transition| transition.to), change.map(|at| granted(at).0));
    }

    /// The displayed end is the real one: the licence is Full until then, and not after.
    #[test]
    fn with_one_grant_full_lasts_until_the_displayed_end(mut keys in prop::collection::vec(key(), 1..6), t in 0..END) {
        keys.iter_mut().for_each(|key| (key.grant, key.by_start) = (0, false));
        let presented = present_all(&keys);
        let shown = entitlement(&presented, second(t));
        prop_assume!(shown.mode == Mode::Full);
        let mode = |t: i64| entitlement(&presented, second(t)).mode;
        let end = shown.expires_at.map_or(END, |at| at.timestamp());
        prop_assert!((t..end.min(END)).all(|later| mode(later) == Mode::Full));
        if let (Some(end), Some(grace)) = (shown.expires_at, shown.grace_ends_at) {
            prop_assert!(mode(end.timestamp()) != Mode::Full);
            prop_assert!((end.timestamp()..grace.timestamp()).all(|later| mode(later) != Mode::Demo));
        }
    }

    #[test]
    fn a_bad_key_never_displaces_a_good_one(keys in prop::collection::vec(key(), 1..6), bad in key(), t in 0..END) {
        let mut with = present_all(&keys);
        let before = found(&with, t);
        with.push(Presented { secret: "s".into(), entry: "bad".into(), claims: Some(Arc::new(claims(&bad, 99))), grant: None, refusal: Some(Refusal::WrongCluster) });
        with.push(Presented { secret: "s".into(), entry: "worse".into(), claims: None, grant: None, refusal: Some(Refusal::BadSignature) });
        prop_assert_eq!(found(&with, t), before);
    }

    #[test]
    fn the_order_of_keys_decides_nothing_and_the_same_key_twice_counts_once(
        keys in prop::collection::vec(key(), 1..6), t in 0..END, turn in 0..6_usize
    ) {
        let mut presented = present_all(&keys);
        let before = found(&presented, t);
        let again = presented[0].clone();
        presented.push(again);
        let turn = turn % presented.len();
        presented.rotate_left(turn);
        let after = found(&presented, t);
        prop_assert_eq!((after.mode, after.in_grace, after.limit, after.features), (before.mode, before.in_grace, before.limit, before.features));
    }
}

#[test]
fn the_younger_of_two_grants_that_contradict_each_other_is_refused_and_named() {
    let older = Key { grant: 1, nbf: 0, exp: Some(20), grace: 0, iat: 1, seats: 5, by_start: false, refused: false };
    let younger = Key { grant: 0, iat: 2, by_start: true, ..older.clone() };
    let granted = entitlement(&present_all(&[younger, older]), second(10));
    assert_eq!(granted.pools[0].limit, Some(5));
    assert_eq!(granted.keys[0], KeyState::Refused(Refusal::PoolConflict { pool: "agents".into(), grant: "g1".into() }));
    assert_eq!(granted.keys[1], KeyState::InForce);
}

#[test]
fn without_a_key_that_was_ever_in_force_there_are_no_seats_at_all() {
    let future = Key { grant: 0, nbf: 20, exp: Some(30), grace: 5, iat: 0, seats: 9, by_start: false, refused: false };
    for keys in [vec![], vec![future.clone()], vec![Key { nbf: 0, refused: true, ..future }]] {
        let granted = entitlement(&present_all(&keys), second(10));
        assert_eq!((granted.mode, granted.ever_licensed, granted.demo_seats), (Mode::Demo, false, 0));
        assert!(granted.pools.is_empty());
    }
}

#[test]
fn a_grant_in_use_elsewhere_grants_nothing_here_and_names_the_holder() {
    let key = Key { grant: 0, nbf: 0, exp: Some(30), grace: 5, iat: 0, seats: 9, by_start: false, refused: false };
    let mut keys = present_all(&[key.clone(), Key { grant: 1, seats: 4, ..key }]);
    let grants: Vec<GrantId> = keys.iter().filter_map(|key| key.grant.clone()).collect();
    assert_eq!(grants_of(&keys), grants.iter().cloned().collect());
    refuse_in_use_elsewhere(&mut keys, |grant| (*grant == grants[0]).then(|| "a/first".to_owned()));
    let granted = entitlement(&keys, second(10));
    assert_eq!(granted.pools[0].limit, Some(4));
    assert_eq!(granted.keys[0], KeyState::Refused(Refusal::InUseElsewhere { holder: "a/first".into() }));
}

// Keys

fn some_claims() -> Claims {
    claims(&Key { grant: 0, nbf: 5, exp: Some(30), grace: 5, iat: 0, seats: 9, by_start: false, refused: false }, 1)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_key_with_any_character_changed_cut_or_added_is_not_accepted_unless_it_is_no_part_of_it(
        place in any::<prop::sample::Index>(), character in "[ -~]", how in 0..3_u8
    ) {
        let (signing, _) = signing_key_pem(&[3; 32]).unwrap();
        let trust = Trust::new([signing.verifying_key()]);
        let good = sign_key(&some_claims(), &signing);
        let n = place.index(good.len());
        let bad = match how {
            0 => format!("{}{character}{}", &good[..n], &good[n + 1..]),
            1 => format!("{}{}", &good[..n], &good[n + 1..]),
            _ => format!("{}{character}{}", &good[..n], &good[n..]),
        };
        // What no token has may stand around it, and blanks within it (`transit.rs`).
        let of_token = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
        let is_whole = bad.chars().filter(of_token).collect::<String>() == good;
        if let Ok(read) = verify_key(bad.as_bytes(), &trust) {
            prop_assert!(is_whole && *read.claims == some_claims(), "{}", bad);
        }
    }

    #[test]
    fn reading_any_bytes_as_a_key_a_list_or_trust_is_safe(bytes in prop::collection::vec(any::<u8>(), 0..200), dots in "[a-zA-Z0-9_.-]{0,80}") {
        let mut trust = Trust::default();
        for bytes in [&bytes[..], dots.as_bytes()] {
            prop_assert!(verify_key(bytes, &trust).is_err() && trust.heed(bytes).is_err() && read_jwks(bytes).is_err());
        }
    }
}

#[test]
fn unknown_claims_are_kept_and_ignored() {
    let (signing, _) = signing_key_pem(&[3; 32]).unwrap();
    let mut value = serde_json::to_value(some_claims()).unwrap();
    value["colour"] = json!({"deep": [1, 2]});
    let text = seatkeeper::domain::license::token::sign("license+jwt", &value, &signing);
    let read = verify_key(text.as_bytes(), &Trust::new([signing.verifying_key()])).unwrap();
    assert_eq!(read.claims.other["colour"], json!({"deep": [1, 2]}));
    assert_eq!(serde_json::to_value(&*read.claims).unwrap(), value);
}

#[test]
fn keys_of_a_rotation_are_trusted_side_by_side_and_revocations_of_both_are_united() {
    let [(old, _), (new, _)] = [[1; 32], [2; 32]].map(|secret| signing_key_pem(&secret).unwrap());
    let set = serde_json::to_vec(&publish([&old.verifying_key(), &new.verifying_key()])).unwrap();
    let mut trust = Trust::new(read_jwks(&set).unwrap().keys);
    for key in [&old, &new] {
        assert!(verify_key(sign_key(&some_claims(), key).as_bytes(), &trust).is_ok());
    }
    for (key, serial) in [(&old, "a"), (&new, "b")] {
        let list = Revocations { version: 1, iat: 0, exp: None, serials: [serial.to_owned()].into() };
        trust.heed(sign_revocations(&list, key).as_bytes()).unwrap();
    }
    assert!(trust.is_revoked("a") && trust.is_revoked("b") && !trust.is_revoked("c"));
    // A list of revocations is not accepted as a key, nor a key as a list.
    let list = sign_revocations(&Revocations::default(), &old);
    assert!(matches!(verify_key(list.as_bytes(), &trust), Err(Refusal::Malformed(_))));
    assert!(trust.heed(sign_key(&some_claims(), &old).as_bytes()).is_err());
}

// Trusted time

/// One look at the clocks: how far the local clock is off, whether the API server answered, and how much time has
/// passed.
fn look() -> impl Strategy<Value = (i64, bool, i64)> {
    let off = prop_oneof![3 => -200..200_i64, 1 => -700..700_i64, 1 => -400_000_000..400_000_000_i64];
    (off, prop::bool::weighted(0.8), 0..1_000_i64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// The API server's clock is right. Whatever the local clock says, also at the first look, nothing ends early, and
    /// time that the server confirms never goes back.
    #[test]
    fn no_own_clock_can_end_anything_early_or_turn_time_back(looks in prop::collection::vec(look(), 1..40)) {
        let mut truth = second(1_800_000_000);
        let (mut mark, mut agreed, mut latest) = (None, None, None);
        for (off, heard, passed) in looks {
            truth += Duration::seconds(passed);
            // An operator that never got an answer from a server has nothing to act on.
            let heard = heard || agreed.is_none();
            let own = truth + Duration::seconds(off);
            let clocks = ClockReadings { own, server: heard.then_some(truth), last_agreed: agreed.map(|_| truth), mark };
            let told = trusted_time(clocks);
            prop_assert!(told.now <= truth + TOLERANCE, "{:?} at {}", told, truth);
            prop_assert!(told.now >= truth - TOLERANCE, "{:?} at {}", told, truth);
            prop_assert!(mark.is_none_or(|mark| told.now >= mark), "{:?}", told);
            if heard {
                prop_assert!(latest.is_none_or(|latest| told.now >= latest), "{:?} after {:?}", told, latest);
                latest = Some(told.now);
                agreed = Some(truth);
            }
            match told.mark {
                MarkChange::Keep => {}
                MarkChange::Move(to) => {
                    prop_assert!(heard && mark.is_none_or(|mark| to >= mark));
                    mark = Some(to);
                }
                MarkChange::Drop => prop_assert!(false, "nothing was ahead: {:?}", clocks),
            }
        }
    }

    /// One boot with all clocks in 2036 does not expire everything permanently.
    #[test]
    fn a_mark_from_a_day_when_all_clocks_were_wrong_is_dropped_once_they_are_right(years in 1..20_i64, off in -290..290_i64) {
        let truth = second(1_800_000_000);
        let wrong = truth + Duration::days(365 * years);
        let clocks = |time: Instant, mark| ClockReadings { own: time + Duration::seconds(off), server: Some(time), last_agreed: None, mark };
        let MarkChange::Move(mark) = trusted_time(clocks(wrong, None)).mark else { panic!("all clocks agreed") };
        let told = trusted_time(clocks(truth, Some(mark)));
        prop_assert_eq!((told.now, told.mark), (truth + Duration::seconds(off), MarkChange::Drop));
        prop_assert!(told.doubt.is_some());
    }

    #[test]
    fn without_a_server_no_mark_moves_and_a_clock_set_back_stays_at_the_mark(off in -400_000_000..400_000_000_i64) {
        let mark = second(1_800_000_000);
        let own = mark + Duration::seconds(off);
        let told = trusted_time(ClockReadings { own, server: None, last_agreed: None, mark: Some(mark) });
        prop_assert_eq!((told.now, told.mark), (own.max(mark), MarkChange::Keep));
        prop_assert_eq!(told.doubt.is_some(), own < mark - TOLERANCE);
    }
}

/// A pin counts alone; a License decides for itself only where it is allowed to; and a word that does not count is never
/// passed over in silence.
#[test]
fn a_license_says_whom_to_trust_only_where_it_may() {
    use TrustFromLicenses::{Allow, Refuse};
    for (is_pinned, has_own, from, says, unused) in [
        (true, false, Refuse, Says::Installation, None),
        (true, false, Allow, Says::Installation, None),
        (true, true, Refuse, Says::Installation, Some(Reason::TrustPinned)),
        (true, true, Allow, Says::Installation, Some(Reason::TrustPinned)),
        (false, true, Allow, Says::License, None),
        (false, true, Refuse, Says::Subscriptions, Some(Reason::TrustNotAllowed)),
        (false, false, Allow, Says::Subscriptions, None),
        (false, false, Refuse, Says::Subscriptions, None),
    ] {
        assert_eq!(who_says(is_pinned, has_own, from), (says, unused), "{is_pinned} {has_own} {from:?}");
    }
    assert_eq!(TrustFromLicenses::default(), Refuse);
}
