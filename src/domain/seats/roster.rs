//! Members: who is a member at an instant, and in which order (docs/design/domain.md, Seats; T1–T3, T6, T8).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::Instant;
use crate::domain::contract::term::start_of_day;
use crate::domain::license::pool::LoginMode;
use crate::domain::names::without_case;
use crate::domain::zone::Zone;

/// What a member may do. Where entries of one user overlap, Active counts before Passive, and Passive before None.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum MemberMode {
    /// May change data.
    Active,
    /// May only read.
    Passive,
    /// Needs no licence and cannot log in.
    None,
}

impl MemberMode {
    /// The kind of seat that a member of this mode needs; `None` if the member needs no seat.
    pub fn login(self) -> Option<LoginMode> {
        match self {
            MemberMode::Active => Some(LoginMode::Active),
            MemberMode::Passive => Some(LoginMode::Passive),
            MemberMode::None => None,
        }
    }
}

/// One entry of a Roster: one period of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterEntry {
    pub user: String,
    pub login_mode: MemberMode,
    pub entry_date: NaiveDate,
    /// The first day on which the user is no longer a member.
    pub exit_date: Option<NaiveDate>,
    pub team: Option<String>,
}

/// Whose people a Roster lists. The owner's come first: in the order in which members are licensed, and where entries of
/// one user overlap. Somebody in another namespace that may use the seats must not push them out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// People of the License's owner.
    #[default]
    Own,
    /// People of somebody else, whom the owner lets use the seats.
    Guest,
}

/// One list of people. Its dates are civil dates in its time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    pub name: String,
    pub standing: Standing,
    pub time_zone: Zone,
    pub entries: Vec<RosterEntry>,
}

/// A user with overlapping entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateMember {
    pub user: String,
    /// The Rosters of the overlapping entries, each once, in order of name.
    pub rosters: Vec<String>,
}

/// Users whose names differ only in upper and lower case. They are several users, and easily taken for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlikeMembers {
    pub users: Vec<String>,
    /// The Rosters that name some of them, each once, in order of name.
    pub rosters: Vec<String>,
}

/// The members of one License: the entries of all its Rosters, united.
#[derive(Debug, Default)]
pub struct Members {
    has_roster: bool,
    /// In order of user.
    each: Vec<Member>,
    /// Every instant at which some period begins or ends, in order.
    changes: Vec<Instant>,
    pub duplicates: Vec<DuplicateMember>,
    pub alike: Vec<AlikeMembers>,
}

/// A user who is a member now, was one or will be one.
#[derive(Debug)]
struct Member {
    user: Box<str>,
    /// Disjoint, in order of time.
    periods: Box<[Period]>,
}

/// A time during which one entry of a user counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    from: Instant,
    /// The first instant not covered.
    until: Instant,
    pub mode: MemberMode,
    pub standing: Standing,
    pub entry_date: NaiveDate,
    pub team: Option<Arc<str>>,
}

/// An entry, from which instant until which, and its Roster.
struct DatedEntry<'r> {
    from: Instant,
    until: Instant,
    roster: &'r str,
    standing: Standing,
    entry: &'r RosterEntry,
}

impl Members {
    /// Unites the members of `rosters`, by user in the form in which names are compared. Where entries overlap, the owner's count over those of
    /// guests, then Active over Passive over None, then the earlier entry date, then the Roster's name. Costs O(n log n): some milliseconds for 50,000
    /// people.
    pub fn unite(rosters: &[Roster]) -> Members {
        let mut days: BTreeMap<(&str, NaiveDate), Instant> = BTreeMap::new();
        let mut entries: Vec<DatedEntry> = Vec::with_capacity(rosters.iter().map(|r| r.entries.len()).sum());
        for roster in rosters {
            let zone = &roster.time_zone;
            let mut day = |date| *days.entry((zone.name(), date)).or_insert_with(|| start_of_day(date, zone));
            for entry in &roster.entries {
                let from = day(entry.entry_date);
                let until = entry.exit_date.map_or(Instant::MAX_UTC, &mut day);
                entries.push(DatedEntry { from, until, roster: &roster.name, standing: roster.standing, entry });
            }
        }
        // An entry that ends before it begins is never current.
        entries.retain(|dated| dated.from < dated.until);
        entries.sort_by(|a, b| {
            let key = |dated: &DatedEntry| (dated.standing, dated.entry.login_mode, dated.entry.entry_date);
            (&a.entry.user, key(a), a.roster).cmp(&(&b.entry.user, key(b), b.roster))
        });
        let alike = [Standing::Own, Standing::Guest].iter().flat_map(|standing| alike(&entries, *standing)).collect();
        let mut members = Members { has_roster: !rosters.is_empty(), alike, ..Members::default() };
        let mut teams: BTreeMap<&str, Arc<str>> = BTreeMap::new();
        for of_one in entries.chunk_by(|a, b| a.entry.user == b.entry.user) {
            let user = &of_one[0].entry.user;
            let (periods, doubled) = periods(of_one, &mut teams);
            if !doubled.is_empty() {
                let rosters = doubled.into_iter().map(str::to_owned).collect();
                members.duplicates.push(DuplicateMember { user: user.clone(), rosters });
            }
            members.each.push(Member { user: user.as_str().into(), periods: periods.into() });
        }
        let ends =
            members.each.iter().flat_map(|member| &member.periods).flat_map(|period| [period.from, period.until]);
        members.changes = ends.filter(|at| *at < Instant::MAX_UTC).collect();
        members.changes.sort_unstable();
        members.changes.dedup();
        members
    }

    /// Whether the License has a Roster at all, even an empty one.
    pub fn has_roster(&self) -> bool {
        self.has_roster
    }

    /// The period of `user` that covers `now`; `None` if they are not a member then.
    pub fn current(&self, user: &str, now: Instant) -> Option<&Period> {
        self.each[self.find(user)?].at(now)
    }

    /// The period of `user` that covers `now`, or their last one before if none does.
    pub fn last_known(&self, user: &str, now: Instant) -> Option<&Period> {
        let member = &self.each[self.find(user)?];
        let begun = member.periods.partition_point(|period| period.from <= now);
        member.periods.get(begun.checked_sub(1)?)
    }

    /// The first instant after `now` at which any period begins or ends.
    pub fn next_change(&self, now: Instant) -> Option<Instant> {
        self.changes.get(self.changes.partition_point(|at| *at <= now)).copied()
    }

    /// Everybody who ever was or will be a member, in order of place.
    pub(super) fn users(&self) -> impl ExactSizeIterator<Item = &str> {
        self.each.iter().map(|member| &*member.user)
    }

    /// The place of `user` among all who ever were or will be members.
    pub(super) fn find(&self, user: &str) -> Option<usize> {
        self.each.binary_search_by(|member| (*member.user).cmp(user)).ok()
    }
}

impl Member {
    fn at(&self, now: Instant) -> Option<&Period> {
        let begun = self.periods.partition_point(|period| period.from <= now);
        self.periods[..begun].last().filter(|period| now < period.until)
    }
}

impl Period {
    /// Whether the user is the same in both periods.
    fn is_like(&self, other: &Period) -> bool {
        let what = |period: &Period| (period.mode, period.standing, period.entry_date);
        what(self) == what(other) && self.team == other.team
    }
}

/// The users whose names differ only in case, as the Rosters of that standing show them: whatever guests write, the owner's
/// Rosters are in order.
fn alike(entries: &[DatedEntry], standing: Standing) -> Vec<AlikeMembers> {
    if !entries.iter().any(|dated| dated.standing == standing) {
        return Vec::new();
    }
    let seen = entries.iter().filter(|dated| dated.standing <= standing);
    let mut named: Vec<(Cow<str>, &DatedEntry)> = seen.map(|dated| (without_case(&dated.entry.user), dated)).collect();
    // Nearly always they are in this order already.
    named.sort_by(|a, b| a.0.cmp(&b.0));
    let group = |group: &[(Cow<str>, &DatedEntry)]| {
        let users: BTreeSet<&str> = group.iter().map(|(_, dated)| dated.entry.user.as_str()).collect();
        let own = group.iter().filter(|(_, dated)| dated.standing == standing);
        let rosters: BTreeSet<&str> = own.map(|(_, dated)| dated.roster).collect();
        let owned = |names: BTreeSet<&str>| names.into_iter().map(str::to_owned).collect();
        let are_alike = users.len() > 1 && !rosters.is_empty();
        are_alike.then(|| AlikeMembers { users: owned(users), rosters: owned(rosters) })
    };
    named.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1).filter_map(group).collect()
}

/// Which of the entries of one user counts when, and the Rosters of those that overlap. `entries` are in order of
/// precedence.
fn periods<'r>(
    entries: &[DatedEntry<'r>],
    teams: &mut BTreeMap<&'r str, Arc<str>>,
) -> (Vec<Period>, BTreeSet<&'r str>) {
    let mut events: Vec<(Instant, bool, usize)> = Vec::with_capacity(2 * entries.len());
    for (n, dated) in entries.iter().enumerate() {
        events.extend([(dated.until, false, n), (dated.from, true, n)]);
    }
    // An end comes before a beginning at the same instant: returning on the day of the exit is no overlap.
    events.sort_unstable();
    let mut periods: Vec<Period> = Vec::new();
    let mut doubled = BTreeSet::new();
    let mut open: BTreeSet<usize> = BTreeSet::new();
    for (i, (at, begins, n)) in events.iter().enumerate() {
        match begins {
            true => {
                if let Some(other) = open.first() {
                    let (one, other) = (&entries[*n], &entries[*other]);
                    // Whatever guests write, the owner's Roster is in order.
                    let counts_less = |entry: &&&DatedEntry| entry.standing >= one.standing.max(other.standing);
                    doubled.extend([one, other].iter().filter(counts_less).map(|entry| entry.roster));
                }
                open.insert(*n)
            }
            false => open.remove(n),
        };
        let until = events.get(i + 1).map_or(*at, |next| next.0);
        let Some(first) = open.first().filter(|_| *at < until) else { continue };
        let DatedEntry { standing, entry, .. } = &entries[*first];
        let RosterEntry { login_mode: mode, entry_date, team, .. } = entry;
        // Seats are reserved for teams of the owner.
        let team = team.as_deref().filter(|_| *standing == Standing::Own);
        let team = team.map(|t| teams.entry(t).or_insert_with(|| t.into()).clone());
        let period = Period { from: *at, until, mode: *mode, standing: *standing, entry_date: *entry_date, team };
        match periods.last_mut().filter(|last| last.until == *at && last.is_like(&period)) {
            Some(last) => last.until = until,
            None => periods.push(period),
        }
    }
    (periods, doubled)
}

/// The members at one instant, in the order in which they are licensed: the owner's before guests, then by entry date, then
/// by user.
#[derive(Debug, Default)]
pub(super) struct RankedMembers {
    /// The instant from which this holds; `None` if it always has.
    pub from: Option<Instant>,
    /// The first instant at which this no longer holds; `None` if it always will.
    pub until: Option<Instant>,
    /// By place among all who ever were or will be members.
    each: Vec<Option<RankedMember>>,
    /// How many members need a seat: all of them, and those of each kind.
    pub members: u32,
    pub active: u32,
    pub passive: u32,
    /// How many of them are the owner's.
    pub own_active: u32,
    pub own_passive: u32,
}

/// A member who needs a seat, or (mode None) one who does not.
#[derive(Clone, Debug)]
pub(super) struct RankedMember {
    pub mode: MemberMode,
    pub standing: Standing,
    pub team: Option<Arc<str>>,
    /// How many members come before this one: of all who need a seat, and of those of the same kind.
    pub rank: u32,
    pub rank_of_kind: u32,
}

impl RankedMembers {
    /// Computes the order of the members at `now`. Costs O(n log n); holds until the next period begins or ends.
    pub fn at(members: &Members, now: Instant) -> RankedMembers {
        let before = members.changes.partition_point(|at| *at <= now);
        let mut ranked = RankedMembers {
            from: before.checked_sub(1).map(|i| members.changes[i]),
            until: members.changes.get(before).copied(),
            each: vec![None; members.each.len()],
            ..RankedMembers::default()
        };
        let mut current: Vec<(Standing, NaiveDate, usize)> = Vec::new();
        for (place, member) in members.each.iter().enumerate() {
            let Some(period) = member.at(now) else { continue };
            let Period { mode, standing, entry_date, team, .. } = period.clone();
            ranked.each[place] = Some(RankedMember { mode, standing, team, rank: 0, rank_of_kind: 0 });
            current.push((standing, entry_date, place));
        }
        // Places are in order of user.
        current.sort_unstable();
        for (standing, _, place) in current {
            let Some(member) = ranked.each[place].as_mut() else { continue };
            let (of_kind, own_of_kind) = match member.mode {
                MemberMode::Active => (&mut ranked.active, &mut ranked.own_active),
                MemberMode::Passive => (&mut ranked.passive, &mut ranked.own_passive),
                MemberMode::None => continue,
            };
            (member.rank, member.rank_of_kind) = (ranked.members, *of_kind);
            ranked.members += 1;
            *of_kind += 1;
            *own_of_kind += u32::from(standing == Standing::Own);
        }
        ranked
    }

    pub fn holds_at(&self, now: Instant) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }

    /// The member at a place; `None` if that user is not a member now.
    pub fn member(&self, place: usize) -> Option<&RankedMember> {
        self.each.get(place)?.as_ref()
    }
}
