//! Names are compared as people see them, whatever keyboard, system or directory they come from.

use serde_json::json;

use super::ground::{Ground, TTL, request};

/// One user, as a keyboard, a Mac's files and a Japanese input method write the name.
const SPELLINGS: [&str; 3] = ["j.m\u{fc}ller", "j.mu\u{308}ller", "\u{ff4a}.m\u{fc}ller"];

fn of_user(user: &str) -> String {
    let encoded: String = user.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("/v1/seats?namespace=centre&license=innoacd&user={encoded}")
}

#[test]
fn one_user_has_one_seat_however_the_name_is_typed() {
    let ground = Ground::with_ttl(TTL * 12);
    let taken: Vec<_> = SPELLINGS.iter().map(|user| ground.asks(user, json!({"session": "s"})).json()).collect();
    for one in &taken {
        assert_eq!(one["seats"][0]["slot"], taken[0]["seats"][0]["slot"], "{taken:?}");
        let id = one["seats"][0]["id"].as_str().expect("an id");
        assert_eq!(ground.ask("PUT", &format!("/v1/seats/{id}"), "").status, 200, "{id}");
    }
    assert_eq!(ground.holders(), [SPELLINGS[0]]);
    assert_eq!(ground.list().json()["pools"][0]["inUse"], 1);
    for user in SPELLINGS {
        let listed = ground.ask("GET", &of_user(user), "").json();
        assert_eq!(listed["holders"].as_array().map(Vec::len), Some(1), "{user}: {listed}");
    }
    let evicted = ground.ask("DELETE", &of_user(SPELLINGS[1]), "").json();
    assert_eq!((&evicted["released"], ground.holders().len()), (&json!(1), 0));
}

#[test]
fn names_that_differ_in_case_or_in_what_one_sees_are_those_of_two() {
    let ground = Ground::take();
    for (one, other) in [("anna", "Anna"), ("m\u{fc}ller", "muller")] {
        ground.seat(one);
        ground.seat(other);
        assert_eq!(ground.list().json()["pools"][0]["inUse"], 2, "{one} and {other}");
        ground.ask("DELETE", "/v1/seats?namespace=centre&license=innoacd", "");
    }
}

/// K1: where names are not kept, the spellings of one user have one hash.
#[test]
fn k1_one_user_has_one_seat_where_names_are_not_kept() {
    let ground = Ground::take();
    ground.show_holders("Hidden");
    SPELLINGS.iter().for_each(|user| drop(ground.seat(user)));
    assert_eq!(ground.list().json()["pools"][0]["inUse"], 1);
    let evicted = ground.ask("DELETE", &of_user(SPELLINGS[2]), "").json();
    assert_eq!(evicted["released"], 3, "three sessions on one seat");
}

/// The attack: a name that becomes longer than a name may be, or takes long to bring into its form.
#[test]
fn a_name_that_is_too_long_as_names_are_compared_is_refused() {
    let ground = Ground::take();
    let long = ["\u{9dc}".repeat(43), "e\u{301}".repeat(129), "e\u{301}\u{302}".repeat(50_000)];
    for user in &long {
        for field in ["user", "client"] {
            let mut asked = request("anna", json!({}));
            asked[field] = json!(user);
            let answer = ground.ask("POST", "/v1/seats", asked.to_string());
            answer.is_problem(400, "InvalidRequest", &[&format!("`{field}` must be 1 to 256 bytes long")]);
        }
    }
    // As long as it may be, and longer as it is written.
    for user in ["\u{9dc}".repeat(42), "e\u{301}".repeat(128)] {
        assert_eq!(ground.asks(&user, json!({"session": "s"})).status, 201, "{user}");
    }
}
