//! SIGKILL during writes: nothing acknowledged is lost, and nothing is half written.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::model::{Line, Model};
use super::{Desk, Dice, child, now, random_seed};

const KILLS: usize = LANES[0].0 + LANES[1].0 + LANES[2].0 + LANES[3].0;
/// One lane per folder, each with a process that writes until it is killed: the number of kills, and whether it writes
/// to the storage alone. A start with the API takes ten times as long.
const LANES: [(usize, bool); 4] = [(100, false), (100, false), (400, true), (400, true)];
/// One in this many kills comes while the process starts, that is, while it makes, opens or repairs the database.
const AT_START: u64 = 4;
/// The most acknowledged writes before a kill.
const WRITES: u64 = 20;
/// The variable that repeats a run, as far as the operating system allows.
const SEED: &str = "SEATKEEPER_STORAGE_CRASH_SEED";
/// The name of the test below, which the killed process runs again.
const THIS: &str = "crash_test::a_thousand_kills_lose_no_acknowledged_write_and_leave_none_half_done";

#[test]
fn a_thousand_kills_lose_no_acknowledged_write_and_leave_none_half_done() {
    if let Ok(folder) = std::env::var(child::FOLDER) {
        let seed = std::env::var(child::SEED).unwrap().parse().unwrap();
        return match std::env::var(child::BARE) {
            Ok(_) => child::run_bare(Path::new(&folder), seed),
            Err(_) => child::run(Path::new(&folder), seed),
        };
    }
    let seed = std::env::var(SEED).map_or_else(|_| random_seed(), |s| s.parse().unwrap());
    assert_eq!(KILLS, 1_000);
    let (began, failed) = (now(), AtomicBool::new(false));
    let failed = &failed;
    let models: Vec<Model> = std::thread::scope(|scope| {
        let lane = |lane: usize| scope.spawn(move || run_lane(seed, lane, failed));
        let lanes: Vec<_> = (0..LANES.len()).map(lane).collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).collect()
    });
    let acknowledged: u64 = models.iter().map(|model| model.acknowledged).sum();
    let seconds = (now() - began).as_secs_f64();
    println!("{KILLS} kills, {acknowledged} acknowledged writes, {seconds:.1} s, seed {seed}");
    assert!(acknowledged > 2 * KILLS as u64, "only {acknowledged} writes were acknowledged: too few to show anything");
}

/// Kills the processes of one folder, one after another, and checks what each finds of the previous one's writes.
fn run_lane(seed: u64, lane: usize, failed: &AtomicBool) -> Model {
    let (kills, bare) = LANES[lane];
    let desk = Desk::new("crash");
    let mut dice = Dice(seed.wrapping_mul(1_000_003).wrapping_add(lane as u64));
    let mut model = Model::default();
    let mut starting = Duration::from_millis(100);
    for kill in 0..kills {
        if failed.load(Ordering::Relaxed) {
            break;
        }
        let at_start = dice.below(AT_START) == 0;
        // The last process only reports what is there.
        let last = kill + 1 == kills;
        if let Err(why) = once(&desk.0, bare, &mut dice, &mut model, &mut starting, at_start && !last) {
            failed.store(true, Ordering::Relaxed);
            panic!("{why}\n{SEED}={seed}, lane {lane}, kill {kill}, folder {}", desk.0.display());
        }
    }
    model
}

fn once(
    folder: &Path,
    bare: bool,
    dice: &mut Dice,
    model: &mut Model,
    starting: &mut Duration,
    at_start: bool,
) -> Result<(), String> {
    let began = now();
    let mut command = Command::new(std::env::current_exe().unwrap());
    if bare {
        command.env(child::BARE, "yes");
    }
    let mut child = command
        .args(["--exact", THIS, "--nocapture"])
        .env(child::FOLDER, folder)
        .env(child::SEED, dice.below(u32::MAX.into()).to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut done = Ok(());
    if at_start {
        std::thread::sleep(*starting * dice.below(1_000) as u32 / 1_000);
    } else {
        let mut left = None;
        while left != Some(0) {
            // It ended by itself, which is reported below.
            let Some(line) = lines.next() else { break };
            match model.take(&line.unwrap()) {
                Ok(Line::Ready) => {
                    *starting = now() - began;
                    left = Some(dice.below(WRITES));
                }
                Ok(Line::Acknowledged) => left = left.map(|left: u64| left.saturating_sub(1)),
                Ok(Line::Other) => {}
                Err(why) => {
                    done = Err(why);
                    break;
                }
            }
        }
        std::thread::sleep(Duration::from_micros(dice.below(3_000)));
    }
    child.kill().unwrap();
    // What it printed before it was killed is still in the pipe. A last line without its end does not count.
    let mut rest = lines.map_while(Result::ok);
    done = done.and_then(|()| rest.try_for_each(|line| model.take(&line).map(drop)));
    let status = child.wait().unwrap();
    if status.code().is_some() {
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        return Err(format!("the process ended by itself, {status}: {said}"));
    }
    done
}
