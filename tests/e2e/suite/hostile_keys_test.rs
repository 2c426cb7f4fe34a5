//! Keys and key sets that are made to mislead, to spy or to take long: what a License shows of them.

use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use seatkeeper::api::License;
use seatkeeper::api::license::KeyStateName;
use seatkeeper::domain::license::mode::Mode;
use seatkeeper::machine::monotonic;
use serde_json::{Value, json};

use super::case::{Case, KEYS, Shown, TRUST, condition_of};
use super::keys::{Signer, claims};

/// The attack: `"Exp"` instead of `"exp"`, or no end at all, made a key that never ends. A name may look like another.
#[tokio::test]
async fn k4_a_key_that_does_not_mean_what_it_says_is_refused_and_says_why() {
    let case = Case::new("misleading").await;
    case.trust().await;
    let vendor = Signer::of("vendor");
    let good = claims("innoacd", &case.namespace, 365);
    let plain = serde_json::to_value(&good).expect("claims are JSON");
    let with = |serial: &str, change: &dyn Fn(&mut Value)| {
        let mut changed = plain.clone();
        (changed["jti"], changed["grant"]) = (json!(serial), json!(format!("{}/{serial}", case.namespace)));
        change(&mut changed);
        vendor.sign_value(&changed)
    };
    let end = |claims: &mut Value, name: &str| {
        let claims = claims.as_object_mut().expect("an object");
        claims.remove("grace_until");
        let end = claims.remove("exp").expect("it ends");
        claims.insert(name.to_owned(), end);
    };
    let entries = [
        ("other-name", with("1", &|c| end(c, "Exp")), "claim `Exp` must be spelt `exp`"),
        ("other-blanks", with("2", &|c| end(c, "exp ")), "claim `exp ` must be spelt `exp`"),
        ("no-end", with("3", &|c| end(c, "expires")), "claim `exp` is missing: a key of lifetime Term has an end"),
        ("null-end", with("4", &|c| c["exp"] = json!(null)), "claim `exp` is null"),
        ("both", with("5", &|c| c["lifetime"] = json!("Perpetual")), "claim `exp` contradicts lifetime Perpetual"),
        (
            "pool",
            with("6", &|c| c["pools"][0]["name"] = json!("agents\u{200b}")),
            "pool 0 needs a name of 1 to 63 ASCII",
        ),
    ];
    let sound = vendor.sign(&good);
    let texts: Vec<(&str, &str)> =
        entries.iter().map(|(entry, text, _)| (*entry, text.as_str())).chain([("good", sound.as_str())]).collect();
    case.secret("keys", KEYS, &texts).await;
    let seen = case.apply_license("acd", "innoacd", &["keys"]).await.becomes(Mode::Full).await;
    assert_eq!(seen.seats(), Some("agents 0/50"));
    let status = seen.status.expect("it has a mode");
    for (entry, _, says) in entries {
        let key = status.keys.iter().find(|key| key.key == entry).expect("every key is shown");
        let said = key.message.as_deref().unwrap_or_default();
        assert_eq!((key.state, key.reason.as_deref()), (KeyStateName::Refused, Some("Malformed")), "{entry}");
        assert!(said.contains(says), "{entry}: {said}");
    }
}

/// The attack: somebody who may write a License names a Secret in it and reads the Secret's text in the License's status. Here
/// the customer put a secret into the trust Secret by mistake.
#[tokio::test]
async fn k4_the_text_of_a_wrong_key_set_or_key_is_not_in_the_status() {
    let case = Case::new("spying").await;
    for (n, wrong) in
        [r#""hunter2""#, r#"{"keys": "hunter2"}"#, r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "hunter2"}]}"#]
            .into_iter()
            .enumerate()
    {
        case.secret("vendor-trust", TRUST, &[("jwks.json", wrong)]).await;
        case.secret("keys", KEYS, &[("key.jwt", "hunter2")]).await;
        let license = case.apply_license(&format!("spy-{n}"), "innoacd", &["keys"]).await;
        let said = license.is_not("Ready", "TrustInvalid").await;
        assert!(said.contains("vendor-trust, jwks.json: "), "{said}");
        let status = serde_json::to_string(&license.get().await.status).expect("status is JSON");
        assert!(!status.contains("hunter2"), "{status}");
    }
}

/// The attack: an organisation whose name turns the rest of the line around, on the terminal of everybody who looks.
#[tokio::test]
async fn k4_what_a_reader_would_not_see_is_spelt_out_in_messages() {
    let case = Case::new("unseen").await;
    case.trust().await;
    let mut claims = claims("innoacd", &case.namespace, 365);
    claims.sub = "Stadt\u{202e}werke\u{200b}".into();
    case.secret("keys", KEYS, &[("key.jwt", &Signer::of("vendor").sign(&claims))]).await;
    let seen = case.apply_license("acd", "innoacd", &["keys"]).await.becomes(Mode::Full).await;
    let said = &condition_of(&seen, "Licensed").message;
    assert!(said.contains("for Stadt\\u{202e}werke\\u{200b} until"), "{said}");
    let notes = case.license("acd").told("Activated").await;
    assert!(notes.contains("Stadt\\u{202e}werke"), "{notes}");
}

/// The attack: 9,600 keys of one grant in four Secrets, each beginning before the last one ends, stopped all
/// controllers for a minute.
#[tokio::test]
async fn k4_thousands_of_overlapping_keys_delay_nobody() {
    let (intruder, victim) = (Case::new("crowd").await, Case::new("waiting").await);
    let vendor = Signer::of("vendor");
    let good = claims("innoacd", &intruder.namespace, 365);
    intruder.trust().await;
    victim.trust().await;
    let secrets = ["a", "b", "c", "d"];
    for (n, name) in (0..).zip(secrets) {
        let key = |k: i64| {
            let nbf = good.iat - 100 + k;
            let claims = json!({
                "iss": "v", "jti": k.to_string(), "sub": "A", "aud": "innoacd", "iat": good.iat, "nbf": nbf, "exp": nbf + 2,
                "grant": good.grant,
            });
            (k.to_string(), Value::String(vendor.sign_value(&claims)))
        };
        let entries: serde_json::Map<_, _> = (n * 2_400..(n + 1) * 2_400).map(key).collect();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": KEYS, "stringData": entries});
        intruder.kubectl.expect_with(&["create", "-f", "-"], &secret.to_string()).await;
    }
    let crowd = intruder.apply_license("acd", "innoacd", &secrets).await;
    let began = monotonic();
    victim.secret("keys", KEYS, &[("key.jwt", &vendor.sign(&claims("innoacd", &victim.namespace, 365)))]).await;
    victim.apply_license("acd", "innoacd", &["keys"]).await.becomes(Mode::Full).await;
    let waited = monotonic() - began;
    let said = crowd.is("SourceMissing", "TooManyKeys").await;
    println!(
        "the victim waited {} ms, the crowd was judged after {} ms",
        waited.as_millis(),
        (monotonic() - began).as_millis()
    );
    assert!(said.contains("spec.keys: the Secrets hold more than 256 keys") && said.contains("remove keys"), "{said}");
    assert_eq!(crowd.get().await.status.expect("it has a mode").keys_read, Some(256));
    assert!(waited < Duration::from_secs(10), "{waited:?}");
}

/// A namespace has room for 16 MiB of keys. The largest are left out, and the License that needs one says so; other namespaces
/// have room of their own.
#[tokio::test]
async fn k4_a_secret_without_room_is_named_and_is_read_once_there_is_room() {
    let (full, other) = (Case::new("full").await, Case::new("roomy").await);
    let vendor = Signer::of("vendor");
    let create = async |case: &Case, name: &str, key: &str| {
        let secret = Secret {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            type_: Some(KEYS.to_owned()),
            data: Some(
                [
                    ("filler".to_owned(), ByteString(vec![b'x'; 1_000_000])),
                    ("key.jwt".to_owned(), ByteString(key.into())),
                ]
                .into(),
            ),
            ..Secret::default()
        };
        let secrets: Api<Secret> = Api::namespaced(case.client.clone(), &case.namespace);
        secrets.create(&PostParams::default(), &secret).await.expect("it is created");
    };
    for n in 0..16 {
        create(&full, &format!("filler-{n}"), "").await;
    }
    for case in [&full, &other] {
        case.trust().await;
        create(case, "keys", &vendor.sign(&claims("innoacd", &case.namespace, 365))).await;
        let keys = json!([{"name": "keys", "secretRef": {"name": "keys"}, "key": "key.jwt"}]);
        let license = json!({
            "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License", "metadata": {"name": "acd"},
            "spec": {"product": "innoacd", "keys": keys, "trust": {"secretRef": {"name": "vendor-trust"}}},
        });
        case.kubectl.apply(&license.to_string()).await;
    }
    other.license("acd").becomes(Mode::Full).await;
    let license = full.license("acd");
    let said = license.is("Reconciling", "SecretsTooLarge").await;
    let expected = format!("spec.keys[keys]: Secret {}/keys is not read: the Secrets of type {KEYS}", full.namespace);
    assert!(said.contains(&expected) && said.contains("larger than 16 MiB together"), "{said}");
    full.kubectl.expect(&["delete", "secret", "filler-0"]).await;
    license.becomes(Mode::Full).await;
    full.kubectl.expect(&["delete", "secret", "--all", "--wait=false"]).await;
    other.kubectl.expect(&["delete", "secret", "--all", "--wait=false"]).await;
}

/// What a spec takes beyond its first 4 KiB is at most 24 MiB in a namespace. The largest is left out, whichever it is, and
/// whatever refers to it says so; a License in its place has its grant meanwhile. Nobody waits for room in other namespaces.
#[tokio::test]
async fn a_spec_without_room_counts_for_nothing_says_so_and_is_read_once_there_is_room() {
    let (full, other) = (Case::new("specs").await, Case::new("specs-room").await);
    let users = |pool: usize| -> Vec<String> { (0..1_000).map(|n| format!("{pool}-{n}-{}", "u".repeat(66))).collect() };
    let create = async |case: &Case, name: &str, pools: usize, keys: Value| {
        let assigned: Vec<_> = (0..pools).map(|n| json!({"pool": format!("pool-{n}"), "users": users(n)})).collect();
        let trust = json!({"secretRef": {"name": "vendor-trust"}});
        let spec = json!({"product": "innoacd", "keys": keys, "trust": trust, "assignments": assigned});
        let license = License::new(name, serde_json::from_value(spec).expect("a spec"));
        let licenses: Api<License> = Api::namespaced(case.client.clone(), &case.namespace);
        licenses.create(&PostParams::default(), &license).await.expect("it is created");
        case.license(name)
    };
    let keys = json!([{"name": "keys", "secretRef": {"name": "keys"}}]);
    for case in [&full, &other] {
        let key = Signer::of("vendor").sign(&claims("innoacd", &case.namespace, 365));
        case.trust().await;
        case.secret("keys", KEYS, &[("key.jwt", &key)]).await;
    }
    let large = create(&full, "large", 16, keys.clone()).await;
    large.becomes(Mode::Full).await;
    let next = create(&full, "next", 0, keys.clone()).await;
    next.shows_key("keys", "key.jwt", "Refused", Some("InUseElsewhere")).await;
    for n in 0..15 {
        create(&full, &format!("filler-{n}"), 15, json!([])).await;
    }
    let said = large.is("Reconciling", "SpecsTooLarge").await;
    assert!(said.contains(&format!("License {}/large is not read", full.namespace)), "{said}");
    large.is_not("Licensed", "SpecsTooLarge").await;
    assert_eq!(large.get().await.mode(), None);
    next.becomes(Mode::Full).await;
    let roster = json!({
        "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "Roster", "metadata": {"name": "people"},
        "spec": {"licenseRef": {"name": "large"}, "members": []},
    });
    full.kubectl.apply(&roster.to_string()).await;
    full.roster("people").is_not("Ready", "SpecsTooLarge").await;
    create(&other, "large", 16, keys).await.becomes(Mode::Full).await;

    full.kubectl.expect(&["delete", "lic/filler-0", "lic/filler-1", "lic/next"]).await;
    large.becomes(Mode::Full).await;
    full.roster("people").is("Ready", "Counted").await;
    full.kubectl.expect(&["delete", "lic", "--all"]).await;
    other.kubectl.expect(&["delete", "lic", "--all"]).await;
}
