//! Which keys count, and what they grant together (docs/design/domain.md, Which keys count, Mode).

use chrono::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::grant::GrantId;
use super::key::{Claims, GenuineKey, OnDemo};
use super::mode::{GrantState, Mode, grant_state};
use super::pool::{PoolGrant, PoolModel};
use super::refusal::Refusal;
use super::trust::Trust;
use crate::domain::Instant;
use crate::domain::zone::Zone;

/// A License that ends within this time, with no key to follow, is `ExpiringSoon` (I7: four weeks).
pub const EXPIRING_SOON: Duration = Duration::weeks(4);
/// At its notice deadline a contract usually renews itself, and its next key comes. Only after this time is it shown that it
/// is too late for a cancellation.
const KEY_MAY_COME: Duration = Duration::minutes(1);
/// The most pools of a License: as many as its status shows. Each costs memory for every member of its Rosters.
pub const MAX_POOLS_OF_LICENSE: usize = 1024;
/// How many future instants are checked for the next change of what is granted.
const LOOK_AHEAD: usize = 64;

/// One entry that was read as a key.
#[derive(Clone, Debug)]
pub struct Presented {
    pub secret: String,
    pub entry: String,
    /// `None` if the text is not a genuine key.
    pub claims: Option<Arc<Claims>>,
    /// The grant that the key belongs to; `None` if the text is not a genuine key.
    pub grant: Option<GrantId>,
    pub refusal: Option<Refusal>,
}

/// The License a key is presented to.
pub struct Presentation<'a> {
    pub product: &'a str,
    /// The UID of the kube-system namespace, if known.
    pub cluster: &'a str,
    pub trust: &'a Trust,
}

/// Checks that an entry, which was verified with `to.trust`, is for this product and this cluster, and not revoked.
pub fn present(secret: &str, entry: &str, verified: Result<GenuineKey, Refusal>, to: &Presentation) -> Presented {
    let (claims, grant, refusal) = match verified {
        Err(refusal) => (None, None, Some(refusal)),
        Ok(GenuineKey { claims, grant }) => {
            let refusal = refuse(&claims, to);
            (Some(claims), Some(grant), refusal)
        }
    };
    Presented { secret: secret.to_owned(), entry: entry.to_owned(), claims, grant, refusal }
}

fn refuse(claims: &Claims, to: &Presentation) -> Option<Refusal> {
    if claims.aud != to.product {
        return Some(Refusal::WrongProduct { product: claims.aud.clone(), wanted: to.product.to_owned() });
    }
    if claims.cluster.as_deref().is_some_and(|cluster| cluster != to.cluster) {
        return Some(Refusal::WrongCluster);
    }
    to.trust.is_revoked(&claims.jti).then_some(Refusal::Revoked)
}

impl Presented {
    /// The claims of the key, unless it is refused.
    fn sound(&self) -> Option<&Claims> {
        self.claims.as_deref().filter(|_| self.refusal.is_none())
    }
}

/// The grants that these keys belong to, without the refused keys.
pub fn grants_of(keys: &[Presented]) -> BTreeSet<GrantId> {
    keys.iter().filter(|key| key.refusal.is_none()).filter_map(|key| key.grant.clone()).collect()
}

/// For each key, whether it was revoked while another key of its grant lasts at least as long: it was replaced, so its
/// loss needs no attention.
pub fn replaced(keys: &[Presented]) -> Vec<bool> {
    let mut ends: BTreeMap<String, i64> = BTreeMap::new();
    for claims in keys.iter().filter_map(Presented::sound) {
        let end = ends.entry(claims.grant()).or_insert(i64::MIN);
        *end = claims.exp.unwrap_or(i64::MAX).max(*end);
    }
    let is_replaced = |key: &Presented| match (&key.claims, &key.refusal) {
        (Some(claims), Some(Refusal::Revoked)) => {
            ends.get(&claims.grant()).is_some_and(|end| *end >= claims.exp.unwrap_or(i64::MAX))
        }
        _ => false,
    };
    keys.iter().map(is_replaced).collect()
}

/// Refuses the keys whose grant another License of the cluster already uses. `holder_of` returns that License.
pub fn refuse_in_use_elsewhere(keys: &mut [Presented], holder_of: impl Fn(&GrantId) -> Option<String>) {
    for key in keys.iter_mut().filter(|key| key.refusal.is_none()) {
        if let Some(holder) = key.grant.as_ref().and_then(&holder_of) {
            key.refusal = Some(Refusal::InUseElsewhere { holder });
        }
    }
}

/// What the keys of a License grant at an instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Entitlement {
    pub mode: Mode,
    /// Whether any grant is in grace, whatever the mode.
    pub in_grace: bool,
    /// Whether any key is or was in force. Without one there are no seats at all, not even demo seats.
    pub ever_licensed: bool,
    pub organisation: Option<String>,
    pub plan: Option<String>,
    pub valid_from: Option<Instant>,
    pub expires_at: Option<Instant>,
    pub grace_ends_at: Option<Instant>,
    /// The zone of the key with which the licence ends.
    pub zone: Zone,
    /// The first instant at which it is too late to cancel the contract for `expires_at`. `None` if that is over, or the keys
    /// do not say it.
    pub notice_deadline: Option<Instant>,
    pub demo_seats: u32,
    pub on_demo: OnDemo,
    pub features: BTreeSet<String>,
    /// In the order of their names.
    pub pools: Vec<PoolLimit>,
    /// The pools of the keys that count, as the keys state them: those of the same name add up to one of `pools`. In
    /// demo mode they are the pools of the key that counted last.
    pub granted: Vec<PoolGrant>,
    pub grants: Vec<GrantView>,
    /// The state of each key, in the order of the given keys.
    pub keys: Vec<KeyState>,
}

/// The seats of a pool. In demo mode the limit is 0, and the demo seats are counted over all pools together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolLimit {
    pub name: String,
    pub model: PoolModel,
    /// `None` if unlimited.
    pub limit: Option<u64>,
}

/// The current state of one grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantView {
    pub grant: String,
    pub mode: Mode,
    pub expires_at: Option<Instant>,
    pub grace_ends_at: Option<Instant>,
}

/// The state of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyState {
    InForce,
    Future,
    Refused(Refusal),
    Superseded,
    Expired,
}

/// A change of what is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    pub at: Instant,
    pub to: Mode,
}

struct Grant<'k> {
    name: String,
    /// When its first key was issued. If two grants conflict, the older one stays.
    since: i64,
    state: GrantState<'k>,
    conflict: Option<Refusal>,
}

/// The grants that count for a License, and the mode they result in.
struct CountingGrants<'g, 'k> {
    mode: Mode,
    counting: Vec<&'g Grant<'k>>,
    /// The grant whose data the License shows, and its key: in Full and Grace the one that lasts longest, in demo mode
    /// the one that ended last.
    leading: Option<(&'g Grant<'k>, &'k Claims)>,
}

impl<'g, 'k> CountingGrants<'g, 'k> {
    fn of(grants: &'g [Grant<'k>]) -> Self {
        let counting: Vec<&Grant> = grants.iter().filter(|g| g.conflict.is_none()).collect();
        let full_or_grace = counting.iter().map(|g| g.state.mode).filter(|mode| *mode != Mode::Demo);
        let mode = full_or_grace.min().unwrap_or(Mode::Demo);
        let of_mode = counting.iter().filter(|g| g.state.mode == mode);
        let leading = of_mode.filter_map(|g| g.state.key.map(|key| (*g, key))).max_by_key(|(g, key)| {
            (g.state.expires_at.is_none(), g.state.expires_at, key.nbf, key.iat, key.jti.clone())
        });
        CountingGrants { mode, counting, leading }
    }

    /// The keys whose seats and features are granted. There are none in demo mode.
    fn granting(&self) -> impl Iterator<Item = &'k Claims> {
        self.counting.iter().filter(|g| g.state.mode != Mode::Demo).filter_map(|g| g.state.key)
    }

    /// Whether nobody sees a difference in what is granted.
    fn grants_as(&self, other: &Self) -> bool {
        let features =
            |of: &Self| of.granting().flat_map(|key| &key.features).map(String::as_str).collect::<BTreeSet<&str>>();
        let pools = |of: &Self| limits(of.pools(), of.mode != Mode::Demo);
        (self.mode, self.in_grace(), self.demo_seats()) == (other.mode, other.in_grace(), other.demo_seats())
            && features(self) == features(other)
            && pools(self) == pools(other)
    }

    fn in_grace(&self) -> bool {
        self.counting.iter().any(|grant| grant.state.mode == Mode::Grace)
    }

    fn demo_seats(&self) -> u32 {
        self.leading.map_or(0, |(_, key)| key.demo_seats)
    }

    /// The pools of these keys; in demo mode those of the key that ended last, for their names.
    fn pools(&self) -> impl Iterator<Item = &'k [PoolGrant]> {
        let last = self.leading.map(|(_, key)| key).filter(|_| self.mode == Mode::Demo);
        last.into_iter().chain(self.granting()).map(|key| key.pools.as_slice())
    }
}

/// Returns what `keys` grant together at `now`.
pub fn entitlement(keys: &[Presented], now: Instant) -> Entitlement {
    let grants = judge_grants(keys, now);
    let judged = CountingGrants::of(&grants);
    let key = judged.leading.map(|(_, key)| key);
    let state = judged.leading.map(|(grant, _)| &grant.state);
    let ends_with = state.and_then(|s| s.ends_with);
    Entitlement {
        mode: judged.mode,
        in_grace: judged.in_grace(),
        ever_licensed: key.is_some(),
        organisation: key.map(|key| key.sub.clone()),
        plan: key.map(|key| key.plan.clone()).filter(|plan| !plan.is_empty()),
        valid_from: key.map(Claims::starts_at),
        expires_at: state.and_then(|s| s.expires_at),
        grace_ends_at: state.and_then(|s| s.grace_ends_at),
        zone: ends_with.or(key).map_or_else(Zone::utc, Claims::zone),
        notice_deadline: ends_with.and_then(Claims::notice_deadline).filter(|at| now < *at),
        demo_seats: judged.demo_seats(),
        on_demo: key.map_or(OnDemo::Finish, |key| key.on_demo),
        features: judged.granting().flat_map(|key| key.features.iter().cloned()).collect(),
        pools: limits(judged.pools(), judged.mode != Mode::Demo),
        granted: judged.pools().flatten().cloned().collect(),
        grants: grants.iter().filter(|g| g.conflict.is_none() && g.state.key.is_some()).map(GrantView::of).collect(),
        keys: key_states(keys, &grants, now),
    }
}

impl GrantView {
    fn of(grant: &Grant) -> Self {
        GrantView {
            grant: grant.name.clone(),
            mode: grant.state.mode,
            expires_at: grant.state.expires_at,
            grace_ends_at: grant.state.grace_ends_at,
        }
    }
}

/// Every grant that has a key that is not refused, oldest first; a grant whose pools contradict an older grant has a
/// conflict.
fn judge_grants(keys: &[Presented], now: Instant) -> Vec<Grant<'_>> {
    let mut grants = grants_at(keys, now);
    refuse_conflicts(&mut grants);
    grants
}

/// Every grant that has a key that is not refused, oldest first.
fn grants_at(keys: &[Presented], now: Instant) -> Vec<Grant<'_>> {
    let mut by_grant: BTreeMap<String, Vec<&Claims>> = BTreeMap::new();
    for claims in keys.iter().filter_map(Presented::sound) {
        by_grant.entry(claims.grant()).or_default().push(claims);
    }
    let mut grants: Vec<Grant> = by_grant
        .into_iter()
        .map(|(name, keys)| Grant {
            name,
            since: keys.iter().map(|key| key.iat).min().unwrap_or(0),
            state: grant_state(&keys, now),
            conflict: None,
        })
        .collect();
    grants.sort_by(|a, b| (a.since, &a.name).cmp(&(b.since, &b.name)));
    grants
}

/// Refuses the grants whose pools contradict an older grant, and those that bring more pools than are counted.
fn refuse_conflicts(grants: &mut [Grant]) {
    let mut taken: BTreeMap<&str, (&PoolGrant, usize)> = BTreeMap::new();
    for n in 0..grants.len() {
        let Some(key) = grants[n].state.key.filter(|_| grants[n].state.mode != Mode::Demo) else { continue };
        let contradicts = key.pools.iter().find_map(|pool| {
            let (older, owner) = taken.get(pool.name.as_str())?;
            let refusal = || Refusal::PoolConflict { pool: pool.name.clone(), grant: grants[*owner].name.clone() };
            (!pool.adds_up_with(older)).then(refusal)
        });
        let new = key.pools.iter().filter(|pool| !taken.contains_key(pool.name.as_str())).count();
        let are_too_many = taken.len() + new > MAX_POOLS_OF_LICENSE;
        grants[n].conflict = contradicts.or(are_too_many.then_some(Refusal::TooManyPools));
        if grants[n].conflict.is_none() {
            for pool in &key.pools {
                taken.entry(&pool.name).or_insert((pool, n));
            }
        }
    }
}

/// Adds up pools of the same name. If not `granted`, every limit is 0 and only the names remain.
fn limits<'p>(of: impl IntoIterator<Item = &'p [PoolGrant]>, granted: bool) -> Vec<PoolLimit> {
    let mut pools: BTreeMap<&str, PoolLimit> = BTreeMap::new();
    for pool in of.into_iter().flatten() {
        let entry = pools.entry(&pool.name).or_insert_with(|| PoolLimit {
            name: pool.name.clone(),
            model: pool.model,
            limit: (pool.model != PoolModel::Unlimited || !granted).then_some(0),
        });
        if granted {
            entry.limit = entry.limit.map(|sum| sum + u64::from(pool.seats));
        }
    }
    pools.into_values().collect()
}

fn key_states(keys: &[Presented], grants: &[Grant], now: Instant) -> Vec<KeyState> {
    let by_name: BTreeMap<&str, &Grant> = grants.iter().map(|grant| (grant.name.as_str(), grant)).collect();
    let counting = counting_entries(keys, &by_name);
    keys.iter().enumerate().map(|(entry, key)| key_state(key, counting.contains(&entry), &by_name, now)).collect()
}

/// The positions of the keys that count. If several entries hold the same key, the last of them counts.
fn counting_entries(keys: &[Presented], grants: &BTreeMap<&str, &Grant>) -> BTreeSet<usize> {
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for (entry, claims) in keys.iter().enumerate().filter_map(|(entry, key)| Some((entry, key.sound()?))) {
        if let Some(grant) = grants.get(claims.grant().as_str())
            && grant.state.key == Some(claims)
        {
            last.insert(&grant.name, entry);
        }
    }
    last.into_values().collect()
}

fn key_state(key: &Presented, counts: bool, grants: &BTreeMap<&str, &Grant>, now: Instant) -> KeyState {
    let (Some(claims), None) = (&key.claims, &key.refusal) else {
        let refusal = key.refusal.clone().unwrap_or(Refusal::Malformed("it has no claims".into()));
        return KeyState::Refused(refusal);
    };
    let grant = grants.get(claims.grant().as_str());
    if let Some(refusal) = grant.and_then(|g| g.conflict.clone()) {
        return KeyState::Refused(refusal);
    }
    if now < claims.starts_at() {
        KeyState::Future
    } else if !claims.in_force_at(now) {
        KeyState::Expired
    } else if counts {
        KeyState::InForce
    } else {
        KeyState::Superseded
    }
}

/// Returns the next change of mode, grace, pools, features or demo seats that happens by itself.
pub fn next_transition(keys: &[Presented], now: Instant) -> Option<Transition> {
    let before = judge_grants(keys, now);
    turning_points(keys, now).into_iter().take(LOOK_AHEAD).find_map(|at| {
        let mut after = grants_at(keys, at);
        // Most of the work is to add up pools, and most of these instants only end superseded keys.
        if after.iter().zip(&before).all(|(after, before)| after.state.is_as(&before.state)) {
            return None;
        }
        refuse_conflicts(&mut after);
        let after = CountingGrants::of(&after);
        (!after.grants_as(&CountingGrants::of(&before))).then_some(Transition { at, to: after.mode })
    })
}

/// Returns when to look again: the next instant at which anything that is shown of these keys may change.
pub fn next_wake(keys: &[Presented], now: Instant) -> Option<Instant> {
    let grants = judge_grants(keys, now);
    let ends_with = CountingGrants::of(&grants).leading.and_then(|(grant, _)| grant.state.ends_with);
    let soon = ends_with.and_then(Claims::ends_at).map(|end| end - EXPIRING_SOON);
    let too_late = ends_with.and_then(Claims::notice_deadline).map(|at| at + KEY_MAY_COME);
    let shown = [soon, too_late].into_iter().flatten().filter(|at| *at > now);
    turning_points(keys, now).into_iter().next().into_iter().chain(shown).min()
}

fn turning_points(keys: &[Presented], now: Instant) -> BTreeSet<Instant> {
    let points = |key: &Claims| [Some(key.starts_at()), key.ends_at(), key.grace_ends_at()];
    keys.iter().filter_map(Presented::sound).flat_map(points).flatten().filter(|at| *at > now).collect()
}
