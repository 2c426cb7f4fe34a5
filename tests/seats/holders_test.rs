//! Who works when: what the list, the ledger and the Events say of it, as the License has it.

use serde_json::{Value, json};
use std::collections::BTreeSet;

use super::ground::{Ground, TTL, until};

const OF_LICENSE: &str = "/v1/seats?namespace=centre&license=innoacd";

fn listed(ground: &Ground) -> Vec<Value> {
    ground.list().json()["holders"].as_array().expect("a list").clone()
}

fn in_use(ground: &Ground) -> Value {
    ground.list().json()["pools"][0]["inUse"].clone()
}

fn slot(ground: &Ground, user: &str, session: &str) -> Value {
    let answer = ground.asks(user, json!({"session": session, "client": format!("pc-of-{user}")}));
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["seats"][0]["slot"].clone()
}

/// Everything that a reader of SeatLedgers sees of these users, also as part of another word.
fn seen<'u>(ground: &Ground, users: &[&'u str]) -> Vec<&'u str> {
    let ledger = ground.ledger();
    users.iter().copied().filter(|user| ledger.contains(user)).collect()
}

#[test]
fn k1_without_names_neither_list_nor_ledger_shows_who_works() {
    let ground = Ground::take();
    ground.show_holders("Pseudonymous");
    let (anna, bob) = (slot(&ground, "anna.huber", "s1"), slot(&ground, "bob.meier", "s1"));
    assert_eq!(slot(&ground, "anna.huber", "s2"), anna, "sessions of a user share a seat");
    assert_ne!(anna, bob);
    ground.asks("cem.kaya", json!({})).is_problem(409, "SeatsExhausted", &["has 2 seats and 2 are in use"]);
    assert_eq!(seen(&ground, &["anna.huber", "bob.meier", "pc-of-"]), [""; 0]);
    assert_eq!(in_use(&ground), 2);

    let called = |holder: &Value| holder["user"].as_str().expect("a pseudonym").to_owned();
    let list = listed(&ground);
    let of_anna: Vec<String> = list.iter().filter(|holder| holder["slot"] == anna).map(called).collect();
    assert!(of_anna.len() == 2 && of_anna[0] == of_anna[1], "{list:?}");
    assert!(list.iter().all(|holder| called(holder).starts_with("agent-")), "{list:?}");
    // Nothing that is the same on another day.
    let fields = |holder: &Value| holder.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>();
    let shown: BTreeSet<String> = ["pool", "since", "slot", "user"].map(str::to_owned).into();
    assert!(list.iter().all(|holder| fields(holder) == shown), "{list:?}");
    let of_user = format!("{OF_LICENSE}&user=anna.huber");
    ground.ask("GET", &of_user, "").is_problem(403, "HoldersNotNamed", &["list them without `user`"]);

    ground.show_holders("Hidden");
    assert!(listed(&ground).is_empty() && in_use(&ground) == 2);
    ground.ask("GET", &of_user, "").is_problem(403, "HoldersNotNamed", &[]);
    until("an Event says so", || ground.events().contains("were Pseudonymous and are Hidden"));
    assert!(ground.events().contains("\"HoldersShown\""));
    // An administrator who knows the name frees the seat.
    let evicted = ground.ask("DELETE", &of_user, "");
    assert_eq!((evicted.status, &evicted.json()["released"]), (200, &json!(2)), "{evicted:?}");
    assert_eq!(in_use(&ground), 1);
    assert_eq!(seen(&ground, &["anna.huber", "bob.meier", "cem.kaya", "pc-of-"]), [""; 0]);
}

/// The seats are held all the time, while the License says one thing, then the other, and the operator dies in between.
#[test]
fn k1_k4_names_leave_the_ledger_while_seats_are_held_and_nobody_has_a_seat_more_or_less() {
    let mut ground = Ground::with_ttl(TTL * 12);
    let anna = slot(&ground, "anna.huber", "s1");
    let named = ground.asks("anna.huber", json!({"session": "s1", "client": "pc-of-anna.huber"})).json();
    let id = format!("/v1/seats/{}", named["seats"][0]["id"].as_str().expect("an id"));
    let users = ["anna.huber", "bob.meier", "pc-of-"];
    assert_eq!(seen(&ground, &users), ["anna.huber", "pc-of-"], "by default the ledger has names");
    assert_eq!(ground.holders(), ["anna.huber"]);

    ground.show_holders("Hidden");
    // Its next session may come before the ledger has forgotten the name, and the owner may die just then.
    assert_eq!(slot(&ground, "anna.huber", "s2"), anna);
    ground.is_killed_and_starts_with_ttl(TTL * 12);
    assert_eq!(in_use(&ground), 1);
    assert_eq!(ground.ask("PUT", &id, "").status, 200, "the id of before is good");
    assert_eq!(slot(&ground, "anna.huber", "s1"), anna);
    assert_eq!(slot(&ground, "anna.huber", "s3"), anna);
    until("the ledger has no name", || seen(&ground, &users).is_empty());
    assert_eq!(ground.ask("PUT", &id, "").status, 200, "the id of before is good");
    assert_eq!(in_use(&ground), 1);

    // Named again: a hash does not give the name back, so it shows with the next seat.
    ground.show_holders("Named");
    assert_eq!(slot(&ground, "anna.huber", "s4"), anna);
    assert_ne!(slot(&ground, "bob.meier", "s1"), anna);
    let names: Vec<String> = ground.holders();
    assert_eq!(names.iter().filter(|name| name.starts_with("agent-")).count(), 4, "{names:?}");
    assert!(names.contains(&"bob.meier".to_owned()), "{names:?}");
    ground.asks("cem.kaya", json!({})).is_problem(409, "SeatsExhausted", &["2 are in use"]);
    assert_eq!(ground.ask("DELETE", &id, "").status, 204, "and given back by the id of before");
    let evicted = ground.ask("DELETE", &format!("{OF_LICENSE}&user=anna.huber"), "");
    assert_eq!((evicted.status, &evicted.json()["released"]), (200, &json!(3)), "{evicted:?}");
    slot(&ground, "anna.huber", "s1");
    assert!(ground.holders().contains(&"anna.huber".to_owned()));
}
