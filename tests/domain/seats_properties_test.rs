//! Seats, compared with brute force: grants and refusals are worked out from plain lists, with none of the indexes,
//! counters and shortcuts of `src/domain/seats`; and the ledger's text, read back, gives the same table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, NaiveDate};
use proptest::prelude::*;
use serde_json::json;

use seatkeeper::domain::Instant;
use seatkeeper::domain::license::entitlement::{Presented, entitlement};
use seatkeeper::domain::license::key::Claims;
use seatkeeper::domain::seats::hold::{Free, HeldSeat, Hold, Occupant, Record};
use seatkeeper::domain::seats::keyed::Keyed;
use seatkeeper::domain::seats::line::{read_base, read_records, write_base, write_records, write_takers};
use seatkeeper::domain::seats::request::{Access, Request};
use seatkeeper::domain::seats::roster::{MemberMode, Members, Roster, RosterEntry};
use seatkeeper::domain::seats::seating::Seating;
use seatkeeper::domain::seats::table::Table;
use seatkeeper::domain::seats::taker::Taker;
use seatkeeper::domain::seats::terms::{Reservation, SeatTerms};
use seatkeeper::domain::tick::Tick;
use seatkeeper::domain::zone::Zone;

const USERS: [&str; 6] = ["a", "b", "c", "d", "e", "Ü %-"];
const SESSIONS: [&str; 3] = ["s1", "s2", "s 3"];
const CLIENTS: [&str; 2] = ["pc1", "pc2"];
/// The second Roster may be that of one guest, and the third and fourth those of another.
const GUESTS: [&str; 2] = ["beta", "alpha"];
/// From where it is asked.
const NAMESPACES: [&str; 3] = ["alpha", "beta", "gamma"];
const TEAMS: [&str; 2] = ["north", "south"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Full,
    Grace,
    Demo,
}

#[derive(Clone, Debug, PartialEq)]
struct Pool {
    name: &'static str,
    model: &'static str,
    by_user: bool,
    seats: u32,
    login: Option<&'static str>,
    overflows_to: Option<&'static str>,
    users: &'static [&'static str],
    major: Option<u32>,
    /// The number of seats reserved for each team.
    reserved: [u32; 2],
}

const POOL: Pool = Pool {
    name: "",
    model: "Concurrent",
    by_user: true,
    seats: 0,
    login: None,
    overflows_to: None,
    users: &[],
    major: None,
    reserved: [0; 2],
};

/// Returns the products of this small world.
fn products() -> [Vec<Pool>; 5] {
    [
        vec![
            Pool { name: "agents", ..POOL },
            Pool { name: "any", model: "Unlimited", ..POOL },
            Pool { name: "fixed", model: "Fixed", users: &["a", "b", "c"], ..POOL },
            Pool { name: "named", model: "Named", users: &["c", "d"], ..POOL },
            Pool { name: "starts", by_user: false, ..POOL },
        ],
        vec![
            Pool { name: "all", ..POOL },
            Pool { name: "one", major: Some(1), ..POOL },
            Pool { name: "two", major: Some(2), ..POOL },
        ],
        vec![Pool { name: "employees", model: "PerEmployee", by_user: false, ..POOL }],
        vec![
            Pool { name: "active", model: "PerUser", by_user: false, login: Some("Active"), ..POOL },
            Pool {
                name: "passive",
                model: "PerUser",
                by_user: false,
                login: Some("Passive"),
                overflows_to: Some("active"),
                ..POOL
            },
        ],
        vec![Pool { name: "starts", by_user: false, major: Some(3), ..POOL }],
    ]
}

/// A user's entry in a Roster, from one day to the day before another.
#[derive(Clone, Debug)]
struct Entry {
    user: usize,
    mode: MemberMode,
    from: u32,
    until: Option<u32>,
    team: Option<usize>,
    roster: usize,
}

#[derive(Clone, Debug)]
struct Ask {
    user: Option<usize>,
    session: usize,
    client: Option<usize>,
    pool: Option<usize>,
    version: Option<u32>,
    count: u32,
    from: Option<usize>,
}

#[derive(Clone, Debug)]
enum Step {
    Ask(Ask),
    /// Releases one of the existing sessions.
    Release(usize),
    Evict(usize),
    /// The leases of all sessions with this name run out.
    Expire(usize),
    Seats(Vec<(u32, [u32; 2])>),
    Mode(Mode),
    Staff(Vec<Entry>),
    NoRoster,
    NextDay,
    /// Whether names are kept from now on. No answer depends on it.
    Hides(bool),
}

fn entry(user: impl Strategy<Value = usize>) -> impl Strategy<Value = Entry> {
    use MemberMode::{Active, None as NoLogin, Passive};
    let mode = prop_oneof![5 => Just(Active), 6 => Just(Passive), 1 => Just(NoLogin)];
    let from = prop_oneof![4 => Just(0_u32), 1 => 0..6_u32];
    let entry = (user, mode, from, prop::option::weighted(0.2, 0..12_u32), prop::option::weighted(0.4, 0..2_usize));
    (entry, 0..4_usize).prop_map(|((user, mode, from, until, team), roster)| Entry {
        user,
        mode,
        from,
        until,
        team,
        roster,
    })
}

/// Generates an entry for nearly every user, and a second one for some.
fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let once: Vec<_> = (0..USERS.len()).map(|user| prop::option::weighted(0.9, entry(Just(user)))).collect();
    let again = prop::collection::vec(entry(0..USERS.len()), 0..5);
    (once, again).prop_map(|(once, again)| once.into_iter().flatten().chain(again).collect())
}

fn seats() -> impl Strategy<Value = Vec<(u32, [u32; 2])>> {
    prop::collection::vec((0..6_u32, [0..2_u32, 0..2_u32]), 5)
}

fn step() -> impl Strategy<Value = Step> {
    let ask = (
        prop::option::weighted(0.85, 0..USERS.len()),
        0..SESSIONS.len(),
        prop::option::weighted(0.9, 0..CLIENTS.len()),
        prop::option::weighted(0.5, 0..6_usize),
        prop::option::weighted(0.2, 1..4_u32),
        prop_oneof![9 => Just(1_u32), 1 => 0..5_u32],
        prop::option::weighted(0.8, 0..NAMESPACES.len()),
    );
    prop_oneof![
        16 => ask.prop_map(|(user, session, client, pool, version, count, from)| {
            Step::Ask(Ask { user, session, client, pool, version, count, from })
        }),
        5 => any::<prop::sample::Index>().prop_map(|n| Step::Release(n.index(64))),
        1 => (0..USERS.len()).prop_map(Step::Evict),
        1 => (0..SESSIONS.len()).prop_map(Step::Expire),
        2 => seats().prop_map(Step::Seats),
        1 => prop_oneof![4 => Just(Mode::Full), 1 => Just(Mode::Grace), 2 => Just(Mode::Demo)].prop_map(Step::Mode),
        2 => entries().prop_map(Step::Staff),
        1 => prop::bool::weighted(0.3).prop_map(|none| if none { Step::NoRoster } else { Step::NextDay }),
        2 => Just(Step::NextDay),
        2 => any::<bool>().prop_map(Step::Hides),
    ]
}

/// One session on one slot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    pool: &'static str,
    slot: u32,
    user: Option<&'static str>,
    session: &'static str,
    client: Option<&'static str>,
}

impl Row {
    /// The seat as `user` holds it.
    fn seat<'a>(&'a self, user: Option<&'a str>) -> HeldSeat<'a> {
        HeldSeat { pool: self.pool, slot: self.slot, user, session: self.session, taker: None }
    }
}

/// The whole state, in lists.
#[derive(Clone, Debug)]
struct World {
    pools: Vec<Pool>,
    mode: Mode,
    demo_seats: u32,
    staff: Option<Vec<Entry>>,
    /// All Rosters but the first are those of guests.
    guests: bool,
    day: u32,
    rows: Vec<Row>,
}

/// The rows after a move, the slots that are then taken, and their pool.
type Taking = ((Vec<Row>, Vec<u32>), &'static str);
type Answer = Result<(BTreeSet<(&'static str, u32)>, Access), &'static str>;

impl World {
    fn pool(&self, name: &str) -> &Pool {
        self.pools.iter().find(|pool| pool.name == name).unwrap()
    }

    /// The namespace of the guest whose entry it is.
    fn guest(&self, entry: &Entry) -> Option<&'static str> {
        (self.guests && entry.roster > 0).then(|| GUESTS[entry.roster / 2])
    }

    /// Returns what the owner, or one guest, says of a user on a day. Between equal entries, the Roster that comes first by
    /// name decides, and within one Roster the first entry.
    fn said(&self, by: Option<&str>, user: &str, day: u32) -> Option<&Entry> {
        let covers = |e: &&Entry| USERS[e.user] == user && e.from <= day && e.until.is_none_or(|until| day < until);
        let of_it = self.staff.as_ref()?.iter().filter(covers).filter(|entry| self.guest(entry) == by);
        of_it.min_by_key(|e| (e.mode, e.from, e.roster))
    }

    /// Returns all that counts of a user: what the owner says, or else what each guest does.
    fn counting(&self, user: &str, day: u32) -> Vec<&Entry> {
        let own = self.said(None, user, day);
        let mut guests = GUESTS;
        guests.sort();
        own.map_or_else(
            || guests.iter().filter_map(|guest| self.said(Some(guest), user, day)).collect(),
            |own| vec![own],
        )
    }

    /// Returns the entry of a user that counts on a day for those who ask from a namespace.
    fn entry_on(&self, user: &str, day: u32, from: Option<&str>) -> Option<&Entry> {
        let counting = self.counting(user, day);
        let of_asker = counting.iter().find(|entry| from.is_some() && self.guest(entry) == from);
        let may_log_in = counting.iter().find(|entry| entry.mode != MemberMode::None);
        of_asker.or(may_log_in).or(counting.first()).copied()
    }

    fn mode_of(&self, user: &str, from: Option<&str>) -> Option<MemberMode> {
        self.entry_on(user, self.day, from).map(|entry| entry.mode)
    }

    /// Whether anybody whose word counts says that the user has this mode.
    fn is(&self, user: Option<&str>, mode: MemberMode) -> bool {
        user.is_some_and(|user| self.counting(user, self.day).iter().any(|entry| entry.mode == mode))
    }

    fn is_guest(&self, user: &str) -> bool {
        self.counting(user, self.day).iter().any(|entry| self.guest(entry).is_some())
    }

    fn team_of(&self, user: Option<&str>) -> Option<usize> {
        self.said(None, user?, self.day)?.team
    }

    /// Returns the occupied slots of a pool with their users.
    fn held<'w>(rows: &'w [Row], pool: &str) -> BTreeSet<(u32, Option<&'w str>)> {
        rows.iter().filter(|row| row.pool == pool).map(|row| (row.slot, row.user)).collect()
    }

    fn held_at_all(&self) -> u32 {
        self.pools.iter().map(|pool| World::held(&self.rows, pool.name).len() as u32).sum()
    }

    fn entitled(&self, pool: &Pool, version: Option<u32>) -> bool {
        self.mode == Mode::Demo || version.is_none() || pool.major.is_none() || version <= pool.major
    }

    /// Whether a member of that team may take `count` more seats, given these rows.
    fn fits(&self, rows: &[Row], pool: &Pool, team: Option<usize>, version: Option<u32>, count: u32) -> bool {
        let in_demo = self.held_at_all() + count <= self.demo_seats;
        if self.mode == Mode::Demo {
            return in_demo;
        }
        let held = World::held(rows, pool.name);
        let mut kept_free = 0;
        let mut left = pool.seats;
        for (other, seats) in pool.reserved.iter().enumerate() {
            let seats = (*seats).min(left);
            left -= seats;
            if Some(other) != team {
                let of_team = held.iter().filter(|(_, user)| self.team_of(*user) == Some(other)).count() as u32;
                kept_free += seats.saturating_sub(of_team);
            }
        }
        let fits = pool.model == "Unlimited" || held.len() as u32 + kept_free + count <= pool.seats;
        fits && (self.entitled(pool, version) || in_demo)
    }

    fn no_room(&self, pool: &Pool, version: Option<u32>, count: u32) -> &'static str {
        let held = World::held(&self.rows, pool.name).len() as u32;
        match () {
            () if self.mode == Mode::Demo => "DemoSeatsExhausted",
            () if !self.entitled(pool, version) => "VersionNotEntitled",
            () if held + count > pool.seats => "SeatsExhausted",
            () => "ReservedForTeam",
        }
    }

    /// Returns the members in the order in which they are licensed: the owner's by entry date and user, then in each round
    /// the next one of every guest who has not come yet.
    fn in_order(&self, of: &[MemberMode]) -> Vec<&'static str> {
        let mut of_each: BTreeMap<Option<&str>, Vec<(u32, &'static str)>> = BTreeMap::new();
        for user in USERS {
            for entry in self.counting(user, self.day).into_iter().filter(|entry| of.contains(&entry.mode)) {
                of_each.entry(self.guest(entry)).or_default().push((entry.from, user));
            }
        }
        of_each.values_mut().for_each(|people| people.sort());
        let own = of_each.remove(&None).unwrap_or_default();
        let mut order: Vec<&str> = own.into_iter().map(|(_, user)| user).collect();
        for _ in USERS {
            for people in of_each.values() {
                let next = people.iter().map(|(_, user)| *user).find(|user| !order.contains(user));
                order.extend(next);
            }
        }
        order
    }

    /// Returns the licensed members: holders keep their licence, and the rest goes in order.
    fn licensed(&self, of: &[MemberMode], pools: &[&str], seats: u32) -> BTreeSet<&'static str> {
        let order = self.in_order(of);
        // On an active seat, one whom a guest lists as Active is not there as Passive.
        let as_another =
            |row: &Row| row.pool == "active" && of == [MemberMode::Passive] && self.is(row.user, MemberMode::Active);
        let holds = |user: &str| {
            self.rows.iter().any(|row| pools.contains(&row.pool) && row.user == Some(user) && !as_another(row))
        };
        let mut licensed: BTreeSet<&str> = order.iter().copied().filter(|user| holds(user)).collect();
        for user in order {
            if (licensed.len() as u32) < seats {
                licensed.insert(user);
            }
        }
        licensed
    }

    fn free_slots(rows: &[Row], pool: &str, count: u32) -> Vec<u32> {
        let is_free = |slot: &u32| !rows.iter().any(|row| row.pool == pool && row.slot == *slot);
        (0..).filter(is_free).take(count as usize).collect()
    }

    fn access(&self, pool: &Pool, user: Option<&str>, from: Option<&str>) -> Access {
        let last = |user| (0..=self.day).rev().find_map(|day| self.entry_on(user, day, from)).map(|entry| entry.mode);
        let passive = user.is_some_and(|user| last(user) == Some(MemberMode::Passive));
        match pool.model {
            "PerUser" if pool.login == Some("Passive") || passive => Access::ReadOnly,
            "PerEmployee" if passive => Access::ReadOnly,
            _ => Access::Full,
        }
    }

    fn ask(&mut self, ask: &Ask) -> Answer {
        let user = ask.user.map(|n| USERS[n]);
        let session = SESSIONS[ask.session];
        let client = ask.client.map(|n| CLIENTS[n]);
        let from = ask.from.map(|n| NAMESPACES[n]);
        if ask.count == 0 {
            return Err("InvalidRequest");
        }
        let per_user = self.pools[0].model == "PerUser";
        let named = ask.pool.map(|n| self.pools.get(n).map_or("unknown", |pool| pool.name));
        let mut kept: Vec<&Row> = self.rows.iter().filter(|row| row.user == user && row.session == session).collect();
        let in_question = |pool: &str| match named {
            Some("unknown") => false,
            Some(named) => named == pool || per_user,
            None => true,
        };
        kept.retain(|row| in_question(row.pool));
        kept.sort();
        if let Some(first) = kept.first().map(|row| row.pool) {
            kept.retain(|row| row.pool == first);
            self.on_one_client(self.pool(first), user, client)?;
        }
        kept.truncate(ask.count as usize);
        let mut seats: BTreeSet<(&'static str, u32)> = kept.iter().map(|row| (row.pool, row.slot)).collect();
        if seats.len() as u32 == ask.count {
            return Ok((seats, self.access(self.pool(kept[0].pool), user, from)));
        }
        let count = ask.count - seats.len() as u32;
        let (rows, pool) = match per_user {
            true => self.ask_per_user(ask, user, named)?,
            false => self.ask_others(ask, user, client, named, count)?,
        };
        self.rows = rows.0;
        for slot in rows.1 {
            seats.insert((pool, slot));
            self.rows.push(Row { pool, slot, user, session, client });
        }
        Ok((seats, self.access(self.pool(pool), user, from)))
    }

    fn on_one_client(&self, pool: &Pool, user: Option<&str>, client: Option<&str>) -> Result<(), &'static str> {
        if pool.model != "Fixed" || user.is_none() {
            return Ok(());
        }
        let client = client.ok_or("ClientRequired")?;
        let other = |row: &Row| row.pool == pool.name && row.user == user && row.client != Some(client);
        if self.rows.iter().any(other) { Err("InUseOnOtherClient") } else { Ok(()) }
    }

    fn member(
        &self,
        user: Option<&'static str>,
        from: Option<&str>,
    ) -> Result<(&'static str, MemberMode), &'static str> {
        if self.staff.is_none() {
            return Err("RosterMissing");
        }
        let user = user.ok_or("UserRequired")?;
        match self.mode_of(user, from).ok_or("NotInRoster")? {
            MemberMode::None => Err("LoginModeNone"),
            mode => Ok((user, mode)),
        }
    }

    fn ask_others(
        &self,
        ask: &Ask,
        user: Option<&'static str>,
        client: Option<&str>,
        named: Option<&str>,
        count: u32,
    ) -> Result<Taking, &'static str> {
        let mut candidates: Vec<&Pool> = match named {
            Some("unknown") => return Err("UnknownPool"),
            Some(named) => vec![self.pool(named)],
            None if self.pools.len() == 1 || self.pools[0].name == "all" => self.pools.iter().collect(),
            None => return Err("PoolRequired"),
        };
        candidates.sort_by_key(|pool| pool.major.unwrap_or(99));
        for pool in &candidates {
            if pool.by_user && user.is_some() && ask.count > 1 {
                return Err("InvalidRequest");
            }
            if ["Fixed", "Named"].contains(&pool.model) {
                let nth = pool.users.iter().position(|named| *named == user.unwrap_or(""));
                let seats = if self.mode == Mode::Demo { 99 } else { pool.seats };
                user.ok_or("UserRequired")?;
                nth.filter(|nth| (*nth as u32) < seats).ok_or("NotAssigned")?;
                self.on_one_client(pool, user, client)?;
            }
            if pool.model == "PerEmployee" {
                let (user, _) = self.member(user, ask.from.map(|n| NAMESPACES[n]))?;
                let both = [MemberMode::Active, MemberMode::Passive];
                if self.mode != Mode::Demo && !self.licensed(&both, &[pool.name], pool.seats).contains(user) {
                    return Err("RosterExceedsSeats");
                }
            }
        }
        if candidates.iter().any(|pool| self.entitled(pool, ask.version)) {
            candidates.retain(|pool| self.entitled(pool, ask.version));
        }
        for pool in candidates.iter().filter(|pool| pool.by_user && user.is_some()) {
            if let Some(own) = self.rows.iter().find(|row| row.pool == pool.name && row.user == user) {
                let in_demo = self.held_at_all() < self.demo_seats;
                return match self.entitled(pool, ask.version) || in_demo {
                    true => Ok(((self.rows.clone(), vec![own.slot]), pool.name)),
                    false => Err("VersionNotEntitled"),
                };
            }
        }
        for pool in &candidates {
            if self.fits(&self.rows, pool, self.team_of(user), ask.version, count) {
                return Ok(((self.rows.clone(), World::free_slots(&self.rows, pool.name, count)), pool.name));
            }
        }
        Err(self.no_room(candidates[0], ask.version, count))
    }

    fn ask_per_user(&self, ask: &Ask, user: Option<&'static str>, named: Option<&str>) -> Result<Taking, &'static str> {
        if named == Some("unknown") {
            return Err("UnknownPool");
        }
        let (user, mode) = self.member(user, ask.from.map(|n| NAMESPACES[n]))?;
        let own = if mode == MemberMode::Active { "active" } else { "passive" };
        if named.is_some_and(|named| named != own) {
            return Err("WrongPool");
        }
        if ask.count > 1 {
            return Err("InvalidRequest");
        }
        let (active, passive) = (self.pool("active"), self.pool("passive"));
        let guest = self.is_guest(user);
        let members = |mode, guests: bool| {
            let members = self.in_order(&[mode]);
            members.iter().filter(|user| guests || !self.is_guest(user)).count() as u32
        };
        let spare = active.seats.saturating_sub(members(MemberMode::Active, guest));
        let needed = members(MemberMode::Passive, false).saturating_sub(passive.seats);
        let licensed = match mode {
            MemberMode::Active if guest => self.licensed(&[mode], &["active"], active.seats.saturating_sub(needed)),
            MemberMode::Active => self.licensed(&[mode], &["active"], active.seats),
            _ => self.licensed(&[mode], &["active", "passive"], passive.seats + spare),
        };
        let demo = self.mode == Mode::Demo;
        if !demo && !licensed.contains(user) {
            return Err("RosterExceedsSeats");
        }
        let team = self.team_of(Some(user));
        let one = |rows: &[Row], pool| ((rows.to_vec(), World::free_slots(rows, pool, 1)), pool);
        if self.fits(&self.rows, self.pool(own), team, ask.version, 1) {
            return Ok(one(&self.rows, self.pool(own).name));
        }
        let in_active = World::held(&self.rows, "active");
        if mode == MemberMode::Passive {
            let unneeded = in_active.iter().filter(|(_, user)| !self.is(*user, MemberMode::Active)).count() as u32;
            if !demo && unneeded < spare && self.fits(&self.rows, active, team, ask.version, 1) {
                return Ok(one(&self.rows, "active"));
            }
        } else if !demo {
            let is_mover = |user| self.is(user, MemberMode::Passive) && !self.is(user, MemberMode::Active);
            for (slot, mover) in in_active.iter().filter(|(_, user)| is_mover(*user)) {
                let mut rows = self.rows.clone();
                let at = rows.iter().position(|row| row.pool == "active" && row.slot == *slot).unwrap();
                let to = World::free_slots(&rows, "passive", 1)[0];
                let moves = self.fits(&rows, passive, self.team_of(*mover), None, 1);
                (rows[at].pool, rows[at].slot) = ("passive", to);
                if moves && self.fits(&rows, active, team, ask.version, 1) {
                    return Ok(one(&rows, "active"));
                }
            }
        }
        Err(self.no_room(self.pool(own), ask.version, 1))
    }

    // The same world, as the tested code sees it.

    fn terms(&self) -> Arc<SeatTerms> {
        let pool = |pool: &Pool| {
            json!({
                "name": pool.name, "model": pool.model, "countBy": if pool.by_user { "User" } else { "Start" },
                "seats": pool.seats, "loginMode": pool.login, "overflowsTo": pool.overflows_to, "users": pool.users,
                "major": pool.major,
            })
        };
        let claims: Claims = serde_json::from_value(json!({
            "iss": "v", "jti": "s", "sub": "A", "aud": "p", "iat": 0, "nbf": 0, "exp": 10, "grace_until": 20,
            "demo_seats": self.demo_seats, "pools": self.pools.iter().map(pool).collect::<Vec<_>>(),
        }))
        .unwrap();
        let key = Presented {
            secret: "s".into(),
            entry: "e".into(),
            claims: Some(Arc::new(claims)),
            grant: None,
            refusal: None,
        };
        let seconds = match self.mode {
            Mode::Full => 1,
            Mode::Grace => 10,
            Mode::Demo => 20,
        };
        let now = DateTime::from_timestamp(seconds, 0).unwrap();
        let reserved = |pool: &Pool| {
            let (name, teams) = (pool.name, pool.reserved.into_iter().enumerate());
            teams.map(|(n, seats)| Reservation { pool: name.into(), team: TEAMS[n].into(), seats }).collect::<Vec<_>>()
        };
        let reservations: Vec<Reservation> = self.pools.iter().flat_map(reserved).collect();
        Arc::new(SeatTerms::new(&entitlement(&[key], now), &[], &reservations))
    }

    fn people(&self) -> Arc<Members> {
        let date = |day: u32| NaiveDate::from_ymd_opt(2026, 6, 1 + day).unwrap();
        let roster = |n: usize| {
            let of = self.staff.iter().flatten().filter(|entry| entry.roster == n);
            let members = of.map(|entry| RosterEntry {
                user: USERS[entry.user].into(),
                login_mode: entry.mode,
                entry_date: date(entry.from),
                exit_date: entry.until.map(date),
                team: entry.team.map(|n| TEAMS[n].into()),
            });
            let guest = (self.guests && n > 0).then(|| GUESTS[n / 2].into());
            // Noon of a day in one time zone is the same day in the other.
            let time_zone = Zone::named(["UTC", "Europe/Berlin"][n % 2]).unwrap();
            Roster { name: format!("r{n}"), guest, is_equal: false, time_zone, entries: members.collect() }
        };
        let all = [roster(0), roster(1), roster(2), roster(3)];
        Arc::new(Members::unite(if self.staff.is_some() { &all } else { &[] }))
    }

    fn now(&self) -> Instant {
        NaiveDate::from_ymd_opt(2026, 6, 1 + self.day).unwrap().and_hms_opt(12, 0, 0).unwrap().and_utc()
    }
}

/// What stands for a name that is not kept.
fn key(name: &str) -> String {
    format!("~{name}{}", "_".repeat(20 - name.len()))
}

/// What stands for a user in the table; `None` if the name is kept.
fn keyed(seating: &Seating, user: Option<&str>) -> Option<String> {
    seating.keyed_user(user?, key)
}

/// The name of which this is, or stands for it.
fn of_those(names: &'static [&'static str], kept: Option<&str>) -> Option<&'static str> {
    names.iter().copied().find(|name| kept == Some(name) || kept == Some(&key(name)))
}

fn rows_of(table: &Table) -> Vec<(String, Occupant<'_>)> {
    let mut rows: Vec<_> = table.holders().map(|(pool, held)| (pool.to_string(), held)).collect();
    rows.sort();
    rows
}

/// Loads the ledger: the bases of some earlier time, and everything that was written before or since.
fn load(base: &[(Arc<str>, String)], log: &[Record]) -> Table {
    let mut table = Table::default();
    for (pool, text) in base {
        for hold in read_base(pool, text, "").unwrap() {
            table.apply(&Record::Hold(hold), Tick::MIN);
        }
    }
    for record in read_records(&write_records(log)).unwrap() {
        table.apply(&record, Tick::MIN);
    }
    table
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn i2_i9_t5_t7_t9_k4_every_answer_is_that_of_brute_force(
        product in prop::sample::select(vec![0_usize, 0, 1, 2, 2, 3, 3, 3, 4]),
        first in (seats(), entries(), 0..4_u32, any::<bool>()),
        steps in prop::collection::vec(step(), 1..80),
        (base_at, log_from) in any::<(prop::sample::Index, prop::sample::Index)>(),
    ) {
        let base_at = base_at.index(steps.len());
        let log_from = log_from.index(base_at + 1);
        let mut world = World {
            pools: products()[product].clone(), mode: Mode::Full, demo_seats: first.2, staff: Some(first.1),
            guests: first.3, day: 0, rows: vec![],
        };
        let set_seats = |world: &mut World, seats: &[(u32, [u32; 2])]| {
            for (pool, (seats, reserved)) in world.pools.iter_mut().zip(seats) {
                (pool.seats, pool.reserved) = (*seats, if pool.model == "Unlimited" { [0; 2] } else { *reserved });
            }
        };
        set_seats(&mut world, &first.0);
        let mut seating = Seating::new(world.terms(), world.people(), world.now());
        let (mut log, mut base, mut logged_at_start) = (Vec::new(), Vec::new(), 0);
        for (n, step) in steps.iter().enumerate() {
            let mut freed = Vec::new();
            let tick = 10 * n as u64;
            for row in &world.rows {
                let user = keyed(&seating, row.user);
                let seat = row.seat(user.as_deref().or(row.user));
                if !matches!(step, Step::Expire(session) if SESSIONS[*session] == row.session) {
                    prop_assert!(seating.heartbeat(&seat, Tick(tick), Tick(tick + 15)));
                }
            }
            match step {
                Step::Ask(ask) => {
                    let (user, client) = (ask.user.map(|n| USERS[n]), ask.client.map(|n| CLIENTS[n]));
                    let (kept, machine) = (keyed(&seating, user), client.map(key));
                    let is_keyed = kept.is_some() || user.is_none() && seating.hides();
                    let request = Request {
                        user,
                        session: SESSIONS[ask.session],
                        client,
                        pool: ask.pool.map(|n| world.pools.get(n).map_or("unknown", |pool| pool.name)),
                        request: None,
                        version: ask.version,
                        count: ask.count,
                        taker: None,
                        namespace: ask.from.map(|n| NAMESPACES[n]),
                        keyed: is_keyed.then_some(Keyed { user: kept.as_deref(), client: machine.as_deref() }),
                    };
                    let before = world.clone();
                    let expected = world.ask(ask);
                    let grant = seating.decide(&request, world.now());
                    prop_assert_eq!(&grant, &seating.decide(&request, world.now()), "a decision changes nothing");
                    let name = |pool: &str| world.pool(pool).name;
                    let answer = grant.as_ref().map_err(|refusal| refusal.reason()).map(|grant| {
                        (grant.seats.iter().map(|seat| (name(&seat.pool), seat.slot)).collect(), grant.access)
                    });
                    prop_assert_eq!(answer, expected, "{:?}\n{:#?}", ask, before);
                    if let Ok(grant) = grant {
                        never_more_than_licensed(&before, &world)?;
                        seating.assume(&grant, &request, Tick(tick + 15));
                        log.extend(grant.records);
                    }
                }
                Step::Release(at) if !world.rows.is_empty() => {
                    let row = world.rows.remove(at % world.rows.len());
                    let user = keyed(&seating, row.user);
                    freed.extend(seating.release(&row.seat(user.as_deref().or(row.user))));
                    prop_assert_eq!(freed.len(), 1);
                }
                Step::Release(_) => (),
                Step::Evict(user) => {
                    world.rows.retain(|row| row.user != Some(USERS[*user]));
                    let kept = keyed(&seating, Some(USERS[*user]));
                    freed = seating.table().release_user(kept.as_deref().unwrap_or(USERS[*user]));
                }
                Step::Expire(session) => {
                    freed = seating.table().expired(Tick(tick + 5));
                    world.rows.retain(|row| row.session != SESSIONS[*session]);
                }
                Step::Seats(seats) => set_seats(&mut world, seats),
                Step::Mode(mode) => world.mode = *mode,
                Step::Staff(staff) => world.staff = Some(staff.clone()),
                Step::NoRoster => world.staff = None,
                Step::NextDay => world.day += 1,
                Step::Hides(hides) => _ = seating.set_hides(*hides, key, key),
            }
            freed.iter().for_each(|record| seating.apply(record, Tick::MIN));
            log.extend(freed);
            if matches!(step, Step::Seats(_) | Step::Mode(_) | Step::Staff(_) | Step::NoRoster | Step::Hides(_)) {
                seating.set_keyed(world.terms(), world.people(), world.now(), key);
            }
            if n <= log_from {
                logged_at_start = log.len();
            }
            if n <= base_at {
                let all = |pool: &Pool| {
                    (pool.name.into(), write_base(seating.table().holders_within(pool.name, 0..256)))
                };
                base = world.pools.iter().map(all).collect();
            }
            let mut held: Vec<Row> = world.rows.clone();
            held.sort();
            let mut rows: Vec<Row> = Vec::new();
            for (pool, held) in rows_of(seating.table()) {
                rows.push(Row {
                    pool: world.pool(&pool).name,
                    slot: held.slot,
                    user: of_those(&USERS, held.user),
                    session: SESSIONS.into_iter().find(|session| held.session == *session).unwrap(),
                    client: of_those(&CLIENTS, held.client),
                });
            }
            rows.sort();
            prop_assert_eq!(rows, held);
        }
        let whole = load(&[], &log);
        let hides = steps.iter().any(|step| matches!(step, Step::Hides(true)));
        if hides {
            // The ledger has some names in the form of before, and the next owner gives them one form.
            let named = |table: &Table| {
                let rows = rows_of(table).into_iter();
                let mut rows: Vec<_> = rows
                    .map(|(pool, held)| {
                        let session = held.session.to_owned();
                        (pool, held.slot, of_those(&USERS, held.user), session, of_those(&CLIENTS, held.client))
                    })
                    .collect();
                rows.sort();
                rows
            };
            prop_assert_eq!(named(&whole), named(seating.table()));
            return Ok(());
        }
        prop_assert_eq!(rows_of(&whole), rows_of(seating.table()));
        let newer = load(&base, &log[logged_at_start..]);
        prop_assert_eq!(rows_of(&newer), rows_of(seating.table()), "a base may be newer than the journal");
    }

    #[test]
    fn names_of_any_kind_fit_on_one_readable_line(
        names in prop::collection::vec("(-|\\PC{1,40}|[\\s%\u{202e}\u{0}a-]{1,9}|.{1,20})", 5),
        slot in 0..10_000_000_u32,
        since in 0..253_402_300_799_i64,
        (user, client, request, taker) in any::<(bool, bool, bool, bool)>(),
    ) {
        let name = |n: usize| -> Box<str> { names[n].as_str().into() };
        let hold = Hold {
            pool: names[0].as_str().into(),
            slot,
            user: user.then(|| name(1)),
            session: name(2),
            since,
            client: client.then(|| name(3)),
            request: request.then(|| name(4)),
            taker: taker.then(|| Taker::of(&name(0), None, None)),
        };
        let free = Free { pool: hold.pool.clone(), slot, session: name(2), taker: hold.taker };
        let base = write_base([hold.occupant()]);
        prop_assert_eq!(base.lines().count(), 1);
        prop_assert!(!base.trim_end().chars().any(|c| c.is_control() || (c.is_whitespace() && c != ' ')));
        prop_assert_eq!(read_base(&hold.pool, &base, &write_takers([hold.occupant()])), Ok(vec![hold.clone()]));
        let records = vec![Record::Hold(hold), Record::Free(free)];
        prop_assert_eq!(read_records(&write_records(&records)), Ok(records));
    }
}

/// Checks that no more seats are taken than licensed, nobody is dropped, and no Active user takes a passive seat.
fn never_more_than_licensed(before: &World, after: &World) -> Result<(), TestCaseError> {
    for pool in &after.pools {
        let held = |world: &World| World::held(&world.rows, pool.name).len() as u32;
        let bounded = after.mode != Mode::Demo && pool.model != "Unlimited";
        prop_assert!(!bounded || held(after) <= held(before).max(pool.seats));
    }
    let demo = after.mode == Mode::Demo;
    prop_assert!(!demo || after.held_at_all() <= before.held_at_all().max(after.demo_seats));
    for row in &before.rows {
        let kept = |world: &World| world.rows.iter().filter(|r| (r.user, r.session) == (row.user, row.session)).count();
        prop_assert!(kept(after) >= kept(before));
    }
    for row in after.rows.iter().filter(|row| row.pool == "passive" && !before.rows.contains(row)) {
        prop_assert!(after.is(row.user, MemberMode::Passive));
    }
    Ok(())
}
