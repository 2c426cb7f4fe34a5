//! A contact centre of 10,000 agents: they log in within a minute and stay an hour, with more people than seats.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use seatkeeper::domain::seats::refusal::Refusal;
use seatkeeper::domain::seats::taker::Taker;
use seatkeeper::domain::tick::Moment;
use seatkeeper::machine::monotonic;
use seatkeeper::seats::{Ask, Denied, Desk, Seat};
use tokio::task::LocalSet;

use crate::contact_centre::{centre, is_kept, license, open};
use crate::dice::Dice;

/// Fewer in unoptimized builds, where an hour of ten thousand agents takes minutes.
const SEATS: u32 = if cfg!(debug_assertions) { 100 } else { 10_000 };
/// A twentieth more agents than seats.
const AGENTS: u32 = SEATS + SEATS / 20;
const MINUTE: u64 = 60_000;
/// How long a real API server takes for one PUT (docs/performance.md).
const A_WRITE: Duration = Duration::from_millis(4);
/// How long a refused agent waits before it asks again, as the answer says.
const ASKS_AGAIN: Duration = Duration::from_secs(5);
/// A seat without heartbeats is free after the TTL, a twentieth of it for drift, and this time until the owner next
/// looks at all seats.
const LOOKED_AT: Duration = Duration::from_secs(2);

/// The true state of the seats, counted independently of the operator. Everything is on one thread, and a request is
/// judged by the state at the moment it is made.
#[derive(Default)]
struct Truth {
    /// The agents who hold a seat, or will hold one when the answer comes.
    holders: BTreeSet<u32>,
    /// The number of agents whose request is open and may or may not be granted: the grant may be on its way to the
    /// ledger.
    asking: usize,
    slots: BTreeMap<u32, u32>,
    /// The slots of agents who vanished with a seat: from when the slot may be free, and from when it is.
    vanished: Vec<(u32, Moment, Moment)>,
    logins: Vec<Duration>,
    granted: u64,
    refused: u64,
    heartbeats: u64,
}

impl Truth {
    /// Counts the seats of vanished agents: those that are certainly taken, and those that may be.
    fn of_the_vanished(&mut self, now: Moment) -> (usize, usize) {
        let gone = |(_, _, free): &(u32, Moment, Moment)| *free <= now;
        for (slot, _, _) in self.vanished.extract_if(.., |entry| gone(entry)) {
            self.slots.remove(&slot);
        }
        let certain = self.vanished.iter().filter(|(_, may_be_free, _)| now < *may_be_free).count();
        (certain, self.vanished.len())
    }
}

struct Agent {
    number: u32,
    starts: u32,
    dice: Dice,
    desk: Desk,
    truth: Rc<RefCell<Truth>>,
    until: Moment,
}

impl Agent {
    async fn works(mut self) {
        tokio::time::sleep(Duration::from_millis(self.dice.below(MINUTE))).await;
        loop {
            let Some(seat) = self.logs_in().await else { return };
            // Most agents stay for the hour; some take a break, and some vanish.
            let stays = match self.dice.below(100) {
                0..90 => self.until,
                _ => monotonic() + Duration::from_millis(self.dice.below(60 * MINUTE)),
            };
            let vanishes = stays < self.until && self.dice.percent(20);
            let heard = self.keeps(&seat, stays.min(self.until)).await;
            self.goes(&seat, vanishes.then_some(heard));
            if vanishes {
                return;
            }
            if monotonic() >= self.until {
                return;
            }
            tokio::time::sleep(Duration::from_millis(self.dice.below(10 * MINUTE))).await;
        }
    }

    /// Asks until a seat is granted. Returns `None` if the hour is over.
    async fn logs_in(&mut self) -> Option<Seat> {
        self.starts += 1;
        let began = monotonic();
        while monotonic() < self.until {
            let (certain, possible) = {
                let mut truth = self.truth.borrow_mut();
                let (certain, possible) = truth.of_the_vanished(monotonic());
                let held = truth.holders.len();
                (held + certain, held + possible + truth.asking)
            };
            let must_be_granted = possible < SEATS as usize;
            match must_be_granted {
                true => _ = self.truth.borrow_mut().holders.insert(self.number),
                false => self.truth.borrow_mut().asking += 1,
            }
            let answer = self.desk.acquire(&[self.ask()]).await.pop().expect("an answer for each");
            if !must_be_granted {
                self.truth.borrow_mut().asking -= 1;
            }
            match answer {
                Ok(granted) => {
                    assert!(certain < SEATS as usize, "agent {} got a seat though {certain} were taken", self.number);
                    self.truth.borrow_mut().logins.push(monotonic() - began);
                    return Some(self.sits_at(granted.seats[0].clone()));
                }
                Err(Denied::Refused(Refusal::SeatsExhausted { .. })) => {
                    assert!(
                        !must_be_granted,
                        "agent {} was refused, and only {possible} seats were taken",
                        self.number
                    );
                    self.truth.borrow_mut().refused += 1;
                }
                Err(other) => panic!("agent {}: {other}", self.number),
            }
            tokio::time::sleep(ASKS_AGAIN).await;
        }
        None
    }

    fn sits_at(&self, seat: Seat) -> Seat {
        let mut truth = self.truth.borrow_mut();
        truth.of_the_vanished(monotonic());
        truth.vanished.retain(|(slot, _, _)| *slot != seat.slot);
        truth.holders.insert(self.number);
        let before = truth.slots.insert(seat.slot, self.number).filter(|other| truth.holders.contains(other));
        assert_eq!(before, None, "seat {} of another was given to agent {}", seat.slot, self.number);
        assert!(truth.holders.len() <= SEATS as usize);
        truth.granted += 1;
        seat
    }

    /// Gives the seat back, or vanishes with it if `heard` is the time of the last heartbeat.
    fn goes(&self, seat: &Seat, heard: Option<Moment>) {
        let mut truth = self.truth.borrow_mut();
        truth.holders.remove(&self.number);
        let ttl = self.desk.ttl();
        if let Some(heard) = heard {
            truth.vanished.push((seat.slot, heard + ttl, heard + ttl + ttl / 20 + LOOKED_AT));
            return;
        }
        truth.slots.remove(&seat.slot);
        assert_eq!(self.desk.release(seat), Ok(true), "agent {}", self.number);
    }

    /// Sends heartbeats until `until`, and returns when the last one was sent.
    async fn keeps(&mut self, seat: &Seat, until: Moment) -> Moment {
        let mut heard = monotonic();
        loop {
            let next = (heard + self.desk.ttl() / 3).min(until);
            tokio::time::sleep(next - monotonic()).await;
            if next == until {
                return heard;
            }
            heard = monotonic();
            assert!(is_kept(&self.desk, seat).await, "agent {}", self.number);
            self.truth.borrow_mut().heartbeats += 1;
        }
    }

    fn ask(&self) -> Ask {
        Ask {
            license: license(),
            user: Some(format!("agent-{}", self.number)),
            session: format!("{}-{}", self.number, self.starts),
            client: None,
            pool: None,
            request: None,
            version: None,
            count: 1,
            taker: Taker::of("agents", None, Some(&self.number.to_string())),
            namespace: None,
        }
    }
}

/// I1, I2, K4.
#[test]
fn i1_ten_thousand_agents_log_in_within_a_minute_and_stay_an_hour_and_every_refusal_is_right() {
    let world = centre(SEATS, None);
    let run = open(&world);
    {
        let mut state = run.shared.lock();
        (state.write_takes, state.load) = (A_WRITE, Some(BTreeMap::new()));
    }
    let truth = Rc::new(RefCell::new(Truth::default()));
    let desk = run.desk();
    let in_the_minute = run.within(LocalSet::new().run_until(async {
        let until = monotonic() + Duration::from_millis(61 * MINUTE);
        let works = |number| {
            let dice = Dice::new(u64::from(number), 7);
            let agent = Agent { number, starts: 0, dice, desk: desk.clone(), truth: truth.clone(), until };
            tokio::task::spawn_local(agent.works())
        };
        let agents: Vec<_> = (0..AGENTS).map(works).collect();
        tokio::time::sleep(Duration::from_millis(MINUTE)).await;
        let in_the_minute = run.shared.lock().load.replace(BTreeMap::new()).unwrap_or_default();
        for agent in agents {
            agent.await.expect("an agent does not fail");
        }
        in_the_minute
    }));
    let mut truth = truth.take();
    truth.logins.sort_unstable();
    let p99 = truth.logins[truth.logins.len() * 99 / 100];
    let load = run.shared.lock().load.take().unwrap_or_default();
    eprintln!(
        "{AGENTS} agents, {SEATS} seats: {} logins, p99 {:.0} ms, waits included; {} refusals, {} heartbeats",
        truth.granted,
        p99.as_secs_f64() * 1e3,
        truth.refused,
        truth.heartbeats
    );
    for (span, load) in [("in the minute", &in_the_minute), ("in the hour after it", &load)] {
        let said = load.iter().map(|(what, (requests, bytes))| format!("{what}: {requests}, {} kB", bytes / 1000));
        eprintln!("  {span}: {}", said.collect::<Vec<_>>().join("; "));
    }
    assert!(truth.granted >= u64::from(SEATS) && truth.refused > 0 && truth.heartbeats > u64::from(SEATS) * 100);
    // There is at most one write for each login and logout, and none for a heartbeat.
    let ledger: u64 =
        [&in_the_minute, &load].iter().filter_map(|load| load.get("PUT seatledgers")).map(|(n, _)| n).sum();
    assert!(ledger > 0 && ledger <= 3 * truth.granted, "{ledger} writes of the ledger for {} logins", truth.granted);
}
