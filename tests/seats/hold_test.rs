//! `seatkeeper hold`: a command runs on a seat (I1, I2).

use std::process::{Command, Stdio};
use std::time::Duration;

use super::ground::{Ground, Running, said, until};

const FOR_LONG: &str = "exec sleep 600";

/// I1: the user is logged in while the command runs, and logged out the moment it ends.
#[test]
fn i1_the_seat_is_listed_while_the_command_runs_and_gone_when_hold_has_ended() {
    let ground = Ground::take();
    let command = "echo out; echo err >&2; while [ ! -e done ]; do sleep 0.02; done; exit 3";
    let running = Running::start(&mut ground.hold("--user a.ivanov --client pc1 --pool agents", command));
    until("the seat is listed", || ground.holders() == ["a.ivanov"]);
    let holder = &ground.list().json()["holders"][0];
    assert_eq!((&holder["pool"], &holder["client"]), (&"agents".into(), &"pc1".into()), "{holder}");
    std::fs::write(ground.desk.0.join("done"), "").unwrap();
    assert_eq!(running.end(), (Some(3), "out\n".to_owned(), "err\n".to_owned()));
    assert!(ground.holders().is_empty());
}

/// I2: with two seats, the third user is refused with the reason, and gets a seat when one comes free.
#[test]
fn i2_with_all_seats_held_another_is_refused_with_the_reason_and_may_wait() {
    let ground = Ground::take();
    let mut first = Running::start(&mut ground.hold("--user a", FOR_LONG));
    let _second = Running::start(&mut ground.hold("--user b", FOR_LONG));
    until("both hold a seat", || ground.holders().len() == 2);

    let (status, out, errors) = said(ground.hold("--user c", "echo ran").output().unwrap());
    assert_eq!((status, out.as_str()), (Some(75), ""), "{errors}");
    let reason = "no seat of centre/innoacd. SeatsExhausted: pool `agents` has 2 seats and 2 are in use;";
    for part in [reason, "wait until one is released, or order more", "use --wait to wait for a seat"] {
        assert!(errors.contains(part), "{part:?} is not in {errors}");
    }
    // Waiting alone does not let anybody in.
    let (status, _, errors) = said(ground.hold("--user c --wait=1s", "echo ran").output().unwrap());
    assert_eq!((status, errors.lines().count()), (Some(75), 2), "{errors}");
    // A holder may start as often as they like.
    assert_eq!(said(ground.hold("--user b", "echo ran").output().unwrap()).1, "ran\n");

    first.signal("TERM");
    assert_eq!(first.end().0, Some(143));
    assert_eq!(said(ground.hold("--user c", "echo ran").output().unwrap()).1, "ran\n", "free at once");
}

/// I2: the waiter sees one message at once, one with their place, and one when it is their turn.
#[test]
fn i2_a_waiter_gets_the_seat_that_comes_free_and_ctrl_c_ends_the_waiting() {
    let ground = Ground::take();
    let (a, b) = (ground.seat("a"), ground.seat("b"));
    let path = |id: &str| format!("/v1/seats/{id}");
    let waiting = Running::start(&mut ground.hold("--user c --wait=5m", "echo ran"));
    until("the first one waits", || ground.queued() == 1);
    let mut leaving = Running::start(&mut ground.hold("--user d --wait", "echo ran"));
    // This takes longer than the server lets a request wait, so each of them has asked several times.
    for _ in 0..35 {
        assert_eq!([&a, &b].map(|id| ground.ask("PUT", &path(id), "").status), [200, 200]);
        std::thread::sleep(Duration::from_millis(200));
    }
    leaving.signal("INT");
    let (status, out, errors) = leaving.end();
    assert_eq!((status, out.as_str(), errors.lines().count()), (Some(130), "", 2), "{errors}");
    assert_eq!(ground.ask("DELETE", &path(&a), "").status, 204);
    let (status, out, errors) = waiting.end();
    assert_eq!((status, out.as_str()), (Some(0), "ran\n"), "{errors}");
    let [wait, place, turn] = errors.lines().collect::<Vec<_>>()[..] else { panic!("{errors}") };
    for (line, of) in [(wait, ""), (place, ": place 1 in the queue")] {
        let says = format!(
            "seatkeeper: waiting for a seat of centre/innoacd{of}; Ctrl-C stops waiting. SeatsExhausted: pool "
        );
        assert!(line.starts_with(&says), "{line}");
    }
    assert_eq!(turn, "seatkeeper: it is your turn: seat 0 of pool `agents`");
}

/// I2: the first to come is served first, whatever others do meanwhile.
#[test]
fn i2_two_waiters_get_a_seat_in_the_order_in_which_they_came() {
    let ground = Ground::take();
    let mut first = Running::start(&mut ground.hold("--user a", FOR_LONG));
    let _second = Running::start(&mut ground.hold("--user b", FOR_LONG));
    until("both hold a seat", || ground.holders().len() == 2);
    let waits = |user: &str, number: u64| {
        let command = format!("while [ ! -e {user} ]; do sleep 0.02; done");
        let running = Running::start(&mut ground.hold(&format!("--user {user} --wait"), &command));
        until("it waits", || ground.queued() == number);
        running
    };
    let (c, d) = (waits("c", 1), waits("d", 2));
    first.signal("TERM");
    until("the first one has the seat", || ground.holders().contains(&"c".to_owned()));
    assert!(!ground.holders().contains(&"d".to_owned()));
    std::fs::write(ground.desk.0.join("c"), "").unwrap();
    assert_eq!(c.end().0, Some(0));
    until("then the second", || ground.holders().contains(&"d".to_owned()));
    std::fs::write(ground.desk.0.join("d"), "").unwrap();
    let (status, _, errors) = d.end();
    assert_eq!(status, Some(0), "{errors}");
    assert!(errors.contains("waiting for a seat of centre/innoacd; Ctrl-C stops waiting."), "{errors}");
    // Which of the two seats that is depends on who of the first two was first.
    let turn = errors.lines().last().unwrap_or_default();
    assert!(turn.starts_with("seatkeeper: it is your turn: seat "), "{errors}");
}

#[test]
fn however_the_command_ends_its_status_comes_through_and_the_seat_is_free() {
    let ground = Ground::take();
    for (command, status) in [("exit 0", 0), ("exit 42", 42), ("kill -KILL $$", 137), ("kill -TERM $$", 143)] {
        assert_eq!(said(ground.hold("", command).output().unwrap()), (Some(status), String::new(), String::new()));
        assert!(ground.holders().is_empty(), "{command}");
    }
    let run = |program: &str| {
        let token = format!("--token-file={}", ground.desk.data("token").display());
        let arguments = [&token, "--license=centre/innoacd", "--", program];
        let done = said(ground.seatkeeper_hold().args(arguments).output().unwrap());
        assert!(ground.holders().is_empty(), "{program}");
        done
    };
    let (status, _, errors) = run("no-such-program");
    assert_eq!((status, errors.contains("no-such-program: No such file")), (Some(127), true), "{errors}");
    let (status, _, errors) = run("/");
    assert_eq!((status, errors.contains("Permission denied")), (Some(126), true), "{errors}");
}

#[test]
fn signals_reach_the_command_which_may_end_as_it_likes() {
    let ground = Ground::take();
    for signal in ["TERM", "INT", "HUP"] {
        let trap = format!("trap 'echo {signal}; exit 7' {signal}; echo runs; while :; do sleep 0.02; done");
        let out = ground.desk.0.join(signal);
        let mut hold = ground.hold("", &trap);
        hold.stdout(std::fs::File::create(&out).unwrap());
        let mut running = Running::start(&mut hold);
        let said = || std::fs::read_to_string(&out).unwrap();
        until("the command runs", || said() == "runs\n");
        running.signal(signal);
        assert_eq!((running.end().0, said()), (Some(7), format!("runs\n{signal}\n")));
        assert!(ground.holders().is_empty(), "{signal}");
    }
}

/// A command that was started with `nohup` does not end when the terminal closes.
#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let ground = Ground::take();
    let hold = ground.hold("--user a", "while [ ! -e done ]; do sleep 0.02; done; exit 5");
    let mut command = Command::new("sh");
    // Ignore the signal as `nohup` does, in place of `env`, which resets ignored signals.
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).args(hold.get_args().skip(1));
    command.env("SEATKEEPER_SERVER", format!("http://{}", ground.address)).current_dir(&ground.desk.0);
    let mut running = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    until("the seat is held", || ground.holders() == ["a"]);
    running.signal("HUP");
    std::fs::write(ground.desk.0.join("done"), "").unwrap();
    assert_eq!(running.end().0, Some(5));
}
