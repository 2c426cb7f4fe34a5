//! One run of one world: the real operator over the embedded API on one thread, in time that only the simulator moves.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use seatkeeper::cluster::client::{RequestCount, over};
use seatkeeper::cluster::clock::{Clock, seed_thread};
use seatkeeper::cluster::seats::desk::TTL;
use seatkeeper::controllers::{End, Operator};
use seatkeeper::domain::Instant;
use seatkeeper::embedded::Embedded;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::between::{Between, Counts, LISTS, Plan, Shared, State, Storm};
use crate::calendar::Calendar;
use crate::dice::Dice;
use crate::ends::{EndState, end_state};
use crate::oracle::Oracle;
use crate::vendor;
use crate::world::World;

/// How a world is run.
#[derive(Clone, Copy, Debug)]
pub enum Weather {
    /// Nothing goes wrong.
    Calm,
    /// Anything may.
    Storms(u64),
    /// Exactly this.
    One(Plan),
}

/// What came of a run.
pub struct Outcome {
    pub end: EndState,
    pub counts: Counts,
    pub trace: u64,
    pub contract_years: f64,
    /// The number of older states there were at each write.
    pub changes_at: Vec<u64>,
}

/// Why a run failed, and when.
pub type Failure = String;

pub struct Run {
    runtime: Option<Runtime>,
    shared: Arc<Shared>,
    operator: Option<Running>,
    weather: Weather,
    dice: Dice,
    incarnations: u32,
}

struct Running {
    stop: watch::Sender<bool>,
    ended: JoinHandle<End>,
}

/// Runs `world` from its start to its end, and judges it.
pub fn run(world: &World, weather: Weather) -> Result<Outcome, Failure> {
    let seed = match weather {
        Weather::Storms(seed) => seed,
        _ => 0,
    };
    seed_thread(seed);
    let mut run = Run::begin(world, weather, seed);
    let outcome = run.through(world);
    let at = run.now();
    outcome.map_err(|failure| format!("{failure} (at {at}, {:?})", run.shared.lock().counts))
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread")
}

impl Run {
    fn begin(world: &World, weather: Weather, seed: u64) -> Self {
        let runtime = runtime();
        let shared = {
            let _inside = runtime.enter();
            let calendar = Calendar::new(world.start);
            let clock = calendar.clone();
            let state = State {
                dice: Dice::new(seed, 2),
                storm: None,
                plan: if let Weather::One(plan) = weather { plan } else { Plan::default() },
                counts: Counts::default(),
                trace: 0xCBF2_9CE4_8422_2325,
                lags: HashMap::new(),
                snapshots: Vec::new(),
                list_from: None,
                changes_at: Vec::new(),
                keep_snapshots: matches!(weather, Weather::One(Plan { stale: Some(_), .. })),
                crashed: false,
                hiding: false,
                oracle: Oracle::new(world),
            };
            Shared {
                api: Embedded::in_memory(move || clock.now()),
                calendar,
                state: Mutex::new(state),
                crash: Notify::new(),
                frozen: AtomicBool::new(false),
                thawed: Notify::new(),
            }
        };
        let dice = Dice::new(seed, 3);
        Run { runtime: Some(runtime), shared: Arc::new(shared), operator: None, weather, dice, incarnations: 0 }
    }

    fn within<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.as_ref().expect("there is always one").block_on(what)
    }

    fn now(&self) -> Instant {
        let _inside = self.runtime.as_ref().map(Runtime::enter);
        self.shared.calendar.now()
    }

    /// Begins the operator; another identity has to wait until the Lease of the one before has run out.
    fn start(&mut self, identity: &str) {
        self.incarnations += 1;
        let calendar = self.shared.calendar.clone();
        let between = Between(self.shared.clone());
        let (stop, told) = watch::channel(false);
        let identity = identity.to_owned();
        let _inside = self.runtime.as_ref().map(Runtime::enter);
        let clock = Clock::reading(move || calendar.own());
        let requests = RequestCount::default();
        let client = over(between, clock.clone(), requests.clone());
        let ended = tokio::spawn(Operator::new(client, clock, &requests, "default", &identity, TTL).run(told));
        self.operator = Some(Running { stop, ended });
    }

    /// Ends the operator's process at once, with everything it had under way.
    fn kill(&mut self) {
        let now = self.now();
        self.operator = None;
        if let Some(old) = self.runtime.take() {
            drop(old);
        }
        self.runtime = Some(runtime());
        let _inside = self.runtime.as_ref().map(Runtime::enter);
        self.shared.calendar.go_on(now);
        self.shared.lock().crashed = false;
    }

    /// Lets time pass. True where it was less, for the operator has ended meanwhile and was begun anew.
    fn pass(&mut self, time: Duration) -> bool {
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
            if let Weather::One(Plan { stale: Some(older), .. }) = self.weather {
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

    fn restart(&mut self) {
        let identity = match self.dice.percent(20) {
            true => format!("operator-{}", self.incarnations),
            false => "operator".to_owned(),
        };
        self.start(&identity);
    }

    fn thaw(&mut self) {
        self.shared.lock().list_from = None;
        self.shared.frozen.store(false, Ordering::Relaxed);
        self.shared.thawed.notify_waiters();
    }

    /// The calendar jumps, at a request for the Lease where one comes soon.
    fn jump(&mut self, to: Instant) {
        if self.now() >= to {
            return;
        }
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
    }

    fn through(&mut self, world: &World) -> Result<Outcome, Failure> {
        let shared = self.shared.clone();
        self.within(async {
            for namespace in &world.namespaces {
                vendor::make_namespace(&shared, namespace).await;
            }
            for n in 0..world.plans.len() {
                vendor::make_plan(&shared, n).await;
            }
        });
        self.start("operator");
        let mut steps = world.steps.iter().peekable();
        let mut stormy = 0;
        let mut out = 0;
        loop {
            let now = self.now();
            let of_people = steps.peek().map(|step| step.at.max(now));
            let by_itself = self.next_instant(now, world.end);
            let Some(next) = of_people.into_iter().chain(by_itself).min() else { break };
            if let Weather::Storms(_) = self.weather {
                self.weather_changes(&mut stormy, &mut out);
            }
            let frozen = stormy > 0 && self.dice.percent(15);
            // Caches stand still for seconds, not for months.
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
            match () {
                () if out > 0 => {}
                () if stormy > 0 => {
                    let time = self.dice.below(15_000);
                    self.pass(Duration::from_millis(time));
                }
                () => self.settle()?,
            }
            self.judged()?;
        }
        self.calm();
        self.jump(world.end);
        if self.operator.is_none() {
            self.start("operator");
        }
        self.settle()?;
        self.is_quiet()?;
        let end = self.within(end_state(&self.shared));
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
        Ok(Outcome { end, counts: state.counts, trace: state.trace, contract_years, changes_at })
    }

    /// The next instant at which something may happen by itself.
    fn next_instant(&self, now: Instant, end: Instant) -> Option<Instant> {
        let mut state = self.shared.lock();
        let oracle = &mut state.oracle;
        let instants: BTreeSet<Instant> = oracle
            .contracts
            .iter()
            .filter(|contract| contract.there)
            .flat_map(|contract| contract.instants(&oracle.plans, end))
            .collect();
        instants.range(now + TimeDelta::seconds(1)..).next().copied()
    }

    /// Storms come and go, and now and then the operator is away for a while.
    fn weather_changes(&mut self, stormy: &mut u32, out: &mut u32) {
        if *out > 0 {
            *out -= 1;
            if *out == 0 {
                self.restart();
            }
            return;
        }
        if *stormy > 0 {
            *stormy -= 1;
            if *stormy == 0 {
                self.calm();
            }
            return;
        }
        match self.dice.below(20) {
            0..4 => {
                *stormy = u32::try_from(self.dice.between(1, 4)).unwrap_or(1);
                self.storm();
            }
            4 => {
                *out = u32::try_from(self.dice.between(1, 6)).unwrap_or(1);
                if crate::TALK.get() {
                    eprintln!("{} the operator is away", self.now());
                }
                self.kill();
            }
            5 => self.wrong_clock(),
            _ => {}
        }
    }

    fn storm(&mut self) {
        let requests = *self.dice.pick(&[20, 100, 300]);
        let watches = *self.dice.pick(&[0, 50, 200]);
        let storm = Storm { requests, watches, crashes: self.dice.percent(50) };
        let mut lags = HashMap::new();
        for (path, query) in LISTS {
            if self.dice.percent(30) {
                lags.insert(format!("{path}?{query}"), Duration::from_millis(self.dice.below(3_000)));
            }
        }
        if self.dice.percent(30) {
            self.wrong_clock();
        }
        if crate::TALK.get() {
            eprintln!("{} {storm:?} {lags:?}", self.now());
        }
        let mut state = self.shared.lock();
        state.storm = Some(storm);
        state.lags = lags;
    }

    /// The operator's own clock is wrong, by a little that nobody minds or by so much that the API server's counts.
    fn wrong_clock(&mut self) {
        let error = match self.dice.below(6) {
            0 => TimeDelta::zero(),
            1 => TimeDelta::seconds(self.dice.between(-200, 200)),
            2 => TimeDelta::hours(self.dice.between(-50, 50)),
            _ => TimeDelta::days(self.dice.between(-4_000, 4_000)),
        };
        if crate::TALK.get() {
            eprintln!("{} the operator's clock is ahead by {} s", self.now(), error.num_seconds());
        }
        self.shared.calendar.set_error(error);
        self.shared.lock().oracle.early = TimeDelta::minutes(5);
    }

    /// Everything works again.
    fn calm(&mut self) {
        self.shared.calendar.set_error(TimeDelta::zero());
        self.thaw();
        {
            let mut state = self.shared.lock();
            state.storm = None;
            state.lags.clear();
        }
    }

    /// Waits until everything is as it should be: at once where nothing went wrong, after all retries otherwise.
    fn settle(&mut self) -> Result<(), Failure> {
        let patience = match self.weather {
            Weather::Calm => [50, 500, 3_000].as_slice(),
            Weather::One(_) => &[50, 500, 3_000, 10_000, 20_000, 30_000, 60_000],
            Weather::Storms(_) => &[50, 500, 3_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000],
        };
        let mut wrong = None;
        for wait in patience {
            self.pass(Duration::from_millis(*wait));
            let now = self.now();
            wrong = self.shared.lock().oracle.wrong(now);
            if wrong.is_none() && !self.shared.lock().hiding {
                if !matches!(self.weather, Weather::One(Plan { stale: Some(_), .. })) {
                    self.shared.lock().oracle.at_rest();
                }
                return self.judged();
            }
        }
        // A watch that ended takes what it hid along; the next one goes on behind it.
        self.shared.lock().hiding = false;
        wrong.map_or(Ok(()), Err)
    }

    fn judged(&self) -> Result<(), Failure> {
        match self.shared.lock().oracle.violation.clone() {
            None => Ok(()),
            Some(violation) => Err(violation),
        }
    }

    /// At rest nothing is written but the Lease. Rest begins when the last retry is through; who never rests is found out.
    fn is_quiet(&mut self) -> Result<(), Failure> {
        let (until, then) = if matches!(self.weather, Weather::Calm) { (1, 20) } else { (1, 40) };
        // An operator that has lost the lead begins anew, and then comes to rest.
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
