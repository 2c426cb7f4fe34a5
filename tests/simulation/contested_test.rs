//! Licenses that present keys of the same grant, across restarts of the operator.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::SigningKey;
use http::Method;
use seatkeeper::domain::license::jwk::publish;
use seatkeeper::domain::license::key::sign_key;
use serde_json::{Value, json};

use crate::api::{folder, must, ours, secret};
use crate::contact_centre::{centre, open};
use crate::run::Run;

fn signer(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

/// A key for two seats of the grant that everybody wants.
fn key(signer: &SigningKey) -> String {
    let claims = json!({
        "iss": "vendor", "jti": "serial", "sub": "Centre", "aud": "acd", "iat": 1, "nbf": 1, "exp": 4_000_000_000u64,
        "grant": "wanted", "pools": [{"name": "agents", "model": "Concurrent", "countBy": "Start", "seats": 2}],
    });
    sign_key(&serde_json::from_value(claims).expect("it is a key"), signer)
}

fn keep(run: &Run, name: &str, type_: &str, entry: &str, text: &str) {
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "type": format!("seatkeeper.dev/{type_}"),
        "metadata": {"name": name, "namespace": "centre"}, "data": {entry: BASE64_STANDARD.encode(text)},
    });
    run.within(async { must(&run.shared.api, Method::POST, folder(&secret("centre", name)), Some(&object)).await });
}

fn license(run: &mut Run, name: &str, trust: &str, keys: &[&str]) {
    let keys: Vec<Value> = keys.iter().map(|key| json!({"name": key, "secretRef": {"name": key}})).collect();
    let object = json!({
        "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License", "metadata": {"name": name, "namespace": "centre"},
        "spec": {"product": "acd", "keys": keys, "trust": {"secretRef": {"name": trust}}},
    });
    let path = ours("centre", "licenses", name);
    run.within(async { must(&run.shared.api, Method::POST, folder(&path), Some(&object)).await });
    run.pass(Duration::from_secs(5));
}

fn status(run: &Run, name: &str) -> Value {
    run.within(async { must(&run.shared.api, Method::GET, &ours("centre", "licenses", name), None).await })["status"]
        .clone()
}

/// The attack: an older License shows the grant by a key of its own signer, and gets a copy of the victim's key too. After
/// a restart it must not be the one that has the victim's grant.
#[test]
fn a_license_that_shows_its_own_key_of_a_grant_does_not_get_that_of_another_at_a_restart() {
    let mut run = open(&centre(1, None));
    let (vendor, own) = (signer(1), signer(2));
    let trust = |keys: &[&SigningKey]| {
        let keys: Vec<_> = keys.iter().map(|key| key.verifying_key()).collect();
        serde_json::to_string(&publish(&keys)).expect("it is JSON")
    };
    keep(&run, "trust", "trust", "jwks.json", &trust(&[&vendor]));
    keep(&run, "both", "trust", "jwks.json", &trust(&[&vendor, &own]));
    keep(&run, "genuine", "license", "key", &key(&vendor));
    keep(&run, "forged", "license", "key", &key(&own));
    license(&mut run, "intruder", "both", &["forged", "copy"]);
    license(&mut run, "victim", "trust", &["genuine"]);
    assert_eq!(status(&run, "victim")["mode"], "Full");
    keep(&run, "copy", "license", "key", &key(&vendor));
    for restarts in 0..3 {
        // The next replica leads once the Lease of the one that was killed has ended.
        run.pass(Duration::from_secs(30));
        assert_eq!(status(&run, "victim")["mode"], "Full", "after {restarts} restarts");
        assert_eq!(status(&run, "victim")["contestedBy"], json!(["centre/intruder"]));
        run.kill();
        run.restart();
    }
}
