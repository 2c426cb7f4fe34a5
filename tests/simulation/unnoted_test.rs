//! The ledger notes on which grants the seats of a License draw. What one License is granted must not be durable before it is
//! noted that another draws on something else by now: the owner may end in between.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::SigningKey;
use http::Method;
use seatkeeper::domain::license::jwk::publish;
use seatkeeper::domain::license::key::sign_key;
use seatkeeper::domain::license::name::LicenseName;
use seatkeeper::domain::seats::taker::Taker;
use seatkeeper::seats::{Ask, Denied, Granted, Seat};
use serde_json::{Value, json};
use tokio::task::LocalSet;

use crate::api::{folder, must, ours, secret};
use crate::contact_centre::{asks as login, centre, open};
use crate::run::Run;

/// The seats of each of the two grants.
const SEATS: u32 = 5_000;

fn secret_of(name: &str, type_: &str, entry: &str, text: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": type_, "metadata": {"name": name, "namespace": "centre"},
        "data": {entry: BASE64_STANDARD.encode(text)},
    })
}

fn keys_of(grants: &[&str]) -> Value {
    grants.iter().map(|key| json!({"name": key, "secretRef": {"name": key}})).collect::<Vec<_>>().into()
}

async fn give(run: &Run, license: &str, grants: &[&str]) {
    let path = ours("centre", "licenses", license);
    must(&run.shared.api, Method::PATCH, &path, Some(&json!({"spec": {"keys": keys_of(grants)}}))).await;
}

fn asks(license: &str, many: u32, count: u32) -> Vec<Ask> {
    let ask = |n| Ask {
        license: LicenseName::new("centre", license),
        user: None,
        session: format!("{license}-{n}"),
        client: None,
        pool: None,
        request: None,
        version: None,
        count,
        taker: Taker::of("agent", None, None),
        namespace: None,
    };
    (0..many).map(ask).collect()
}

fn seats_in(answers: &[Result<Granted, Denied>]) -> Vec<Seat> {
    answers.iter().flatten().flat_map(|granted| granted.seats.clone()).collect()
}

/// Licenses of a tenant, of which `a` has g1 and `many` has twelve pools of its own.
fn begin() -> Run {
    let run = open(&centre(1_000, None));
    let signing = SigningKey::from_bytes(&[9; 32]);
    run.within(async {
        let jwks = serde_json::to_string(&publish(&[signing.verifying_key()])).expect("it is JSON");
        let trust = secret_of("trust", "seatkeeper.dev/trust", "jwks.json", &jwks);
        must(&run.shared.api, Method::POST, folder(&secret("centre", "trust")), Some(&trust)).await;
        let pool = |name: String, seats| json!({"name": name, "model": "Concurrent", "countBy": "Start", "seats": seats});
        let (agents, five) = ([pool("agents".into(), SEATS)], [pool("agents".into(), 5)]);
        let twelve: Vec<Value> = (0..12).map(|n| pool(format!("p{n}"), 1)).collect();
        for (grant, pools) in [("g1", &agents[..]), ("g2", &agents), ("g3", &twelve), ("s1", &five), ("s2", &five)] {
            let claims = json!({
                "iss": "vendor", "jti": grant, "sub": "Tenant", "aud": "acd", "iat": 1, "nbf": 1, "exp": 4_000_000_000u64,
                "grant": grant, "pools": pools,
            });
            let text = sign_key(&serde_json::from_value(claims).expect("it is a key"), &signing);
            let key = secret_of(grant, "seatkeeper.dev/license", "key", &text);
            must(&run.shared.api, Method::POST, folder(&secret("centre", "keys")), Some(&key)).await;
        }
        for (license, grants) in [("a", &["g1"][..]), ("b", &[]), ("c", &[]), ("z", &[]), ("many", &["g3"])] {
            let object = json!({
                "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License",
                "metadata": {"name": license, "namespace": "centre"},
                "spec": {"product": "acd", "keys": keys_of(grants), "trust": {"secretRef": {"name": "trust"}}},
            });
            must(&run.shared.api, Method::POST, folder(&ours("centre", "licenses", license)), Some(&object)).await;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    });
    run
}

/// The attack: `a` fills its share of an entry with seats on g1, has g2 in its place before that entry is written, and `b` is
/// granted the seats of g1 in the same entry, in which there is no room to note that those of `a` draw on g2. The owner ends.
/// By then `c` has g2.
#[test]
fn i2_a_full_entry_and_the_end_of_the_owner_give_no_further_seat() {
    let mut run = begin();
    let desk = run.desk();
    run.shared.lock().write_takes = Duration::from_secs(2);
    let (of_a, of_b) = run.within(LocalSet::new().run_until(async {
        let acquire = |asks: Vec<Ask>| {
            let desk = desk.clone();
            tokio::task::spawn_local(async move { seats_in(&desk.acquire(&asks).await) })
        };
        let first = acquire(asks("a", 1, 1));
        tokio::time::sleep(Duration::from_millis(200)).await;
        let rest = acquire(asks("a", SEATS, 1));
        tokio::time::sleep(Duration::from_millis(100)).await;
        give(&run, "a", &["g2"]).await;
        give(&run, "b", &["g1"]).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let of_b = acquire(asks("b", 4, 1_000)).await.expect("no panic");
        let mut of_a = rest.await.expect("no panic");
        of_a.extend(first.await.expect("no panic"));
        (of_a, of_b)
    }));
    run.kill();
    run.shared.lock().write_takes = Duration::ZERO;
    run.within(async {
        give(&run, "a", &[]).await;
        give(&run, "c", &["g2"]).await;
    });
    run.restart();
    run.within(async { tokio::time::sleep(Duration::from_secs(30)).await });
    let desk = run.desk();
    let (kept, of_c) = run.within(async {
        let held: Vec<Seat> = of_a.iter().chain(&of_b).cloned().collect();
        let heard = desk.heartbeat(&held).await.expect("it owns the ledger");
        let of_c = seats_in(&desk.acquire(&asks("c", 5, 1_000)).await);
        (heard.kept.iter().filter(|kept| **kept).count(), of_c)
    });
    let all = kept + of_c.len();
    assert!(all <= 2 * SEATS as usize, "{all} seats on {} licensed", 2 * SEATS);
}

/// Somebody else logs in, in an entry of its own.
fn somebody_logs_in(run: &Run, n: usize) {
    let desk = run.desk();
    let answer = run.within(async { login(&desk, &format!("agent-{n}")).await });
    assert!(answer.is_ok(), "{answer:?}");
}

/// The attack: `z` has s2 in the place of s1 while its first base is on its way to the ledger, behind twelve others. That base
/// says s1, and no later one is written. Once the entry that says s2 is overwritten, nothing says it. No owner has to end at a
/// certain moment: `c` has s2 before the next one begins.
#[test]
fn i2_a_change_of_keys_while_the_first_base_is_written_gives_no_further_seat() {
    let mut run = begin();
    run.within(async {
        give(&run, "a", &[]).await;
        give(&run, "z", &["s1"]).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    });
    run.shared.lock().write_takes = Duration::from_millis(50);
    let desk = run.desk();
    let of_many = (0..12).map(|n| Ask { pool: Some(format!("p{n}")), ..asks("many", 12, 1)[n].clone() });
    let first: Vec<Ask> = of_many.chain(asks("z", 5, 1)).collect();
    let of_z: Vec<Seat> = run.within(async { seats_in(&desk.acquire(&first).await) });
    let of_z: Vec<Seat> = of_z.into_iter().filter(|seat| *seat.license.name == *"z").collect();
    (0..9).for_each(|n| somebody_logs_in(&run, n));
    let of_b = run.within(async {
        give(&run, "z", &["s2"]).await;
        give(&run, "b", &["s1"]).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        seats_in(&desk.acquire(&asks("b", 5, 1)).await)
    });
    run.within(async { tokio::time::sleep(Duration::from_secs(5)).await });
    (9..60).for_each(|n| somebody_logs_in(&run, n));
    run.kill();
    run.shared.lock().write_takes = Duration::ZERO;
    run.within(async {
        give(&run, "z", &[]).await;
        give(&run, "c", &["s2"]).await;
    });
    run.restart();
    run.within(async { tokio::time::sleep(Duration::from_secs(30)).await });
    let desk = run.desk();
    let (kept, of_c) = run.within(async {
        let held: Vec<Seat> = of_z.iter().chain(&of_b).cloned().collect();
        let heard = desk.heartbeat(&held).await.expect("it owns the ledger");
        let of_c = seats_in(&desk.acquire(&asks("c", 5, 1)).await);
        (heard.kept.iter().filter(|kept| **kept).count(), of_c)
    });
    let all = kept + of_c.len();
    assert!(all <= 10, "{all} seats on 10 licensed");
}
