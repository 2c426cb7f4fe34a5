//! Nothing that an administrator of one namespace can do alone changes what is granted, held or refused in another. The
//! victim's years are told twice: with an intruder who does all it may in between, and without. Everything that the
//! victim gets to see is the same.
//!
//! The intruder knows everything but secrets. The text of a key is one: a copy of it contests the grant, and both see
//! that (`contested_test.rs`). What a caller may do over HTTP at a License of another namespace is checked before the
//! desk is asked (`e2e/real/hostile_seats_test.rs`); here it asks the desk itself to keep and free the victim's seats.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use ed25519_dalek::SigningKey;
use http::Method;
use seatkeeper::domain::license::jwk::publish;
use seatkeeper::domain::license::key::sign_key;
use seatkeeper::domain::license::name::LicenseName;
use seatkeeper::domain::license::whom_to_trust::TrustFromLicenses;
use seatkeeper::domain::seats::taker::Taker;
use seatkeeper::domain::tick::Moment;
use seatkeeper::machine::seed_thread;
use seatkeeper::seats::{Ask, Seat};
use seatkeeper::wrong::Variant;
#[cfg(feature = "known-wrong")]
use seatkeeper::wrong::be;
use serde_json::{Value, json};

use crate::api::{ask, folder, must, ours, secret};
use crate::contact_centre::{self, centre, license};
use crate::contract::{Line, Plan};
use crate::dice::Dice;
use crate::intruder::{INTRUDER, Intruder, Known};
use crate::run::{Run, holders};
use crate::schedule::Schedule;
use crate::vendor;
use crate::world::{Edit, World};

/// Without the feature `known-wrong` no operator is wrong.
#[cfg(not(feature = "known-wrong"))]
fn be(_: Option<Variant>) {}

const STEPS: usize = 24;
/// How long the intruder is at it before each step of the victim. With `SHOWN` and `AGAIN` it makes 18 s, as does
/// every pause: no seat lapses while the victim asks for another.
const MEANWHILE: Duration = Duration::from_secs(3);
/// The longest until a License shows what has changed.
const SHOWN: Duration = Duration::from_secs(9);
/// How long after a look the next one is: a seat may lapse, or a status be written, a second earlier or later.
const AGAIN: Duration = Duration::from_secs(6);
const USERS: [&str; 4] = ["ada", "bob", "cleo", "dan"];
const KINDS: [&str; 4] = ["plans", "subscriptions", "licenses", "rosters"];

/// The victim: a contract with a Concurrent pool and one by Roster, and a License with a key from a file.
fn victim() -> World {
    let mut world = centre(2, None);
    let by_roster =
        Plan { name: "by-roster".into(), pools: vec!["team".into()], per_user: true, ..world.plans[0].clone() };
    world.plans.push(by_roster);
    world.contracts[0].lines.push(Line { plan: 1, seats: vec![2], changes: vec![Vec::new()] });
    world.namespaces.push(INTRUDER.into());
    world
}

struct Story {
    run: Run,
    dice: Dice,
    held: Vec<Seat>,
    sessions: u32,
    /// What the victim was told, and what it saw.
    told: Vec<String>,
}

impl Story {
    fn begin(seed: u64) -> Self {
        seed_thread(seed);
        let world = victim();
        let mut run = Run::begin(&world, Schedule::Calm, seed);
        if seed.is_multiple_of(2) {
            run.trust_from_licenses = TrustFromLicenses::Refuse;
        }
        run.found(&world);
        run.within(async {
            vendor::carry_out(&run.shared, &Edit::Issuer { namespace: "centre".into(), key: 1 }).await;
            vendor::carry_out(&run.shared, &Edit::Order(0)).await;
            let signer = SigningKey::from_bytes(&[9; 32]);
            let jwks = serde_json::to_string(&publish(&[signer.verifying_key()])).expect("it is JSON");
            let claims = json!({
                "iss": "vendor", "jti": "filed", "sub": "Centre", "aud": "acd", "iat": 1, "nbf": 1,
                "exp": 4_000_000_000u64, "grant": "filed",
                "pools": [{"name": "agents", "model": "Concurrent", "countBy": "Start", "seats": 2}],
            });
            let key = sign_key(&serde_json::from_value(claims).expect("it is a key"), &signer);
            for (name, type_, entry, text) in
                [("vendor-trust", "trust", "jwks.json", jwks), ("filed-keys", "license", "key.jwt", key)]
            {
                let object = json!({
                    "apiVersion": "v1", "kind": "Secret", "type": format!("seatkeeper.dev/{type_}"),
                    "metadata": {"name": name, "namespace": "centre"}, "data": {entry: BASE64_STANDARD.encode(text)},
                });
                must(&run.shared.api, Method::POST, folder(&secret("centre", name)), Some(&object)).await;
            }
            let object = json!({
                "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License",
                "metadata": {"name": "filed", "namespace": "centre"},
                "spec": {"product": "acd", "keys": [{"name": "k", "secretRef": {"name": "filed-keys"}}],
                         "trust": {"secretRef": {"name": "vendor-trust"}}},
            });
            must(&run.shared.api, Method::POST, folder(&ours("centre", "licenses", "filed")), Some(&object)).await;
        });
        run.pass(Duration::from_secs(120));
        Story { run, dice: Dice::new(seed, 32), held: Vec::new(), sessions: 0, told: Vec::new() }
    }

    fn rest(&mut self, time: Duration) {
        self.rest_until(self.run.lived() + time);
    }

    fn rest_until(&mut self, until: Moment) {
        while self.run.lived() < until {
            self.run.pass(until - self.run.lived());
        }
    }

    fn tell(&mut self, what: String) {
        self.told.push(what);
    }

    /// What the victim does next.
    fn step(&mut self) {
        let edit = match self.dice.below(16) {
            0..=4 => return self.take(),
            5 | 6 => return self.keep_all(),
            7 => return self.give_back(),
            8 => {
                let members = USERS.iter().filter(|_| self.dice.percent(60)).map(|user| (*user).to_owned()).collect();
                Edit::Roster { license: ("centre".into(), "innoacd".into()), members }
            }
            9 => {
                let seats = self.dice.between(1, 4) as u32;
                let on = self.run.now().date_naive();
                Edit::Seats { contract: 0, line: 0, pool: 0, on, seats, received_on: None }
            }
            10 => Edit::Issuer { namespace: "centre".into(), key: self.dice.between(1, 3) as u8 },
            11 => Edit::DeleteLicense { namespace: "centre".into(), name: "innoacd".into() },
            12 => Edit::DeleteKeys { namespace: "centre".into(), secret: "keys".into() },
            13 => {
                self.run.kill();
                return self.run.start("operator");
            }
            14 => {
                let days = self.dice.between(1, 150);
                let to = self.run.now() + TimeDelta::days(days);
                return self.run.jump(to);
            }
            _ => Edit::RevokeByHand(0),
        };
        self.tell(format!("{edit:?}"));
        self.run.within(vendor::carry_out(&self.run.shared, &edit));
    }

    fn take(&mut self) {
        self.sessions += 1;
        let license = if self.dice.percent(60) { license() } else { LicenseName::new("centre", "filed") };
        let pool = self.dice.percent(50).then(|| (*self.dice.pick(&["agents", "team"])).to_owned());
        let user = Some((*self.dice.pick(&USERS)).to_owned());
        let (session, taker) = (format!("s{}", self.sessions), Taker::of("agent", None, None));
        let count = self.dice.between(1, 2) as u32;
        let ask = Ask { license, user, session, pool, count, taker, ..contact_centre::ask("agent") };
        let Some(desk) = self.run.desk_if_any() else { return };
        let asking =
            async { tokio::time::timeout(Duration::from_secs(2), desk.acquire(std::slice::from_ref(&ask))).await };
        let answer = self.run.within(asking).ok().and_then(|mut answers| answers.pop());
        let told = match &answer {
            Some(Ok(granted)) => {
                format!("granted {:?}", granted.seats.iter().map(|seat| (&seat.pool, seat.slot)).collect::<Vec<_>>())
            }
            Some(Err(denied)) => format!("{} {denied}", denied.reason()),
            None => "no answer".to_owned(),
        };
        self.tell(format!("{} {:?} {:?} {count}: {told}", ask.license, ask.pool, ask.user));
        if let Some(Ok(granted)) = answer {
            self.held.extend(granted.seats);
        }
    }

    fn keep_all(&mut self) {
        let Some(desk) = self.run.desk_if_any() else { return };
        let heartbeat = async { tokio::time::timeout(Duration::from_secs(2), desk.heartbeat(&self.held)).await };
        let heard = self.run.within(heartbeat);
        match heard {
            Ok(Ok(heard)) => {
                self.tell(format!("kept {:?}", heard.kept));
                let mut kept = heard.kept.iter();
                self.held.retain(|_| heard.unsure.is_some() || kept.next().is_some_and(|kept| *kept));
            }
            Ok(Err(denied)) => self.tell(format!("not kept: {denied}")),
            Err(_) => self.tell("kept: no answer".to_owned()),
        }
    }

    fn give_back(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let n = self.dice.below(self.held.len() as u64) as usize;
        let seat = self.held.swap_remove(n);
        if let Some(desk) = self.run.desk_if_any() {
            let freed = self.run.within(async { desk.release(&seat) });
            self.tell(format!("{}: {freed:?}", seat.session));
        }
    }

    /// Looks at everything of the victim: its objects, the keys in its Secrets, and who holds seats.
    fn look(&self) -> Vec<String> {
        let shared = self.run.shared.clone();
        let mut seen = Vec::new();
        self.run.within(async {
            for kind in KINDS {
                let (_, list) = ask(&shared.api, Method::GET, folder(&ours("centre", kind, "")), None).await;
                seen.extend(
                    list["items"].as_array().into_iter().flatten().map(|object| format!("{kind} {}", shown(object))),
                );
            }
            let (_, list) = ask(&shared.api, Method::GET, folder(&secret("centre", "")), None).await;
            let secrets = list["items"].as_array().into_iter().flatten();
            for object in secrets {
                for (entry, value) in object["data"].as_object().into_iter().flatten() {
                    seen.push(format!("{} {entry} {}", object["metadata"]["name"], kept(value)));
                }
            }
        });
        if let Some(desk) = self.run.desk_if_any() {
            for license in [license(), LicenseName::new("centre", "filed")] {
                let holders = holders(&desk, &license);
                let holders = holders.map(|holders| {
                    let one = |(seat, client)| {
                        let Seat { pool, slot, user, session, .. }: Seat = seat;
                        (pool, slot, user, session, client)
                    };
                    let mut all: Vec<(String, u32, _, _, Option<String>)> = holders.into_iter().map(one).collect();
                    all.sort();
                    all
                });
                seen.push(format!("{license} held: {holders:?}"));
            }
        }
        seen
    }

    /// What anybody may know of the victim.
    fn public(&self) -> Known {
        let shared = self.run.shared.clone();
        let mut known = Known { seats: self.held.clone(), ..Known::default() };
        known.users = USERS.map(str::to_owned).to_vec();
        let text = |value: &Value| {
            let bytes = BASE64_STANDARD.decode(value.as_str()?).ok()?;
            String::from_utf8(bytes).ok()
        };
        self.run.within(async {
            let (_, list) = ask(&shared.api, Method::GET, folder(&secret("centre", "")), None).await;
            for object in list["items"].as_array().into_iter().flatten() {
                for (entry, value) in object["data"].as_object().into_iter().flatten() {
                    let Some(text) = text(value) else { continue };
                    match object["type"].as_str() {
                        Some("seatkeeper.dev/trust") if entry == "jwks.json" => known.jwks.push(text),
                        Some("seatkeeper.dev/license") => known.claims.extend(payload(&text)),
                        _ => {}
                    }
                }
            }
        });
        known
    }
}

fn payload(key: &str) -> Option<Value> {
    let payload = BASE64_URL_SAFE_NO_PAD.decode(key.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

/// An entry of a Secret; of a signed text what it says, without the second in which it was signed.
fn kept(value: &Value) -> String {
    let bytes = value.as_str().and_then(|text| BASE64_STANDARD.decode(text).ok()).unwrap_or_default();
    let text = String::from_utf8(bytes).unwrap_or_default();
    let Some(mut says) = payload(&text) else { return text };
    if let Some(claims) = says.as_object_mut() {
        claims.remove("iat");
    }
    says.to_string()
}

/// An object without what differs between any two runs: a retry may come a second earlier or later.
fn shown(object: &Value) -> String {
    let mut shown = json!({"name": object["metadata"]["name"], "spec": object["spec"], "status": object["status"]});
    if let Some(status) = shown["status"].as_object_mut() {
        status.remove("observedGeneration");
        for key in status.get_mut("keys").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(key) = key.as_object_mut() {
                key.remove("issuedAt");
            }
        }
        for condition in status.get_mut("conditions").and_then(Value::as_array_mut).into_iter().flatten() {
            for field in ["observedGeneration", "lastTransitionTime"] {
                if let Some(condition) = condition.as_object_mut() {
                    condition.remove(field);
                }
            }
        }
    }
    shown.to_string()
}

/// What the victim did and was told in one step, and what it saw after that, twice.
struct Step {
    told: Vec<String>,
    seen: [Vec<String>; 2],
}

/// What the victim saw and was told in one story.
struct Told {
    steps: Vec<Step>,
    accepted: u64,
    granted: u64,
}

fn tell(seed: u64, mut intruder: Option<Intruder>) -> Told {
    let mut story = Story::begin(seed);
    let mut steps = Vec::new();
    for _ in 0..STEPS {
        let until = story.run.lived() + MEANWHILE;
        if let Some(intruder) = &mut intruder {
            let known = story.public();
            let desk = story.run.desk_if_any();
            let (times, run) = (intruder.times(), &story.run);
            let acting = async {
                if steps.is_empty() {
                    intruder.settles(&run.shared.api).await;
                }
                for _ in 0..times {
                    intruder.acts(&run.shared.api, desk.as_ref(), &known).await;
                }
            };
            run.within(async { tokio::time::timeout(MEANWHILE - Duration::from_millis(1), acting).await }).ok();
        }
        story.rest_until(until);
        let until = story.run.lived() + SHOWN + Duration::from_secs(*story.dice.pick(&[0, 0, 18, 36, 72]));
        story.step();
        story.rest_until(until);
        let told = std::mem::take(&mut story.told);
        let first = story.look();
        story.rest(AGAIN);
        steps.push(Step { told, seen: [first, story.look()] });
    }
    let (accepted, granted) = intruder.map_or((0, 0), |intruder| (intruder.accepted, intruder.granted));
    Told { steps, accepted, granted }
}

/// Tells the story of a seed twice, of an operator that is wrong in this way. Returns how much the intruder did, or
/// what differs.
fn compare(seed: u64, wrong: Option<Variant>) -> Result<(u64, u64), String> {
    let told = |intruder: Option<Intruder>| {
        let story = std::thread::spawn(move || {
            be(wrong);
            tell(seed, intruder)
        });
        story.join().map_err(|_| "it panicked".to_owned())
    };
    let (alone, beside) = (told(None)?, told(Some(Intruder::new(seed)))?);
    for (n, (alone, beside)) in alone.steps.iter().zip(&beside.steps).enumerate() {
        let pair = match alone.told == beside.told {
            false => Some((&alone.told, &beside.told)),
            // It differs if it does at both looks.
            true => alone
                .seen
                .iter()
                .zip(&beside.seen)
                .map(|pair| (pair.0 != pair.1).then_some(pair))
                .reduce(Option::and)
                .flatten(),
        };
        let Some((alone, beside)) = pair else { continue };
        let first = alone.iter().zip(beside).find(|(alone, beside)| alone != beside);
        return Err(match first {
            Some((alone, beside)) => format!("step {n}: {alone}\nwith the intruder: {beside}"),
            None => format!("step {n}: {alone:#?}\nwith the intruder: {beside:#?}"),
        });
    }
    Ok((beside.accepted, beside.granted))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map(|text| text.parse().expect("a number"))
}

#[test]
fn i2_nothing_that_an_administrator_of_one_namespace_does_changes_what_another_has() {
    if let Some(seed) = number("SEED") {
        compare(seed, None).unwrap_or_else(|differs| panic!("seed {seed}: {differs}"));
        return;
    }
    let (first, seeds) = (number("FIRST").unwrap_or(1), number("SEEDS").map_or(8, |seeds| (seeds / 100).max(8)));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8);
    let next = AtomicU64::new(first);
    let total = Mutex::new((0, 0, Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    let outcome = compare(seed, None);
                    let mut total = total.lock().expect("no thread panics while it counts");
                    match outcome {
                        Ok((accepted, granted)) => (total.0, total.1) = (total.0 + accepted, total.1 + granted),
                        Err(differs) => {
                            eprintln!("\nmake simulate SEED={seed}   # {differs}");
                            total.2.push(format!("make simulate SEED={seed}"));
                        }
                    }
                }
            });
        }
    });
    let (accepted, granted, failed) = total.into_inner().expect("no thread panics while it counts");
    eprintln!("{seeds} seeds: the intruder wrote {accepted} times, and was granted {granted} seats of its own");
    assert!(failed.is_empty(), "{} of {seeds} seeds failed:\n{}", failed.len(), failed.join("\n"));
    assert!(accepted > 20 * seeds && granted > 0, "the intruder did too little");
}

#[cfg(feature = "known-wrong")]
#[test]
fn operators_that_let_a_neighbour_in_are_caught() {
    for variant in Variant::OF_NEIGHBOURS {
        let caught = (1..=60).find_map(|seed| Some((seed, compare(seed, Some(variant)).err()?)));
        let (seeds, differs) = caught.unwrap_or_else(|| panic!("{variant:?} is not caught"));
        eprintln!("{variant:?}: caught after {seeds} seeds: {}", differs.chars().take(300).collect::<String>());
    }
}
