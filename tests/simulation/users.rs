//! People who use the seats of a License while everything else goes wrong: they take, keep, give back and forget them.
//! Every answer that they get is judged.

use std::time::Duration;

use seatkeeper::domain::license::name::LicenseName;
use seatkeeper::domain::seats::taker::Taker;
use seatkeeper::domain::tick::Moment;
use seatkeeper::seats::limits::TTL;
use seatkeeper::seats::{Ask, Denied, Desk, Granted, HeartbeatOutcome, Seat};
use tokio::sync::oneshot;

use crate::claims::Claims;
use crate::dice::Dice;
use crate::oracle::{Name, Oracle};
use crate::run::{Failure, Run, holders};
use crate::world::World;

/// The longest until all seats are free that nobody keeps: a new owner waits for the proof of the previous one to end,
/// and then for a TTL.
const ALL_FREE: Duration = Duration::from_secs(200);

/// What a user has asked a desk, until the answer comes.
enum Asked {
    Seats {
        answer: oneshot::Receiver<Result<Granted, Denied>>,
        count: usize,
        /// Asked before in the same session, and not answered.
        again: bool,
        /// Enough seats are free for certain.
        must_be_granted: bool,
    },
    Heartbeat(oneshot::Receiver<Result<HeartbeatOutcome, Denied>>),
}

struct User {
    name: String,
    license: Name,
    pool: String,
    per_user: bool,
    /// How many sessions this user has begun.
    sessions: u32,
    /// Whether the present session has asked for seats and was not told whether it has them.
    in_doubt: bool,
    /// How many seats the session has asked for.
    count: u32,
    seats: Vec<Seat>,
    /// When the open request was sent, and what it was.
    asked: Option<(Moment, Asked)>,
}

/// All users of a world.
pub struct Users {
    dice: Dice,
    users: Vec<User>,
    claims: Claims,
}

fn full_name((namespace, name): &Name) -> LicenseName {
    LicenseName::new(namespace, name)
}

impl User {
    fn session(&self) -> String {
        format!("{}-{}", self.name, self.sessions)
    }

    fn taker(&self) -> Taker {
        Taker::of(&self.name, None, None)
    }

    fn ask(&self) -> Ask {
        Ask {
            license: full_name(&self.license),
            // All sessions of a user would share one seat of a Concurrent pool.
            user: self.per_user.then(|| self.name.clone()),
            session: self.session(),
            client: None,
            pool: Some(self.pool.clone()),
            request: None,
            version: None,
            count: self.count,
            taker: self.taker(),
            namespace: None,
        }
    }

    /// Whether the desk certainly has the seats that this user asks for, by what it shows itself.
    fn must_be_granted(&self, oracle: &Oracle, desk: &Desk) -> bool {
        let holders = match holders(desk, &full_name(&self.license)) {
            Ok(holders) => holders,
            Err(Denied::UnknownLicense(_)) => Vec::new(),
            Err(_) => return false,
        };
        let held = holders.iter().filter(|(seat, _)| seat.pool == self.pool).count() as u64;
        let members = oracle.entitled.members(&self.license);
        let fits = |most: u64| match self.per_user {
            true => members.contains(&self.name) && members.len() as u64 <= most,
            false => true,
        };
        let mut entitled = oracle.entitled.of(&self.license).peekable();
        entitled.peek().is_some()
            && entitled.all(|entitled| {
                let most = entitled.most(&self.pool);
                !entitled.is_demo && held + u64::from(self.count) <= most && fits(most)
            })
    }
}

impl Users {
    /// Returns the users of a world, if it has any.
    pub fn of(world: &World, seed: u64) -> Option<Self> {
        let user = |user: &crate::world::User| User {
            name: user.name.clone(),
            license: user.license.clone(),
            pool: user.pool.clone(),
            per_user: user.per_user,
            sessions: 0,
            in_doubt: false,
            count: 1,
            seats: Vec::new(),
            asked: None,
        };
        let users: Vec<User> = world.users.iter().map(user).collect();
        (!users.is_empty()).then(|| Users { dice: Dice::new(seed, 5), users, claims: Claims::new(TTL) })
    }

    /// How many seats were granted, and how many heartbeats kept one.
    pub fn count(&self) -> (u64, u64) {
        (self.claims.granted, self.claims.kept)
    }

    pub fn wait_for_answers(&self) -> bool {
        self.users.iter().any(|user| user.asked.is_some())
    }

    /// Lets one of them do something. `rests` says whether everything was at rest just now.
    fn act(&mut self, run: &Run, desk: &Desk, rests: bool) {
        let certain = rests && !self.wait_for_answers();
        let n = usize::try_from(self.dice.below(self.users.len() as u64)).unwrap_or(0);
        let user = &mut self.users[n];
        if user.asked.is_some() {
            return;
        }
        let now = run.lived();
        if user.seats.is_empty() {
            let again = user.in_doubt && self.dice.percent(50);
            if !again {
                self.claims.gave_up(&user.session());
                user.sessions += 1;
                user.count = if user.per_user { 1 } else { *self.dice.pick(&[1, 1, 3, 15, 50]) };
            }
            user.in_doubt = true;
            let must_be_granted = certain && !again && user.must_be_granted(&run.shared.lock().oracle, desk);
            let (desk, ask, count) = (desk.clone(), user.ask(), user.count as usize);
            let answer = send(run, async move { desk.acquire(&[ask]).await.pop().expect("an answer for each") });
            user.asked = Some((now, Asked::Seats { answer, count, again, must_be_granted }));
            return;
        }
        match self.dice.below(4) {
            0 => {
                // Somebody else cannot give them back first.
                let other = |seat: &Seat| Seat { taker: Some(Taker::of("intruder", None, None)), ..seat.clone() };
                let stolen = run.within(async { user.seats.iter().any(|seat| desk.release(&other(seat)) == Ok(true)) });
                if stolen {
                    self.claims.violate(format!("a seat of {} was given back by another", user.session()));
                }
                let kept: Vec<Result<bool, Denied>> =
                    run.within(async { user.seats.iter().map(|seat| desk.release(seat)).collect() });
                self.claims.released(&user.seats, &kept, now);
                user.seats.clear();
                user.in_doubt = false;
            }
            // It goes away, and relies on its seats until the TTL is over.
            1 => user.seats.clear(),
            _ => {
                let (desk, seats) = (desk.clone(), user.seats.clone());
                let answer = send(run, async move { desk.heartbeat(&seats).await });
                user.asked = Some((now, Asked::Heartbeat(answer)));
            }
        }
    }

    /// Lets all of them hear the answers that have come, and judges these.
    fn hear(&mut self, oracle: &Oracle, now: Moment) {
        for user in &mut self.users {
            let Some((sent, asked)) = user.asked.take() else { continue };
            match asked {
                Asked::Seats { mut answer, count, again, must_be_granted } => match answer.try_recv() {
                    Ok(Ok(granted)) => {
                        judge_grant(&mut self.claims, oracle, user, &granted, (sent, now), (count, again));
                        user.seats = granted.seats;
                    }
                    Ok(Err(denied)) => {
                        user.in_doubt = matches!(denied, Denied::NotOwner | Denied::LedgerUnavailable);
                        let is_right = user.in_doubt || matches!(denied, Denied::LedgerIncomplete { .. });
                        if must_be_granted && !is_right {
                            self.claims.violate(format!("{} is refused {count} free seats: {denied}", user.session()));
                        }
                    }
                    Err(oneshot::error::TryRecvError::Empty) => {
                        user.asked = Some((sent, Asked::Seats { answer, count, again, must_be_granted }));
                    }
                    // The operator has died with the answer.
                    Err(oneshot::error::TryRecvError::Closed) => {}
                },
                Asked::Heartbeat(mut answer) => match answer.try_recv() {
                    Ok(Ok(outcome)) => {
                        let mut kept = Vec::new();
                        for (seat, is_kept) in user.seats.drain(..).zip(outcome.kept) {
                            match (is_kept, &outcome.unsure) {
                                (true, _) => self.claims.kept(&seat, sent, now),
                                (false, None) => {
                                    self.claims.lost(&seat, now);
                                    continue;
                                }
                                (false, Some(_)) => {}
                            }
                            kept.push(seat);
                        }
                        user.seats = kept;
                    }
                    Ok(Err(_)) | Err(oneshot::error::TryRecvError::Closed) => {}
                    Err(oneshot::error::TryRecvError::Empty) => user.asked = Some((sent, Asked::Heartbeat(answer))),
                },
            }
        }
    }

    /// Checks that the desk knows every seat that somebody relies on.
    fn are_known(&mut self, desk: &Desk, now: Moment) {
        let Some(license) = self.users.first().map(|user| full_name(&user.license)) else { return };
        let Ok(holders) = holders(desk, &license) else { return };
        let lacking = self
            .claims
            .live(&license, now)
            .find(|seat| !holders.iter().any(|(held, _)| *held == Seat { tag: None, ..(*seat).clone() }));
        if let Some(seat) = lacking.cloned() {
            self.claims.violate(format!("the desk does not know {seat:?}, which is held"));
        }
    }
}

/// Judges seats that were granted to a user who asked at `sent`.
fn judge_grant(
    claims: &mut Claims,
    oracle: &Oracle,
    user: &User,
    granted: &Granted,
    (sent, now): (Moment, Moment),
    (count, again): (usize, bool),
) {
    let session = user.session();
    if granted.seats.len() != count {
        claims.violate(format!("{session} asked for {count} seats and got {}", granted.seats.len()));
    }
    // One that asks again keeps the seats that it has, whatever was granted since.
    if !again {
        let license = full_name(&user.license);
        let others: Vec<&Seat> = claims.live(&license, now).filter(|seat| seat.session != session).collect();
        let in_pool = others.iter().filter(|seat| seat.pool == user.pool).count();
        let fits = |held: usize, most: u64| (held + count) as u64 <= most;
        let is_licensed = oracle.entitled.of(&user.license).any(|entitled| match entitled.is_demo {
            true => fits(others.len(), entitled.most(&user.pool)),
            false => fits(in_pool, entitled.most(&user.pool)),
        });
        let is_demo = oracle.entitled.of(&user.license).any(|entitled| entitled.is_demo);
        if !is_licensed {
            let entitled: Vec<_> = oracle.entitled.of(&user.license).collect();
            claims.violate(format!("{session} got {count} seats besides {in_pool}, licensed are {entitled:?}"));
        } else if user.per_user && !is_demo && !oracle.entitled.was_member(&user.license, &user.name) {
            claims.violate(format!("{session} got a seat and is on no Roster"));
        }
    }
    for seat in &granted.seats {
        claims.granted(seat, sent, now);
    }
}

/// Sends a request in the operator's process. If that ends, the answer never comes.
fn send<T: Send + 'static>(run: &Run, what: impl Future<Output = T> + Send + 'static) -> oneshot::Receiver<T> {
    let (tell, answer) = oneshot::channel();
    run.within(async {
        tokio::spawn(async move {
            // Nobody waits any longer once the run is over.
            let _ = tell.send(what.await);
        });
    });
    answer
}

impl Run {
    /// Lets people use seats for a while; `rests` says whether everything was at rest just now.
    pub fn people_use_seats(&mut self, rests: bool) -> Result<(), Failure> {
        let Some(mut users) = self.users.take() else { return Ok(()) };
        if users.dice.percent(40) {
            for _ in 0..users.dice.between(1, 4) {
                if let Some(desk) = self.desk_if_any() {
                    if rests && desk.owns() {
                        users.are_known(&desk, self.lived());
                    }
                    users.act(self, &desk, rests);
                }
                let time = *users.dice.pick(&[100, 1_000, 10_000, 30_000, 70_000]);
                self.pass(Duration::from_millis(time));
                users.hear(&self.shared.lock().oracle, self.lived());
            }
        }
        self.finish(users)
    }

    /// Lets all people leave, and checks that every seat becomes free.
    pub fn people_leave(&mut self) -> Result<(), Failure> {
        let Some(mut users) = self.users.take() else { return Ok(()) };
        let until = self.lived() + ALL_FREE;
        while self.lived() < until {
            self.pass(until - self.lived());
        }
        users.hear(&self.shared.lock().oracle, self.lived());
        let licenses = users.users.iter().map(|user| full_name(&user.license));
        let left = licenses.filter_map(|license| holders(&self.desk_if_any()?, &license).ok()?.pop()).next();
        if let Some((seat, _)) = left {
            users.claims.violate(format!("all have left, and the desk still shows {seat:?}"));
        }
        self.finish(users)
    }

    fn finish(&mut self, users: Users) -> Result<(), Failure> {
        let violation = users.claims.violation.clone();
        self.users = Some(users);
        violation.map_or_else(|| self.judged(), Err)
    }
}
