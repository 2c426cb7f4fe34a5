//! Keys and key sets that do not mean what they say, that hold what must not be repeated, or that are made to take long.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use chrono::DateTime;
use ed25519_dalek::{Signer, SigningKey};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use seatkeeper::domain::license::allowance::{Allowance, MAX_BYTES, MAX_KEYS};
use seatkeeper::domain::license::entitlement::{KeyState, Presented, entitlement, next_transition, next_wake};
use seatkeeper::domain::license::grant::GrantId;
use seatkeeper::domain::license::jwk::{publish, read_jwks, thumbprint};
use seatkeeper::domain::license::key::{Claims, MAX_KEY_BYTES, verify_key};
use seatkeeper::domain::license::mode::Mode;
use seatkeeper::domain::license::pool::{CountBy, PoolModel};
use seatkeeper::domain::license::refusal::Refusal;
use seatkeeper::domain::license::token::sign;
use seatkeeper::domain::license::trust::{REVOCATIONS_TYPE, Trust, read_list};
use seatkeeper::domain::reason::Reason;
use seatkeeper::domain::seats::terms::SeatTerms;
use seatkeeper::machine::monotonic;

const SECRET: &str = "hunter2";

fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

/// Signs texts as they are.
fn sign_texts(header: &str, payload: &str) -> String {
    let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
    let signature = signing_key().sign(signed.as_bytes());
    format!("{signed}.{}", BASE64.encode(signature.to_bytes()))
}

fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "license+jwt", "kid": thumbprint(&signing_key().verifying_key())})
}

fn good() -> Value {
    json!({
        "iss": "v", "jti": "s", "sub": "A", "aud": "p", "iat": 1, "nbf": 5, "exp": 30, "grace_until": 35,
        "pools": [{"name": "agents", "model": "Concurrent", "countBy": "User", "seats": 9}],
    })
}

/// Why a key with this header and this payload is refused; empty if it counts.
fn refused(header: &str, payload: &str) -> String {
    let trust = Trust::new([signing_key().verifying_key()]);
    match verify_key(sign_texts(header, payload).as_bytes(), &trust) {
        Ok(_) => String::new(),
        Err(refusal @ Refusal::Malformed(_)) => refusal.to_string(),
        Err(other) => panic!("{other:?}"),
    }
}

/// The claims of a good key with these changes. A change to `"-"` takes the claim out.
fn with(changes: Value) -> String {
    let mut claims = good();
    for (name, value) in changes.as_object().unwrap() {
        match value == "-" {
            true => _ = claims.as_object_mut().unwrap().remove(name),
            false => claims[name] = value.clone(),
        }
    }
    claims.to_string()
}

#[test]
fn a_key_ends_unless_it_says_perpetual_and_a_perpetual_key_has_no_end() {
    let perpetual = json!({"lifetime": "Perpetual", "exp": "-", "grace_until": "-"});
    assert_eq!(refused(&header().to_string(), &with(json!({}))), "");
    assert_eq!(refused(&header().to_string(), &with(json!({"lifetime": "Term"}))), "");
    assert_eq!(refused(&header().to_string(), &with(perpetual)), "");
    for (changes, says) in [
        (json!({"exp": "-", "grace_until": "-"}), "claim `exp` is missing: a key of lifetime Term has an end"),
        (json!({"exp": "-"}), "claim `exp` is missing"),
        (json!({"exp": null, "grace_until": "-"}), "claim `exp` is null: give it a value, or leave it out"),
        (json!({"lifetime": "Perpetual"}), "claim `exp` contradicts lifetime Perpetual"),
        (json!({"lifetime": "Perpetual", "exp": "-"}), "claim `grace_until` contradicts lifetime Perpetual"),
        (json!({"lifetime": "Perpetual", "exp": null, "grace_until": "-"}), "claim `exp` is null"),
        (json!({"grace_until": null}), "claim `grace_until` is null"),
        (json!({"cluster": null}), "claim `cluster` is null"),
    ] {
        let said = refused(&header().to_string(), &with(changes.clone()));
        assert!(said.contains(says), "{changes}: {said:?}");
    }
}

#[test]
fn a_claim_that_is_spelt_almost_like_one_of_ours_is_refused_and_both_are_named() {
    let pool = |name: &str| {
        let mut pool = json!({"name": "agents", "model": "Concurrent", "countBy": "User"});
        pool[name] = json!(1);
        json!({"pools": [pool]})
    };
    let within = |claim: &str, name: &str| {
        let subscription = json!({"namespace": "n", "name": "s", "startsOn": "2026-01-01", "term": 1, name: 1});
        if claim == "holder" { json!({claim: {name: "x"}}) } else { json!({claim: subscription}) }
    };
    for (changes, says) in [
        (json!({"Exp": 30, "lifetime": "Perpetual", "exp": "-"}), "claim `Exp` must be spelt `exp`"),
        (json!({"exp ": 30}), "claim `exp ` must be spelt `exp`"),
        (json!({"\texp": 30}), "claim `\\texp` must be spelt `exp`"),
        (json!({"EXP": 30}), "claim `EXP` must be spelt `exp`"),
        (json!({"e\u{200b}xp": 30}), "claim `e\\u{200b}xp` must be spelt `exp`"),
        (json!({"Cluster": "c"}), "claim `Cluster` must be spelt `cluster`"),
        (json!({"Grace_Until": 1}), "claim `Grace_Until` must be spelt `grace_until`"),
        (pool("Seats"), "claim `Seats` must be spelt `seats`"),
        (pool("countby"), "claim `countby` must be spelt `countBy`"),
        (pool("major "), "claim `major ` must be spelt `major`"),
        (within("holder", "User"), "claim `User` must be spelt `user`"),
        (within("subscription", "startson"), "claim `startson` must be spelt `startsOn`"),
    ] {
        let said = refused(&header().to_string(), &with(changes.clone()));
        assert!(said.contains(says), "{changes}: {said:?}");
    }
    assert_eq!(refused(&header().to_string(), &with(json!({"expires": 1, "seat": null, "Colour": {"exp ": 1}}))), "");
}

#[test]
fn a_header_or_claims_that_say_something_twice_are_refused() {
    let claims = good().to_string();
    let more = |text: &str, member: &str| format!("{},{member}}}", &text[..text.len() - 1]);
    for (member, says) in [
        (r#""exp":40"#, "it says `exp` twice"),
        (r#""colour":1,"colour":1"#, "it says `colour` twice"),
        (r#""colour":{"deep":1,"deep":2}"#, "it says `deep` twice"),
        (r#""\u0065xp":40"#, "it says `exp` twice"),
        (r#""x\u202ey":1,"x\u202ey":1"#, "it says `x\\u{202e}y` twice"),
    ] {
        let said = refused(&header().to_string(), &more(&claims, member));
        assert!(said.contains(says), "{member}: {said:?}");
    }
    let pools = claims.replace(r#""seats":9"#, r#""seats":9,"seats":99"#);
    assert!(refused(&header().to_string(), &pools).contains("it says `seats` twice"));
    for member in [r#""alg":"EdDSA""#, r#""typ":"license+jwt""#, r#""colour":1,"colour":2"#] {
        let said = refused(&more(&header().to_string(), member), &claims);
        assert!(said.contains("its header says something twice"), "{member}: {said:?}");
    }
}

#[test]
fn a_header_with_extensions_is_refused_and_keys_in_it_are_not_looked_at() {
    let with = |name: &str, value: Value| {
        let mut header = header();
        header[name] = value;
        refused(&header.to_string(), &good().to_string())
    };
    for value in [json!(null), json!([]), json!(["b64"]), json!(["exp"]), json!("x"), json!({})] {
        assert!(with("crit", value.clone()).contains("(crit)"), "{value}");
    }
    for value in [json!(null), json!(true), json!(false), json!("false")] {
        assert!(with("b64", value.clone()).contains("b64"), "{value}");
    }
    for name in ["jwk", "jku", "x5u", "x5c", "x5t", "cty"] {
        assert_eq!(with(name, json!({"d": SECRET})), "", "{name}");
    }
}

// Key sets

fn jwk() -> Value {
    serde_json::to_value(publish([&signing_key().verifying_key()])).unwrap()["keys"][0].clone()
}

/// The number of keys that verify licences, or what is wrong with a set of these keys.
fn read(keys: &[String]) -> Result<usize, String> {
    let set = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
    read_jwks(set.as_bytes()).map(|read| read.keys.len()).map_err(|fault| fault.message)
}

#[test]
fn a_public_key_verifies_licences_only_if_it_is_meant_to() {
    let other = SigningKey::from_bytes(&[4; 32]).verifying_key();
    let other = serde_json::to_value(publish([&other])).unwrap()["keys"][0].to_string();
    let with = |name: &str, value: Value| {
        let mut jwk = jwk();
        jwk[name] = value;
        jwk.to_string()
    };
    for counts in [
        jwk().to_string(),
        with("key_ops", json!(["verify"])),
        with("key_ops", json!(["sign", "verify"])),
        with("alg", json!("Ed25519")),
        with("kid", json!("mine")),
        with("x5u", json!("https://example.com")),
    ] {
        assert_eq!(read(&[counts.clone(), other.clone()]), Ok(2), "{counts}");
    }
    let doubled = jwk().to_string().replace(r#""use":"sig""#, r#""use":"sig","use":"sig""#);
    let doubled_x = jwk().to_string().replace(r#""kty""#, r#""x":"AAAA","kty""#);
    for (passed_over, why) in [
        (with("use", json!("enc")), "`use`"),
        (with("use", json!("SIG")), "`use`"),
        (with("use", json!(null)), "`use`"),
        (with("key_ops", json!([])), "`key_ops`"),
        (with("key_ops", json!(["encrypt"])), "`key_ops`"),
        (with("key_ops", json!("verify")), "`key_ops`"),
        (with("alg", json!("ES256")), "`alg`"),
        (with("alg", json!(null)), "`alg`"),
        (with("crv", json!("X25519")), "Ed25519"),
        (doubled, "twice"),
        (doubled_x, "twice"),
    ] {
        assert_eq!(read(&[passed_over.clone(), other.clone()]), Ok(1), "{passed_over}");
        let alone = read(std::slice::from_ref(&passed_over)).unwrap_err();
        assert!(alone.contains("no Ed25519 key that verifies licences: key 0 ") && alone.contains(why), "{alone}");
    }
}

#[test]
fn a_private_or_symmetric_key_of_any_type_never_counts_and_is_named() {
    for private in [
        r#"{"kty":"OKP","crv":"Ed25519","x":"AA","d":"hunter2"}"#,
        r#"{"kty":"OKP","crv":"X25519","x":"AA","d":"hunter2"}"#,
        r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"hunter2"}"#,
        r#"{"kty":"RSA","n":"AA","e":"AQAB","d":"hunter2"}"#,
        r#"{"kty":"RSA","n":"AA","e":"AQAB","p":"hunter2"}"#,
        r#"{"kty":"RSA","n":"AA","e":"AQAB","oth":[{"r":"hunter2"}]}"#,
        r#"{"kty":"oct","k":"hunter2"}"#,
        r#"{"kty":"AKP","alg":"ML-DSA-44","pub":"AA","priv":"hunter2"}"#,
        r#"{"d":"hunter2","d":"hunter2"}"#,
    ] {
        let said = read(&[private.to_owned()]).unwrap_err();
        assert!(said.contains("key 0 is a private key") && !said.contains(SECRET), "{said}");
        let set = format!(r#"{{"keys":[{},{private}]}}"#, jwk());
        let beside = read_jwks(set.as_bytes()).expect("the other key is good");
        assert_eq!(beside.keys, [signing_key().verifying_key()], "{private}");
        let said = beside.trouble().expect("the private key is named").to_string();
        assert!(said.contains("jwks.json: key 1 is a private key") && !said.contains(SECRET), "{said}");
    }
    // Everybody who reads the set can sign with this one, also where its public half is published beside it.
    let mut whole = jwk();
    whole["d"] = json!(SECRET);
    assert!(read(&[jwk().to_string(), whole.to_string()]).unwrap_err().contains("key 1 is a private key"));
}

#[test]
fn one_unusable_key_spoils_no_other_and_is_named() {
    let with = |name: &str, value: Value| {
        let mut jwk = jwk();
        jwk[name] = value;
        jwk.to_string()
    };
    let x = jwk()["x"].as_str().expect("a text").to_owned();
    let doubled = jwk().to_string().replace(r#""kty""#, r#""x":"AAAA","kty""#);
    for (bad, why) in [
        (with("x", json!(format!("{x}="))), "without padding"),
        (with("x", json!(format!(" {x}"))), "has no `x` that is an Ed25519 public key"),
        (with("x", json!("AAAA")), "has no `x`"),
        (with("x", json!(BASE64.encode([0; 32]))), "has no `x`"),
        (with("x", json!(7)), "has no `x`"),
        (json!({"kty": "OKP", "crv": "Ed25519"}).to_string(), "has no `x`"),
        (doubled, "names a member twice"),
        (json!(SECRET).to_string(), "is not a JSON object"),
        ("null".to_owned(), "is not a JSON object"),
        ("[[]]".to_owned(), "is not a JSON object"),
    ] {
        for (set, n) in [([bad.clone(), jwk().to_string()], 0), ([jwk().to_string(), bad.clone()], 1)] {
            let read = read_jwks(format!(r#"{{"keys":[{}]}}"#, set.join(",")).as_bytes()).expect("one is good");
            assert_eq!(read.keys, [signing_key().verifying_key()], "{bad}");
            let said = read.trouble().expect("it is named").message;
            assert!(said.starts_with(&format!("key {n} ")) && said.contains(why), "{bad}: {said}");
            assert!(said.ends_with("; the other keys count") && !said.contains(SECRET), "{said}");
        }
    }
    let many: Vec<String> = (0..8).map(|_| "7".to_owned()).chain([jwk().to_string()]).collect();
    let said = read_jwks(format!(r#"{{"keys":[{}]}}"#, many.join(",")).as_bytes()).unwrap().trouble().unwrap().message;
    assert!(said.contains("key 2 is not") && said.contains("; and 5 more; the other keys count"), "{said}");
    // A set serves several purposes: keys for others are no mistake.
    let rsa = json!({"kty": "RSA", "n": "AA", "e": "AQAB"}).to_string();
    let read = read_jwks(format!(r#"{{"keys":[{rsa},{}]}}"#, jwk()).as_bytes()).expect("one is good");
    assert_eq!((read.keys.len(), read.trouble()), (1, None));
}

#[test]
fn one_unusable_serial_spoils_no_other_and_a_list_of_no_such_form_is_refused() {
    let trust = Trust::new([signing_key().verifying_key()]);
    let read = |payload: Value| read_list(sign(REVOCATIONS_TYPE, &payload, &signing_key()).as_bytes(), &trust);
    let list = read(json!({"version": 3, "serials": [7, "a", null, ["b"], {"c": 1}, "d", true]})).expect("it counts");
    assert_eq!((list.list.version, list.list.serials), (3, BTreeSet::from(["a", "d"].map(str::to_owned))));
    let said = list.trouble.expect("they are named").to_string();
    assert_eq!(said, "revoked.jwt: serials 0, 2, 3 and 2 more are not texts; the others count");
    assert_eq!(read(json!({"version": 3, "serials": ["a"]})).expect("it counts").trouble, None);
    for wrong in [json!({"serials": "a"}), json!({}), json!([]), json!({"version": "x", "serials": ["a"]})] {
        assert!(read(wrong.clone()).is_err(), "{wrong}");
    }
}

// What is not repeated

/// A Secret of the wrong content is read by everybody who may read a License's status.
#[test]
fn the_text_of_a_wrong_key_set_never_reaches_a_message() {
    let wrong = [
        r#""hunter2""#,
        r#"{"keys":"hunter2"}"#,
        r#"{"keys":{"hunter2":1}}"#,
        r#"{"keys":["hunter2"]}"#,
        r#"{"keys":[["hunter2"]]}"#,
        r#"{"keys":[{"kty":"hunter2"}]}"#,
        r#"{"keys":[{"hunter2":1,"hunter2":2}]}"#,
        r#"{"keys":[],"keys":"hunter2"}"#,
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"hunter2"}]}"#,
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","use":"hunter2"}]}"#,
        r#"{"hunter2":1}"#,
        r#"{"keys":[hunter2]}"#,
        "hunter2",
        "-----BEGIN PRIVATE KEY-----\nhunter2\n",
        r#"{"keys":[{"kty":"hunter2"#,
        r#"[{"hunter2, expected hunter2":1}]"#,
        r#"{"keys":", expected hunter2"}"#,
    ];
    for text in wrong {
        let said = read_jwks(text.as_bytes()).unwrap_err().to_string();
        assert!(!said.contains(SECRET), "{text}: {said}");
    }
    let said = read_jwks(b"{\"keys\":\n  \"hunter2\"}").unwrap_err().to_string();
    assert!(said.contains("is not a JWK Set: expected a sequence at line 2 column 11"), "{said}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Also where a signer that is trusted put it.
    #[test]
    fn the_value_of_a_wrong_claim_never_reaches_a_message(
        claim in prop::sample::select(vec!["iss", "jti", "aud", "iat", "exp", "lifetime", "on_demo", "features", "holder",
            "pools", "purchased_on", "subscription", "demo_seats", "plan"]),
        value in prop::sample::select(vec![
            json!("hunter2"), json!(["hunter2"]), json!({"hunter2": 1}), json!([{"name": "hunter2", "model": "hunter2"}]),
            json!([{"hunter2": "hunter2"}]), json!(["hunter2", "hunter2"]), json!({"user": ["hunter2"]}),
            json!(", expected hunter2"), json!({"user": {"hunter2": 1}, "namespace": "hunter2"}),
        ]),
    ) {
        let said = refused(&header().to_string(), &with(json!({claim: value})));
        prop_assert!(!said.contains(SECRET), "{}", said);
    }

    #[test]
    fn a_pool_has_a_name_of_the_alphabet(name in "[a-zA-Z0-9._-]{0,3}([ /\u{e4}\u{202e}\n~@:,]|[a-zA-Z0-9._-]{0,61})") {
        let allowed = (1..=63).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        let pool = |name: &str, to: &str| json!({"pools": [{"name": name, "model": "Concurrent", "countBy": "User", "overflowsTo": to}]});
        for changes in [pool(&name, "b"), pool("a", &name)] {
            let said = refused(&header().to_string(), &with(changes));
            prop_assert_eq!(said.is_empty(), allowed, "{}", said);
            prop_assert!(allowed || said.contains("pool 0 needs a name of 1 to 63 ASCII letters"), "{}", said);
        }
    }
}

#[test]
fn a_wrong_claim_is_named_with_what_is_expected() {
    for (changes, says) in [
        (json!({"exp": "soon"}), "`exp`: expected i64"),
        (
            json!({"pools": [{"name": "a", "model": "Odd", "countBy": "User"}]}),
            "`pools[0].model`: expected one of `Concurrent`",
        ),
        (json!({"jti": "-"}), "missing field `jti`"),
        (json!({"aud": ["a", "b"]}), "`aud`: "),
    ] {
        let said = refused(&header().to_string(), &with(changes));
        assert!(said.contains(&format!("its claims are not those of a license+jwt: {says}")), "{said}");
    }
}

// Bounds

#[test]
fn a_key_has_at_most_64_features_of_at_most_63_characters() {
    let features = |features: Vec<String>| refused(&header().to_string(), &with(json!({ "features": features })));
    assert_eq!(features((0..64).map(|n| n.to_string()).collect()), "");
    assert!(features((0..65).map(|n| n.to_string()).collect()).contains("has 65 entries; at most 64"));
    assert_eq!(features(vec!["ü".repeat(63)]), "");
    assert!(features(vec!["x".into(), "x".repeat(64)]).contains("feature 1 needs 1 to 63 characters"));
    assert!(features(vec![String::new()]).contains("feature 0 needs"));
}

#[test]
fn of_one_license_256_keys_and_a_mebibyte_are_read_and_a_text_too_long_for_a_key_counts_no_bytes() {
    let read = |text: &[u8]| {
        let mut allowance = Allowance::default();
        let mut n = 0;
        loop {
            match allowance.take(text) {
                Ok(()) => n += 1,
                Err(fault) => return (n, fault),
            }
        }
    };
    let (keys, fault) = read(b"key");
    assert_eq!((keys, fault.reason, fault.field.as_str()), (MAX_KEYS, Reason::TooManyKeys, "spec.keys"));
    assert!(fault.message.contains("more than 256 keys") && fault.message.contains("remove keys"), "{fault}");
    let (keys, fault) = read(&[b'k'; MAX_KEY_BYTES]);
    assert_eq!((keys, fault.reason), (MAX_BYTES / MAX_KEY_BYTES, Reason::TooManyKeys));
    assert!(fault.message.contains("more than 1048576 bytes of keys"), "{fault}");
    assert_eq!(read(&[b'k'; MAX_KEY_BYTES + 1]).0, MAX_KEYS);
}

fn second(seconds: i64) -> chrono::DateTime<chrono::Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn presented(claims: Vec<Claims>) -> Vec<Presented> {
    let present = |claims: Claims| Presented {
        secret: "s".into(),
        entry: claims.jti.clone(),
        grant: Some(GrantId::of("p", &claims.grant(), "signer")),
        claims: Some(Arc::new(claims)),
        refusal: None,
    };
    claims.into_iter().map(present).collect()
}

/// The attack: two keys with one serial and the same times that say different things. The author of the Secret chose, by
/// the names of its entries, how many seats there are.
#[test]
fn of_keys_with_the_same_serial_and_times_the_same_one_counts_in_every_order_of_entries() {
    let as_one = |changes: Value| serde_json::from_str::<Claims>(&with(changes)).unwrap();
    let pools = |seats: u32| json!([{"name": "agents", "model": "Concurrent", "countBy": "User", "seats": seats}]);
    let signed = [
        json!({}),
        json!({"pools": pools(2)}),
        json!({"exp": 31, "pools": pools(2), "on_demo": {"EndAfterMinutes": 5}}),
        json!({"exp": 31, "grace_until": "-", "sub": "B"}),
        json!({"demo_seats": 3}),
        json!({"features": ["f"]}),
    ];
    let keys: Vec<Claims> = signed.map(|changes| as_one(with_grant(changes))).into();
    for at in [10, 30, 33, 50] {
        let decided = |order: &[usize]| {
            let mut granted = entitlement(&presented(order.iter().map(|n| keys[*n].clone()).collect()), second(at));
            // The state of each key, in an order that is always the same.
            let mut states: Vec<(usize, KeyState)> = order.iter().copied().zip(granted.keys.split_off(0)).collect();
            states.sort_by_key(|(n, _)| *n);
            (granted, states)
        };
        let in_order = decided(&[0, 1, 2, 3, 4, 5]);
        for order in orders(keys.len()) {
            assert_eq!(decided(&order), in_order, "at {at} s, entries in the order {order:?}");
        }
    }
}

/// These changes, and the grant that all keys have.
fn with_grant(mut changes: Value) -> Value {
    changes["grant"] = json!("g");
    changes
}

/// Every order of the numbers below `count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let inserted = |order: &Vec<usize>, at: usize| [&order[..at], &[last], &order[at..]].concat();
    orders(last).iter().flat_map(|order| (0..count).map(move |at| inserted(order, at))).collect()
}

/// How long a look at these keys takes.
fn look(keys: &[Presented]) -> Duration {
    let began = monotonic();
    let now = second(100);
    let granted = entitlement(keys, now);
    assert_eq!(granted.mode, Mode::Full);
    SeatTerms::new(&granted, &[], &[]);
    next_transition(keys, now);
    next_wake(keys, now);
    monotonic() - began
}

/// The attack: 9,600 keys of one grant, each beginning before the last one ends, stopped all controllers for a minute.
#[test]
fn keys_that_overlap_in_a_long_chain_are_judged_at_once() {
    let chain = (0..9_600_i64).map(|n| {
        let claims = json!({
            "iss": "v", "jti": n.to_string(), "sub": "A", "aud": "p", "iat": n, "nbf": 100 + n, "exp": 102 + n,
            "grant": "g",
        });
        serde_json::from_value(claims).unwrap()
    });
    let keys = presented(chain.collect());
    let took = look(&keys);
    println!("9,600 overlapping keys: {} ms", took.as_millis());
    assert_eq!(entitlement(&keys, second(100)).expires_at, Some(second(102 + 9_599)));
    assert!(took < Duration::from_secs(15), "{took:?}");
}

/// The largest licence that is read: every key has a grant of its own and as many pools as a key may have.
#[test]
fn the_largest_licence_is_judged_at_once() {
    let pool = |key: usize, n: usize, apart: bool| {
        let name = if apart { format!("{key}-{n}") } else { n.to_string() };
        json!({"name": name, "model": PoolModel::PerUser, "countBy": CountBy::Start, "seats": 1, "loginMode": "Active"})
    };
    for apart in [true, false] {
        let keys = (0..MAX_KEYS).map(|key| {
            let pools: Vec<Value> = (0..64).map(|n| pool(key, n, apart)).collect();
            let claims = json!({
                "iss": "v", "jti": key.to_string(), "sub": "A", "aud": "p", "iat": key, "nbf": key % 100,
                // Ends at which nothing changes: the key that ends has not counted for long.
                "exp": 200 + key, "grace_until": 900 + key, "grant": format!("g{}", key % 128), "pools": pools,
            });
            serde_json::from_value(claims).unwrap()
        });
        let keys = presented(keys.collect());
        let took = look(&keys);
        println!("256 keys x 64 pools, {}: {} ms", if apart { "16,384 names" } else { "64 names" }, took.as_millis());
        assert!(took < Duration::from_secs(3), "{took:?}");
        let granted = entitlement(&keys, second(100));
        let refused = granted.keys.iter().filter(|state| matches!(state, KeyState::Refused(Refusal::TooManyPools)));
        // Two keys of each grant, and 16 grants of 64 pools each.
        let (pools, refused_keys) = if apart { (1024, 256 - 2 * 16) } else { (64, 0) };
        assert_eq!((granted.pools.len(), refused.count()), (pools, refused_keys));
    }
}

/// The attack: the author of a License who may not read Secrets names one in it, and reads in the status what the
/// signed text in there says. The `kid` was repeated of any text.
#[test]
fn what_a_text_says_that_no_trusted_key_has_signed_is_not_repeated() {
    let trust = Trust::new([SigningKey::from_bytes(&[4; 32]).verifying_key()]);
    let payload = json!({"iss": SECRET, "jti": SECRET, "sub": SECRET, "aud": SECRET, "grant": SECRET}).to_string();
    for header in [
        json!({"alg": "EdDSA", "typ": "license+jwt", "kid": SECRET}),
        json!({"alg": "EdDSA", "typ": SECRET, "kid": SECRET}),
        json!({"alg": SECRET, "typ": "license+jwt", "kid": SECRET}),
        json!({"alg": "EdDSA", "typ": "license+jwt", "kid": SECRET, "crit": [SECRET]}),
        json!({"alg": "EdDSA", "typ": "license+jwt", "kid": SECRET, SECRET: SECRET}),
    ] {
        let text = sign_texts(&header.to_string(), &payload);
        let refusal = verify_key(text.as_bytes(), &trust).expect_err("nobody trusted has signed it");
        assert!(!refusal.to_string().contains(SECRET), "{refusal}");
    }
    for text in [SECRET.to_owned(), format!("{SECRET}.{SECRET}.{SECRET}"), format!("{{\"password\": \"{SECRET}\"}}")] {
        let refusal = verify_key(text.as_bytes(), &trust).expect_err("it is no key");
        assert!(!refusal.to_string().contains(SECRET), "{refusal}");
    }
}
