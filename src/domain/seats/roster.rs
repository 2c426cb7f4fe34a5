//! Members: who is a member at an instant (docs/design/domain.md, Seats; T1–T3, T6, T8). `ranking.rs` puts them in order.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::once;
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

/// Which rank the people on a Roster have. The owner's come first: in the order in which members are licensed, and where
/// entries of one user overlap. Somebody in another namespace that may use the seats must not push them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// People of the License's owner.
    Own,
    /// People of somebody else, whom the owner lets use the seats.
    Guest,
}

/// One list of people. Its dates are civil dates in its time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    pub name: String,
    /// The namespace of the guest who writes it; `None` if the owner does.
    pub guest: Option<Arc<str>>,
    /// Whether the owner gives a guest's people the standing of its own. The guest still sees nobody else's.
    pub is_equal: bool,
    pub time_zone: Zone,
    pub entries: Vec<RosterEntry>,
}

/// A user with overlapping entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateMember {
    /// The guest on whose Rosters it is shown; `None` if on the owner's.
    pub shown_to: Option<Arc<str>>,
    pub user: String,
    /// The Rosters of the overlapping entries, each once, in order of name.
    pub rosters: Vec<String>,
}

/// Users whose names differ only in upper and lower case. They are several users, and easily taken for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlikeMembers {
    /// The guest on whose Rosters it is shown; `None` if on the owner's.
    pub shown_to: Option<Arc<str>>,
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
pub(super) struct Member {
    user: Box<str>,
    /// What the Rosters of the owner's standing say: disjoint, in order of time.
    own: Box<[Period]>,
    /// What those of each guest say, by namespace.
    guests: Box<[GuestPeriods]>,
}

/// What the Rosters of one guest say of a user.
#[derive(Debug)]
struct GuestPeriods {
    namespace: Arc<str>,
    periods: Box<[Period]>,
}

/// A time during which one entry of a user counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    from: Instant,
    /// The first instant not covered.
    until: Instant,
    pub mode: MemberMode,
    /// Whether the entry is on a Roster of the owner.
    pub of_owner: bool,
    pub entry_date: NaiveDate,
    pub team: Option<Arc<str>>,
}

/// An entry, from which instant until which, and its Roster.
struct DatedEntry<'r> {
    from: Instant,
    until: Instant,
    roster: &'r str,
    guest: Option<&'r Arc<str>>,
    standing: Standing,
    entry: &'r RosterEntry,
}

impl Roster {
    fn standing(&self) -> Standing {
        if self.guest.is_none() || self.is_equal { Standing::Own } else { Standing::Guest }
    }
}

impl DatedEntry<'_> {
    /// The guest among whose entries it competes; `None` if among the owner's.
    fn competes_as(&self) -> Option<&Arc<str>> {
        self.guest.filter(|_| self.standing == Standing::Guest)
    }

    /// Whether the Rosters of this guest, or of the owner, may tell of it.
    fn is_shown_to(&self, guest: Option<&Arc<str>>) -> bool {
        self.guest == guest || guest.is_none() && self.standing == Standing::Own
    }
}

impl Members {
    /// Unites the members of `rosters`, by user in the form in which names are compared. Where entries of the owner's
    /// standing overlap, Active counts before Passive, and Passive before None, then the earlier entry date, then the
    /// Roster's name. The same order holds among the entries of each guest. What one guest writes changes nothing that
    /// another has. Costs O(n log n): some milliseconds for 50,000 people.
    pub fn unite(rosters: &[Roster]) -> Members {
        let mut days: BTreeMap<(&str, NaiveDate), Instant> = BTreeMap::new();
        let mut entries: Vec<DatedEntry> = Vec::with_capacity(rosters.iter().map(|r| r.entries.len()).sum());
        for roster in rosters {
            let zone = &roster.time_zone;
            let mut day = |date| *days.entry((zone.name(), date)).or_insert_with(|| start_of_day(date, zone));
            let (roster_name, guest, standing) = (&roster.name, roster.guest.as_ref(), roster.standing());
            for entry in &roster.entries {
                let from = day(entry.entry_date);
                let until = entry.exit_date.map_or(Instant::MAX_UTC, &mut day);
                entries.push(DatedEntry { from, until, roster: roster_name, guest, standing, entry });
            }
        }
        // An entry that ends before it begins is never current.
        entries.retain(|dated| dated.from < dated.until);
        entries.sort_by(|a, b| {
            let key = |dated: &DatedEntry| (dated.entry.login_mode, dated.entry.entry_date);
            let (one, other) = ((a.competes_as(), key(a), a.roster), (b.competes_as(), key(b), b.roster));
            (&a.entry.user, one).cmp(&(&b.entry.user, other))
        });
        let mut members = Members { has_roster: !rosters.is_empty(), alike: alike(&entries), ..Members::default() };
        let mut teams: BTreeMap<&str, Arc<str>> = BTreeMap::new();
        for of_one in entries.chunk_by(|a, b| a.entry.user == b.entry.user) {
            let mut member = Member { user: of_one[0].entry.user.as_str().into(), own: [].into(), guests: [].into() };
            let mut guests = Vec::new();
            for competing in of_one.chunk_by(|a, b| a.competes_as() == b.competes_as()) {
                let periods = periods(competing, &mut teams).into();
                match competing[0].competes_as() {
                    None => member.own = periods,
                    Some(guest) => guests.push(GuestPeriods { namespace: guest.clone(), periods }),
                }
            }
            member.guests = guests.into();
            members.duplicates.extend(duplicates(of_one));
            members.each.push(member);
        }
        let ends = members.each.iter().flat_map(Member::periods).flat_map(|period| [period.from, period.until]);
        members.changes = ends.filter(|at| *at < Instant::MAX_UTC).collect();
        members.changes.sort_unstable();
        members.changes.dedup();
        members
    }

    /// Whether the License has a Roster at all, even an empty one.
    pub fn has_roster(&self) -> bool {
        self.has_roster
    }

    /// The period of `user` that counts at `now` for those who ask from `namespace`; `None` if they are not a member then.
    pub fn current(&self, user: &str, namespace: Option<&str>, now: Instant) -> Option<&Period> {
        self.last_known(user, namespace, now).filter(|period| now < period.until)
    }

    /// The same, or the last one before if none counts.
    pub fn last_known(&self, user: &str, namespace: Option<&str>, now: Instant) -> Option<&Period> {
        self.each[self.find(user)?].last_known(namespace, now)
    }

    /// The first instant after `now` at which any period begins or ends.
    pub fn next_change(&self, now: Instant) -> Option<Instant> {
        self.changes.get(self.changes.partition_point(|at| *at <= now)).copied()
    }

    /// Since when and until when the members are those of `now`; `None` if always.
    pub(super) fn unchanged_around(&self, now: Instant) -> (Option<Instant>, Option<Instant>) {
        let before = self.changes.partition_point(|at| *at <= now);
        (before.checked_sub(1).map(|i| self.changes[i]), self.changes.get(before).copied())
    }

    /// Everybody who ever was or will be a member, in order of place.
    pub(super) fn each(&self) -> &[Member] {
        &self.each
    }

    /// Their names, in order of place.
    pub(super) fn users(&self) -> impl ExactSizeIterator<Item = &str> {
        self.each.iter().map(|member| &*member.user)
    }

    /// The place of `user` among all who ever were or will be members.
    pub(super) fn find(&self, user: &str) -> Option<usize> {
        self.each.binary_search_by(|member| (*member.user).cmp(user)).ok()
    }
}

impl Member {
    fn periods(&self) -> impl Iterator<Item = &Period> {
        self.own.iter().chain(self.guests.iter().flat_map(|guest| &guest.periods))
    }

    /// What the owner's Rosters say of `now`.
    pub fn own_at(&self, now: Instant) -> Option<&Period> {
        begun(&self.own, now).filter(|period| now < period.until)
    }

    /// What those of each guest say of `now`, by namespace.
    pub fn guests_at(&self, now: Instant) -> impl Iterator<Item = (&Arc<str>, &Period)> {
        self.guests.iter().filter_map(move |guest| {
            let period = begun(&guest.periods, now).filter(|period| now < period.until)?;
            Some((&guest.namespace, period))
        })
    }

    /// What counts for those who ask from `namespace`: what the owner says, else what that namespace says itself, else what
    /// the first other guest says, by name, that lets the user log in.
    fn last_known(&self, namespace: Option<&str>, now: Instant) -> Option<&Period> {
        let guests = self.guests.iter().map(|guest| match Some(&*guest.namespace) == namespace {
            true => (1, &guest.periods),
            false => (2, &guest.periods),
        });
        let said = once((0, &self.own)).chain(guests);
        let known = said.filter_map(|(place, periods)| Some((place, begun(periods, now)?)));
        let first = known.min_by_key(|(place, period)| {
            let ended = Some(period.until).filter(|until| *until <= now).unwrap_or(Instant::MAX_UTC);
            (Reverse(ended), *place, *place == 2 && period.mode == MemberMode::None)
        });
        first.map(|(_, period)| period)
    }
}

/// The last of these periods that has begun.
fn begun(periods: &[Period], now: Instant) -> Option<&Period> {
    periods[..periods.partition_point(|period| period.from <= now)].last()
}

impl Period {
    /// Whether the user is the same in both periods.
    fn is_like(&self, other: &Period) -> bool {
        let what = |period: &Period| (period.mode, period.of_owner, period.entry_date);
        what(self) == what(other) && self.team == other.team
    }
}

/// A user without case, and as an entry writes it.
type Written<'e, 'r> = (Cow<'e, str>, &'e DatedEntry<'r>);

/// The users whose names differ only in case. A guest is told only what its own Rosters have in common: it may have written a
/// guess to learn who is on the Rosters of others. What guests write casts no doubt on the owner's Rosters.
fn alike(entries: &[DatedEntry]) -> Vec<AlikeMembers> {
    let mut named: BTreeMap<Option<&Arc<str>>, Vec<Written>> = BTreeMap::new();
    for dated in entries {
        let audiences = [dated.guest, None].into_iter().take(1 + usize::from(dated.guest.is_some()));
        for guest in audiences.filter(|guest| dated.is_shown_to(*guest)) {
            named.entry(guest).or_default().push((without_case(&dated.entry.user), dated));
        }
    }
    let mut found = Vec::new();
    for (guest, mut named) in named {
        // Nearly always they are in this order already.
        named.sort_by(|a, b| a.0.cmp(&b.0));
        for group in named.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1) {
            let users: BTreeSet<&str> = group.iter().map(|(_, dated)| dated.entry.user.as_str()).collect();
            let rosters: BTreeSet<&str> = group.iter().map(|(_, dated)| dated.roster).collect();
            if users.len() > 1 {
                let (users, rosters) = (owned(users), owned(rosters));
                found.push(AlikeMembers { shown_to: guest.cloned(), users, rosters });
            }
        }
    }
    found
}

fn owned(names: BTreeSet<&str>) -> Vec<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// The overlaps among the entries of one user, as the Rosters of each guest and of the owner show them.
fn duplicates(of_one: &[DatedEntry]) -> Vec<DuplicateMember> {
    if of_one.len() < 2 {
        return Vec::new();
    }
    let audiences: BTreeSet<Option<&Arc<str>>> = of_one.iter().map(|dated| dated.guest).chain([None]).collect();
    let found = audiences.into_iter().filter_map(|guest| {
        let rosters = overlapping(of_one.iter().filter(|dated| dated.is_shown_to(guest)).collect());
        let (shown_to, user) = (guest.cloned(), of_one[0].entry.user.clone());
        (!rosters.is_empty()).then(|| DuplicateMember { shown_to, user, rosters: owned(rosters) })
    });
    found.collect()
}

/// The Rosters of the entries that overlap another one.
fn overlapping<'r>(mut entries: Vec<&DatedEntry<'r>>) -> BTreeSet<&'r str> {
    // Returning on the day of the exit is no overlap.
    entries.sort_by_key(|dated| dated.from);
    let (mut rosters, mut longest) = (BTreeSet::new(), None::<&DatedEntry>);
    for dated in entries {
        if let Some(open) = longest.filter(|open| dated.from < open.until) {
            rosters.extend([open.roster, dated.roster]);
        }
        longest = longest.filter(|open| open.until >= dated.until).or(Some(dated));
    }
    rosters
}

/// Which of the entries of one user counts when. `entries` are in order of precedence.
fn periods<'r>(entries: &[DatedEntry<'r>], teams: &mut BTreeMap<&'r str, Arc<str>>) -> Vec<Period> {
    let mut events: Vec<(Instant, bool, usize)> = Vec::with_capacity(2 * entries.len());
    for (n, dated) in entries.iter().enumerate() {
        events.extend([(dated.until, false, n), (dated.from, true, n)]);
    }
    events.sort_unstable();
    let mut periods: Vec<Period> = Vec::new();
    let mut open: BTreeSet<usize> = BTreeSet::new();
    for (i, (at, begins, n)) in events.iter().enumerate() {
        match begins {
            true => open.insert(*n),
            false => open.remove(n),
        };
        let until = events.get(i + 1).map_or(*at, |next| next.0);
        let Some(first) = open.first().filter(|_| *at < until) else { continue };
        let DatedEntry { guest, standing, entry, .. } = &entries[*first];
        let RosterEntry { login_mode: mode, entry_date, team, .. } = entry;
        // Seats are reserved for teams of the owner.
        let team = team.as_deref().filter(|_| *standing == Standing::Own);
        let team = team.map(|t| teams.entry(t).or_insert_with(|| t.into()).clone());
        let of_owner = guest.is_none();
        let period = Period { from: *at, until, mode: *mode, of_owner, entry_date: *entry_date, team };
        match periods.last_mut().filter(|last| last.until == *at && last.is_like(&period)) {
            Some(last) => last.until = until,
            None => periods.push(period),
        }
    }
    periods
}
