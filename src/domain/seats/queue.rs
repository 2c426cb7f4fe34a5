//! The queue of sessions that wait for seats of one License, first come, first served.
//!
//! A waiter keeps its place across retries. One that is silent for `PLACE_LASTS` loses it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::taker::Taker;
use crate::domain::tick::Tick;

/// The most that may wait for seats of one License.
pub const MOST_QUEUED: usize = 1_000;
/// How long a place is kept after the last request has ended: what a client that lost its connection needs to come back,
/// including all the pauses it makes.
pub const PLACE_LASTS: Duration = Duration::from_secs(5);

/// The session that waits. Sessions of different users, or of different takers, are different even if they have the same
/// name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    pub user: Option<Box<str>>,
    pub session: Box<str>,
    pub taker: Option<Taker>,
}

impl Session {
    pub fn of(user: Option<&str>, session: &str, taker: Option<Taker>) -> Self {
        Session { user: user.map(Box::from), session: session.into(), taker }
    }
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A request that no longer waits, because the session has sent another one, or because others have a share of the queue.
#[derive(Debug, PartialEq, Eq)]
pub enum Left<A> {
    Replaced(A),
    MadeRoom(A),
}

/// The order of the waiters. `A` is what is kept of a request: its content, and the way to answer it.
#[derive(Debug)]
pub struct Queue<A> {
    /// By the number that each waiter drew.
    waiting: BTreeMap<u64, Waiting<A>>,
    numbers: BTreeMap<Session, u64>,
    places: BTreeMap<Option<Arc<str>>, Places>,
    next: u64,
}

/// The places of one namespace; of all who ask from none, likewise.
#[derive(Debug, Default)]
struct Places {
    all: usize,
    /// Those of each of its takers: a namespace has as many ServiceAccounts and pods as its tenant likes.
    of: BTreeMap<Option<Taker>, usize>,
}

impl Places {
    fn of(&self, taker: Option<Taker>) -> usize {
        self.of.get(&taker).copied().unwrap_or(0)
    }
}

/// A waiter.
#[derive(Debug)]
pub struct Waiting<A> {
    session: Session,
    namespace: Option<Arc<str>>,
    pub ask: A,
    /// The tick until which the place is kept; `None` while the request is open.
    kept_until: Option<Tick>,
}

impl<A> Waiting<A> {
    /// The tick until which the place is kept without another request; `None` while the session is asking.
    pub fn kept_until(&self) -> Option<Tick> {
        self.kept_until
    }
}

impl<A> Default for Queue<A> {
    fn default() -> Self {
        Queue { waiting: BTreeMap::new(), numbers: BTreeMap::new(), places: BTreeMap::new(), next: 0 }
    }
}

impl<A> Queue<A> {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The number of waiters.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Adds a session at the end. A session that already waits keeps its place, and its earlier request is returned. If the
    /// queue is full, the namespace with the most places makes room: the last waiter of its taker with the most places
    /// leaves. Nobody makes room for a newcomer that would then have as many.
    pub fn join(&mut self, session: Session, namespace: Option<Arc<str>>, ask: A) -> Result<Option<Left<A>>, Full> {
        if let Some(waiting) = self.numbers.get(&session).and_then(|number| self.waiting.get_mut(number)) {
            waiting.kept_until = None;
            return Ok(Some(Left::Replaced(std::mem::replace(&mut waiting.ask, ask))));
        }
        let made_room = match self.waiting.len() >= MOST_QUEUED {
            true => Some(Left::MadeRoom(self.make_room_for(&namespace, session.taker).ok_or(Full)?)),
            false => None,
        };
        let places = self.places.entry(namespace.clone()).or_default();
        places.all += 1;
        *places.of.entry(session.taker).or_default() += 1;
        self.numbers.insert(session.clone(), self.next);
        self.waiting.insert(self.next, Waiting { session, namespace, ask, kept_until: None });
        self.next += 1;
        Ok(made_room)
    }

    /// Removes the waiter that makes room for this taker in a namespace, if there is one.
    fn make_room_for(&mut self, namespace: &Option<Arc<str>>, taker: Option<Taker>) -> Option<A> {
        let places_of = |namespace| self.places.get(namespace).map_or(0, |places: &Places| places.all);
        let (largest, of_largest) = self.places.iter().max_by_key(|(_, places)| places.all)?;
        let (from, more_than) = match of_largest.all > places_of(namespace) + 1 {
            true => (largest.clone(), 0),
            false => (namespace.clone(), self.places.get(namespace)?.of(taker) + 1),
        };
        let places = self.places.get(&from)?;
        let most = places.of.values().copied().max().filter(|most| *most > more_than)?;
        let is_it = |one: &&Waiting<A>| one.namespace == from && places.of(one.session.taker) == most;
        let session = self.waiting.values().rev().find(is_it)?.session.clone();
        self.leave(&session)
    }

    fn gives_up_place(places: &mut BTreeMap<Option<Arc<str>>, Places>, waiting: &Waiting<A>) {
        let Some(of_namespace) = places.get_mut(&waiting.namespace) else { return };
        of_namespace.all -= 1;
        if let Some(count) = of_namespace.of.get_mut(&waiting.session.taker) {
            *count -= 1;
            if *count == 0 {
                of_namespace.of.remove(&waiting.session.taker);
            }
        }
        if of_namespace.all == 0 {
            places.remove(&waiting.namespace);
        }
    }

    /// The place of a session; 1 is next.
    pub fn place(&self, session: &Session) -> Option<usize> {
        let number = self.numbers.get(session)?;
        Some(self.waiting.range(..=number).count())
    }

    /// The request of a session.
    pub fn ask(&self, session: &Session) -> Option<&A> {
        self.waiting.get(self.numbers.get(session)?).map(|waiting| &waiting.ask)
    }

    /// The request of a session has ended: its place is kept for `PLACE_LASTS`.
    pub fn ended(&mut self, session: &Session, now: Tick) {
        if let Some(waiting) = self.numbers.get(session).and_then(|number| self.waiting.get_mut(number)) {
            waiting.kept_until = Some(now + PLACE_LASTS);
        }
    }

    /// Removes a session from the queue, and returns its request.
    pub fn leave(&mut self, session: &Session) -> Option<A> {
        let waiting = self.waiting.remove(&self.numbers.remove(session)?)?;
        Self::gives_up_place(&mut self.places, &waiting);
        Some(waiting.ask)
    }

    /// Removes the sessions whose places were kept only until now.
    pub fn forget(&mut self, now: Tick) {
        let Queue { waiting, numbers, places, .. } = self;
        waiting.retain(|_, one| {
            let stays = one.kept_until.is_none_or(|until| now < until);
            if !stays {
                numbers.remove(&one.session);
                Self::gives_up_place(places, one);
            }
            stays
        });
    }

    /// Calls the first `most` waiters in their order. `call` returns whether the waiter stays in the queue, or `None`
    /// if neither it nor any behind it is to be called now.
    pub fn call(&mut self, most: usize, mut call: impl FnMut(&mut Waiting<A>) -> Option<bool>) {
        let mut after = 0;
        for _ in 0..most {
            let Some((&number, waiting)) = self.waiting.range_mut(after..).next() else { return };
            match call(waiting) {
                Some(true) => {}
                Some(false) => {
                    self.numbers.remove(&waiting.session);
                    Self::gives_up_place(&mut self.places, waiting);
                    self.waiting.remove(&number);
                }
                None => return,
            }
            after = number + 1;
        }
    }
}
