//! What happens to a seat whose holder is gone, and to a holder whose seat is lost (K4: what runs is not ended).

use std::time::Duration;

use seatkeeper::machine::monotonic;
use seatkeeper::seats::proof::PROOF_LASTS;

use super::ground::{Ground, Running, TTL, until};

/// How long after an owner has begun its first answer may be seen.
const ALLOWANCE: Duration = Duration::from_secs(2);
const FOR_LONG: &str = "while [ ! -e done ]; do sleep 0.02; done; echo went on";

/// I1: nobody else gets the seat of a killed holder before its TTL is over, and after that another user does.
#[test]
fn a_seat_whose_holder_was_killed_is_free_after_its_time_and_not_before() {
    let ground = Ground::take();
    let mut killed = Running::start(&mut ground.hold("--user a", "exec sleep 600"));
    until("the seat is held", || ground.holders() == ["a"]);
    killed.signal("KILL");
    let free = until("the seat comes free", || ground.holders().is_empty());
    // The last heartbeat was up to a third of the TTL earlier.
    assert!(free > TTL / 2 && free < TTL * 3, "{free:?}");
    assert_eq!(ground.asks("b", serde_json::json!({})).status, 201);
}

/// I2: a holder relies on the TTL that it was told, even if the next owner was started with a shorter one. If that
/// owner ends before it has told any holder, the one after it waits for the longer TTL too.
#[test]
fn a_seat_is_free_after_the_ttl_that_its_holder_was_told_whatever_ttl_the_next_owners_have() {
    let told = TTL * 2;
    let mut ground = Ground::with_ttl(told);
    ground.seat("a");
    for _ in 0..2 {
        ground.is_killed_and_starts_with_ttl(TTL);
        assert_eq!(ground.holders(), ["a"]);
    }
    let began = monotonic();
    until("the seat comes free", || ground.holders().is_empty());
    let free = monotonic() - began;
    // The previous owner may have answered heartbeats for as long as its proof lasted.
    assert!(free > PROOF_LASTS + told - ALLOWANCE, "{free:?}");
}

#[test]
fn heartbeats_keep_a_seat_for_longer_than_its_time() {
    let ground = Ground::take();
    let running = Running::start(&mut ground.hold("--user a", FOR_LONG));
    until("the seat is held", || ground.holders() == ["a"]);
    let since = ground.list().json()["holders"][0]["since"].clone();
    std::thread::sleep(TTL * 2);
    let holder = &ground.list().json()["holders"][0];
    assert_eq!((&holder["user"], &holder["since"]), (&"a".into(), &since), "still the same seat");
    std::fs::write(ground.desk.0.join("done"), "").unwrap();
    assert_eq!(running.end(), (Some(0), "went on\n".to_owned(), String::new()));
}

#[test]
fn k4_a_command_whose_seat_is_lost_goes_on_and_gets_another_seat() {
    let ground = Ground::take();
    let errors = ground.desk.0.join("errors");
    let mut hold = ground.hold("--user a", FOR_LONG);
    let running = Running::start(hold.stderr(std::fs::File::create(&errors).unwrap()));
    until("the seat is held", || ground.holders() == ["a"]);
    let evicted = ground.ask("DELETE", "/v1/seats?namespace=centre&license=innoacd&user=a", "");
    assert_eq!((evicted.status, evicted.json()["released"].as_u64()), (200, Some(1)), "{evicted:?}");
    assert!(ground.holders().is_empty());
    let said = [
        "the seat is lost: the server has freed it",
        "the command goes on; asking for another seat",
        "has a seat again: seat 0 of pool `agents`",
    ];
    let said = said.map(|line| format!("seatkeeper: {line}\n")).concat();
    until("it says that it has a seat again", || std::fs::read_to_string(&errors).unwrap() == said);
    assert_eq!(ground.holders(), ["a"]);
    std::fs::write(ground.desk.0.join("done"), "").unwrap();
    let (status, out, _) = running.end();
    assert_eq!((status, out.as_str()), (Some(0), "went on\n"));
}

#[test]
fn with_stop_when_lost_a_command_ends_with_its_seat() {
    let ground = Ground::take();
    let running = Running::start(&mut ground.hold("--user a --stop-when-lost", "exec sleep 600"));
    until("the seat is held", || ground.holders() == ["a"]);
    ground.ask("DELETE", "/v1/seats?namespace=centre&license=innoacd", "");
    let (status, _, errors) = running.end();
    assert_eq!((status, errors.contains("as --stop-when-lost says")), (Some(143), true), "{errors}");
    assert!(ground.holders().is_empty());
}

/// A projected token is replaced by a new one before it expires: the present content of the file counts.
#[test]
fn a_token_is_read_again_for_each_request() {
    let ground = Ground::take();
    let file = ground.desk.data("token");
    let running = Running::start(&mut ground.hold("--user a", FOR_LONG));
    until("the seat is held", || ground.holders() == ["a"]);
    std::fs::write(&file, "an old one\n").unwrap();
    until("the seat is lost without a valid token", || ground.holders().is_empty());
    std::fs::write(&file, format!("{}\n", ground.token)).unwrap();
    std::fs::write(ground.desk.0.join("done"), "").unwrap();
    let (status, out, errors) = running.end();
    assert_eq!((status, out.as_str()), (Some(0), "went on\n"), "{errors}");
    assert!(errors.contains("has several words, so it is not a token"), "{errors}");
}

/// A process that was stopped for longer than its TTL has lost its seat, whatever it remembers.
#[test]
fn a_process_that_was_stopped_for_too_long_says_that_its_seat_is_lost() {
    let ground = Ground::take();
    let mut running = Running::start(&mut ground.hold("--user a", FOR_LONG));
    until("the seat is held", || ground.holders() == ["a"]);
    running.signal("STOP");
    until("the seat comes free", || ground.holders().is_empty());
    // Others take the seats.
    let (_b, c) = (ground.seat("b"), ground.seat("c"));
    running.signal("CONT");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(ground.holders(), ["b", "c"], "never revived");
    assert_eq!(ground.ask("DELETE", &format!("/v1/seats/{c}"), "").status, 204);
    std::fs::write(ground.desk.0.join("done"), "").unwrap();
    let (status, _, errors) = running.end();
    assert_eq!(status, Some(0), "{errors}");
    assert!(errors.contains("the seat is lost"), "{errors}");
}
