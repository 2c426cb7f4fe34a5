//! What an owner of the ledger keeps in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

use super::asked::Use;
use super::desk::{MOST_WAITING, STUCK};
use super::pending::Pending;
use super::queue::InQueue;
use crate::domain::Instant;
use crate::domain::license::name::LicenseName;
use crate::domain::seats::journal::{BaseName, Journal};
use crate::domain::seats::queue::Queue;
use crate::domain::seats::seating::Seating;

#[derive(Default)]
pub(super) struct State {
    pub owned: Option<Owned>,
    /// Requests are no longer decided: what waits is written, and then another owner may begin.
    pub closing: bool,
    /// The committer sleeps until this many requests wait; earlier arrivals need not wake it.
    pub enough: usize,
}

impl State {
    /// Whether enough requests wait to wake the committer.
    pub fn is_enough(&self) -> bool {
        self.owned.as_ref().is_none_or(|owned| owned.waiting.len() >= self.enough)
    }
}

impl State {
    /// Stops deciding. All waiters in the queues are answered at once that this replica is not the owner.
    pub fn close(&mut self) {
        self.closing = true;
        for counter in self.owned.iter_mut().flat_map(|owned| owned.seatings.values_mut()) {
            counter.queue = Queue::default();
        }
    }
}

/// The state of an owner.
pub(super) struct Owned {
    pub journal: Journal,
    pub seatings: HashMap<LicenseName, Counter>,
    pub pending: Pending,
    pub waiting: Vec<oneshot::Sender<()>>,
    /// Callers that asked again for what the write under way contains.
    pub joining: Vec<oneshot::Sender<()>>,
    /// Bases that are queued to be written or are being written.
    pub on_the_way: BTreeSet<BaseName>,
    /// When the write that is under way began.
    pub writing_since: Option<Duration>,
    pub shut: Option<Shut>,
}

/// Why and until when nothing new is granted to Licenses from before: the ledger may not show all their seats.
pub(super) struct Shut {
    pub why: String,
    pub until: Duration,
    /// The Licenses that existed when this owner began, by UID. A License created later has no seats that could be
    /// missing.
    pub licenses: HashSet<String>,
}

/// The seats of one License.
pub(super) struct Counter {
    pub seating: Seating,
    /// When to look up again what the License grants; `None` if only a change of an object requires it.
    pub good_until: Option<Instant>,
    pub stale: bool,
    pub uid: Option<String>,
    pub peaks: BTreeMap<Arc<str>, u64>,
    /// The use that was last reported as changed.
    pub told: BTreeMap<Arc<str>, Use>,
    /// The refusals since the last report: for each reason, the message of the first one.
    pub refused: BTreeMap<&'static str, String>,
    /// The waiters for a seat.
    pub queue: Queue<InQueue>,
}

/// What a grant changes besides the table, and what may prevent it.
pub(super) struct Writes<'o> {
    pub pending: &'o mut Pending,
    pub waiting: &'o mut Vec<oneshot::Sender<()>>,
    joining: &'o mut Vec<oneshot::Sender<()>>,
    pub writing_since: Option<Duration>,
    pub shut: Option<&'o Shut>,
}

impl Owned {
    pub fn new(journal: Journal, seatings: HashMap<LicenseName, Counter>, shut: Option<Shut>) -> Self {
        Owned {
            journal,
            seatings,
            pending: Pending::default(),
            waiting: Vec::new(),
            joining: Vec::new(),
            on_the_way: BTreeSet::new(),
            writing_since: None,
            shut,
        }
    }
}

impl Owned {
    /// Whether no further request can wait for the ledger.
    pub fn is_full(&self) -> bool {
        self.waiting.len() + self.joining.len() >= MOST_WAITING
    }

    /// The seats of each License, and what changes together with them.
    pub fn parts(&mut self) -> (&mut HashMap<LicenseName, Counter>, Writes<'_>) {
        let Owned { seatings, pending, waiting, joining, writing_since, shut, .. } = self;
        let shut = shut.as_ref();
        (seatings, Writes { pending, waiting, joining, writing_since: *writing_since, shut })
    }
}

impl Writes<'_> {
    /// Whether a write takes so long that no new request should wait for it.
    pub fn are_stuck(&self, now: Duration) -> bool {
        self.writing_since.is_some_and(|since| now.saturating_sub(since) > STUCK)
    }

    /// A receiver that is notified once everything decided so far is durable; `None` if it already is.
    pub fn until_durable(&mut self) -> Option<oneshot::Receiver<()>> {
        let (durable, told) = oneshot::channel();
        match (self.pending.is_empty(), self.writing_since) {
            (true, None) => return None,
            (true, Some(_)) => self.joining.push(durable),
            (false, _) => self.waiting.push(durable),
        }
        Some(told)
    }
}

impl Counter {
    pub fn new(seating: Seating) -> Self {
        Counter {
            seating,
            good_until: None,
            stale: true,
            uid: None,
            peaks: BTreeMap::new(),
            told: BTreeMap::new(),
            refused: BTreeMap::new(),
            queue: Queue::default(),
        }
    }

    pub fn uses(&mut self) -> BTreeMap<Arc<str>, Use> {
        self.note_peaks();
        let table = self.seating.table();
        self.peaks.iter().map(|(pool, peak)| (pool.clone(), Use { in_use: table.in_use(pool), peak: *peak })).collect()
    }

    pub fn note_peaks(&mut self) {
        let table = self.seating.table();
        for pool in &self.seating.terms().pools {
            let peak = self.peaks.entry(pool.name.clone()).or_default();
            *peak = table.in_use(&pool.name).max(*peak);
        }
    }
}
