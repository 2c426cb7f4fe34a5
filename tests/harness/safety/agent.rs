//! Clients: each asks any replica in a loop, and asks again in the same session if an answer was lost.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::dice::Dice;
use super::history::{History, License, MOST_SEATS, Micros, Session};
use super::line::{Heard, Line, PATIENCE, now};

/// How long a refused client waits before it asks again.
const REFUSED: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(40));
/// How long a client that reached no replica waits before it asks again.
const NOBODY: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(25));
/// How long programs run that keep their seats with heartbeats.
const RUNS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(12));
/// The number of sessions whose heartbeats go into one request.
const TOGETHER: usize = 2;
/// How long a request waits in the queue, in seconds, and the index of the grant for whose seat it waits.
const IN_QUEUE: (u64, usize) = (1, 0);
/// Of how many requests for a seat one names any License that has the grant at times.
const ANY_LICENSE: usize = 8;

/// What all clients share.
pub struct Town {
    pub namespace: String,
    /// The names of the Licenses that have each grant in turn.
    pub licenses: Vec<Vec<&'static str>>,
    /// Which of them has the grant now.
    present: Vec<AtomicUsize>,
    pub doors: Arc<[SocketAddr]>,
    pub token: String,
    pub ttl: Duration,
    history: Mutex<History>,
    closed: AtomicBool,
}

impl Town {
    pub fn new(
        namespace: String,
        licenses: Vec<Vec<&'static str>>,
        doors: Arc<[SocketAddr]>,
        token: String,
        ttl: Duration,
    ) -> Arc<Self> {
        let history = Mutex::new(History::new(ttl.as_micros() as Micros));
        let present = licenses.iter().map(|_| AtomicUsize::new(0)).collect();
        Arc::new(Town { namespace, licenses, present, doors, token, ttl, history, closed: AtomicBool::new(false) })
    }

    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes every client give back its seats and end.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Returns which of its Licenses has the grant now.
    pub fn present(&self, grant: usize) -> usize {
        self.present[grant].load(Ordering::Relaxed)
    }

    /// Sends clients that want a seat of the grant to another License.
    pub fn sends(&self, grant: usize, to: usize) {
        self.present[grant].store(to, Ordering::Relaxed);
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

/// How a client uses its seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Takes a seat and gives it back at once.
    Brief,
    /// Runs for a while and keeps its seats with heartbeats, some of them late; sometimes it ends without a release.
    Lasting,
    /// Like `Brief`, but waits in the queue for its turn; always for the same License, so that refusals for the others
    /// are judged without the seats that may be kept for a waiter.
    Patient,
}

pub struct Agent {
    town: Arc<Town>,
    line: Line,
    number: usize,
    habit: Habit,
    /// The only replica that it asks; `None` if it asks any.
    faithful: Option<usize>,
    dice: Dice,
    sessions: u64,
}

/// Granted seats of one session.
struct Seats {
    session: Session,
    ids: Vec<String>,
}

/// The outcome of a request for a seat.
enum Taken {
    Seats(Seats),
    Refused,
    /// The town closed before there was an answer.
    Unknown,
}

impl Agent {
    pub fn new(town: Arc<Town>, number: usize, habit: Habit, seed: u64) -> Self {
        let line = Line::new(town.doors.clone(), &town.token);
        let faithful = (number % 3 == 1).then_some(number / 3 % line.replicas());
        let dice = Dice::new(seed ^ (number as u64) << 32);
        Agent { town, line, number, habit, faithful, dice, sessions: 0 }
    }

    /// Runs until the town is closed.
    pub async fn live(mut self) {
        while !self.town.is_closed() {
            match self.habit {
                Habit::Brief | Habit::Patient => self.cycle().await,
                Habit::Lasting => self.run_for_a_while().await,
            }
        }
    }

    async fn cycle(&mut self) {
        let Some(seats) = self.takes().await else { return };
        if self.dice.one_in(4) {
            self.keeps(&[&seats]).await;
        }
        self.gives_back(seats).await;
    }

    async fn run_for_a_while(&mut self) {
        let mut held = Vec::new();
        while held.len() < TOGETHER && !self.town.is_closed() {
            held.extend(self.takes().await);
        }
        let ends = now() + self.dice.between(RUNS.0, RUNS.1).as_micros() as Micros;
        let ttl = self.town.ttl;
        while now() < ends && !held.is_empty() && !self.town.is_closed() {
            // Most heartbeats are in good time; some are only just, and some too late.
            let pause = match self.dice.below(4) {
                0 => ttl * 9 / 10,
                1 if self.dice.one_in(4) => ttl * 11 / 10,
                _ => ttl / 3,
            };
            tokio::time::sleep(pause).await;
            let lost = self.keeps(&held.iter().collect::<Vec<_>>()).await;
            if !lost.is_empty() {
                let (gone, kept) = held.into_iter().partition(|seats| lost.contains(&seats.session));
                held = kept;
                for seats in gone {
                    self.has_lost(seats).await;
                }
            }
        }
        for seats in held {
            match self.dice.one_in(4) {
                true => self.town.history().over(seats.session, None),
                false => self.gives_back(seats).await,
            }
        }
    }

    /// Checks that a lost seat stays lost.
    async fn has_lost(&mut self, seats: Seats) {
        self.keeps(&[&seats]).await;
        self.town.history().over(seats.session, None);
    }

    /// Returns a replica to ask.
    fn replica(&mut self) -> usize {
        if let Some(replica) = self.faithful {
            return replica;
        }
        let first = self.dice.below(self.line.replicas());
        let all = (0..self.line.replicas()).map(|n| (first + n) % self.line.replicas());
        all.into_iter().find(|replica| !self.line.is_shunned(*replica)).unwrap_or(first)
    }

    async fn pause(&mut self, (least, most): (Duration, Duration)) {
        let pause = self.dice.between(least, most);
        tokio::time::sleep(pause).await;
    }

    /// Takes seats in a new session, and repeats the request until there is an answer.
    async fn takes(&mut self) -> Option<Seats> {
        let (seconds, of_the_patient) = IN_QUEUE;
        let (grant, wait) = match self.habit {
            Habit::Patient => (of_the_patient, format!(r#","wait":{seconds}"#)),
            _ => (self.dice.below(self.town.licenses.len()), String::new()),
        };
        let names = &self.town.licenses[grant];
        let name = if self.dice.one_in(ANY_LICENSE) { self.dice.below(names.len()) } else { self.town.present(grant) };
        let license = License { grant: grant as u8, name: name as u8 };
        let name = names[name];
        let count = if self.dice.one_in(4) { MOST_SEATS } else { 1 };
        self.sessions += 1;
        let session = self.town.history().begin(license, count as u8);
        let body = format!(
            r#"{{"license":{{"namespace":"{}","name":"{}"}},"user":"u{}","session":"s{}-{}","count":{count}{wait}}}"#,
            self.town.namespace, name, self.number, self.number, self.sessions
        );
        let mut taken = self.asks(session, &body).await;
        if matches!(taken, Taken::Seats(_)) && self.dice.one_in(16) {
            // Repeat the request, as if the answer had been lost.
            taken = self.asks(session, &body).await;
        }
        match taken {
            Taken::Seats(seats) => Some(seats),
            Taken::Refused | Taken::Unknown => {
                self.town.history().over(session, None);
                self.pause(REFUSED).await;
                None
            }
        }
    }

    async fn asks(&mut self, session: Session, body: &str) -> Taken {
        loop {
            let replica = self.replica();
            let sent = now();
            let patience = match self.habit {
                Habit::Patient => PATIENCE + Duration::from_secs(IN_QUEUE.0),
                _ => PATIENCE,
            };
            let heard = self.line.ask_for(patience, replica, "POST /v1/seats", body).await;
            match self.hears_of_seats(session, sent, heard) {
                // It keeps its place, or leaves the queue without a release.
                Some(Taken::Refused) if self.habit == Habit::Patient && !self.dice.one_in(4) => {}
                Some(taken) => return taken,
                None => {}
            }
            if self.town.is_closed() {
                return Taken::Unknown;
            }
            self.pause(NOBODY).await;
        }
    }

    fn hears_of_seats(&self, session: Session, sent: Micros, heard: Heard) -> Option<Taken> {
        let at = now();
        let mut history = self.town.history();
        history.count.requests += 1;
        match heard {
            Heard::Answer { status: 201, body } => {
                let (ids, slots) = seats_in(&body);
                history.granted(session, sent, at, &slots);
                if self.habit == Habit::Patient {
                    history.count.in_turn += slots.len() as u64;
                }
                Some(Taken::Seats(Seats { session, ids }))
            }
            Heard::Answer { status: 409, body } if body.contains("\"SeatsExhausted\"") => {
                match body.contains("\"place\":") {
                    true => history.queued(session, sent, at),
                    false => history.refused(session, sent, at),
                }
                Some(Taken::Refused)
            }
            Heard::Answer { status: 403 | 404 | 409, body } if has_no_grant(&body) => {
                history.count.without_grant += 1;
                Some(Taken::Refused)
            }
            heard => {
                let late = matches!(heard, Heard::Late);
                not_now(&mut history, heard);
                history.unanswered(session, sent, at, late);
                None
            }
        }
    }

    /// Sends one heartbeat for all of them until there is an answer. Returns the sessions that have lost a seat.
    async fn keeps(&mut self, all: &[&Seats]) -> Vec<Session> {
        let ids: Vec<&str> = all.iter().flat_map(|seats| seats.ids.iter().map(String::as_str)).collect();
        let (line, body) = match ids[..] {
            [id] => (format!("PUT /v1/seats/{id}"), String::new()),
            _ => ("PUT /v1/seats".to_owned(), format!(r#"{{"ids":["{}"]}}"#, ids.join(r#"",""#))),
        };
        loop {
            let replica = self.replica();
            let sent = now();
            let heard = self.line.ask(replica, &line, &body).await;
            if let Some(lost) = self.hears_what_is_kept(all, sent, heard) {
                return lost;
            }
            if self.town.is_closed() {
                return Vec::new();
            }
            self.pause(NOBODY).await;
        }
    }

    fn hears_what_is_kept(&self, all: &[&Seats], sent: Micros, heard: Heard) -> Option<Vec<Session>> {
        let at = now();
        let mut history = self.town.history();
        history.count.requests += 1;
        let Heard::Answer { status: status @ (200 | 410), body } = heard else {
            not_now(&mut history, heard);
            // A heartbeat that the server finds late takes no seat.
            all.iter().for_each(|seats| history.unanswered(seats.session, sent, at, false));
            return None;
        };
        let has_lost =
            |seats: &&&Seats| status == 410 || seats.ids.iter().any(|id| body.contains(&format!("\"{id}\"")));
        let lost: Vec<Session> = all.iter().filter(has_lost).map(|seats| seats.session).collect();
        for Seats { session, .. } in all {
            match lost.contains(session) {
                true => history.lost(*session, sent, at),
                false => history.kept(*session, sent, at),
            }
        }
        Some(lost)
    }

    /// Gives seats back, and repeats each release until there is an answer.
    async fn gives_back(&mut self, seats: Seats) {
        self.town.history().releases(seats.session, now());
        for id in &seats.ids {
            let line = format!("DELETE /v1/seats/{id}");
            loop {
                let replica = self.replica();
                let sent = now();
                let heard = self.line.ask(replica, &line, "").await;
                if self.hears_of_release(seats.session, sent, heard) {
                    break;
                }
                if self.town.is_closed() {
                    return self.town.history().over(seats.session, None);
                }
                self.pause(NOBODY).await;
            }
        }
        self.town.history().over(seats.session, Some(now()));
    }

    fn hears_of_release(&self, session: Session, sent: Micros, heard: Heard) -> bool {
        let mut history = self.town.history();
        history.count.requests += 1;
        let free = matches!(heard, Heard::Answer { status: 204, .. });
        if !free {
            not_now(&mut history, heard);
            // A heartbeat that the server finds late takes no seat.
            history.unanswered(session, sent, now(), false);
        }
        free
    }
}

/// Records a defect, unless there was no answer or the server answered that it cannot serve at present.
fn not_now(history: &mut History, heard: Heard) {
    if let Heard::Answer { status, body } = heard
        && !matches!(status, 429 | 503)
    {
        history.defect(format!("a client was answered with {status}: {body}"));
    }
}

/// Whether a License was named that does not exist, or has no grant at present.
fn has_no_grant(body: &str) -> bool {
    ["UnknownLicense", "NoLicense", "DemoSeatsExhausted"].iter().any(|reason| body.contains(&format!("\"{reason}\"")))
}

/// Returns the ids and slots of the seats in an answer.
fn seats_in(body: &str) -> (Vec<String>, Vec<u16>) {
    let value: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let seats = value["seats"].as_array().into_iter().flatten();
    let seat = |seat: &serde_json::Value| Some((seat["id"].as_str()?.to_owned(), seat["slot"].as_u64()? as u16));
    seats.filter_map(seat).unzip()
}
