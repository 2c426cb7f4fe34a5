//! `/v1/seats`, as a program uses it.

use serde_json::{Value, json};
use std::collections::BTreeSet;

use super::ground::{Ground, TTL, request, until};
use super::http::Answer;

const OF_LICENSE: &str = "/v1/seats?namespace=centre&license=innoacd";

fn id(answer: &Value) -> String {
    answer["seats"][0]["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[test]
fn a_seat_is_taken_kept_given_back_and_the_same_session_gets_the_same_seat() {
    let ground = Ground::take();
    let first = ground.asks("a", json!({"client": "pc1", "request": "1"}));
    assert_eq!((first.status, first.header("content-type")), (201, Some("application/json")), "{first:?}");
    let granted = first.json();
    assert_eq!((&granted["access"], &granted["ttlSeconds"]), (&"Full".into(), &TTL.as_secs().into()));
    // Ask again, as if the reply had been lost.
    let again = ground.asks("a", json!({"client": "pc1", "request": "1"}));
    assert_eq!((again.status, again.json()), (201, granted.clone()));
    let path = format!("/v1/seats/{}", id(&granted));
    assert_eq!(ground.ask("PUT", &path, "").status, 200);
    assert_eq!(ground.ask("DELETE", &path, "").status, 204);
    assert!(ground.holders().is_empty());
    assert_eq!(ground.ask("DELETE", &path, "").status, 204, "giving a seat back twice succeeds");
    ground.ask("PUT", &path, "").is_problem(410, "SeatLost", &["never revived: ask for a new one"]);
    assert!(ground.holders().is_empty());
}

/// A release that was delayed on its way must not free the seat that the session has taken since.
#[test]
fn i1_requests_about_a_seat_do_not_affect_the_next_seat_of_the_same_session() {
    let ground = Ground::take();
    let before = format!("/v1/seats/{}", ground.seat("a"));
    assert_eq!(ground.ask("DELETE", &before, "").status, 204);
    // Seat ids distinguish grants by the second.
    let mut now = ground.seat("a");
    until("a second is over", || {
        ground.ask("DELETE", &format!("/v1/seats/{now}"), "");
        now = ground.seat("a");
        before != format!("/v1/seats/{now}")
    });
    assert_eq!(ground.ask("DELETE", &before, "").status, 204);
    ground.ask("PUT", &before, "").is_problem(410, "SeatLost", &[]);
    assert_eq!(ground.ask("PUT", &format!("/v1/seats/{now}"), "").status, 200);
    assert_eq!(ground.holders(), ["a"]);
}

/// The ring of the journal wraps several times, and its bases are written behind it.
///
/// The release of one agent and the grant of the next go into one write.
#[test]
fn i1_a_hundred_agents_log_in_and_out_one_after_another() {
    let ground = Ground::take();
    let before = ground.writes();
    for n in 0..100 {
        let user = format!("agent-{n}");
        let granted = ground.asks(&user, json!({}));
        assert_eq!(granted.status, 201, "{user}: {granted:?}");
        assert_eq!(ground.ask("DELETE", &format!("/v1/seats/{}", id(&granted.json())), "").status, 204, "{user}");
    }
    assert!(ground.holders().is_empty());
    let writes = ground.writes() - before;
    assert!((100..150).contains(&writes), "{writes} writes for 100 agents");
}

/// I2, I3, M4: by users, several requests in one body are judged one by one, in their order.
#[test]
fn i2_several_requests_in_one_body_get_an_answer_each() {
    let ground = Ground::take();
    let requests = [
        request("a", json!({})),
        request("a", json!({"session": "second"})),
        request("b", json!({})),
        request("c", json!({})),
        request("d", json!({"pool": "nowhere"})),
        request("e", json!({"license": {"namespace": "centre", "name": "nothing"}})),
        request("f", json!({"count": 3})),
    ];
    let answer = ground.ask("POST", "/v1/seats", json!({ "requests": requests }).to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    let answers = body["answers"].as_array().expect("answers");
    let short = |answer: &Value| match answer["reason"].as_str() {
        Some(reason) => format!("{} {reason} {}", answer["status"], answer["retryAfter"]),
        None => format!("slot {}", answer["seats"][0]["slot"]),
    };
    let expected = [
        "slot 0",
        "slot 0",
        "slot 1",
        "409 SeatsExhausted 5",
        "404 UnknownPool null",
        "404 UnknownLicense null",
        "400 InvalidRequest null",
    ];
    assert_eq!(answers.iter().map(short).collect::<Vec<_>>(), expected, "{body}");

    let detail = answers[6]["detail"].as_str().unwrap();
    assert!(detail.contains("sessions of a user share one seat of pool `agents`, so `count` must be 1"), "{detail}");

    // The answer to one heartbeat for several seats says which of them are lost.
    let [a, second, b] = [0, 1, 2].map(|number| id(&answers[number]));
    let keep = json!({"ids": [&a, &second, &b]}).to_string();
    let kept = ground.ask("PUT", "/v1/seats", &keep);
    assert_eq!((kept.status, kept.json()), (200, json!({"ttlSeconds": TTL.as_secs()})));
    assert_eq!(ground.ask("DELETE", &format!("/v1/seats/{second}"), "").status, 204);
    let kept = ground.ask("PUT", "/v1/seats", &keep);
    assert_eq!((kept.status, kept.json()), (200, json!({"lost": [second], "ttlSeconds": TTL.as_secs()})));
    // The seat of `a` is still held by their first session.
    ground.asks("c", json!({})).is_problem(409, "SeatsExhausted", &["pool `agents` has 2 seats and 2 are in use"]);
}

#[test]
fn a_lost_seat_is_never_revived_by_a_heartbeat() {
    let ground = Ground::take();
    let a = format!("/v1/seats/{}", ground.seat("a"));
    until("its time is over", || ground.holders().is_empty());
    ground.ask("PUT", &a, "").is_problem(410, "SeatLost", &["ask for a new one"]);
    assert!(ground.holders().is_empty());
    // Nor is it revived by a heartbeat that comes while another holder has the slot.
    ground.seat("b");
    ground.ask("PUT", &a, "").is_problem(410, "SeatLost", &[]);
    assert_eq!(ground.ask("DELETE", &a, "").status, 204);
    assert_eq!(ground.holders(), ["b"]);
}

#[test]
fn the_list_is_read_in_pages_and_by_user() {
    let ground = Ground::take();
    let many: Vec<Value> = (0..25).map(|n| request("a", json!({"session": format!("s{n:02}")}))).collect();
    ground.ask("POST", "/v1/seats", json!({ "requests": many }).to_string());
    ground.seat("b");
    let (mut sessions, mut from, mut pages) = (BTreeSet::new(), json!(0), 0);
    while !from.is_null() {
        let page = ground.ask("GET", &format!("{OF_LICENSE}&limit=10&continue={from}"), "").json();
        let holders = page["holders"].as_array().expect("holders");
        assert!((1..=10).contains(&holders.len()), "{page}");
        sessions.extend(holders.iter().map(|holder| holder["session"].as_str().unwrap().to_owned()));
        assert_eq!(page["pools"], json!([{"pool": "agents", "inUse": 2, "peak": 2, "heldElsewhere": 0}]));
        (from, pages) = (page["continue"].clone(), pages + 1);
    }
    assert_eq!((sessions.len(), pages), (26, 3));
    let of_b = ground.ask("GET", &format!("{OF_LICENSE}&user=b"), "").json();
    assert_eq!((of_b["holders"].as_array().unwrap().len(), &of_b["holders"][0]["user"]), (1, &"b".into()));
    for (query, says) in [
        ("&limit=ten", "`limit` is not a number"),
        ("&limit=0", "`limit` must be from 1 to 1000"),
        ("&limit=-1", "`limit` is not a number"),
        ("&colour=red", "unknown field `colour`"),
    ] {
        ground.ask("GET", &format!("{OF_LICENSE}{query}"), "").is_problem(400, "InvalidRequest", &[says]);
    }
    ground.ask("GET", "/v1/seats?license=innoacd", "").is_problem(
        400,
        "InvalidRequest",
        &["missing field `namespace`"],
    );
}

#[test]
fn an_administrator_frees_the_seats_of_one_user_or_of_all() {
    let ground = Ground::take();
    let (a, b) = (ground.seat("a"), ground.seat("b"));
    let evict = |query: &str| ground.ask("DELETE", &format!("{OF_LICENSE}{query}"), "").json();
    assert_eq!(evict("&user=nobody"), json!({"released": 0}));
    assert_eq!(evict("&user=a"), json!({"released": 1}));
    assert_eq!(ground.holders(), ["b"]);
    ground.ask("PUT", &format!("/v1/seats/{a}"), "").is_problem(410, "SeatLost", &[]);
    assert_eq!(ground.ask("PUT", &format!("/v1/seats/{b}"), "").status, 200);
    ground.seat("c");
    assert_eq!(evict(""), json!({"released": 2}));
    assert!(ground.holders().is_empty());
}

/// Programs disagree on what a `+` in a query means. It was read as a blank, so nothing was freed, and the answer was 200.
#[test]
fn an_eviction_whose_query_has_two_meanings_frees_nothing_and_says_so() {
    let ground = Ground::take();
    ground.seat("a+b@x");
    for (query, says) in [
        ("&user=a+b@x", "`user` has a `+`, which may mean a blank: write %2B for a plus sign, and %20 for a blank"),
        ("&user=c&user=a%2Bb@x", "`user` is given twice"),
        ("&users=a%2Bb@x", "unknown field `users`"),
        ("&user=", "`user` is empty"),
    ] {
        for method in ["GET", "DELETE"] {
            let answer = ground.ask(method, &format!("{OF_LICENSE}{query}"), "");
            answer.is_problem(400, "InvalidRequest", &[says]);
        }
    }
    assert_eq!(ground.holders(), ["a+b@x"]);
    let freed = ground.ask("DELETE", &format!("{OF_LICENSE}&user=a%2Bb@x"), "");
    assert_eq!(freed.json(), json!({"released": 1}));
}

/// The attack: a user who reads SeatLedgers, ids or the list of holders reads what a program chose as its session. All
/// three showed it.
#[test]
fn a_session_is_known_to_its_program_alone_and_recognised_by_the_next_owner() {
    const SESSION: &str = "anna-s4lary-token";
    let mut ground = Ground::take();
    let granted = |answer: Answer| answer.json()["seats"][0]["id"].as_str().expect("a seat").to_owned();
    let seat = granted(ground.asks("a", json!({"session": SESSION})));
    assert_eq!(granted(ground.asks("a", json!({"session": SESSION}))), seat, "it is the same session");
    let shown = ground.list().body;
    let ledger = ground.ledger();
    assert!(ledger.contains("centre") && ledger.contains("agents"), "{ledger}");
    for (what, text) in [("the id", &seat), ("the list", &shown), ("the ledger", &ledger)] {
        assert!(!text.contains(SESSION) && !text.contains("s4lary"), "{what} shows it: {text}");
    }
    ground.is_killed_and_starts_with_ttl(TTL);
    assert_eq!(granted(ground.asks("a", json!({"session": SESSION}))), seat);
    assert_eq!(ground.ask("PUT", &format!("/v1/seats/{seat}"), "").status, 200);
    // What stands for it is not taken for it.
    let name = ground.list().json()["holders"][0]["session"].as_str().expect("a name").to_owned();
    assert_eq!(name.len(), 12, "{name}");
    assert_ne!(granted(ground.asks("a", json!({"session": name}))), seat);
    assert_eq!(ground.ask("DELETE", &format!("/v1/seats/{seat}"), "").status, 204);
}
