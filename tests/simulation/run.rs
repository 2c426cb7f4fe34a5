//! One run of one world: the real operator over the embedded API on one thread, in time that only the simulator moves.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use futures::FutureExt;
use seatkeeper::cluster::client::{RequestCount, over};
use seatkeeper::cluster::clock::Clock;
use seatkeeper::domain::Instant;
use seatkeeper::domain::license::name::LicenseName;
use seatkeeper::domain::license::whom_to_trust::TrustFromLicenses;
use seatkeeper::domain::seats::table::Place;
use seatkeeper::domain::tick::Moment;
use seatkeeper::machine::seed_thread;
use seatkeeper::operator::embedded::setup;
use seatkeeper::operator::{End, Operator};
use seatkeeper::seats::limits::TTL;
use seatkeeper::seats::list::{Holder, Which};
use seatkeeper::seats::{Denied, Desk};
use seatkeeper_embedded::Embedded;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::calendar::Calendar;
use crate::dice::Dice;
use crate::end_state::{EndState, difference, end_state};
use crate::faults::{Counts, FaultyApi, Plan, Shared, State};
use crate::oracle::Oracle;
use crate::schedule::Schedule;
use crate::users::Users;
use crate::vendor;
use crate::world::World;

/// The time within which the last retry comes: retries are at most five minutes apart.
const LAST_RETRY: Duration = Duration::from_secs(330);
/// The longest until a watch sees again what it should, after its last request has failed: the request may have been lost, and
/// then it waits.
const WATCHES_AGAIN: Duration = Duration::from_secs(90);

/// The result of a run.
pub struct Outcome {
    pub end: EndState,
    pub counts: Counts,
    pub trace: u64,
    pub contract_years: f64,
    /// How many seats were granted, and how many heartbeats kept one.
    pub seats: (u64, u64),
    /// The number of older states that there were at each write.
    pub changes_at: Vec<u64>,
}

/// The reason why a run failed, and the time.
pub type Failure = String;

pub struct Run {
    runtime: Option<Runtime>,
    pub shared: Arc<Shared>,
    operator: Option<Running>,
    schedule: Schedule,
    pub dice: Dice,
    incarnations: u32,
    pub trust_from_licenses: TrustFromLicenses,
    /// Those who use seats; `None` if nobody does.
    pub users: Option<Users>,
}

struct Running {
    desk: Desk,
    stop: watch::Sender<bool>,
    ended: JoinHandle<End>,
}

/// Runs `world` from its start to its end, and judges it. If it does not end as `expected`, it gets time for one more
/// retry.
pub fn run(world: &World, schedule: Schedule, expected: Option<&EndState>) -> Result<Outcome, Failure> {
    let seed = match schedule {
        Schedule::Storms(seed) => seed,
        _ => 0,
    };
    seed_thread(seed);
    let mut run = Run::begin(world, schedule, seed);
    let outcome = run.through(world, expected);
    let at = run.now();
    outcome.map_err(|failure| format!("{failure} (at {at}, {:?})", run.shared.lock().counts))
}

/// Returns a runtime of one thread, whose time passes only while something waits for it.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread")
}

/// Returns an API and a calendar for `world`, without anything in them. Must be called inside a runtime.
pub fn shared(world: &World, schedule: Schedule, seed: u64) -> Shared {
    let calendar = Calendar::new(world.start);
    let clock = calendar.clone();
    let state = State {
        dice: Dice::new(seed, 2),
        storm: None,
        plan: if let Schedule::One(plan) = schedule { plan } else { Plan::default() },
        counts: Counts::default(),
        trace: 0xCBF2_9CE4_8422_2325,
        lags: HashMap::new(),
        snapshots: Vec::new(),
        list_from: None,
        changes_at: Vec::new(),
        keep_snapshots: matches!(schedule, Schedule::One(Plan { stale: Some(_), .. })),
        crashed: false,
        hiding: false,
        write_takes: Duration::ZERO,
        load: None,
        oracle: Oracle::new(world),
    };
    Shared {
        api: Embedded::in_memory(setup(move || clock.now()).expect("our kinds are served")),
        calendar,
        state: Mutex::new(state),
        crash: Notify::new(),
        frozen: AtomicBool::new(false),
        thawed: Notify::new(),
    }
}

impl Run {
    pub fn begin(world: &World, schedule: Schedule, seed: u64) -> Self {
        let runtime = runtime();
        let shared = {
            let _inside = runtime.enter();
            shared(world, schedule, seed)
        };
        let dice = Dice::new(seed, 3);
        let users = Users::of(world, seed);
        Run {
            runtime: Some(runtime),
            shared: Arc::new(shared),
            operator: None,
            schedule,
            dice,
            incarnations: 0,
            trust_from_licenses: TrustFromLicenses::Allow,
            users,
        }
    }

    pub fn within<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.as_ref().expect("there is always one").block_on(what)
    }

    pub fn now(&self) -> Instant {
        let _inside = self.runtime.as_ref().map(Runtime::enter);
        self.shared.calendar.now()
    }

    /// Starts the operator; one with another identity has to wait until the previous operator's Lease expires.
    pub fn start(&mut self, identity: &str) {
        self.incarnations += 1;
        let calendar = self.shared.calendar.clone();
        let api = FaultyApi(self.shared.clone());
        let (stop, told) = watch::channel(false);
        let identity = identity.to_owned();
        let _inside = self.runtime.as_ref().map(Runtime::enter);
        let clock = Clock::reading(move || calendar.own());
        let requests = RequestCount::default();
        let client = over(api, clock.clone(), requests.clone());
        let operator = Operator::new(client, clock, &requests, "default", &identity, self.trust_from_licenses, TTL);
        let desk = operator.desk();
        let ended = tokio::spawn(operator.run(told));
        self.operator = Some(Running { desk, stop, ended });
    }

    /// Returns the desk at which the operator grants seats.
    pub fn desk(&self) -> Desk {
        self.desk_if_any().expect("an operator runs")
    }

    pub fn desk_if_any(&self) -> Option<Desk> {
        Some(self.operator.as_ref()?.desk.clone())
    }

    /// The time that has passed, without jumps.
    pub fn lived(&self) -> Moment {
        let _inside = self.runtime.as_ref().map(Runtime::enter);
        self.shared.calendar.lived()
    }

    /// Ends the operator's process at once, with everything it was doing.
    pub fn kill(&mut self) {
        let (now, lived) = (self.now(), self.lived());
        self.operator = None;
        if let Some(old) = self.runtime.take() {
            drop(old);
        }
        self.runtime = Some(runtime());
        let _inside = self.runtime.as_ref().map(Runtime::enter);
        self.shared.calendar.go_on(now, lived);
        self.shared.lock().crashed = false;
    }

    /// Lets time pass. Returns true if it was less, because the operator ended meanwhile and was restarted.
    pub fn pass(&mut self, time: Duration) -> bool {
        let shared = self.shared.clone();
        let mut operator = self.operator.take();
        let ended = self.within(async {
            let ends = async {
                match &mut operator {
                    Some(operator) => _ = (&mut operator.ended).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = shared.crash.notified() => false,
                () = ends => true,
                () = tokio::time::sleep(time) => false,
            }
        });
        self.operator = operator;
        let crashed = self.shared.lock().crashed;
        if crashed || ended {
            if crate::TALK.get() {
                eprintln!("{} the operator ends", self.now());
            }
            self.kill();
            if let Schedule::One(Plan { stale: Some(older), .. }) = self.schedule {
                self.shared.lock().list_from = Some(usize::try_from(older).unwrap_or(0));
                self.shared.frozen.store(true, Ordering::Relaxed);
                self.start("operator");
                self.within(async { tokio::time::sleep(Duration::from_secs(20)).await });
                self.thaw();
                return true;
            }
            self.restart();
        }
        crashed || ended
    }

    pub fn restart(&mut self) {
        let identity = match self.dice.percent(20) {
            true => format!("operator-{}", self.incarnations),
            false => "operator".to_owned(),
        };
        self.start(&identity);
    }

    pub fn thaw(&mut self) {
        self.shared.lock().list_from = None;
        self.shared.frozen.store(false, Ordering::Relaxed);
        self.shared.thawed.notify_waiters();
    }

    /// Makes the calendar jump, at a request for the Lease if one comes soon.
    pub fn jump(&mut self, to: Instant) {
        let before = self.now();
        if before >= to {
            return;
        }
        self.shared.lock().oracle.note_entitled(before);
        let calendar = self.shared.calendar.clone();
        match self.operator {
            None => {
                let _inside = self.runtime.as_ref().map(Runtime::enter);
                calendar.jump(to);
            }
            Some(_) => {
                calendar.jump_with_lease(to);
                self.within(async {
                    if tokio::time::timeout(Duration::from_secs(4), calendar.jumped()).await.is_err() {
                        calendar.jump(to);
                    }
                });
            }
        }
        self.shared.lock().oracle.note_entitled(to);
    }

    /// Creates what exists from the first moment, and starts an operator.
    pub fn found(&mut self, world: &World) {
        self.within(async {
            for namespace in &world.namespaces {
                vendor::make_namespace(&self.shared, namespace).await;
            }
            for n in 0..world.plans.len() {
                vendor::make_plan(&self.shared, n).await;
            }
        });
        self.start("operator");
    }

    fn through(&mut self, world: &World, expected: Option<&EndState>) -> Result<Outcome, Failure> {
        let shared = self.shared.clone();
        self.found(world);
        let mut steps = world.steps.iter().peekable();
        let mut stormy = 0;
        let mut out = 0;
        let (mut faults, mut failed_at) = (0, None);
        loop {
            let now = self.now();
            let of_people = steps.peek().map(|step| step.at.max(now));
            let by_itself = self.shared.lock().oracle.next_instant(now + TimeDelta::seconds(1), world.end);
            let Some(next) = of_people.into_iter().chain(by_itself).min() else { break };
            if let Schedule::Storms(_) = self.schedule {
                self.faults_come_and_go(&mut stormy, &mut out);
            }
            let frozen = stormy > 0 && self.dice.percent(15);
            // Caches are frozen for seconds, not for months.
            self.thaw();
            self.jump(next);
            if frozen {
                self.shared.frozen.store(true, Ordering::Relaxed);
            }
            while let Some(step) = steps.next_if(|step| step.at <= next) {
                self.within(async {
                    for edit in &step.edits {
                        if crate::TALK.get() {
                            eprintln!("{} {edit:?}", shared.calendar.now());
                        }
                        vendor::carry_out(&shared, edit).await;
                    }
                });
            }
            let rests = out == 0 && stormy == 0;
            if rests {
                self.settle()?;
            } else if stormy > 0 {
                let time = self.dice.below(15_000);
                self.pass(Duration::from_millis(time));
            }
            self.judged()?;
            let (before, lived) = (std::mem::replace(&mut faults, self.shared.lock().counts.faults), self.lived());
            failed_at = if faults == before { failed_at } else { Some(lived) };
            let has_seen_all = failed_at.is_none_or(|at| lived - at > WATCHES_AGAIN);
            self.people_use_seats(rests && has_seen_all)?;
        }
        self.calm();
        self.jump(world.end);
        if self.operator.is_none() {
            self.start("operator");
        }
        self.settle()?;
        self.people_leave()?;
        self.is_quiet()?;
        let mut end = self.within(end_state(&self.shared));
        if expected.is_some_and(|expected| difference(expected, &end).is_some()) {
            self.pass(LAST_RETRY);
            self.is_quiet()?;
            end = self.within(end_state(&self.shared));
        }
        if let Some(operator) = &self.operator {
            operator.stop.send_replace(true);
        }
        let state = self.shared.lock();
        let years = |contract: &crate::contract::Contract| {
            let start = contract.begin(contract.starts_on).max(world.start);
            let end = contract.over_at(&state.oracle.plans, world.end).unwrap_or(world.end).min(world.end);
            (end - start).num_days().max(0) as f64 / 365.25
        };
        let contract_years = state.oracle.contracts.iter().map(years).sum();
        let changes_at = state.changes_at.clone();
        let seats = self.users.as_ref().map_or((0, 0), Users::count);
        Ok(Outcome { end, counts: state.counts, trace: state.trace, contract_years, seats, changes_at })
    }

    /// Waits until everything is as it should be: at once if nothing went wrong, otherwise until all retries are done.
    pub fn settle(&mut self) -> Result<(), Failure> {
        let patience = match self.schedule {
            Schedule::Calm => [50, 500, 3_000].as_slice(),
            Schedule::One(_) => &[50, 500, 3_000, 10_000, 20_000, 30_000, 60_000],
            Schedule::Storms(_) => &[50, 500, 3_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000],
        };
        let mut wrong = None;
        for wait in patience {
            self.pass(Duration::from_millis(*wait));
            let now = self.now();
            wrong = self.shared.lock().oracle.wrong(now);
            if wrong.is_none() && !self.shared.lock().hiding {
                if !matches!(self.schedule, Schedule::One(Plan { stale: Some(_), .. })) {
                    self.shared.lock().oracle.at_rest();
                    if self.users.as_ref().is_none_or(|users| !users.wait_for_answers()) {
                        self.shared.lock().oracle.entitled.at_rest();
                    }
                }
                self.shared.lock().oracle.note_entitled(now);
                self.shared.lock().oracle.look_for_gaps_of_all(now);
                return self.judged();
            }
        }
        // A watch that ended takes its hidden event with it; the next watch continues after that event.
        self.shared.lock().hiding = false;
        wrong.map_or(Ok(()), Err)
    }

    pub fn judged(&self) -> Result<(), Failure> {
        match self.shared.lock().oracle.violation.clone() {
            None => Ok(()),
            Some(violation) => Err(violation),
        }
    }

    /// Checks that at rest only the Lease is written. Rest begins after the last retry; an operator that never rests is
    /// caught.
    fn is_quiet(&mut self) -> Result<(), Failure> {
        let (until, then) = if matches!(self.schedule, Schedule::Calm) { (1, 10) } else { (1, 30) };
        // An operator that has lost the lead restarts, and then comes to rest.
        let mut begun = 0;
        while self.pass(Duration::from_secs(until)) && begun < 10 {
            begun += 1;
        }
        let mut writes = 0;
        for _ in 0..5 {
            let before = self.shared.lock().counts.writes;
            self.pass(Duration::from_secs(then));
            writes = self.shared.lock().counts.writes - before;
            if writes == 0 {
                return Ok(());
            }
        }
        Err(format!("{writes} writes at rest"))
    }
}

/// All who hold seats of a License. There are never enough here that others have their turn meanwhile.
pub fn holders(desk: &Desk, license: &LicenseName) -> Result<Vec<Holder>, Denied> {
    let all = Which { users: None, from: Place::default(), most: usize::MAX };
    desk.holders(license, all).now_or_never().expect("they are few").map(|(holders, _)| holders)
}
