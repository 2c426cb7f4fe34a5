//! The siege as a whole: replicas, clients, one fault after another, and the verdict.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use super::agent::{Agent, Habit, Town};
use super::checker::{Law, Trouble, Verdict, check};
use super::dice::Dice;
use super::faults::{Fault, Field};
use super::ground::Ground;
use super::history::{Count, Micros};
use super::line::now;
use super::moves::{self, Moved, Mover};
use super::network::Hub;
use super::replica::{Replica, Way};

/// How long an owner has proof of owning the ledger.
const PROOF_LASTS: Duration = Duration::from_secs(10);
/// The time between two looks whether another owner has taken over.
const LOOK: Duration = Duration::from_millis(500);

/// The size of a siege.
pub struct Size {
    pub seed: u64,
    pub replicas: u8,
    pub brief: usize,
    pub lasting: usize,
    pub patient: usize,
    /// In seconds.
    pub ttl: u64,
    /// Every fault happens once, and then again until there are this many operations.
    pub operations: u64,
    /// The least number of grants between two faults.
    pub quiet: usize,
    /// Whether some faults last until a new owner's wait is over.
    pub lingers: bool,
    /// Whether writes of the control plane wait for the disk.
    pub fsync: bool,
    /// Further options of the operator.
    pub more: Vec<&'static str>,
}

/// The results of one kind of fault.
#[derive(Clone, Copy, Debug, Default)]
pub struct Struck {
    pub times: u64,
    /// The longest time without a new seat.
    pub longest_gap: Duration,
}

pub struct Report {
    pub seed: u64,
    pub took: Duration,
    pub count: Count,
    pub faults: BTreeMap<Fault, Struck>,
    pub take_overs: i64,
    pub moved: Moved,
    pub verdict: Verdict,
}

/// Starts replicas and lays siege to them.
pub async fn lay(size: Size, hub: Option<Hub>) -> Report {
    let mut dice = Dice::new(size.seed);
    let ttl = Duration::from_secs(size.ttl);
    let ground = Arc::new(Ground::make(size.fsync).await);
    let seconds = size.ttl.to_string();
    let own = ["--seat-ttl", seconds.as_str(), "--trust-from-licenses", "allow"];
    let options = [&own[..], &size.more[..]].concat();
    let way = hub.as_ref().map_or(Way::Relayed, Way::Linked);
    let mut replicas = Vec::new();
    for number in 1..=size.replicas {
        let mut replica = Replica::new(&ground, way, number, &options).await;
        replica.start().await;
        replicas.push(replica);
    }
    let doors: Arc<[_]> = replicas.iter().map(Replica::address).collect();
    let town = Town::new(ground.namespace.to_owned(), moves::licenses(), doors, ground.token.clone(), ttl);
    let waits = waits_of(&size);
    let mut field = Field {
        ground: &ground,
        replicas: &mut replicas,
        town: &town,
        dice: &mut dice,
        waits: size.lingers.then_some(waits),
    };
    field.owner().await;
    ground.order().await;
    let mover = Mover::begin(ground.clone(), town.clone(), size.seed).await;

    let observed = Arc::new(Mutex::new(Observed::default()));
    let observing = tokio::spawn(observe(ground.clone(), observed.clone()));
    let mut agents = JoinSet::new();
    let habits = [(Habit::Brief, size.brief), (Habit::Lasting, size.lasting), (Habit::Patient, size.patient)];
    let habits = habits.into_iter().flat_map(|(habit, times)| std::iter::repeat_n(habit, times));
    for (number, habit) in habits.enumerate() {
        agents.spawn(Agent::new(town.clone(), number, habit, size.seed).live());
    }
    let began = now();
    let (suffered, moved) = tokio::join!(one_fault_after_another(&mut field, &size), mover.live());
    let Suffered { faults, mut troubles } = suffered;
    while agents.join_next().await.is_some_and(|ended| ended.is_ok()) {}
    assert!(agents.is_empty(), "a client panicked");
    let took = Duration::from_micros(now() - began);
    observing.abort();
    let observed = std::mem::take(&mut *look(&observed));
    troubles.extend(observed.take_overs);
    let mut history = town.history();
    history.close();
    let law = Law {
        seats: moves::seats(),
        moves: moved.under_way.clone(),
        stays: (ttl * 21 / 20).as_micros() as Micros,
        waits: waits.as_micros() as Micros,
    };
    let verdict = check(&mut history, &law, &merged(troubles));
    Report { seed: size.seed, took, count: history.count, faults, take_overs: observed.count, moved, verdict }
}

/// How long a new owner waits before it frees a seat.
fn waits_of(size: &Size) -> Duration {
    (PROOF_LASTS + Duration::from_secs(size.ttl)) * 21 / 20
}

/// The faults, and the times from each until all was well again.
#[derive(Default)]
struct Suffered {
    faults: BTreeMap<Fault, Struck>,
    troubles: Vec<Trouble>,
}

/// Strikes until there were enough operations, and closes the town.
async fn one_fault_after_another(field: &mut Field<'_>, size: &Size) -> Suffered {
    let began = now();
    let mut suffered = Suffered::default();
    let town = field.town;
    let is_over = |suffered: &Suffered| {
        suffered.faults.len() == Fault::ALL.len() && town.history().count.operations() >= size.operations
    };
    while !is_over(&suffered) {
        let mut round = Fault::ALL.to_vec();
        while !round.is_empty() && !is_over(&suffered) {
            let fault = round.swap_remove(field.dice.below(round.len()));
            let quiet = size.quiet + field.dice.below(size.quiet);
            field.grants(quiet as u64).await;
            field.owner().await;
            let from = now();
            town.history().longest_gap = 0;
            field.strike(fault).await;
            field.mend().await;
            let to = now();
            suffered.troubles.push(Trouble { from, to });
            let struck = suffered.faults.entry(fault).or_default();
            struck.times += 1;
            let gap = Duration::from_micros(town.history().longest_gap);
            struck.longest_gap = struck.longest_gap.max(gap);
            eprintln!(
                "{:>5} s: {fault:?}, well after {} ms ({from} to {to})",
                (to - began) / 1_000_000,
                (to - from) / 1000
            );
        }
    }
    // However fast the machine is, some refusals are judged without a fault near them.
    tokio::time::sleep(waits_of(size) + Duration::from_secs(3)).await;
    field.grants(size.quiet as u64).await;
    town.close();
    suffered
}

/// What is observed from outside while the siege goes on.
#[derive(Default)]
struct Observed {
    count: i64,
    /// All take-overs: one that no fault has caused is trouble like any other.
    take_overs: Vec<Trouble>,
}

fn look(observed: &Mutex<Observed>) -> std::sync::MutexGuard<'_, Observed> {
    observed.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn observe(ground: Arc<Ground>, observed: Arc<Mutex<Observed>>) {
    let mut last = ground.reached().await.unwrap_or_default();
    let mut before = now();
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(reached) = ground.reached().await else { continue };
        let to = now();
        if reached.epoch > last.epoch {
            let mut observed = look(&observed);
            observed.count += reached.epoch - last.epoch;
            observed.take_overs.push(Trouble { from: before, to });
        }
        (last, before) = (reached, to);
    }
}

/// Sorts the troubles, and merges those that overlap.
fn merged(mut troubles: Vec<Trouble>) -> Vec<Trouble> {
    troubles.sort_unstable_by_key(|trouble| trouble.from);
    let mut merged: Vec<Trouble> = Vec::new();
    for trouble in troubles {
        match merged.last_mut().filter(|last| trouble.from <= last.to) {
            Some(last) => last.to = last.to.max(trouble.to),
            None => merged.push(trouble),
        }
    }
    merged
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { seed, took, count, faults, take_overs, moved, verdict } = self;
        writeln!(f, "seed {seed}, {:.0} s", took.as_secs_f64())?;
        for (fault, Struck { times, longest_gap }) in faults {
            let gap = longest_gap.as_secs_f64();
            writeln!(f, "  {:<20} {times:>4} times, at most {gap:.1} s without a new seat", format!("{fault:?}"))?;
        }
        for (what, times) in &moved.times {
            writeln!(f, "  {:<20} {times:>4} times", format!("{what:?}"))?;
        }
        let operations = count.operations();
        let rate = operations as f64 / took.as_secs_f64();
        writeln!(f, "{operations} operations on single seats ({rate:.0} a second) in {} requests:", count.requests)?;
        let Count { granted, in_turn, refused, queued, kept, lost, released, unanswered, without_grant, .. } = count;
        writeln!(f, "  {granted} granted, {refused} refused, {kept} kept, {lost} lost, {released} released")?;
        writeln!(f, "  of these, {in_turn} granted in the queue; {queued} times a session was told its place")?;
        writeln!(f, "  {without_grant} requests named a License that had no grant at that moment")?;
        writeln!(f, "  {unanswered} times a session got no answer; {take_overs} take-overs")?;
        let Verdict { beliefs, refusals, refusals_in_quiet, refusals_in_moves, most_believed, .. } = verdict;
        writeln!(
            f,
            "{beliefs} times a slot was believed to be held, at most {most_believed:?} of each grant at once,"
        )?;
        writeln!(f, "  under {:?} Licenses at once", verdict.most_licenses)?;
        writeln!(f, "{refusals_in_moves} refusals while the grant was on its way")?;
        writeln!(f, "{refusals} refusals judged, {refusals_in_quiet} of them with no fault within a take-over's wait")?;
        match verdict.defects.is_empty() {
            true => writeln!(f, "the history is possible"),
            false => writeln!(f, "DEFECTS:\n{}", verdict.defects.join("\n")),
        }
    }
}
