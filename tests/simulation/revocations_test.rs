//! A list of revoked keys that is deleted or put back to an older one, across restarts of the operator, and what is kept of it.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::SigningKey;
use http::Method;
use seatkeeper::domain::license::jwk::publish;
use seatkeeper::domain::license::key::sign_key;
use seatkeeper::domain::license::trust::{Revocations, sign_revocations};
use serde_json::{Value, json};

use crate::api::{ask, folder, must, ours, secret};
use crate::contact_centre::{centre, open};
use crate::run::Run;

const KEPT: &str = "/api/v1/namespaces/default/secrets?fieldSelector=type%3Dseatkeeper.dev%2Frevocations";

/// A namespace whose License has a key that is revoked in version 2 of the vendor's list.
struct Story {
    run: Run,
    vendor: SigningKey,
}

impl Story {
    fn begin() -> Self {
        let mut story = Story { run: open(&centre(1, None)), vendor: SigningKey::from_bytes(&[1; 32]) };
        let claims = json!({
            "iss": "vendor", "jti": "serial", "sub": "Centre", "aud": "acd", "iat": 1, "nbf": 1, "exp": 4_000_000_000u64,
            "grant": "wanted", "pools": [{"name": "agents", "model": "Concurrent", "countBy": "Start", "seats": 2}],
        });
        let key = sign_key(&serde_json::from_value(claims).expect("it is a key"), &story.vendor);
        story.put("key", "license", &[("key", key)]);
        story.list(Some((2, &["serial", "other"])));
        let license = json!({
            "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License", "metadata": {"name": "one", "namespace": "centre"},
            "spec": {
                "product": "acd", "keys": [{"name": "key", "secretRef": {"name": "key"}}],
                "trust": {"secretRef": {"name": "trust"}},
            },
        });
        let path = ours("centre", "licenses", "one");
        story.run.within(async { must(&story.run.shared.api, Method::POST, folder(&path), Some(&license)).await });
        story.pass(5);
        story
    }

    /// Replaces a Secret as somebody with the role `edit` can.
    fn put(&self, name: &str, type_: &str, entries: &[(&str, String)]) {
        let entry = |(entry, text): &(&str, String)| ((*entry).to_owned(), json!(BASE64_STANDARD.encode(text)));
        let data: serde_json::Map<_, _> = entries.iter().map(entry).collect();
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "type": format!("seatkeeper.dev/{type_}"),
            "metadata": {"name": name, "namespace": "centre"}, "data": data,
        });
        let path = secret("centre", name);
        self.run.within(async {
            let _ = ask(&self.run.shared.api, Method::DELETE, &path, None).await;
            must(&self.run.shared.api, Method::POST, folder(&path), Some(&object)).await
        });
    }

    /// Publishes the vendor's public key, with a list of this version or none.
    fn list(&self, list: Option<(u64, &[&str])>) {
        let jwks = serde_json::to_string(&publish([&self.vendor.verifying_key()])).expect("it is JSON");
        let list = list.map(|(version, serials)| {
            let serials = serials.iter().map(|serial| (*serial).to_owned()).collect();
            let list = Revocations { version, iat: 1, exp: None, serials };
            ("revoked.jwt", sign_revocations(&list, &self.vendor))
        });
        self.put("trust", "trust", &[("jwks.json", jwks)].into_iter().chain(list).collect::<Vec<_>>());
    }

    fn pass(&mut self, seconds: u64) {
        self.run.pass(Duration::from_secs(seconds));
    }

    fn begins_again(&mut self) {
        self.run.kill();
        self.run.restart();
        // The next replica leads once the Lease of the one that was killed has ended.
        self.pass(30);
    }

    fn get(&self, path: &str) -> Value {
        self.run.within(async { must(&self.run.shared.api, Method::GET, path, None).await })
    }

    /// Why the key is refused, and why the list is called outdated.
    fn shown(&self) -> (Value, Value) {
        let status = self.get(&ours("centre", "licenses", "one"))["status"].clone();
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let outdated = conditions.iter().find(|condition| condition["type"] == "RevocationsOutdated");
        (status["keys"][0]["reason"].clone(), outdated.map_or(Value::Null, |condition| condition["reason"].clone()))
    }
}

/// What goes wrong while the list is deleted and put back to an older one.
fn story() -> Vec<String> {
    let mut story = Story::begin();
    let mut wrong = Vec::new();
    let mut expect = |story: &Story, what: &str, outdated: Value| {
        let shown = story.shown();
        if shown != (json!("Revoked"), outdated) {
            wrong.push(format!("{what}: {shown:?}"));
        }
    };
    expect(&story, "the list is there", Value::Null);
    story.list(None);
    story.pass(5);
    expect(&story, "it was deleted", json!("RevocationsMissing"));
    story.begins_again();
    expect(&story, "a replica begins without it", json!("RevocationsMissing"));
    story.list(Some((1, &["other"])));
    story.pass(5);
    expect(&story, "an older one was put back", json!("RevocationsOlder"));
    story.begins_again();
    expect(&story, "a replica begins with an older one", json!("RevocationsOlder"));
    story.list(Some((3, &["other"])));
    story.pass(5);
    expect(&story, "a newer one leaves the serial out", Value::Null);
    story.begins_again();
    expect(&story, "a replica begins with that one", Value::Null);
    wrong
}

#[test]
fn k4_a_list_that_is_taken_back_takes_nothing_back_also_for_the_next_operator() {
    assert_eq!(story(), [] as [String; 0]);
}

#[cfg(feature = "known-wrong")]
#[test]
fn an_operator_that_keeps_no_lists_is_caught() {
    for variant in seatkeeper::wrong::Variant::OF_LISTS {
        let wrong = std::thread::spawn(move || {
            seatkeeper::wrong::be(Some(variant));
            story()
        });
        let wrong = wrong.join().expect("a wrong operator panics nowhere");
        assert!(wrong.iter().any(|wrong| wrong.starts_with("it was deleted")), "{variant:?}: {wrong:?}");
    }
}

/// Somebody with rights in the operator's own namespace deletes what is kept, or restores it from a backup.
#[test]
fn what_is_kept_is_written_again_when_it_is_deleted_or_set_back() {
    let mut story = Story::begin();
    let kept = story.get(KEPT)["items"].as_array().cloned().unwrap_or_default();
    let [secret] = &kept[..] else { panic!("one Secret: {kept:?}") };
    let name = secret["metadata"]["name"].as_str().expect("it has a name");
    let path = crate::api::secret("default", name);
    story.list(None);
    story.run.within(async { must(&story.run.shared.api, Method::DELETE, &path, None).await });
    story.pass(10);
    assert_eq!(story.get(&path)["data"], secret["data"]);

    let nothing = json!({"data": {signer_of(secret): BASE64_STANDARD.encode(r#"{"version": 1, "serials": []}"#)}});
    story.run.within(async { must(&story.run.shared.api, Method::PATCH, &path, Some(&nothing)).await });
    story.pass(10);
    assert_eq!(story.get(&path)["data"], secret["data"]);
    assert_eq!(story.shown(), (json!("Revoked"), json!("RevocationsMissing")));
}

fn signer_of(secret: &Value) -> String {
    secret["data"].as_object().and_then(|entries| entries.keys().next().cloned()).expect("a signer")
}
