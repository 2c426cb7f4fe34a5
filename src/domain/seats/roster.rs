//! People: who is a member at an instant, and in which order (docs/design/domain.md, Seats; T1–T3, T6, T8).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDate;
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::Instant;
use crate::domain::contract::term::start_of_day;
use crate::domain::license::pool::LoginMode;

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
pub struct Member {
    pub user: String,
    pub login_mode: MemberMode,
    pub entry_date: NaiveDate,
    /// The first day on which the user is no longer a member.
    pub exit_date: Option<NaiveDate>,
    pub team: Option<String>,
}

/// One list of people. Its dates are civil dates in its time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    pub name: String,
    pub time_zone: Tz,
    pub members: Vec<Member>,
}

/// A user with overlapping entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateMember {
    pub user: String,
    /// The Rosters of the overlapping entries, each once, in order of name.
    pub rosters: Vec<String>,
}

/// All people of one License.
#[derive(Debug, Default)]
pub struct People {
    has_roster: bool,
    /// In order of user.
    persons: Vec<Person>,
    /// Every instant at which some membership begins or ends, in order.
    changes: Vec<Instant>,
    pub duplicates: Vec<DuplicateMember>,
}

#[derive(Debug)]
struct Person {
    user: Box<str>,
    /// Disjoint, in order of time.
    spells: Box<[Spell]>,
}

/// A time during which one entry of a user counts.
#[derive(Debug)]
struct Spell {
    from: Instant,
    /// The first instant not covered.
    until: Instant,
    mode: MemberMode,
    entry_date: NaiveDate,
    team: Option<Arc<str>>,
}

/// What a user is at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership<'p> {
    pub mode: MemberMode,
    pub entry_date: NaiveDate,
    pub team: Option<&'p str>,
}

struct Period<'r> {
    from: Instant,
    until: Instant,
    roster: &'r str,
    member: &'r Member,
}

impl People {
    /// Unites the members of `rosters`, by exact user name. Where entries overlap, Active counts over Passive over
    /// None, then the earlier entry date, then the Roster's name. Costs O(n log n): some milliseconds for 50,000
    /// people.
    pub fn unite(rosters: &[Roster]) -> People {
        let mut days: BTreeMap<(&str, NaiveDate), Instant> = BTreeMap::new();
        let mut day = |zone: Tz, date| *days.entry((zone.name(), date)).or_insert_with(|| start_of_day(date, zone));
        let mut periods: Vec<Period> = Vec::with_capacity(rosters.iter().map(|r| r.members.len()).sum());
        for roster in rosters {
            for member in &roster.members {
                let from = day(roster.time_zone, member.entry_date);
                let until = member.exit_date.map_or(Instant::MAX_UTC, |date| day(roster.time_zone, date));
                periods.push(Period { from, until, roster: &roster.name, member });
            }
        }
        // An entry that ends before it begins is never current.
        periods.retain(|period| period.from < period.until);
        periods.sort_by(|a, b| {
            let key = |p: &Period| (p.member.login_mode, p.member.entry_date);
            (&a.member.user, key(a), a.roster).cmp(&(&b.member.user, key(b), b.roster))
        });
        let mut people = People { has_roster: !rosters.is_empty(), ..People::default() };
        let mut teams: BTreeMap<&str, Arc<str>> = BTreeMap::new();
        for of_one in periods.chunk_by(|a, b| a.member.user == b.member.user) {
            let user = &of_one[0].member.user;
            let (spells, doubled) = spells(of_one, &mut teams);
            if !doubled.is_empty() {
                let rosters = doubled.into_iter().map(str::to_owned).collect();
                people.duplicates.push(DuplicateMember { user: user.clone(), rosters });
            }
            people.persons.push(Person { user: user.as_str().into(), spells: spells.into() });
        }
        let ends = people.persons.iter().flat_map(|p| p.spells.iter()).flat_map(|s| [s.from, s.until]);
        people.changes = ends.filter(|at| *at < Instant::MAX_UTC).collect();
        people.changes.sort_unstable();
        people.changes.dedup();
        people
    }

    /// Whether the License has a Roster at all, even an empty one.
    pub fn has_roster(&self) -> bool {
        self.has_roster
    }

    /// The membership of `user` at `now`; `None` if they are not a member.
    pub fn current(&self, user: &str, now: Instant) -> Option<Membership<'_>> {
        self.persons[self.find(user)?].at(now).map(Spell::membership)
    }

    /// The membership of `user` at `now`, or their last one if it has ended.
    pub fn last_known(&self, user: &str, now: Instant) -> Option<Membership<'_>> {
        let person = &self.persons[self.find(user)?];
        let begun = person.spells.partition_point(|spell| spell.from <= now);
        Some(person.spells[begun.checked_sub(1)?].membership())
    }

    /// The first instant after `now` at which any membership changes.
    pub fn next_change(&self, now: Instant) -> Option<Instant> {
        self.changes.get(self.changes.partition_point(|at| *at <= now)).copied()
    }

    /// Everybody who ever was or will be a member, in order of place.
    pub(super) fn users(&self) -> impl Iterator<Item = &str> {
        self.persons.iter().map(|person| &*person.user)
    }

    /// The place of `user` among all people.
    pub(super) fn find(&self, user: &str) -> Option<usize> {
        self.persons.binary_search_by(|person| (*person.user).cmp(user)).ok()
    }
}

impl Person {
    fn at(&self, now: Instant) -> Option<&Spell> {
        let begun = self.spells.partition_point(|spell| spell.from <= now);
        self.spells[..begun].last().filter(|spell| now < spell.until)
    }
}

impl Spell {
    fn membership(&self) -> Membership<'_> {
        Membership { mode: self.mode, entry_date: self.entry_date, team: self.team.as_deref() }
    }
}

/// Which of the periods of one user counts when, and the Rosters of those that overlap. `periods` are in order of
/// precedence.
fn spells<'r>(periods: &[Period<'r>], teams: &mut BTreeMap<&'r str, Arc<str>>) -> (Vec<Spell>, BTreeSet<&'r str>) {
    let mut events: Vec<(Instant, bool, usize)> = Vec::with_capacity(2 * periods.len());
    for (n, period) in periods.iter().enumerate() {
        events.extend([(period.until, false, n), (period.from, true, n)]);
    }
    // An end comes before a beginning at the same instant: returning on the day of the exit is no overlap.
    events.sort_unstable();
    let mut spells: Vec<Spell> = Vec::new();
    let mut doubled = BTreeSet::new();
    let mut open: BTreeSet<usize> = BTreeSet::new();
    for (i, (at, begins, n)) in events.iter().enumerate() {
        match begins {
            true => {
                if let Some(other) = open.first() {
                    doubled.extend([periods[*n].roster, periods[*other].roster]);
                }
                open.insert(*n)
            }
            false => open.remove(n),
        };
        let until = events.get(i + 1).map_or(*at, |next| next.0);
        let Some(first) = open.first().filter(|_| *at < until) else { continue };
        let member = periods[*first].member;
        let team = member.team.as_deref().map(|t| teams.entry(t).or_insert_with(|| t.into()).clone());
        let spell = Spell { from: *at, until, mode: member.login_mode, entry_date: member.entry_date, team };
        match spells.last_mut().filter(|last| last.until == *at && last.membership() == spell.membership()) {
            Some(last) => last.until = until,
            None => spells.push(spell),
        }
    }
    (spells, doubled)
}

/// The members at one instant, in the order in which they are licensed: by entry date, then user.
#[derive(Debug, Default)]
pub(super) struct Roll {
    /// The instant from which this holds; `None` if it always has.
    pub from: Option<Instant>,
    /// The first instant at which this no longer holds; `None` if it always will.
    pub until: Option<Instant>,
    /// By place among all people.
    entries: Vec<Option<Enrolled>>,
    /// How many members need a seat: all of them, and those of each kind.
    pub members: u32,
    pub active: u32,
    pub passive: u32,
}

/// A member who needs a seat, or (mode None) one who does not.
#[derive(Clone, Debug)]
pub(super) struct Enrolled {
    pub mode: MemberMode,
    pub team: Option<Arc<str>>,
    /// How many members come before this one: of all who need a seat, and of those of the same kind.
    pub rank: u32,
    pub rank_of_kind: u32,
}

impl Roll {
    /// Computes the order of the members at `now`. Costs O(n log n); holds until the next change of any membership.
    pub fn call(people: &People, now: Instant) -> Roll {
        let before = people.changes.partition_point(|at| *at <= now);
        let mut roll = Roll {
            from: before.checked_sub(1).map(|i| people.changes[i]),
            until: people.changes.get(before).copied(),
            entries: vec![None; people.persons.len()],
            ..Roll::default()
        };
        let mut current: Vec<(NaiveDate, usize)> = Vec::new();
        for (place, person) in people.persons.iter().enumerate() {
            let Some(spell) = person.at(now) else { continue };
            let entry = Enrolled { mode: spell.mode, team: spell.team.clone(), rank: 0, rank_of_kind: 0 };
            roll.entries[place] = Some(entry);
            current.push((spell.entry_date, place));
        }
        // Places are in order of user.
        current.sort_unstable();
        for (_, place) in current {
            let Some(entry) = roll.entries[place].as_mut() else { continue };
            let of_kind = match entry.mode {
                MemberMode::Active => &mut roll.active,
                MemberMode::Passive => &mut roll.passive,
                MemberMode::None => continue,
            };
            (entry.rank, entry.rank_of_kind) = (roll.members, *of_kind);
            roll.members += 1;
            *of_kind += 1;
        }
        roll
    }

    pub fn holds_at(&self, now: Instant) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }

    pub fn entry(&self, place: usize) -> Option<&Enrolled> {
        self.entries.get(place)?.as_ref()
    }
}
