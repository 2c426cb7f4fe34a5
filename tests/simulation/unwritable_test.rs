//! What a tenant may take of its own License must never make an object of the ledger that the API server refuses: such a
//! write is tried again for ever, and then nobody in the cluster is granted a seat, under this owner and the next ones.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::SigningKey;
use http::Method;
use seatkeeper::domain::license::jwk::publish;
use seatkeeper::domain::license::key::sign_key;
use seatkeeper::domain::license::name::LicenseName;
use seatkeeper::domain::seats::taker::Taker;
use seatkeeper::seats::{Ask, Denied};
use serde_json::{Value, json};

use crate::api::{folder, must, ours, secret};
use crate::contact_centre::{asks, centre, open};
use crate::run::Run;

/// The victim's seats, in another License than the attacker's.
fn begin() -> Run {
    let run = open(&centre(1_000, None));
    let signing = SigningKey::from_bytes(&[9; 32]);
    run.within(async {
        let jwks = serde_json::to_string(&publish(&[signing.verifying_key()])).expect("it is JSON");
        let trust = secret_of("trust", "seatkeeper.dev/trust", "jwks.json", &jwks);
        must(&run.shared.api, Method::POST, folder(&secret("centre", "trust")), Some(&trust)).await;
    });
    run
}

fn secret_of(name: &str, type_: &str, entry: &str, text: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": type_, "metadata": {"name": name, "namespace": "centre"},
        "data": {entry: BASE64_STANDARD.encode(text)},
    })
}

/// An ordinary License with a key of its own for this many seats.
fn make_license(run: &Run, grant: &str, name: &str, seats: u32) {
    let claims = json!({
        "iss": "vendor", "jti": grant, "sub": "Tenant", "aud": "acd", "iat": 1, "nbf": 1, "exp": 4_000_000_000u64,
        "grant": grant, "pools": [{"name": "agents", "model": "Concurrent", "countBy": "User", "seats": seats}],
    });
    let text = sign_key(&serde_json::from_value(claims).expect("it is a key"), &SigningKey::from_bytes(&[9; 32]));
    let key = secret_of(grant, "seatkeeper.dev/license", "key", &text);
    let license = json!({
        "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License", "metadata": {"name": name, "namespace": "centre"},
        "spec": {
            "product": "acd", "keys": [{"name": grant, "secretRef": {"name": grant}}],
            "trust": {"secretRef": {"name": "trust"}},
        },
    });
    run.within(async {
        must(&run.shared.api, Method::POST, folder(&secret("centre", "keys")), Some(&key)).await;
        must(&run.shared.api, Method::POST, folder(&ours("centre", "licenses", name)), Some(&license)).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    });
}

fn ask(license: &str, user: &str, session: &str, pod: usize) -> Ask {
    Ask {
        license: LicenseName::new("centre", license),
        user: Some(user.to_owned()),
        session: session.to_owned(),
        client: None,
        pool: None,
        request: None,
        version: None,
        count: 1,
        taker: Taker::of("agents", None, Some(&pod.to_string())),
        namespace: None,
    }
}

/// Another tenant's users log in, one after the other, under this owner of the ledger and the next one.
fn everybody_else_gets_seats(mut run: Run) {
    for owner in 0..2 {
        for n in 0..40 {
            let desk = run.desk();
            let answer = run.within(async { asks(&desk, &format!("agent-{owner}-{n}")).await });
            assert!(answer.is_ok(), "owner {owner}, login {n} of another tenant: {answer:?}");
            run.pass(Duration::from_millis(100));
        }
        run.kill();
        run.restart();
        run.pass(Duration::from_secs(120));
    }
}

/// With 48 bits of SHA-256, the bases of these Licenses in namespace `centre` had one name. A search for such a pair takes half a
/// minute: 2^24 hashes of names that differ in `.` and `-`, which are the same in the readable part.
const ALIKE: [&str; 2] = [
    "a.a.a-a-a.a.a-a-a-a.a.a-a-a.a-a-a.a.a-a.a.a-a-a-a-a-a.a.a.a-a-a-a.a.a-a-a.a.a-a-a-a-a-a-a.a.a-a-a",
    "a.a.a.a.a.a.a.a.a-a.a.a.a.a.a-a-a-a.a.a.a-a.a-a.a-a-a-a-a.a.a.a-a-a.a-a-a-a.a-a.a-a.a-a-a.a.a-a-a",
];

/// The attack: two Licenses whose bases have one and the same name as objects of the ledger.
#[test]
fn i2_two_licenses_whose_bases_are_called_the_same_stop_nobody_else() {
    let run = begin();
    for (n, name) in ALIKE.iter().enumerate() {
        make_license(&run, &format!("grant-{n}"), name, 1);
        let desk = run.desk();
        let answer = run.within(async { desk.acquire(&[ask(name, "a", "s", 0)]).await.pop() });
        assert!(matches!(answer, Some(Ok(_))), "{answer:?}");
    }
    everybody_else_gets_seats(run);
}

/// The attack: 48 users with as many sessions as eight pods may have. Each line of the base is short enough, but who took
/// them stands in a field that holds 131,072 characters.
#[test]
fn i2_a_base_with_very_many_takers_stops_nobody_else() {
    let run = begin();
    make_license(&run, "crowd", "crowd", 48);
    let desk = run.desk();
    let all = (0..48).flat_map(|user| (0..256).map(move |n| (user, n)));
    let all: Vec<Ask> = all.map(|(user, n)| ask("crowd", &format!("u{user}"), &n.to_string(), n / 32)).collect();
    let (mut held, mut tries) = (0, 0);
    for some in all.chunks(500) {
        loop {
            let answers = run.within(async { desk.acquire(some).await });
            let is_overloaded = |answer: &Result<_, Denied>| matches!(answer, Err(Denied::Overloaded));
            if !answers.iter().any(is_overloaded) || tries == 200 {
                held += answers.iter().filter(|answer| answer.is_ok()).count();
                break;
            }
            tries += 1;
            run.within(async { tokio::time::sleep(Duration::from_secs(1)).await });
        }
    }
    assert!(held > 9_000, "{held} sessions, {tries} times overloaded");
    everybody_else_gets_seats(run);
}
