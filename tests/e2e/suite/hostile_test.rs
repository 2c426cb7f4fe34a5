//! What somebody with an ordinary namespace may try against the licence of somebody else.

use std::time::Duration;

use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use seatkeeper::api::{License, Roster};
use seatkeeper::domain::license::mode::Mode;
use seatkeeper::machine::monotonic;
use serde_json::json;

use super::case::{Case, KEYS, TRUST};
use super::faults_ground::{Ground, SOON};
use super::faults_operators::Replica;
use super::keys::{Signer, claims};
use crate::harness::eventually::eventually;

/// The attack: a key signed by oneself with the name of the victim's grant, in a License that is older than the victim's
/// and trusts oneself. It used to switch the victim's licence off.
#[tokio::test]
async fn k4_a_key_that_somebody_signed_for_anothers_grant_takes_nothing_away() {
    let (intruder, victim) = (Case::new("intruder").await, Case::new("victim").await);
    let (vendor, own) = (Signer::of("vendor"), Signer::of("intruder"));
    let grant = claims("innoacd", &victim.namespace, 365);
    for trusted in [own.jwks(), both(&own.jwks(), &vendor.jwks())] {
        intruder.secret("vendor-trust", TRUST, &[("jwks.json", &trusted)]).await;
        intruder.secret("forged", KEYS, &[("key.jwt", &own.sign(&grant))]).await;
        let forged = intruder.apply_license("acd", "innoacd", &["forged"]).await;
        forged.becomes(Mode::Full).await;

        victim.trust().await;
        victim.secret("keys", KEYS, &[("key.jwt", &vendor.sign(&grant))]).await;
        let genuine = victim.apply_license("acd", "innoacd", &["keys"]).await;
        genuine.becomes(Mode::Full).await;
        genuine.shows_key("keys", "key.jwt", "InForce", None).await;
        // It is no better off if it comes second.
        intruder.kubectl.expect(&["annotate", "--overwrite", "lic/acd", "looked=again"]).await;
        genuine.becomes(Mode::Full).await;
        victim.kubectl.expect(&["delete", "lic/acd"]).await;
        intruder.kubectl.expect(&["delete", "lic/acd"]).await;
    }
}

/// A License that was deleted while it was looked at used to keep its grant, and the next one with its key stayed in demo
/// mode.
#[tokio::test]
async fn k4_a_license_leaves_its_grant_whenever_it_is_deleted() {
    let case = Case::new("short-lived").await;
    case.trust().await;
    case.secret("keys", KEYS, &[("key.jwt", &Signer::of("vendor").sign(&claims("innoacd", &case.namespace, 365)))])
        .await;
    let api: Api<License> = Api::namespaced(case.client.clone(), &case.namespace);
    for n in 0..150 {
        let name = format!("short-{n}");
        let spec = json!({
            "product": "innoacd", "keys": [{"name": "keys", "secretRef": {"name": "keys"}}],
            "trust": {"secretRef": {"name": "vendor-trust"}},
        });
        let license = serde_json::from_value(spec).expect("a spec");
        api.create(&PostParams::default(), &License::new(&name, license)).await.expect("it is in order");
        for change in 0..n % 4 {
            let patch = json!({"metadata": {"annotations": {"change": change.to_string()}}});
            api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await.expect("it is there");
        }
        api.delete(&name, &DeleteParams::default()).await.expect("it is there");
    }
    let next = case.apply_license("acd", "innoacd", &["keys"]).await;
    next.becomes(Mode::Full).await;
    next.lacks("KeyRefused").await;
}

/// A set of the keys of two sets.
fn both(one: &str, other: &str) -> String {
    let read = |set: &str| serde_json::from_str::<serde_json::Value>(set).expect("it is JSON")["keys"].clone();
    let keys: Vec<_> = [one, other].iter().flat_map(|set| read(set).as_array().cloned().unwrap_or_default()).collect();
    json!({ "keys": keys }).to_string()
}

/// The attack: hundreds of Licenses name one Secret that comes and goes. Each change made an Event of each, and those of all others
/// came minutes later.
#[tokio::test]
async fn i2_a_tenant_whose_licenses_change_without_end_delays_nobodys_events() {
    let (crowd, victim) = (Case::new("crowd").await, Case::new("beside-crowd").await);
    crowd.trust().await;
    victim.trust().await;
    let vendor = Signer::of("vendor");
    let license = |n: u32| {
        serde_json::from_value::<License>(json!({
            "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License", "metadata": {"name": format!("l{n}")},
            "spec": {"product": "innoacd", "trust": {"secretRef": {"name": "vendor-trust"}},
                "keys": [{"name": "k", "secretRef": {"name": "toggle"}}]},
        }))
        .expect("it is a License")
    };
    let licenses: Api<License> = Api::namespaced(crowd.client.clone(), &crowd.namespace);
    for n in 0..400 {
        licenses.create(&PostParams::default(), &license(n)).await.expect("it is created");
    }
    // Nobody is warned of what an object waits for in its first moment.
    tokio::time::sleep(Duration::from_secs(11)).await;
    let last = crowd.license("l399");
    let key = vendor.sign(&claims("innoacd", &crowd.namespace, 365));
    for _ in 0..3 {
        last.is("Reconciling", "SecretMissing").await;
        crowd.secret("toggle", KEYS, &[("key.jwt", &key)]).await;
        last.shows("the key", |l| l.status.as_ref().is_some_and(|s| s.keys_read == Some(1))).await;
        crowd.kubectl.expect(&["delete", "secret", "toggle"]).await;
    }
    victim.secret("keys", KEYS, &[("key.jwt", &vendor.sign(&claims("innoacd", &victim.namespace, 365)))]).await;
    let began = monotonic();
    let seen = victim.apply_license("acd", "innoacd", &["keys"]).await;
    seen.told("Activated").await;
    let took = monotonic() - began;
    println!("an Event beside a crowd: {} ms", took.as_millis());
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// The attack: Rosters that a License does not admit name it, and change all the time. Each change was another look at the
/// License, and had the seats of everybody wait while all of these Rosters were read.
#[tokio::test]
async fn rosters_that_a_license_does_not_admit_cost_it_no_look() {
    let ground = Ground::take().await;
    let (home, intruder) = (ground.vendor("named").await, ground.vendor("naming").await);
    let case = Case { namespace: home.namespace.clone(), kubectl: home.kubectl.clone(), client: ground.admin.clone() };
    let operator = Replica::start(&ground.operator, "counted");
    case.trust().await;
    let key = Signer::of("vendor").sign(&claims("innoacd", &case.namespace, 365));
    case.secret("keys", KEYS, &[("key.jwt", &key)]).await;
    let license = case.apply_license("innoacd", "innoacd", &["keys"]).await;
    license.becomes(Mode::Full).await;

    let rosters: Api<Roster> = Api::namespaced(ground.admin.clone(), &intruder.namespace);
    let change = async |n: usize| {
        let spec = json!({
            "licenseRef": {"name": "innoacd", "namespace": case.namespace},
            "members": [{"user": format!("u{n}"), "loginMode": "Active", "entryDate": "2019-04-01"}],
        });
        let object = json!({
            "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "Roster", "metadata": {"name": "r"}, "spec": spec,
        });
        let patch = PatchParams::apply("intruder").force();
        let written = rosters.patch("r", &patch, &Patch::Apply(object)).await.expect("it is in order");
        eventually(SOON, "the Roster is looked at", async || {
            let seen = rosters.get("r").await.map_err(|error| error.to_string())?.status.unwrap_or_default();
            let is_done = seen.observed_generation == written.metadata.generation;
            if is_done { Ok(seen.conditions) } else { Err(format!("{seen:?}")) }
        })
        .await
    };
    change(0).await;
    let before = looks(&operator).await;
    for n in 1..=20 {
        let said = change(n).await;
        assert!(said.iter().any(|condition| condition.reason == "NotAccepted"), "{said:?}");
    }
    let unadmitted = looks(&operator).await - before;
    assert!(unadmitted <= 2, "{unadmitted} looks at the License");
    // From the first instant at which it is admitted, a Roster counts, and what becomes of it.
    let admit_all = r#"{"spec": {"allowedNamespaces": {"from": "All"}}}"#;
    case.kubectl.expect(&["patch", "lic/innoacd", "--type=merge", "-p", admit_all]).await;
    eventually(SOON, "the Roster is admitted", async || {
        let seen = rosters.get("r").await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        let counts = seen.conditions.iter().any(|condition| condition.reason == "Counted");
        if counts { Ok(()) } else { Err(format!("{:?}", seen.conditions)) }
    })
    .await;
    let before = looks(&operator).await;
    for n in 21..=30 {
        change(n).await;
    }
    let admitted = looks(&operator).await - before;
    assert!(admitted >= 3, "{admitted} looks at the License");
}

/// How often the operator has looked at a License.
async fn looks(operator: &Replica) -> u64 {
    // What was read a moment ago is shown to everybody for a second.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let (_, text) = operator.ask("/metrics").await.expect("it listens");
    let counted = text.lines().filter(|line| line.starts_with("seatkeeper_reconciles_total{kind=\"License\""));
    counted.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}
