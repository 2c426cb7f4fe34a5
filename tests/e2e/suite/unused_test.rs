//! Nothing is accepted and ignored: what has no effect is refused, or a condition names it.

use seatkeeper::api::License;
use seatkeeper::domain::license::key::Claims;
use seatkeeper::domain::license::mode::Mode;
use serde_json::{Value, json};

use super::case::{Case, Conditioned, KEYS, PLAN, find, order};
use super::keys::{Signer, claims};

fn license(more: Value) -> String {
    let mut spec = json!({
        "product": "innoacd",
        "keys": [{"name": "keys", "secretRef": {"name": "keys"}}],
        "trust": {"secretRef": {"name": "vendor-trust"}},
    });
    spec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    json!({"apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License", "metadata": {"name": "innoacd"}, "spec": spec})
        .to_string()
}

/// Makes trust and a key for two fixed seats and five agents.
async fn with_a_key(name: &str) -> Case {
    let case = Case::new(name).await;
    case.trust().await;
    let pools = json!([
        {"name": "fixed", "model": "Fixed", "countBy": "User", "seats": 2},
        {"name": "agents", "model": "Concurrent", "countBy": "User", "seats": 5},
    ]);
    let pools = serde_json::from_value(pools).expect("pools as keys have them");
    let key = Signer::of("vendor").sign(&Claims { pools, ..claims("innoacd", &case.namespace, 365) });
    case.secret("keys", KEYS, &[("key", &key)]).await;
    case
}

#[tokio::test]
async fn k1_a_license_names_the_parts_that_are_not_acted_on() {
    let case = with_a_key("unused-parts").await;
    let parts = json!({
        "server": {"secretRef": {"name": "root-server"}, "profile": "plant-a"},
        "administrators": [{"user": "m.huber", "email": "m.huber@stadtwerke.example"}],
    });
    case.kubectl.apply(&license(parts)).await;
    let seen = case.license("innoacd");
    let said = seen.is_not("FullyActedOn", "PartsNotActedOn").await;
    assert_eq!(said, "stored and shown, but not acted on by this version: spec.server, spec.administrators");
    seen.becomes(Mode::Full).await;
    case.kubectl.apply(&license(json!({}))).await;
    seen.shows("nothing to name", |seen: &License| find(seen.conditions(), "FullyActedOn").is_none()).await;
}

#[tokio::test]
async fn a_license_names_what_it_assigns_and_reserves_without_effect() {
    let case = with_a_key("unused-seats").await;
    let right = json!({
        "assignments": [{"pool": "fixed", "users": ["anna", "bob"]}],
        "reservations": [{"pool": "agents", "team": "north", "seats": 5}],
    });
    case.kubectl.apply(&license(right.clone())).await;
    let seen = case.license("innoacd");
    let refused = |seen: &License| find(seen.conditions(), "PartRefused").is_some();
    assert!(!refused(&seen.becomes(Mode::Full).await));
    let wrong = json!({
        "assignments": [{"pool": "fixd", "users": ["anna"]}, {"pool": "fixed", "users": ["anna", "bob", "cem"]}],
        "reservations": [{"pool": "agents", "team": "north", "seats": 4}, {"pool": "agents", "team": "south", "seats": 4}],
    });
    case.kubectl.apply(&license(wrong)).await;
    let said = seen.is("PartRefused", "UnknownPool").await;
    for part in [
        "spec.assignments[fixd]: the keys grant no such pool; they grant agents, fixed",
        "spec.assignments[fixed]: 3 users are named, and pool fixed has 2 seats; without a seat: cem.",
        "spec.reservations[agents, south]: 4 seats are reserved for team south, and only 1 are kept",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(seen.told("UnknownPool").await, said);
    seen.becomes(Mode::Full).await;
    case.kubectl.apply(&license(right)).await;
    seen.shows("all of it counts", |seen| !refused(seen)).await;
}

/// The same for an order: its users go into the key.
#[tokio::test]
async fn an_order_names_the_users_whom_no_seat_can_belong_to() {
    let case = Case::new("unused-users").await;
    case.signing_key().await;
    case.kubectl.apply(&PLAN.replace("{name: agents,", "{name: fixed, model: Fixed}, {name: agents,")).await;
    let ordered = |fixed: &str, agents: &str| {
        let pools =
            format!("pools: [{{name: fixed, seats: 1, users: [{fixed}]}}, {{name: agents, seats: 50{agents}}}]");
        order("stadtwerke", "").replace("pools: [{name: agents, seats: 50}]", &pools)
    };
    let seen = case.subscription("stadtwerke");
    case.kubectl.apply(&ordered("anna, anna", "")).await;
    seen.is("Ready", "Active").await;
    assert!(find(seen.get().await.conditions(), "PartRefused").is_none());
    for (fixed, agents, reason, says) in [
        (
            "anna, bob",
            "",
            "MoreUsersThanSeats",
            "spec.plans[0].pools[fixed].users: 2 users are named, and pool fixed has 1 seats",
        ),
        ("' anna'", "", "UserInvalid", "spec.plans[0].pools[fixed].users: \" anna\" has blanks around it"),
        (
            "anna",
            ", users: [bob]",
            "AssignmentNotUsed",
            "spec.plans[0].pools[agents].users: pool agents is of model Concurrent",
        ),
    ] {
        case.kubectl.apply(&ordered(fixed, agents)).await;
        let said = seen.is("PartRefused", reason).await;
        assert!(said.contains(says), "{said}");
        seen.is("Ready", "Active").await;
    }
}

#[tokio::test]
async fn k1_names_with_blanks_around_them_and_addresses_that_are_none_are_refused() {
    let case = Case::new("unused-names").await;
    let name = "must be a name without control characters and without white space at its ends";
    let address =
        "must be one address such as it@stadtwerke.example; write a domain with other letters in its xn-- form";
    for (more, field, message) in [
        (json!({"administrators": [{"user": " m.huber"}]}), "spec.administrators[0].user", name),
        (json!({"assignments": [{"pool": "a", "users": ["anna", "bob "]}]}), "spec.assignments[0].users[1]", name),
        (json!({"reservations": [{"pool": "a", "team": "\tnorth", "seats": 1}]}), "spec.reservations[0].team", name),
        (json!({"administrators": [{"user": "m", "email": "m.huber"}]}), "spec.administrators[0].email", address),
    ] {
        let said = case.kubectl.refused(&license(more)).await;
        assert!(said.contains(field) && said.contains(message), "{said}");
    }
    let contact = |email: &str| {
        let contact = format!("{{organisation: Stadtwerke Musterstadt, contact: {{email: {}}}}}", json!(email));
        order("stadtwerke", "").replace("{organisation: Stadtwerke Musterstadt}", &contact)
    };
    for email in [
        "it",
        "it@",
        "@x.example",
        "it@localhost",
        "it@x.example, b@x.example",
        "IT <it@x.example>",
        "it@stadtwerke..example",
        "it@-x.example",
        "it@m\u{fc}ller.example",
        "it@x.example ",
        "it@x.example\nBcc: b@x.example",
        "",
    ] {
        let said = case.kubectl.refused(&contact(email)).await;
        assert!(said.contains("spec.customer.contact.email") && said.contains(address), "{email:?}: {said}");
    }
    for email in ["it@stadtwerke.example", "o'neil+licences_1@sub.x-y.example", "it@xn--mller-kva.example"] {
        case.kubectl.apply(&contact(email)).await;
    }
    let member = json!({"user": "a", "loginMode": "Active", "entryDate": "2019-04-01", "team": "north "});
    let roster = json!({
        "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "Roster", "metadata": {"name": "staff"},
        "spec": {"licenseRef": {"name": "innoacd"}, "members": [member]},
    });
    let said = case.kubectl.refused(&roster.to_string()).await;
    assert!(said.contains("spec.members[0].team") && said.contains(name), "{said}");
}
