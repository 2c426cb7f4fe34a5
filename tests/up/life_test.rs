//! The first screen, the folder that is kept applied, the calendar, the end and the next start.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams};
use kube::{Api, ResourceExt};
use seatkeeper::api::license::License;
use seatkeeper::domain::license::jwk::read_jwks;
use seatkeeper::machine::monotonic;

use std::time::Duration;

use super::running::{Desk, LONGEST};

/// Returns a ConfigMap in `default`.
fn config_map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{value: {value}}}\n")
}

async fn value(desk: &Desk, name: &str) -> String {
    let maps: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::default_namespaced(desk.client().await);
    maps.get(name).await.unwrap().data.unwrap()["value"].clone()
}

#[test]
fn the_first_screen_says_what_runs_where_and_what_to_try() {
    let desk = Desk::with_example();
    let mut up = desk.up("--speed 1d/s");
    up.until(&["seatkeeper hold"]);
    let data = desk.data("").canonicalize().unwrap();
    let screen = up.said.join("\n");
    for part in [
        "is up. Ctrl-C ends it; run the same command to continue.",
        "  applies    yaml, and every change there",
        "  API        https://127.0.0.1:",
        "  seats      http://127.0.0.1:",
        &format!("  data       {}", data.display()),
        "  calendar   2026-09-27, then a day each second",
        &format!("export KUBECONFIG={}/kubeconfig", data.display()),
        "kubectl -n innoacd get licensing",
        "  seatkeeper hold --license innoacd/innoacd --server http://127.0.0.1:",
        &format!(" --token-file {}/token -- sleep 60", data.display()),
    ] {
        assert!(screen.contains(part), "{part:?} is not in\n{screen}");
    }
    up.until_all(&[
        &["applied Namespace innoacd"],
        &["applied Plan innoacd/innoacd"],
        &["made a signing key: Secret innoacd/issuer was missing"],
        &["applied Subscription innoacd/stadtwerke"],
        &["License innoacd/innoacd  Activated: agents 50 for Stadtwerke Musterstadt"],
    ]);
    up.interrupt();
}

#[test]
fn the_example_lives_through_renewal_grace_demo_and_full_again_in_a_minute() {
    let desk = Desk::with_example();
    let mut up = desk.up("--speed 5d/s");
    let story = [
        ("2026-10-12", "License innoacd/messe  GraceStarted"),
        ("2026-10-26", "License innoacd/messe  DemoStarted"),
        ("2026-11-08", "License innoacd/messe  FullAgain: agents 30"),
        (
            "2027-01-01",
            "Subscription innoacd/stadtwerke  Renewed: term 2 runs to the end of 2027-12-31 (Europe/Berlin)",
        ),
    ];
    // The calendar begins shortly before the renewal: the second term's key is there four weeks ahead.
    up.until(&[
        "Subscription innoacd/stadtwerke  KeyIssued",
        "for term 2",
        "valid from 2027-01-01 to the end of 2027-12-31 (Europe/Berlin)",
    ]);
    for (due, what) in story {
        let line = up.until(&[what]);
        let date = |text: &str| text[..10].parse::<chrono::NaiveDate>().unwrap();
        let late = (date(&line) - date(due)).num_days();
        // A busy machine may be some seconds late, and each second is five days.
        assert!((0..25).contains(&late), "{line}");
    }
    up.interrupt();
}

#[tokio::test]
async fn changes_in_the_folder_are_applied() {
    let desk = Desk::new();
    let mut up = desk.up("");
    up.until(&["yaml: holds no YAML yet; waiting for some"]);
    desk.write("a.yaml", config_map("first", "one")).write("deep/b.yml", config_map("second", "two"));
    up.until_all(&[&["applied ConfigMap default/first"], &["applied ConfigMap default/second"]]);
    desk.write("a.yaml", config_map("first", "three"));
    up.until(&["applied ConfigMap default/first"]);
    assert_eq!(value(&desk, "first").await, "three");
    // A comment changes nothing, and is not reported as a change.
    desk.write("a.yaml", format!("# a comment\n{}", config_map("first", "three")));
    up.until(&["one object matches its file already"]);
    std::fs::remove_file(desk.0.join("yaml/deep/b.yml")).unwrap();
    up.until(&["! ConfigMap default/second is no longer in any file; it stays until it is deleted with kubectl"]);
    assert_eq!(value(&desk, "second").await, "two");
    // An object that moved to another file is not gone.
    std::fs::rename(desk.0.join("yaml/a.yaml"), desk.0.join("yaml/c.yaml")).unwrap();
    up.until(&["one object matches its file already"]);
    let said = up.interrupt().join("\n");
    assert!(!said.contains("first is no longer in any file"), "{said}");
}

/// It used to go on without an operator, and said nothing.
#[test]
fn the_operator_begins_again_after_the_machine_has_slept() {
    let desk = Desk::with_example();
    let mut up = desk.up("--speed 10d/s --from 2026-03-01");
    up.until(&["License innoacd/innoacd  Activated"]);
    up.pause(Duration::from_secs(13));
    // Nearly always its lead is over by then, and another operator begins; now and then it is renewed just in time. What happened
    // meanwhile is told either way, so later events show that an operator runs.
    up.until(&["2027-", "License innoacd/innoacd  "]);
    up.interrupt();
}

#[tokio::test]
async fn the_next_start_goes_on_after_ctrl_c_and_after_a_kill() {
    let desk = Desk::with_example();
    let mut up = desk.up("--speed 1d/s --from 2026-03-01");
    up.until(&["calendar   2026-03-01, then a day each second"]);
    up.until_all(&[&["License innoacd/innoacd  Activated"], &["applied Subscription innoacd/messe-again"]]);
    let client = desk.client().await;
    let licenses: Api<License> = Api::all(client.clone());
    let before = licenses.list(&ListParams::default()).await.unwrap();
    let uids = |list: &kube::core::ObjectList<License>| list.items.iter().map(|l| l.uid().unwrap()).collect::<Vec<_>>();
    // An open watch must not delay the end.
    let (resource, _) = (kube::core::ApiResource::erase::<License>(&()), ());
    let watched: Api<DynamicObject> = Api::all_with(client, &resource);
    let watch = watched.watch(&kube::api::WatchParams::default(), "0").await.unwrap();
    let credential = std::fs::read_to_string(desk.data("credential.json")).unwrap();
    let last = up.interrupt();
    drop(watch);
    let calendar = std::fs::read_to_string(desk.data("calendar")).unwrap();
    assert!(last.iter().any(|line| line.starts_with("2026-03-")), "{last:?}");

    let mut up = desk.up("--speed 1d/s");
    up.until(&[&format!("calendar   {}, then a day each second", &calendar[..10])]);
    up.until(&["objects match their files already"]);
    for kind in ["Plan", "Subscription", "License"] {
        assert_eq!(up.count(&format!("applied {kind}")), 0, "{:?}", up.said);
    }
    assert_eq!(std::fs::read_to_string(desk.data("credential.json")).unwrap(), credential);
    let licenses: Api<License> = Api::all(desk.client().await);
    assert_eq!(uids(&licenses.list(&ListParams::default()).await.unwrap()), uids(&before));
    up.kill();

    let killed = std::fs::read_to_string(desk.data("calendar")).unwrap();
    assert!(killed >= calendar, "{killed} {calendar}");
    let mut up = desk.up("--speed 1d/s");
    up.until(&[&format!("calendar   {}, then a day each second", &killed[..10])]);
    up.until(&["objects match their files already"]);
    let licenses: Api<License> = Api::all(desk.client().await);
    assert_eq!(uids(&licenses.list(&ListParams::default()).await.unwrap()), uids(&before));
    up.interrupt();
}

/// The accident: somebody deletes the Secret with the signing key. A new key in its place would make keys that no customer
/// trusts, and nobody would notice before the next renewal.
#[tokio::test]
async fn a_lost_signing_key_is_named_and_replaced_only_on_an_explicit_word() {
    let desk = Desk::with_example();
    let mut up = desk.up("");
    up.until(&["License innoacd/innoacd  Activated"]);
    let secrets: Api<Secret> = Api::namespaced(desk.client().await, "innoacd");
    let lost = secrets.get("issuer").await.unwrap();
    let published = secrets.get("issuer-trust").await.unwrap();
    secrets.delete("issuer", &DeleteParams::default()).await.unwrap();
    up.until(&["Subscription innoacd/stadtwerke  SigningKeyLost", "restore the same signing-key.pem from a backup"]);
    up.interrupt();

    let mut up = desk.up("");
    let says = "! Secret innoacd/issuer with the signing key is gone, and keys were issued with it (Secret innoacd/issuer-trust";
    up.until(&[says, "restore it from a backup", "start with --new-signing-key innoacd/issuer"]);
    let secrets: Api<Secret> = Api::namespaced(desk.client().await, "innoacd");
    assert!(secrets.get_opt("issuer").await.unwrap().is_none());
    // The published key is not the only trace.
    secrets.delete("issuer-trust", &DeleteParams::default()).await.unwrap();
    up.interrupt();
    let mut up = desk.up("");
    up.until(&["! Secret innoacd/issuer with the signing key is gone", "Subscription innoacd/", "names them"]);
    // Put back, it goes on as before.
    let secrets: Api<Secret> = Api::namespaced(desk.client().await, "innoacd");
    let again = |secret: Secret| Secret {
        metadata: ObjectMeta {
            name: secret.metadata.name,
            annotations: secret.metadata.annotations,
            ..ObjectMeta::default()
        },
        ..secret
    };
    secrets.create(&PostParams::default(), &again(published)).await.unwrap();
    secrets.create(&PostParams::default(), &again(lost)).await.unwrap();
    up.interrupt();
    let mut up = desk.up("--new-signing-key innoacd/issuer");
    up.until(&["! --new-signing-key innoacd/issuer: this Secret exists, so no new key is made"]);
    let secrets: Api<Secret> = Api::namespaced(desk.client().await, "innoacd");
    secrets.delete("issuer", &DeleteParams::default()).await.unwrap();
    up.interrupt();

    let mut up = desk.up("--new-signing-key innoacd/issuer");
    up.until(&["made a signing key: Secret innoacd/issuer was missing"]);
    let secrets: Api<Secret> = Api::namespaced(desk.client().await, "innoacd");
    let began = monotonic();
    loop {
        let trust = secrets.get("issuer-trust").await.unwrap().data.unwrap();
        let published = read_jwks(&trust["jwks.json"].0).unwrap().keys.len();
        if published == 2 {
            break;
        }
        assert!(monotonic() - began < LONGEST, "the old key stays published beside the new one: {published}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    up.interrupt();
    desk.refused("--new-signing-key issuer", 2, &["--new-signing-key", "write the namespace and the name"]);
}

/// A new credential in place of a damaged one would lock out every client without a word.
#[test]
fn a_damaged_credential_is_not_replaced() {
    let desk = Desk::new();
    let mut up = desk.up("");
    up.until(&["holds no YAML yet"]);
    up.interrupt();
    let credential = std::fs::read_to_string(desk.data("credential.json")).unwrap();
    let cut = &credential[..credential.len() / 2];
    std::fs::write(desk.data("credential.json"), cut).unwrap();
    desk.refused("", 1, &["credential.json: was changed or cut short", "restore it from a backup, or remove it"]);
    assert_eq!(std::fs::read_to_string(desk.data("credential.json")).unwrap(), cut);
}
