//! Who may take a seat (docs/design/domain.md: Seats, Mode, Versions and upgrades).

use std::sync::Arc;

use super::elsewhere::Elsewhere;
use super::headcount::Headcount;
use super::hold::{Hold, Occupant, Record, free};
use super::keyed::People;
use super::line::room_of_seat;
use super::ranking::RankedMember;
use super::refusal::Refusal;
use super::request::{Access, Grant, Request, Seat};
use super::roster::{MemberMode, Members, Standing};
use super::slots::Slots;
use super::table::Table;
use super::terms::{PoolTerms, SeatTerms};
use crate::domain::Instant;
use crate::domain::license::key::MAX_SEATS;
use crate::domain::license::mode::Mode;
use crate::domain::license::pool::{CountBy, LoginMode, PoolModel};

/// The most sessions that may share a seat, of one taker and in all: with sessions in the name of a user, a program can keep
/// that user out only if it has eight takers.
pub const MAX_SHARING: usize = 32;
pub const MAX_SHARING_IN_ALL: usize = 8 * MAX_SHARING;
/// The most seats of a License that are held at once if some of them are unlimited. Each takes memory and room in the
/// ledger.
pub const MAX_UNLIMITED: u64 = 100_000;

/// A request, and all that its outcome depends on.
pub(super) struct Decision<'d> {
    pub table: &'d Table,
    pub terms: &'d SeatTerms,
    pub people: &'d People,
    pub headcount: &'d Headcount,
    pub elsewhere: &'d Elsewhere,
    pub request: &'d Request<'d>,
    pub now: Instant,
}

impl Decision<'_> {
    pub fn make(&self) -> Result<Grant, Refusal> {
        // A holder keeps its seat, whatever has changed since (K4).
        let kept = self.kept();
        if let Some(place) = kept.first().and_then(|seat| self.terms.place(&seat.pool)) {
            self.on_one_client(place)?;
        }
        if kept.len() == self.request.count as usize {
            let access = self.access(&kept[0].pool);
            return Ok(Grant { seats: kept, access, records: Vec::new() });
        }
        if !self.terms.ever_licensed {
            return Err(Refusal::NoLicense);
        }
        let places = self.places()?;
        let mut grant = match self.pool(places[0]).model {
            PoolModel::PerUser => self.per_user(places[0])?,
            _ => self.in_one_of(places, self.request.count - kept.len() as u32)?,
        };
        grant.seats.splice(0..0, kept);
        Ok(grant)
    }

    /// The seats that the session already holds, at most as many as it asks for.
    fn kept(&self) -> Vec<Seat> {
        let per_user = |pool: &str| self.terms.pool(pool).is_some_and(|pool| pool.model == PoolModel::PerUser);
        let asked =
            |pool: &str| self.request.pool.is_none_or(|asked| asked == pool || per_user(asked) && per_user(pool));
        let mut kept: Vec<Seat> = Vec::new();
        for (pool, slots) in self.table.pools().filter(|(pool, _)| asked(pool)) {
            let held = slots.of_session(self.request.kept_user(), self.request.session, self.request.taker);
            kept.extend(held.map(|occupant| Seat { pool: pool.clone(), slot: occupant.slot }));
            if !kept.is_empty() {
                break;
            }
        }
        kept.sort();
        kept.truncate(self.request.count as usize);
        kept
    }

    /// The pools that may serve the request, the one with the lowest version first. For PerUser, exactly one, which the
    /// Roster decides.
    fn places(&self) -> Result<Vec<usize>, Refusal> {
        let pools = &self.terms.pools;
        if let Some(name) = self.request.pool {
            let unknown = || Refusal::UnknownPool { pool: name.to_owned(), pools: self.terms.names() };
            let place = self.terms.place(name).ok_or_else(unknown)?;
            if pools[place].model == PoolModel::PerUser {
                let own = self.pool_of_member()?;
                if pools[place].login_mode != pools[own].login_mode {
                    let pool = pools[own].name.to_string();
                    return Err(Refusal::WrongPool { pool, wanted: name.to_owned() });
                }
            }
            return Ok(vec![place]);
        }
        if pools.iter().any(|pool| pool.model == PoolModel::PerUser) {
            return Ok(vec![self.pool_of_member()?]);
        }
        let first = pools.first().ok_or(Refusal::NoPools)?;
        let mut places: Vec<usize> = (0..pools.len()).collect();
        let newest = |place: &usize| pools[*place].newest().map_or(u64::MAX, u64::from);
        places.sort_by_key(newest);
        // Pools are an order of preference only if they differ in nothing but their versions.
        let alike = pools.iter().all(|pool| (pool.model, pool.count_by) == (first.model, first.count_by));
        match alike && places.windows(2).all(|pair| newest(&pair[0]) < newest(&pair[1])) {
            true => Ok(places),
            false => Err(Refusal::PoolRequired { pools: self.terms.names() }),
        }
    }

    /// The PerUser pool for the member's login mode with the lowest version that suffices; if none suffices, the
    /// highest.
    fn pool_of_member(&self) -> Result<usize, Refusal> {
        let mode = self.member("")?.1.login().ok_or(Refusal::LoginModeNone)?;
        let of_kind =
            |place: &usize| self.pool(*place).model == PoolModel::PerUser && self.pool(*place).login_mode == Some(mode);
        let mut places: Vec<usize> = (0..self.terms.pools.len()).filter(of_kind).collect();
        places.sort_by_key(|place| self.pool(*place).newest().map_or(u64::MAX, u64::from));
        let suffices = places.iter().find(|place| self.pool(**place).entitles(self.request.version));
        suffices.or(places.last()).copied().ok_or(Refusal::NoPoolForLoginMode { mode })
    }

    /// The member who asks, if they may log in, and their mode.
    fn member(&self, pool: &str) -> Result<(&RankedMember, MemberMode), Refusal> {
        if !self.people.has_roster() {
            return Err(Refusal::RosterMissing);
        }
        let user = self.request.user.ok_or_else(|| Refusal::UserRequired { pool: pool.to_owned() })?;
        let member = self.asking_member(user).ok_or(Refusal::NotInRoster)?;
        match member.mode_for(self.request.namespace) {
            MemberMode::None => Err(Refusal::LoginModeNone),
            mode => Ok((member, mode)),
        }
    }

    /// The member of that name.
    fn asking_member(&self, user: &str) -> Option<&RankedMember> {
        self.headcount.ranked.member(Members::find(self.people, user)?)
    }

    /// The member whose seats are kept under that name.
    fn holding_member(&self, user: &str) -> Option<&RankedMember> {
        self.headcount.ranked.member(self.people.find(user)?)
    }

    fn in_one_of(&self, mut places: Vec<usize>, count: u32) -> Result<Grant, Refusal> {
        let mut refusal = None;
        places.retain(|place| match self.admits(*place) {
            Ok(()) => true,
            Err(why) => {
                refusal.get_or_insert(why);
                false
            }
        });
        if places.iter().any(|place| self.entitled(*place)) {
            places.retain(|place| self.entitled(*place));
        }
        for place in &places {
            if let Some(grant) = self.share(*place)? {
                return Ok(grant);
            }
        }
        for place in places {
            match self.take(place, count) {
                Ok(grant) => return Ok(grant),
                Err(why) => refusal.get_or_insert(why),
            };
        }
        Err(refusal.unwrap_or(Refusal::NoPools))
    }

    /// Checks that the pool is for this user.
    fn admits(&self, place: usize) -> Result<(), Refusal> {
        let pool = self.pool(place);
        let name = || pool.name.to_string();
        let shared = pool.count_by == CountBy::User && self.request.user.is_some();
        if shared && self.request.count > 1 {
            let why = format!("all sessions of a user share one seat of pool `{}`, so `count` must be 1", pool.name);
            return Err(Refusal::InvalidRequest(why));
        }
        match pool.model {
            PoolModel::Concurrent | PoolModel::Unlimited | PoolModel::PerUser => Ok(()),
            PoolModel::Fixed | PoolModel::Named => {
                let user = self.request.user.ok_or_else(|| Refusal::UserRequired { pool: name() })?;
                if !pool.is_assigned(user, self.terms.mode) {
                    return Err(Refusal::NotAssigned { pool: name() });
                }
                self.on_one_client(place)
            }
            PoolModel::PerEmployee => {
                let (member, _) = self.member(&pool.name)?;
                self.licensed(place, member.rank, member.standing)
            }
        }
    }

    /// Checks that a Fixed seat is used on one machine at a time, whatever its sessions are called (M3).
    fn on_one_client(&self, place: usize) -> Result<(), Refusal> {
        let pool = self.pool(place);
        let Some(user) = self.request.kept_user().filter(|_| pool.model == PoolModel::Fixed) else { return Ok(()) };
        let client =
            self.request.kept_client().ok_or_else(|| Refusal::ClientRequired { pool: pool.name.to_string() })?;
        let mut held = self.sessions_of(place, user);
        match held.find_map(|other| other.client.filter(|other| *other != client)) {
            Some(other) => Err(Refusal::InUseOnOtherClient { pool: pool.name.to_string(), client: other.to_owned() }),
            None => Ok(()),
        }
    }

    fn licensed(&self, place: usize, rank: u32, standing: Standing) -> Result<(), Refusal> {
        // In demo mode nobody has a licence: first come, first served.
        if self.terms.mode == Mode::Demo || self.headcount.licenses(self.terms, place, rank, standing) {
            return Ok(());
        }
        let pool = self.pool(place).name.to_string();
        let limit = self.headcount.licences(self.terms, place, standing);
        let members = self.headcount.members(self.terms, place);
        Err(Refusal::RosterExceedsSeats { pool, members, limit })
    }

    /// Lets a user who holds a seat share it with another session. That takes no new seat, whatever the limit is now.
    fn share(&self, place: usize) -> Result<Option<Grant>, Refusal> {
        let pool = self.pool(place);
        let Some(user) = self.request.kept_user().filter(|_| pool.count_by == CountBy::User) else { return Ok(None) };
        let Some(seat) = self.sessions_of(place, user).next() else { return Ok(None) };
        if !self.entitled(place) && self.demo_room() == 0 {
            return Err(self.refuse(place, 1));
        }
        let Some(slots) = self.table.slots(&pool.name) else { return Ok(None) };
        let (mut all, mut own) = (0, 0);
        for held in slots.on(seat.slot) {
            all += 1;
            own += usize::from(held.taker == self.request.taker);
        }
        if own >= MAX_SHARING || all >= MAX_SHARING_IN_ALL {
            let limit = if own >= MAX_SHARING { MAX_SHARING } else { MAX_SHARING_IN_ALL };
            return Err(Refusal::TooManySessions { pool: pool.name.to_string(), limit });
        }
        if !slots.has_room(seat.slot, self.line_bytes()) {
            return Err(Refusal::InvalidRequest(format!(
                "the names of the sessions in pool `{}` are too long for the ledger: use a shorter `session`, `client` and \
                 `request`",
                pool.name
            )));
        }
        Ok(Some(self.grant(place, vec![seat.slot])))
    }

    fn take(&self, place: usize, count: u32) -> Result<Grant, Refusal> {
        if self.room(place, self.team(), None) < u64::from(count) {
            return Err(self.refuse(place, count));
        }
        if self.pool(place).limit.is_none() && self.table.in_use_at_all() + u64::from(count) > MAX_UNLIMITED {
            let pool = self.pool(place).name.to_string();
            return Err(Refusal::UnlimitedPoolFull { pool, limit: MAX_UNLIMITED });
        }
        let empty = Slots::default();
        let slots = self.table.slots(&self.pool(place).name).unwrap_or(&empty);
        Ok(self.grant(place, slots.free_for(self.line_bytes()).take(count as usize).collect()))
    }

    /// The most bytes that a seat of this request takes in a base.
    fn line_bytes(&self) -> u32 {
        let Request { session, request, .. } = *self.request;
        room_of_seat(&Occupant {
            slot: MAX_SEATS,
            user: self.request.kept_user(),
            session,
            client: self.request.kept_client(),
            request,
            since: self.now.timestamp(),
            taker: None,
        })
    }

    /// PerUser (T6–T9): grants a seat of the member's kind, or else one of the other kind that nobody needs.
    fn per_user(&self, place: usize) -> Result<Grant, Refusal> {
        let pool = self.pool(place);
        let (member, mode) = self.member(&pool.name)?;
        if self.request.count > 1 {
            return Err(Refusal::InvalidRequest(format!(
                "a user holds only one seat of pool `{}`, so `count` must be 1",
                pool.name
            )));
        }
        let rank = member.rank_of_kind(mode).ok_or(Refusal::LoginModeNone)?;
        self.licensed(place, rank, member.standing)?;
        let refusal = match self.take(place, 1) {
            Ok(grant) => return Ok(grant),
            Err(refusal) => refusal,
        };
        let overflow = pool.overflows_to.as_ref().and_then(|name| self.terms.place(name));
        let other = match (self.terms.mode, overflow) {
            (Mode::Demo, _) => None,
            (_, None) => self.take_after_move(place),
            (_, Some(active)) => {
                let unneeded = self.table.in_use(&self.pool(active).name) - self.headcount.pools[active].by_active
                    < self.headcount.spare(self.terms, active, member.standing);
                if unneeded { self.take(active, 1).ok() } else { None }
            }
        };
        other.ok_or(refusal)
    }

    /// Moves one session that overflowed back to its own pool, if that makes room for an Active member.
    fn take_after_move(&self, active: usize) -> Option<Grant> {
        let pool = self.pool(active);
        let slots = self.table.slots(&pool.name)?;
        let home = self.terms.pools.iter().position(|other| other.overflows_to.as_ref() == Some(&pool.name))?;
        if self.terms.pools[home].limit.is_some_and(|limit| self.held(home) >= limit) {
            return None;
        }
        let mover = self.headcount.pools[active].overflowed.iter().find_map(|slot| {
            let mover = slots.on(*slot).next()?;
            let team = self.holding_member(mover.user?)?.team.as_deref();
            let fits = self.room_for_any_version(home, team, None) > 0;
            (fits && self.room(active, self.team(), Some(team)) > 0).then_some(mover)
        })?;
        let empty = Slots::default();
        let to = Occupant { slot: MAX_SEATS, ..mover };
        let to = self.table.slots(&self.pool(home).name).unwrap_or(&empty).free_for(room_of_seat(&to)).next()?;
        let slot = slots.free_for(self.line_bytes()).next()?.min(mover.slot);
        let mut grant = self.grant(active, vec![slot]);
        let back = hold(&self.pool(home).name, to, mover);
        grant.records.splice(0..0, [free(&pool.name, &mover), back]);
        Some(grant)
    }

    /// How many seats of a pool the request may take. `leaving` is the team, if any, of a member who leaves a seat
    /// first; `None` if nobody leaves.
    fn room(&self, place: usize, team: Option<&str>, leaving: Option<Option<&str>>) -> u64 {
        let pool = self.pool(place);
        if self.terms.mode == Mode::Demo {
            return self.demo_room();
        }
        let room = self.room_for_any_version(place, team, leaving);
        if !self.entitled(place) {
            return room.min(self.demo_room());
        }
        let held = self.held(place) - u64::from(leaving.is_some());
        room.min(pool.limit_for(self.request.version).map_or(u64::MAX, |limit| limit.saturating_sub(held)))
    }

    fn room_for_any_version(&self, place: usize, team: Option<&str>, leaving: Option<Option<&str>>) -> u64 {
        let pool = self.pool(place);
        let Some(limit) = pool.limit else { return u64::MAX };
        let held = self.held(place) - u64::from(leaving.is_some());
        limit.saturating_sub(held).saturating_sub(self.reserved(place, team, leaving.flatten()))
    }

    /// Seats reserved for other teams.
    fn reserved(&self, place: usize, team: Option<&str>, leaving: Option<&str>) -> u64 {
        let reservations = self.pool(place).reservations.iter().zip(&self.headcount.pools[place].teams);
        let others = reservations.filter(|((other, _), _)| Some(other.as_str()) != team);
        others
            .map(|((other, seats), held)| seats.saturating_sub(held - u64::from(Some(other.as_str()) == leaving)))
            .sum()
    }

    fn demo_room(&self) -> u64 {
        self.terms.demo_room(self.held_in_all())
    }

    /// The seats of a pool that are held, also under other Licenses.
    fn held(&self, place: usize) -> u64 {
        let pool = &self.pool(place).name;
        self.table.in_use(pool) + self.elsewhere.of(pool)
    }

    fn held_in_all(&self) -> u64 {
        self.table.in_use_at_all() + self.elsewhere.in_all()
    }

    /// Why there is no room for `count` seats.
    fn refuse(&self, place: usize, count: u32) -> Refusal {
        let pool = self.pool(place);
        let held = self.held(place);
        let limit = pool.limit_for(self.request.version).unwrap_or(u64::MAX);
        let name = pool.name.to_string();
        if self.terms.mode == Mode::Demo {
            Refusal::DemoSeatsExhausted { held: self.held_in_all(), demo_seats: self.terms.demo_seats }
        } else if !self.entitled(place) {
            let newest = self.terms.pools.iter().filter_map(PoolTerms::newest).max();
            Refusal::VersionNotEntitled { version: self.request.version.unwrap_or(0), newest }
        } else if held.saturating_add(count.into()) > limit {
            Refusal::SeatsExhausted { elsewhere: self.elsewhere.of(&name), pool: name, held, limit, asked: count }
        } else {
            Refusal::ReservedForTeam { pool: name, held, limit, reserved: self.reserved(place, self.team(), None) }
        }
    }

    fn grant(&self, place: usize, slots: Vec<u32>) -> Grant {
        let pool = &self.pool(place).name;
        let seat = |slot: &u32| Seat { pool: pool.clone(), slot: *slot };
        let record = |slot: &u32| {
            let Request { session, request, taker, .. } = *self.request;
            let (user, client, since) = (self.request.kept_user(), self.request.kept_client(), self.now.timestamp());
            hold(pool, *slot, Occupant { slot: *slot, user, session, client, request, since, taker })
        };
        Grant {
            seats: slots.iter().map(seat).collect(),
            access: self.access(pool),
            records: slots.iter().map(record).collect(),
        }
    }

    /// Passive members may only read, whichever pool their seat is in (T2, T7). A member who has left keeps their last
    /// access.
    fn access(&self, pool: &str) -> Access {
        let Some(pool) = self.terms.pool(pool) else { return Access::Full };
        let was = || {
            let last = self.people.last_known(self.request.user?, self.request.namespace, self.now);
            last.map(|member| member.mode)
        };
        let read_only = match (pool.model, pool.login_mode) {
            (PoolModel::PerUser, Some(LoginMode::Passive)) => true,
            (PoolModel::PerUser | PoolModel::PerEmployee, _) => was() == Some(MemberMode::Passive),
            _ => false,
        };
        if read_only { Access::ReadOnly } else { Access::Full }
    }

    /// Whether the version of the workload allows a seat of the pool. In demo mode every version does.
    fn entitled(&self, place: usize) -> bool {
        self.terms.mode == Mode::Demo || self.pool(place).entitles(self.request.version)
    }

    fn team(&self) -> Option<&str> {
        self.asking_member(self.request.user?)?.team.as_deref()
    }

    fn sessions_of<'a>(&'a self, place: usize, user: &'a str) -> impl Iterator<Item = Occupant<'a>> {
        self.table.slots(&self.pool(place).name).into_iter().flat_map(move |slots| slots.of_user(user))
    }

    fn pool(&self, place: usize) -> &PoolTerms {
        &self.terms.pools[place]
    }
}

fn hold(pool: &Arc<str>, slot: u32, by: Occupant) -> Record {
    Record::Hold(Hold {
        pool: pool.clone(),
        slot,
        user: by.user.map(Box::from),
        session: by.session.into(),
        since: by.since,
        client: by.client.map(Box::from),
        request: by.request.map(Box::from),
        taker: by.taker,
    })
}
