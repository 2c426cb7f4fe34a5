//! Keys that do not count: the License shows the reason for each, and none displaces a good key.

use std::time::Duration;

use kube::ResourceExt;
use seatkeeper::api::License;
use seatkeeper::api::license::KeyStateName;
use seatkeeper::domain::license::allowance::MAX_KEYS;
use seatkeeper::domain::license::key::Claims;
use seatkeeper::domain::license::mode::Mode;
use seatkeeper::machine::{machine_time, monotonic};
use serde_json::json;

use super::case::{Case, Conditioned, KEYS, PLAN, Shown, TRUST, find, order};
use super::installation::PINNED_PRODUCT;
use super::keys::{Signer, claims};
use crate::harness::eventually::eventually;

/// K4: whatever is put beside a good key, the licence stays Full and every other entry shows what is wrong with it.
#[tokio::test]
async fn k4_every_bad_key_says_why_and_none_displaces_a_good_one() {
    let case = Case::new("bad-keys").await;
    let (vendor, stranger) = (Signer::of("vendor"), Signer::of("stranger"));
    let customer = case.namespace.as_str();
    let good = claims("innoacd", customer, 365);
    let other = |change: &dyn Fn(&mut Claims)| {
        let mut claims = Claims { jti: "other".into(), grant: Some(format!("{customer}/other")), ..good.clone() };
        change(&mut claims);
        claims
    };
    let sound = vendor.sign(&good);
    let changed = sound.replacen(".e", ".f", 1);
    let huge = "k".repeat(64 * 1024 + 1);
    let wrong_product = vendor.sign(&other(&|c| c.aud = "teamplaner".into()));
    let wrong_cluster = vendor.sign(&other(&|c| c.cluster = Some("another".into())));
    let no_serial = vendor.sign(&other(&|c| c.jti = String::new()));
    let revoked = vendor.sign(&other(&|c| c.jti = format!("{customer}-revoked")));
    let ends_first = vendor.sign(&other(&|c| c.exp = Some(c.nbf - 1)));
    let unknown = stranger.sign(&other(&|_| {}));
    let (none, hs256) = (vendor.forge("none", &other(&|_| {})), vendor.forge("HS256", &other(&|_| {})));
    let list = vendor.revoke(&[&format!("{customer}-revoked")]);
    case.secret("vendor-trust", TRUST, &[("jwks.json", &vendor.jwks()), ("revoked.jwt", &list)]).await;
    let refused = [
        ("empty", "", "Malformed", "it is empty"),
        (
            "truncated",
            &sound[..sound.len() / 2],
            "Malformed",
            "it does not have the three parts of a signed token; is it complete?",
        ),
        (
            "cut-short",
            &sound[..sound.len() - 9],
            "BadSignature",
            "the signature does not match: the key was changed or cut short in transit",
        ),
        ("changed", &changed, "BadSignature", "the signature does not match"),
        ("huge", &huge, "Malformed", "it is larger than 65536 bytes"),
        ("alg-none", &none, "Malformed", "its header must say alg EdDSA; no other algorithm is accepted"),
        ("alg-hs256", &hs256, "Malformed", "its header must say alg EdDSA; no other algorithm is accepted"),
        (
            "unknown-kid",
            &unknown,
            "UnknownKey",
            "no key that is trusted here has signed it: this cluster's trust lacks the vendor's key, or somebody else signed it",
        ),
        ("wrong-product", &wrong_product, "WrongProduct", "it is for product teamplaner, not innoacd"),
        ("wrong-cluster", &wrong_cluster, "WrongCluster", "it is bound to another cluster"),
        ("no-serial", &no_serial, "Malformed", "the serial, needs 1 to 128 characters"),
        ("ends-first", &ends_first, "Malformed", "claim `exp` is not after `nbf`"),
        ("revoked", &revoked, "Revoked", "the vendor has revoked it"),
    ];
    let expired = vendor.sign(&claims("innoacd", customer, -90));
    let year = 365 * 86_400;
    let future = vendor.sign(&Claims {
        jti: "next".into(),
        nbf: good.nbf + year,
        exp: good.exp.map(|e| e + year),
        grace_until: None,
        ..good.clone()
    });
    let mut entries = vec![("good", sound.as_str()), ("again", &sound), ("expired", &expired), ("future", &future)];
    entries.extend(refused.iter().map(|(entry, text, _, _)| (*entry, *text)));
    case.secret("keys", KEYS, &entries).await;
    let license = case.apply_license("acd", "innoacd", &["keys"]).await;

    let seen = license.becomes(Mode::Full).await;
    assert_eq!(seen.seats(), Some("agents 0/50"), "a key that is there twice counts once");
    let status = seen.status.clone().expect("it has a mode");
    assert_eq!(status.keys_read, u32::try_from(entries.len()).ok());
    for (entry, _, reason, message) in refused {
        let key = status.keys.iter().find(|key| key.key == entry).expect("every key is shown");
        assert_eq!((key.state, key.reason.as_deref()), (KeyStateName::Refused, Some(reason)), "{entry}");
        let said = key.message.as_deref().unwrap_or_default();
        assert!(said.contains(message), "{entry}: {said}");
    }
    let state = |entry: &str| status.keys.iter().find(|key| key.key == entry).map(|key| key.state);
    assert_eq!((state("expired"), state("future")), (Some(KeyStateName::Expired), Some(KeyStateName::Future)));
    let mut twice = [state("good"), state("again")];
    twice.sort();
    assert_eq!(twice, [Some(KeyStateName::InForce), Some(KeyStateName::Superseded)]);
    assert_eq!(status.keys[0].state, KeyStateName::InForce, "the most important comes first");
    let said = license.is("KeyRefused", "Malformed").await;
    assert!(
        said.starts_with("keys/alg-hs256: this is not a licence key: ") && said.ends_with("; and 10 more"),
        "{said}"
    );
    assert_eq!(license.told("KeyRefused").await, said);
    license.is("Ready", "Judged").await;
}

/// K4: one bad entry of a trust Secret takes nothing from the customers of the others, and the License names it.
#[tokio::test]
async fn k4_one_unusable_entry_of_a_trust_secret_spoils_no_other() {
    let case = Case::new("one-bad-entry").await;
    let vendor = Signer::of("vendor");
    let good: serde_json::Value = serde_json::from_str(&vendor.jwks()).expect("a JWK Set is JSON");
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "hunter2="}, good["keys"][0]]}).to_string();
    case.secret("vendor-trust", TRUST, &[("jwks.json", &set)]).await;
    case.secret("keys", KEYS, &[("key.jwt", &vendor.sign(&claims("innoacd", &case.namespace, 365)))]).await;
    let license = case.apply_license("acd", "innoacd", &["keys"]).await.becomes(Mode::Full).await;
    let license = case.license(&license.name_any());
    license.is("Ready", "Judged").await;
    let said = license.is("SourceMissing", "TrustPartUnusable").await;
    assert!(said.contains("vendor-trust, jwks.json: key 0 has no `x`") && !said.contains("hunter2"), "{said}");
    assert_eq!(license.told("SourceMissing").await, said);
    // Nothing is missing for which the License would have to wait, also where no key has come yet.
    let waiting = case.apply_license("empty", "innoacd", &[]).await;
    waiting.is("SourceMissing", "TrustPartUnusable").await;
    waiting.is("Ready", "Judged").await;
}

/// K4: a License waits for a Secret that is missing or of another type, and never shows that Secret's contents.
#[tokio::test]
async fn k4_a_license_waits_for_its_secrets_and_says_for_which() {
    let case = Case::new("sources").await;
    let vendor = Signer::of("vendor");
    let key = vendor.sign(&claims("innoacd", &case.namespace, 365));
    case.secret("keys", "Opaque", &[("hunter2", "hunter2")]).await;
    let license = case.apply_license("acd", "innoacd", &["keys", "more"]).await;
    // The trust Secret is reported missing first.
    let said = license.is("Reconciling", "SecretMissing").await;
    assert!(
        said.contains("spec.trust") && said.contains("vendor-trust of type seatkeeper.dev/trust does not exist"),
        "{said}"
    );
    // Nobody is warned of what may be on its way.
    let soft = "; this was made a moment ago, and what is missing may be on its way";
    assert!(said.contains(soft), "{said}");
    assert_eq!(license.told("Waiting").await, said.replace(soft, ""));

    case.trust().await;
    let said = license.is("Reconciling", "SecretTypeMismatch").await;
    assert!(
        said.contains("spec.keys[keys]")
            && said.contains("delete it and create it again with --type=seatkeeper.dev/license"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
    license.is_not("Ready", "SecretTypeMismatch").await;
    license.is_not("Licensed", "NoLicense").await;

    case.kubectl.expect(&["delete", "secret", "keys"]).await;
    let create = format!("--from-literal=a.jwt={key}");
    case.kubectl.expect(&["create", "secret", "generic", "keys", "--type=seatkeeper.dev/license", &create]).await;
    license.becomes(Mode::Full).await;
    // Licensed by one Secret, the License is Ready and says that the other is missing.
    license.is("Ready", "Judged").await;
    let said = license.is("SourceMissing", "SecretMissing").await;
    assert!(said.contains("spec.keys[more]"), "{said}");

    case.kubectl.expect(&["delete", "secret", "vendor-trust"]).await;
    case.secret("vendor-trust", TRUST, &[("jwks.json", "{}")]).await;
    let said = license.is_not("Ready", "TrustInvalid").await;
    assert!(said.contains("vendor-trust, jwks.json") && said.contains("is not a JWK Set"), "{said}");
}

/// In each case it said "no key has ever been in force here": it named nothing to do, and was wrong in the last.
#[tokio::test]
async fn k4_a_license_without_a_key_that_counts_says_what_there_is_instead() {
    let case = Case::new("no-key-counts").await;
    case.trust().await;
    let vendor = Signer::of("vendor");
    let license = case.apply_license("acd", "innoacd", &["keys"]).await;
    let says = async |what: &str| {
        let says = |license: &License| {
            let licensed = find(license.conditions(), "Licensed");
            licensed.is_some_and(|licensed| licensed.reason == "NoLicense" && licensed.message.contains(what))
        };
        license.shows(what, says).await;
    };
    let delete = async || case.kubectl.expect(&["delete", "secret", "keys"]).await;
    says("no key could be read, so there are no seats: spec.keys[keys]: Secret ").await;
    case.secret("keys", KEYS, &[]).await;
    says("the Secrets that spec.keys names hold no key: put one into an entry; no seats").await;
    case.secret("keys", KEYS, &[("notes.txt", "the key comes on Monday")]).await;
    says("every key that was read is refused, see KeyRefused; no seats").await;
    delete().await;
    let later = Claims {
        nbf: 4_070_908_800,
        exp: Some(4_080_000_000),
        grace_until: None,
        ..claims("innoacd", &case.namespace, 365)
    };
    case.secret("keys", KEYS, &[("later.jwt", &vendor.sign(&later))]).await;
    says("the first key is in force from 2099-01-01 (UTC); no seats until then").await;
    delete().await;
    case.secret("keys", KEYS, &[("now.jwt", &vendor.sign(&claims("innoacd", &case.namespace, 365)))]).await;
    license.becomes(Mode::Full).await;
    delete().await;
    says("no key could be read, so there are no seats: spec.keys[keys]: Secret ").await;
}

/// The party that a licence restricts does not choose whom to trust: if the installation pins trust, the License's own
/// is ignored.
#[tokio::test]
async fn k4_only_the_trust_that_the_installation_pins_counts() {
    let case = Case::new("pinned").await;
    case.trust().await;
    let own = Signer::of("vendor").sign(&claims(PINNED_PRODUCT, &case.namespace, 365));
    case.secret("own", KEYS, &[("own.jwt", &own)]).await;
    let license = case.apply_license("acd", PINNED_PRODUCT, &["own"]).await;
    license.shows_key("own", "own.jwt", "Refused", Some("UnknownKey")).await;
    let said = license.is("TrustRefused", "TrustPinned").await;
    assert!(said.contains("this installation pins the trust for product pinned; remove spec.trust"), "{said}");
    assert_eq!(license.told("TrustPinned").await, said);
    license.is_not("Licensed", "NoLicense").await;

    let genuine = Signer::of("pinned").sign(&claims(PINNED_PRODUCT, &case.namespace, 365));
    case.secret("own", KEYS, &[("genuine.jwt", &genuine)]).await;
    license.becomes(Mode::Full).await;
}

/// A grant counts once in a cluster: for the License that had it first, and for the next one when that is deleted.
#[tokio::test]
async fn k4_a_key_in_two_licenses_counts_for_the_older_until_that_is_deleted() {
    let (first, second) = (Case::new("first").await, Case::new("second").await);
    let key = Signer::of("vendor").sign(&claims("innoacd", &first.namespace, 365));
    for case in [&first, &second] {
        case.trust().await;
        case.secret("keys", KEYS, &[("key.jwt", &key)]).await;
    }
    let older = first.apply_license("acd", "innoacd", &["keys"]).await;
    let created = older.becomes(Mode::Full).await.metadata.creation_timestamp.expect("it was created").0.as_second();
    // The age of an object has a resolution of one second.
    eventually(Duration::from_secs(5), "the next second", async || {
        (machine_time().timestamp() > created).then_some(()).ok_or("the same second".into())
    })
    .await;
    let younger = second.apply_license("acd", "innoacd", &["keys"]).await;
    younger.shows_key("keys", "key.jwt", "Refused", Some("InUseElsewhere")).await;
    let said = younger.is("KeyRefused", "InUseElsewhere").await;
    let holder = format!(
        "its grant is in use by License {}/acd; use that License, from another namespace through its \
         spec.allowedNamespaces, or delete it",
        first.namespace
    );
    assert!(said.contains(&holder), "{said}");
    younger.becomes(Mode::Demo).await;
    older.becomes(Mode::Full).await;
    let said = older.is("Contested", "PresentedElsewhere").await;
    assert!(said.contains(&format!("{}/acd", second.namespace)), "{said}");
    assert_eq!(older.told("GrantContested").await, said);

    first.kubectl.expect(&["delete", "lic/acd"]).await;
    younger.becomes(Mode::Full).await;
    younger.lacks("KeyRefused").await;
}

/// With ten thousand entries, and with as many genuine keys as fit into a Secret, the first 256 count, status stays small
/// and no other License waits.
#[tokio::test]
async fn k4_of_a_secret_of_ten_thousand_keys_256_are_read_at_once_and_nobody_waits() {
    let case = Case::new("many").await;
    case.trust().await;
    let vendor = Signer::of("vendor");
    let good = vendor.sign(&claims("innoacd", &case.namespace, 365));
    let mut junk: serde_json::Map<_, _> = (1..10_000).map(|n| (format!("{n}"), json!("x"))).collect();
    junk.insert("0-good".into(), json!(good));
    // Each key has its own grant with its own end, which is the most work possible.
    let genuine = |n: i64| Claims {
        jti: format!("{n}"),
        grant: Some(format!("{}/{n}", case.namespace)),
        exp: Some(claims("", "", 300).exp.unwrap_or(0) + n),
        grace_until: None,
        ..claims("innoacd", &case.namespace, 300)
    };
    let mut size = 0;
    let mut sound = serde_json::Map::new();
    for n in 0.. {
        let key = vendor.sign(&genuine(n));
        size += key.len();
        if size > 1024 * 1024 {
            break;
        }
        sound.insert(format!("{n}"), json!(key));
    }
    assert!(sound.len() > MAX_KEYS, "{}", sound.len());
    let agents = format!("agents 0/{}", 50 * MAX_KEYS);
    for (name, entries, seats) in [("junk", junk, "agents 0/50".to_owned()), ("sound", sound, agents)] {
        let entries_in_all = entries.len();
        let license = case.apply_license(name, "innoacd", &[name]).await;
        let other = case.apply_license(&format!("beside-{name}"), "innoacd", &[&format!("beside-{name}")]).await;
        license.is("Reconciling", "SecretMissing").await;
        other.is("Reconciling", "SecretMissing").await;
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": KEYS, "stringData": entries});
        case.kubectl.expect_with(&["create", "-f", "-"], &secret.to_string()).await;
        let began = monotonic();
        let beside = vendor.sign(&claims("innoacd", &format!("{}/beside-{name}", case.namespace), 365));
        case.secret(&format!("beside-{name}"), KEYS, &[("key.jwt", &beside)]).await;
        other.becomes(Mode::Full).await;
        let waited = monotonic() - began;
        let seen = license.becomes(Mode::Full).await;
        println!(
            "{entries_in_all} entries ({name}): Full after {} ms, one beside it after {} ms",
            (monotonic() - began).as_millis(),
            waited.as_millis()
        );
        assert!(waited < Duration::from_secs(5), "{waited:?}");
        assert_eq!(seen.seats(), Some(seats.as_str()));
        let bytes = serde_json::to_string(&seen.status).expect("status is JSON").len();
        let status = seen.status.expect("it has a mode");
        assert_eq!(status.keys_read.map(|n| n as usize), Some(MAX_KEYS));
        license.is("SourceMissing", "TooManyKeys").await;
        assert_eq!((status.keys.len(), status.keys[0].state), (32, KeyStateName::InForce));
        assert!(bytes < 32 * 1024, "{bytes} bytes of status");
    }
}

/// An object of any kind that cannot be read says so, and does not stop others.
#[tokio::test]
async fn i4_a_malformed_object_stops_no_other() {
    let case = Case::new("malformed").await;
    case.signing_key().await;
    case.trust().await;
    let scribbled = PLAN.replace("name: innoacd}", "name: scribbled}");
    case.kubectl.apply(&scribbled).await;
    case.plan("scribbled").is("Ready", "Valid").await;
    case.kubectl.apply(&order("scribbled", "").replace("name: innoacd,", "name: missing,")).await;
    case.subscription("scribbled").is_not("Ready", "PlanMissing").await;
    let license = case.apply_license("scribbled", "innoacd", &[]).await;
    license.is_not("Licensed", "NoLicense").await;
    // The API server accepts this as a time, but it is not a valid date.
    let time = json!({"status": {"conditions": [{
        "type": "Ready", "status": "True", "reason": "X", "message": "", "lastTransitionTime": "2026-01-01T00:00:00+99:99",
    }]}});
    for kind in ["lplan", "lsub", "lic"] {
        let object = format!("{kind}/scribbled");
        let patch = ["patch", &object, "--subresource=status", "--type=merge", "-p", &time.to_string()];
        case.kubectl.expect(&patch).await;
    }
    for said in [
        case.plan("scribbled").told("Malformed").await,
        case.subscription("scribbled").told("Malformed").await,
        license.told("Malformed").await,
    ] {
        assert!(said.contains("this object cannot be read and is skipped: "), "{said}");
    }

    case.kubectl.apply(PLAN).await;
    case.kubectl.apply(&order("stadtwerke", "")).await;
    case.license("innoacd").becomes(Mode::Full).await;
    // An order for the Plan that cannot be read says so.
    case.kubectl.apply(&order("second", "").replace("name: innoacd,", "name: scribbled,")).await;
    let said = case.subscription("second").is_not("Ready", "PlanMalformed").await;
    assert!(said.contains("scribbled cannot be read: "), "{said}");
    // Once it can be read again, it works like any other.
    let mended = json!({"status": {"conditions": null}}).to_string();
    case.kubectl.expect(&["patch", "lic/scribbled", "--subresource=status", "--type=merge", "-p", &mended]).await;
    let key = Signer::of("vendor").sign(&claims("innoacd", &case.namespace, 365));
    case.secret("keys", KEYS, &[("key.jwt", &key)]).await;
    let seen: License = case.apply_license("scribbled", "innoacd", &["keys"]).await.becomes(Mode::Full).await;
    assert_eq!(seen.seats(), Some("agents 0/50"));
}

/// A Secret that was created without `--type` is not watched. The License said for ever that it does not exist.
#[tokio::test]
async fn k4_a_secret_without_its_type_is_named_although_no_watch_shows_it() {
    let case = Case::new("no-type").await;
    case.trust().await;
    let license = case.apply_license("acd", "innoacd", &["keys"]).await;
    license.is("Reconciling", "SecretMissing").await;
    assert!(!license.told_so_far().await.contains(&"Waiting".to_owned()), "it may be on its way");
    let said = license.told("Waiting").await;
    assert!(said.ends_with("of type seatkeeper.dev/license does not exist; this waits for it"), "{said}");
    case.secret("keys", "Opaque", &[("a.jwt", "hunter2")]).await;
    let said = license.is("Reconciling", "SecretTypeMismatch").await;
    assert!(said.contains("create it again with --type=seatkeeper.dev/license"), "{said}");
}
