//! Bad input gets a precise problem, and no seat.

use seatkeeper::machine::monotonic;
use seatkeeper::server::http::body::MOST_BYTES;
use serde_json::json;
use std::time::Duration;

use super::ground::{Ground, request, said};
use super::http::send;

const SEATS: &str = "/v1/seats";

#[test]
fn without_the_token_nothing_is_said_but_that() {
    let ground = Ground::take();
    let tokens: [&[String]; 5] = [
        &[],
        &["Authorization: Bearer guessed".to_owned()],
        &["Authorization: Basic YTpi".to_owned()],
        &["Authorization: Bearer".to_owned()],
        &[format!("Authorization: Bearer {}", "x".repeat(10_000))],
    ];
    let large = vec![b'x'; MOST_BYTES + 1];
    for headers in tokens {
        for (method, path) in
            [("POST", SEATS), ("GET", SEATS), ("PUT", "/v1/seats/x"), ("PATCH", SEATS), ("GET", "/no")]
        {
            let answer = send(&ground.address, method, path, headers, b"{}");
            answer.is_problem(401, "Unauthorized", &[]);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
        assert_eq!(send(&ground.address, "POST", SEATS, headers, &large[..100_000]).status, 401);
    }
}

#[test]
fn a_malformed_body_is_refused_with_field_and_line() {
    let ground = Ground::take();
    let license = r#""license": {"namespace": "centre", "name": "innoacd"}"#;
    let one = format!("{license}, \"session\": \"s\"");
    let bodies: [(String, &[&str]); 22] = [
        (String::new(), &["EOF while parsing", "line 1"]),
        ("{".into(), &["EOF while parsing", "line 1"]),
        ("[]".into(), &["invalid"]),
        ("null".into(), &["invalid type: null"]),
        ("\u{0}".into(), &["expected value at line 1 column 1"]),
        ("{}".into(), &["`license` is missing", "`license` and `session`"]),
        (format!("{{{license}}}"), &["`session` is missing"]),
        (format!("{{\n{license},\n\"session\": 5}}"), &["`session`:", "integer `5`", "line 3"]),
        (format!("{{{license}, \"session\": \"s\",\n \"count\": -1}}"), &["`count`:", "`-1`", "line 2"]),
        (
            format!("{{{license}, \"session\": \"s\",\n \"count\": 4294967296}}"),
            &["`count`:", "`4294967296`", "line 2"],
        ),
        (format!("{{{license}, \"session\": \"s\", \"color\": 1}}"), &["unknown field `color`", "line 1"]),
        (format!("{{{one},\n \"wait\": -1}}"), &["`wait`:", "`-1`", "line 2"]),
        (format!("{{{one},\n \"wait\": \"x\"}}"), &["`wait`:", "string \"x\"", "line 2"]),
        (format!("{{{one}, \"wait\": 0}}"), &["`wait` must be from 1 to 30 seconds"]),
        (format!("{{{one}, \"wait\": 31}}"), &["`wait` must be from 1 to 30 seconds"]),
        (
            format!("{{\"requests\": [{{{one}}}, {{{one}, \"wait\": 5}}]}}"),
            &["`requests[1].wait`", "only a request on its own can wait"],
        ),
        (format!("{{\"requests\": [{{{one}}}], \"wait\": 5}}"), &["`wait`: ", "only a request on its own can wait"]),
        (r#"{"license": {"name": "innoacd"}, "session": "s"}"#.into(), &["`license`:", "missing field `namespace`"]),
        (r#"{"license": "centre/innoacd", "session": "s"}"#.into(), &["`license`:", "expected an object"]),
        (
            format!("{{\"requests\": [{{{license}, \"session\": \"s\"}},\n{{{license}}}]}}"),
            &["`requests[1]`:", "missing field `session`", "line 2"],
        ),
        (format!("{{\"requests\": [], {license}}}"), &["`license` stands beside `requests`"]),
        (
            format!("{{\"requests\": [{}]}}", vec![format!("{{{license}, \"session\": \"s\"}}"); 1_001].join(",")),
            &["`requests` has more than 1000"],
        ),
    ];
    for (body, says) in &bodies {
        ground.ask("POST", SEATS, body).is_problem(400, "InvalidRequest", says);
    }
    let not_utf8 = [&b"{\"session\": \""[..], &[0xff, 0xfe], b"\"}"].concat();
    ground.ask("POST", SEATS, not_utf8).is_problem(400, "InvalidRequest", &["invalid unicode"]);
    let deep = "[".repeat(100_000);
    ground.ask("POST", SEATS, deep).is_problem(400, "InvalidRequest", &[]);
    for (body, says) in [
        ("{}", "missing field `ids`"),
        (r#"{"ids": [1]}"#, "`ids[0]`:"),
        (r#"{"ids": ["nothing"]}"#, "`ids[0]` names no seat: use the `id` of a seat that was granted"),
    ] {
        ground.ask("PUT", SEATS, body).is_problem(400, "InvalidRequest", &[says]);
    }
    let many = json!({"ids": vec!["x"; 10_001]}).to_string();
    ground.ask("PUT", SEATS, many).is_problem(400, "InvalidRequest", &["`ids` has more than 10000"]);
    assert!(ground.holders().is_empty());
}

#[test]
fn an_oversized_body_is_a_problem_too() {
    let ground = Ground::take();
    let says = ["the body has more than 1048576 bytes: split it into several requests"];
    for bytes in [MOST_BYTES + 1, MOST_BYTES + 10_000] {
        for method in ["POST", "PUT"] {
            ground.ask(method, SEATS, vec![b' '; bytes]).is_problem(413, "BodyTooLarge", &says);
        }
    }
    ground.ask("POST", SEATS, vec![b' '; MOST_BYTES]).is_problem(400, "InvalidRequest", &["EOF"]);
}

/// The attack: bodies that never end. Each of them used to be kept for as long as its caller liked.
#[test]
fn a_body_that_does_not_end_is_refused_in_time() {
    let ground = Ground::take();
    for method in ["POST", "PUT"] {
        let began = monotonic();
        let answer = ground.caller().asks_without_end(method, SEATS);
        answer.is_problem(408, "BodyTooSlow", &["the body took longer than 10 s: send it at once"]);
        assert!(monotonic() - began < Duration::from_secs(15));
    }
}

#[test]
fn unknown_paths_methods_and_seats_are_problems() {
    let ground = Ground::take();
    for path in ["/", "/v1", "/v1/seat", "/v1/seats/", "/v1/seats/a/b", "/%00", "/v1/seats%2Fx"] {
        ground.ask("GET", path, "").is_problem(404, "NotFound", &["there is nothing at ", "the paths are /v1/seats, "]);
    }
    let answer = ground.ask("PATCH", SEATS, "");
    answer.is_problem(405, "MethodNotAllowed", &["PATCH is not allowed here: GET lists, POST takes"]);
    let allowed = answer.header("allow").expect("RFC 9110 asks for it");
    assert!(["GET", "POST", "PUT", "DELETE"].iter().all(|method| allowed.contains(method)), "{allowed}");
    ground.ask("POST", "/v1/seats/x", "").is_problem(405, "MethodNotAllowed", &["PUT keeps a seat"]);
    for id in [
        "x",
        "%ff",
        "centre~innoacd~agents~0~a",
        "centre~innoacd~agents~-1~a~s~0",
        "centre~innoacd~agents~0~a~s~x",
        "a~b~c~4294967296~d~e~0",
    ] {
        for method in ["PUT", "DELETE"] {
            let answer = ground.ask(method, &format!("/v1/seats/{id}"), "");
            answer.is_problem(400, "InvalidRequest", &["the path names no seat: use the `id`"]);
        }
    }
    // Well-formed ids that nobody holds.
    for id in ["centre~innoacd~agents~0~a~s~0", "centre~innoacd~no~7~a~s~0", "no~no~no~4294967295~~s~0"] {
        ground.ask("PUT", &format!("/v1/seats/{id}"), "").is_problem(410, "SeatLost", &[]);
    }
}

#[test]
fn impossible_requests_are_refused_with_what_is_possible() {
    let ground = Ground::take();
    let of = |namespace: &str, name: &str| json!({"license": {"namespace": namespace, "name": name}});
    let none = &["there is no License"][..];
    for (more, status, reason, says) in [
        (of("centre", "other"), 404, "UnknownLicense", &["there is no License centre/other"][..]),
        (of("", ""), 404, "UnknownLicense", none),
        (of("../../centre", "inno\u{0}acd\u{202e}"), 404, "UnknownLicense", none),
        (of("centre", &"x".repeat(100_000)), 400, "InvalidRequest", &["at most 63 bytes, and its name 253"]),
        (json!({"pool": "desks"}), 404, "UnknownPool", &["no pool `desks`; it has: agents"]),
        (json!({"pool": "de\nsks\u{1b}[2J"}), 404, "UnknownPool", &["no pool `de\\nsks\\u{1b}[2J`"]),
        (json!({"count": 0}), 400, "InvalidRequest", &["`count` must be from 1 to 1000"]),
        (json!({"count": 4_294_967_295_u32}), 400, "InvalidRequest", &["`count` must be from 1 to 1000"]),
        (json!({"session": ""}), 400, "InvalidRequest", &["`session` must be 1 to 256 bytes long"]),
        (json!({"session": "s".repeat(257)}), 400, "InvalidRequest", &["`session` must be 1 to 256 bytes long"]),
        (json!({"user": "u".repeat(257)}), 400, "InvalidRequest", &["`user` must be 1 to 256 bytes long"]),
        (json!({"client": ""}), 400, "InvalidRequest", &["`client` must be 1 to 256 bytes long"]),
    ] {
        let answer = ground.asks("a", more);
        answer.is_problem(status, reason, says);
        assert_eq!(answer.retry_after(), None, "it will not pass by itself: {answer:?}");
        assert!(answer.body.len() < 1_000, "the answer does not repeat long input");
    }
    assert!(ground.holders().is_empty());
    let _held = (ground.seat("a"), ground.seat("b"));
    let full = ground.asks("c", json!({}));
    full.is_problem(409, "SeatsExhausted", &["wait until one is released, or order more"]);
    assert_eq!(full.retry_after(), Some(5));
}

#[test]
fn names_in_any_script_and_with_controls_come_back_as_they_were() {
    let ground = Ground::take();
    let names = ["Ærøskøbing 日本 🎧", "a\nb\t\u{0}\u{1b}[31m\u{202e}~=%/?#", "\u{feff}", "..", "a b%20c"];
    for name in names {
        let answer = ground.asks(name, json!({"session": name, "client": name, "request": name}));
        assert_eq!(answer.status, 201, "{answer:?}");
        let id = answer.json()["seats"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(ground.holders(), [name]);
        let holder = &ground.list().json()["holders"][0];
        assert_eq!(holder["client"], name);
        assert_eq!(ground.ask("PUT", &format!("/v1/seats/{id}"), "").status, 200);
        assert_eq!(ground.ask("DELETE", &format!("/v1/seats/{id}"), "").status, 204);
        assert!(ground.holders().is_empty());
    }
    // Different users have different seats, even if their sessions have the same name.
    let slots = ["a", "b"]
        .map(|user| ground.asks(user, json!({"session": "same"})).json()["seats"][0]["slot"].as_u64().unwrap());
    assert_eq!(slots, [0, 1]);
    assert_eq!(request("a", json!({}))["session"], "of-a");
}

#[test]
fn hold_says_what_is_wrong_and_what_to_do() {
    let ground = Ground::take();
    let token = format!("--token-file {}", ground.desk.data("token").display());
    std::fs::write(ground.desk.0.join("wrong"), "guessed").unwrap();
    std::fs::write(ground.desk.0.join("empty"), "\n").unwrap();
    let of = "--license centre/innoacd";
    for (arguments, status, says) in [
        (format!("--license centre/other {token}"), 77, "no seat of centre/other. UnknownLicense: there is no License"),
        (format!("--license innoacd {token}"), 77, "there is no License default/innoacd"),
        (format!("{of} --pool desks {token}"), 77, "UnknownPool: the licence has no pool `desks`; it has: agents"),
        (format!("{of} --token-file wrong"), 77, "Unauthorized: this is not the token"),
        (format!("{of} --token-file empty"), 77, "empty: is empty; name the file of a token"),
        (format!("{of} --token-file nowhere"), 77, "nowhere: No such file or directory"),
        (of.to_owned(), 77, "no token: there is neither"),
        (
            format!("{of} {token} --server http://127.0.0.1:1"),
            75,
            "http://127.0.0.1:1 does not answer: Connection refused",
        ),
        (format!("{of} {token} --server ftp://x"), 2, "write http://HOST:PORT"),
        (format!("{of} {token} --server https://127.0.0.1:1 --ca-file empty"), 2, "empty: has no certificate in it"),
        (format!("{of} {token} --wait=soon"), 2, "write a whole number and a unit (s, m, h or d), for example 5m"),
        (format!("{of} {token} --version x"), 2, "--version"),
        (format!("--license a/b/c {token}"), 2, "write NAMESPACE/NAME, or NAME"),
    ] {
        let mut hold = ground.seatkeeper_hold();
        let done = hold.args(arguments.split_whitespace()).args(["--", "touch", "ran"]).output().unwrap();
        let (ended, out, errors) = said(done);
        assert_eq!((ended, out.as_str()), (Some(status), ""), "{arguments}: {errors}");
        assert!(errors.contains(says), "{says:?} is not in {errors}");
        assert!(!ground.desk.0.join("ran").exists(), "{arguments}");
    }
    assert_eq!(said(ground.seatkeeper_hold().arg(of).output().unwrap()).0, Some(2), "no command");
    assert!(ground.holders().is_empty());
}

/// Over https, the server has to prove its identity before it is sent the token.
#[test]
fn https_is_trusted_only_with_the_right_authority() {
    let ground = Ground::take();
    let credential = std::fs::read_to_string(ground.desk.data("credential.json")).unwrap();
    let credential: serde_json::Value = serde_json::from_str(&credential).unwrap();
    for (file, field) in [("authority.pem", "authority"), ("other.pem", "certificate")] {
        std::fs::write(ground.desk.0.join(file), credential[field].as_str().unwrap()).unwrap();
    }
    let hold = |more: &str| {
        let arguments = format!("--server {} {more}", ground.api());
        said(ground.hold(&arguments, "touch ran").output().unwrap())
    };
    let (status, _, errors) = hold("--ca-file authority.pem");
    // It answers, but the token for seats is of no use there.
    assert_eq!((status, errors.contains("Unauthorized: status 401")), (Some(77), true), "{errors}");
    for stranger in ["", "--ca-file other.pem"] {
        let (status, _, errors) = hold(stranger);
        assert_eq!(
            (status, errors.contains("does not answer: invalid peer certificate")),
            (Some(75), true),
            "{errors}"
        );
    }
}
