//! What an owner of the ledger keeps in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use tokio::sync::oneshot;

use super::asked::{Ask, Denied, Granted, Use};
use super::limits::{MOST_WAITING, STUCK};
use super::outcome::Outcome;
use super::pending::Pending;
use super::waiting::Waiter;
use crate::api::license::HoldersShown;
use crate::domain::Instant;
use crate::domain::license::grant::GrantId;
use crate::domain::license::name::LicenseName;
use crate::domain::license::trust::Trust;
use crate::domain::seats::elsewhere::Draws;
use crate::domain::seats::hold::Record;
use crate::domain::seats::journal::{BaseName, Change, Journal};
use crate::domain::seats::queue::Queue;
use crate::domain::seats::seating::Seating;
use crate::domain::seats::tag::Tagger;
use crate::domain::tick::{Moment, Tick};
use crate::observed::Judged;

/// What changes at a desk.
#[derive(Default)]
pub(super) struct DeskState {
    /// `None` while another replica owns the ledger, or none does.
    pub ownership: Option<Ownership>,
    /// Requests are no longer decided: what waits is written, and then another owner may begin.
    pub stopping: bool,
    /// The committer sleeps until this many requests wait; earlier arrivals need not wake it.
    pub enough: usize,
}

/// The state of an owner.
pub(super) struct Ownership {
    pub journal: Journal,
    pub seats_of: SeatsOf,
    pub pending: Pending,
    pub waiting: Vec<oneshot::Sender<()>>,
    /// Callers that asked again for what the write under way contains.
    pub joining: Vec<oneshot::Sender<()>>,
    /// Bases that are queued to be written or are being written.
    pub bases_under_way: BTreeSet<BaseName>,
    /// When the write that is under way began.
    pub writing_since: Option<Moment>,
    pub closed: Option<Closed>,
    /// Makes and checks the part of ids that only holders know.
    pub tagger: Tagger,
}

/// Why and until when nothing new is granted: the ledger may not show every seat that is held. That includes new Licenses,
/// because seats are counted against grants, and a new License may have the keys of one that was deleted a moment ago.
pub(super) struct Closed {
    pub why: String,
    pub until: Moment,
}

/// The seats of each License, and who draws on which grant.
#[derive(Default)]
pub(super) struct SeatsOf {
    of: HashMap<LicenseName, LicenseSeats>,
    /// The Licenses whose seats draw on a grant: by its name, and then by its signer.
    drawing_on: HashMap<Arc<str>, HashMap<Arc<str>, BTreeSet<LicenseName>>>,
    /// Licenses that draw on other grants than the ledger notes.
    unnoted: BTreeSet<LicenseName>,
}

/// The seats of one License.
pub(super) struct LicenseSeats {
    pub seating: Seating,
    /// When to look up again what the License grants; `None` if only a change of an object requires it.
    pub good_until: Option<Instant>,
    pub stale: bool,
    /// `None` if the License does not exist.
    pub uid: Option<String>,
    /// Whom the License trusts.
    pub trust: Arc<Trust>,
    /// Its product, as in the grants.
    pub product: Arc<str>,
    /// The grants on which the seats draw.
    pub draws: Draws,
    /// These grants, as the ledger notes them.
    pub note: Arc<str>,
    /// The seats beyond what the License grants, when they were last counted.
    pub uncovered: BTreeMap<Arc<str>, u64>,
    peaks: BTreeMap<Arc<str>, u64>,
    /// The use that was last reported as changed.
    reported: BTreeMap<Arc<str>, Use>,
    /// The refusals since the last report: for each reason, the message of the first one.
    pub refused: BTreeMap<&'static str, String>,
    /// Whether the ledger may have names that are not kept any longer; `None` if it has none.
    pub forgets: Option<Forgets>,
    /// The waiters for a seat.
    pub queue: Queue<Waiter>,
}

/// How far the ledger is in forgetting the names of a License.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forgets {
    /// It has not begun.
    Soon,
    /// It is done once this entry is durable.
    With(u64),
}

/// What is decided and not yet committed, and what may prevent more from being decided.
pub(super) struct Uncommitted<'o> {
    pub pending: &'o mut Pending,
    pub waiting: &'o mut Vec<oneshot::Sender<()>>,
    joining: &'o mut Vec<oneshot::Sender<()>>,
    writing_since: Option<Moment>,
    pub closed: Option<&'o Closed>,
    pub tagger: &'o Tagger,
}

impl DeskState {
    /// Whether enough requests wait to wake the committer.
    pub fn is_enough(&self) -> bool {
        self.ownership.as_ref().is_none_or(|ownership| ownership.waiting.len() >= self.enough)
    }

    /// Stops deciding. All waiters in the queues are answered at once that this replica is not the owner.
    pub fn stop_deciding(&mut self) {
        self.stopping = true;
        for seats in self.ownership.iter_mut().flat_map(|ownership| ownership.seats_of.values_mut()) {
            seats.queue = Queue::default();
        }
    }

    /// The outcome of a grant that was just decided.
    pub fn outcome(&mut self, granted: Granted) -> Result<Outcome, Denied> {
        let ownership = self.ownership.as_mut().ok_or(Denied::NotOwner)?;
        Ok(Outcome::new(granted, ownership.parts().1.durable_notice()))
    }

    /// The queue for the seats of a License; `None` if nobody can wait for them here.
    pub fn queue_of(&mut self, license: &LicenseName) -> Option<&mut Queue<Waiter>> {
        Some(&mut self.ownership.as_mut()?.seats_of.get_mut(license)?.queue)
    }
}

impl Ownership {
    pub fn new(journal: Journal, seats_of: SeatsOf, closed: Option<Closed>, tagger: Tagger) -> Self {
        Ownership {
            journal,
            seats_of,
            pending: Pending::default(),
            waiting: Vec::new(),
            joining: Vec::new(),
            bases_under_way: BTreeSet::new(),
            writing_since: None,
            closed,
            tagger,
        }
    }

    /// Whether no further request can wait for the ledger.
    pub fn is_full(&self) -> bool {
        self.waiting.len() + self.joining.len() >= MOST_WAITING
    }

    /// The seats of each License, and what changes together with them.
    pub fn parts(&mut self) -> (&mut SeatsOf, Uncommitted<'_>) {
        let Ownership { seats_of, pending, waiting, joining, writing_since, closed, tagger, .. } = self;
        let closed = closed.as_ref();
        (seats_of, Uncommitted { pending, waiting, joining, writing_since: *writing_since, closed, tagger })
    }
}

impl SeatsOf {
    /// Notes what the License grants now. `None` if there is no such License: then it grants nothing.
    pub fn set_judged(&mut self, license: &LicenseName, judged: Option<Judged>, at: Instant, tagger: &Tagger) {
        let Some(seats) = self.of.get_mut(license) else { return };
        seats.stale = false;
        match judged {
            Some(judged) => {
                seats.set_terms(license, &judged, at, tagger);
                (seats.good_until, seats.uid) = (judged.next, Some(judged.uid));
                (seats.trust, seats.product) = (judged.reading.trust, judged.product);
                if !self.draw(license, |draws| draws.now_has(judged.grants))
                    && let Some(seats) = self.of.get_mut(license)
                {
                    seats.seating.grants_nothing(at);
                }
            }
            None => {
                seats.seating.grants_nothing(at);
                (seats.good_until, seats.uid) = (None, None);
                self.draw(license, |draws| draws.now_has(BTreeSet::new()));
            }
        }
    }

    /// Changes the grants on which the seats of a License draw. Returns what `change` returns, or its default if there are no
    /// seats.
    pub fn draw<T: Default>(&mut self, license: &LicenseName, change: impl FnOnce(&mut Draws) -> T) -> T {
        let Some(seats) = self.of.get_mut(license) else { return T::default() };
        let before = seats.draws.clone();
        let done = change(&mut seats.draws);
        if seats.draws == before {
            return done;
        }
        seats.note = seats.draws.note().into();
        self.unnoted.insert(license.clone());
        let all = |draws: &Draws| -> BTreeSet<GrantId> { draws.has().union(draws.owes()).cloned().collect() };
        let (before, now) = (all(&before), all(&seats.draws));
        for grant in before.difference(&now) {
            self.no_longer_draws(license, grant);
        }
        for grant in now.difference(&before) {
            let by_signer = self.drawing_on.entry(grant.name.clone()).or_default();
            by_signer.entry(grant.signer.clone()).or_default().insert(license.clone());
        }
        done
    }

    fn no_longer_draws(&mut self, license: &LicenseName, grant: &GrantId) {
        let Some(by_signer) = self.drawing_on.get_mut(&grant.name) else { return };
        if let Some(licenses) = by_signer.get_mut(&grant.signer) {
            licenses.remove(license);
            if licenses.is_empty() {
                by_signer.remove(&grant.signer);
            }
        }
        if by_signer.is_empty() {
            self.drawing_on.remove(&grant.name);
        }
    }

    /// Other Licenses whose seats draw on the grants that this one has, with keys of signers that it trusts. Grants of the
    /// same names that others signed are not even looked at: anybody can make any number of them.
    pub fn drawing_on_the_grants_of(&self, license: &LicenseName) -> BTreeSet<LicenseName> {
        let Some(seats) = self.of.get(license) else { return BTreeSet::new() };
        let by_signer = seats.draws.has().iter().filter_map(|grant| self.drawing_on.get(&grant.name));
        let trusted = by_signer.flat_map(|by_signer| seats.trust.signers().filter_map(|signer| by_signer.get(signer)));
        trusted.flatten().filter(|other| *other != license).cloned().collect()
    }

    /// Marks the Licenses that have these grants and trust their signers, except for one: they are looked up before the
    /// next decision about them.
    pub fn mark_stale(&mut self, grants: &BTreeSet<GrantId>, except: &LicenseName) {
        for grant in grants {
            let drawing = self.drawing_on.get(&grant.name).into_iter().flat_map(|by_signer| by_signer.values());
            for license in drawing.flatten().filter(|license| *license != except) {
                if let Some(seats) = self.of.get_mut(license).filter(|seats| seats.trust.key(&grant.signer).is_some()) {
                    seats.stale = true;
                }
            }
        }
    }

    /// Has the ledger note on which grants the seats draw, where that has changed. A License may lose a grant without a
    /// change of its seats, and the next owner must know.
    pub fn note(&mut self, pending: &mut Pending) {
        for license in std::mem::take(&mut self.unnoted) {
            let seats = self.of.get(&license).filter(|seats| seats.seating.table().in_use_at_all() > 0);
            let Some(change) = seats.map(|seats| seats.change(&license, Vec::new())) else { continue };
            match pending.check_release(&change) {
                Ok(place) => pending.add(change, place),
                Err(_) => _ = self.unnoted.insert(license),
            }
        }
        pending.lacks_notes = !self.unnoted.is_empty();
    }

    /// Forgets the seats of a License.
    pub fn forget(&mut self, license: &LicenseName) {
        self.draw(license, |draws| *draws = Draws::default());
        self.of.remove(license);
    }
}

impl Deref for SeatsOf {
    type Target = HashMap<LicenseName, LicenseSeats>;

    fn deref(&self) -> &Self::Target {
        &self.of
    }
}

/// Remove with `forget` only, which keeps `drawing_on` right.
impl DerefMut for SeatsOf {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.of
    }
}

impl Uncommitted<'_> {
    /// Whether a write takes so long that no new request should wait for it.
    pub fn is_stuck(&self, now: Moment) -> bool {
        self.writing_since.is_some_and(|since| now - since > STUCK)
    }

    /// A receiver that is notified once everything decided so far is durable; `None` if it already is.
    pub fn durable_notice(&mut self) -> Option<oneshot::Receiver<()>> {
        let (notify, durable) = oneshot::channel();
        match (self.pending.is_empty(), self.writing_since) {
            (true, None) => return None,
            (true, Some(_)) => self.joining.push(notify),
            (false, _) => self.waiting.push(notify),
        }
        Some(durable)
    }
}

impl LicenseSeats {
    /// Seats of a License whose grants are looked up before the next decision.
    pub fn new(seating: Seating) -> Self {
        LicenseSeats {
            seating,
            good_until: None,
            stale: true,
            uid: None,
            trust: Arc::default(),
            product: "".into(),
            draws: Draws::default(),
            note: "".into(),
            uncovered: BTreeMap::new(),
            peaks: BTreeMap::new(),
            reported: BTreeMap::new(),
            refused: BTreeMap::new(),
            forgets: None,
            queue: Queue::default(),
        }
    }

    /// Sets what the License grants, and whether names are kept.
    fn set_terms(&mut self, license: &LicenseName, judged: &Judged, at: Instant, tagger: &Tagger) {
        let (seating, hides) = (&mut self.seating, judged.holders != HoldersShown::Named);
        let (user, client) = (|name: &str| tagger.user(license, name), |name: &str| tagger.client(license, name));
        if seating.set_hides(hides, user, client) {
            self.forgets = Some(Forgets::Soon);
        }
        let (terms, people) = (judged.terms.clone(), judged.people.clone());
        match seating.has_keyed() {
            true => seating.set_keyed(terms, people, at, user),
            false => seating.set(terms, people, at),
        }
    }

    /// The seats of each pool that count on the grants that are owed: those that its own do not cover, or all, if one of
    /// them is of another product.
    pub fn beyond(&self) -> BTreeMap<Arc<str>, u64> {
        let is_foreign = self.draws.owes().iter().any(|grant| grant.product != self.product);
        if is_foreign { self.seating.in_use() } else { self.seating.uncovered() }
    }

    /// A change of the seats, with what the ledger notes of the License.
    pub fn change(&self, license: &LicenseName, records: Vec<Record>) -> Change {
        Change { license: license.clone(), grants: self.note.clone(), records }
    }

    /// Applies records that free seats.
    pub fn apply_freed(&mut self, change: &Change) {
        change.records.iter().for_each(|record| self.seating.apply(record, Tick::MIN));
    }

    /// Whether to look up again what the License grants.
    pub fn is_outdated(&self, at: Instant) -> bool {
        self.stale || self.good_until.is_some_and(|until| until <= at)
    }

    /// How many seats of each pool are in use.
    pub fn uses(&mut self) -> BTreeMap<Arc<str>, Use> {
        self.note_peaks();
        let table = self.seating.table();
        let elsewhere = self.seating.elsewhere();
        let of = |pool: &Arc<str>, peak| Use { in_use: table.in_use(pool), peak, elsewhere: elsewhere.of(pool) };
        self.peaks.iter().map(|(pool, peak)| (pool.clone(), of(pool, *peak))).collect()
    }

    /// Whether the use has changed since the last call.
    pub fn take_changed_use(&mut self) -> bool {
        let now = self.uses();
        let before = std::mem::replace(&mut self.reported, now);
        before != self.reported && before.values().chain(self.reported.values()).any(|u| *u != Use::default())
    }

    pub fn note_peaks(&mut self) {
        let table = self.seating.table();
        for pool in &self.seating.terms().pools {
            let peak = self.peaks.entry(pool.name.clone()).or_default();
            *peak = table.in_use(&pool.name).max(*peak);
        }
    }

    /// The caller has its seat and no longer waits.
    pub fn leaves_queue(&mut self, ask: &Ask) {
        if let Some(waiter) = self.queue.leave(&ask.who()) {
            waiter.give_way();
        }
    }
}
