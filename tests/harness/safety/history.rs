//! What clients did with seats and how they were answered. It keeps only what the checker needs, so that ten million
//! operations fit in memory.
//!
//! All instants are microseconds of one monotonic clock, because all clients are in one process.

use std::collections::{BTreeMap, HashMap};

/// The most seats that one session takes.
pub const MOST_SEATS: usize = 2;
/// The most defects that are kept as text; further ones are only counted.
const MOST_TOLD: usize = 20;

pub type Micros = u64;

/// A session of one client: one start of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Session(pub u32);

/// One of the Licenses that have a grant in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct License {
    pub grant: u8,
    pub name: u8,
}

/// A slot of a License.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    pub license: License,
    pub number: u16,
}

/// A time for which a session believes to hold a slot.
#[derive(Clone, Copy, Debug)]
pub struct Belief {
    pub slot: Slot,
    pub session: Session,
    pub from: Micros,
    pub to: Micros,
}

/// A seat that the server may count as held, as far as can be seen from outside.
#[derive(Clone, Copy, Debug)]
pub struct Possible {
    /// `None` if no answer named the slot.
    pub slot: Option<Slot>,
    pub license: License,
    pub count: u8,
    pub from: Micros,
    /// When the seat was known to be this session's.
    pub known: Micros,
    pub to: Micros,
    pub end: End,
}

/// How a session's time with a seat ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client gave it back and got an answer.
    Released,
    /// The client sent nothing after `to`.
    Silence,
    /// The answer to a request did not come in time: the server may still receive the request and carry it out.
    Late,
}

/// A session was answered that there is no seat.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    pub license: License,
    pub count: u8,
    pub sent: Micros,
    pub heard: Micros,
}

/// The number of operations of each kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    pub requests: u64,
    pub granted: u64,
    /// Of these, granted to waiters in the queue.
    pub in_turn: u64,
    pub refused: u64,
    /// How many requests named a License without a grant.
    pub without_grant: u64,
    /// How many requests were answered with a place in the queue.
    pub queued: u64,
    pub kept: u64,
    pub lost: u64,
    pub released: u64,
    /// Requests whose outcome the client does not know.
    pub unanswered: u64,
}

impl Count {
    /// Returns the number of operations on single seats; each is checked.
    pub fn operations(&self) -> u64 {
        self.granted + self.refused + self.kept + self.lost + self.released
    }
}

/// A session that has not ended.
struct Open {
    license: License,
    count: u8,
    /// When the first request that may have been carried out was sent, and until when its outcome was not known.
    asked: Option<(Micros, Micros)>,
    seats: Option<Held>,
    late: Vec<(Micros, Micros)>,
    /// The session was answered that its seats are lost.
    lost: bool,
}

#[derive(Clone, Copy)]
struct Held {
    slots: [u16; MOST_SEATS],
    asked: Micros,
    known: Micros,
    /// The session believes to hold its seats from `from` to `to`.
    from: Micros,
    to: Micros,
    /// The last instant at which the server may have received a request of the session.
    contact: Micros,
}

impl Held {
    fn slots(&self, license: License) -> impl Iterator<Item = Slot> {
        self.slots.into_iter().filter(|slot| *slot != u16::MAX).map(move |number| Slot { license, number })
    }
}

/// Everything that clients did.
#[derive(Default)]
pub struct History {
    pub ttl: Micros,
    pub beliefs: Vec<Belief>,
    pub possible: Vec<Possible>,
    pub refusals: Vec<Refusal>,
    pub count: Count,
    /// Answers that no order of events explains, found while they were recorded.
    pub defects: Vec<String>,
    pub more_defects: u64,
    /// The longest time without a new seat since this was last reset to zero.
    pub longest_gap: Micros,
    granted_under: BTreeMap<License, u64>,
    last_grant: Option<Micros>,
    open: HashMap<Session, Open>,
    sessions: u32,
}

impl History {
    pub fn new(ttl: Micros) -> Self {
        History { ttl, ..History::default() }
    }

    /// Begins a session, which will ask for `count` seats.
    pub fn begin(&mut self, license: License, count: u8) -> Session {
        self.sessions += 1;
        let session = Session(self.sessions);
        self.open.insert(session, Open { license, count, asked: None, seats: None, late: Vec::new(), lost: false });
        session
    }

    /// Returns how many seats were granted under this License.
    pub fn granted_under(&self, license: License) -> u64 {
        self.granted_under.get(&license).copied().unwrap_or(0)
    }

    pub fn defect(&mut self, told: String) {
        match self.defects.len() < MOST_TOLD {
            true => self.defects.push(told),
            false => self.more_defects += 1,
        }
    }

    /// Records that the session was granted these slots.
    pub fn granted(&mut self, session: Session, sent: Micros, heard: Micros, slots: &[u16]) {
        let gap = heard.saturating_sub(*self.last_grant.get_or_insert(heard));
        self.longest_gap = self.longest_gap.max(gap);
        self.last_grant = self.last_grant.max(Some(heard));
        self.count.granted += slots.len() as u64;
        let Some(mut open) = self.open.remove(&session) else { return };
        *self.granted_under.entry(open.license).or_default() += slots.len() as u64;
        if slots.len() != usize::from(open.count) {
            self.defect(format!("{session:?} asked for {} seats and was granted {slots:?}", open.count));
        }
        let mut all = [u16::MAX; MOST_SEATS];
        all.iter_mut().zip(slots).for_each(|(to, slot)| *to = *slot);
        let asked = open.asked.take().map_or(sent, |(first, _)| first);
        let fresh = Held { slots: all, asked, known: heard, from: heard, to: sent + self.ttl, contact: heard };
        open.seats = Some(match open.seats {
            Some(held) if held.slots == all => self.prolonged(session, open.license, held, sent, heard),
            Some(held) => {
                if sent <= held.to {
                    let before = held.slots;
                    self.defect(format!("{session:?} held {before:?} and was granted {slots:?} when it asked again"));
                }
                self.part(session, open.license, held, held.contact, End::Silence);
                fresh
            }
            None => fresh,
        });
        open.lost = false;
        self.open.insert(session, open);
    }

    /// Prolongs the belief after a positive answer to a request that was sent at `sent`.
    fn prolonged(&mut self, session: Session, license: License, held: Held, sent: Micros, heard: Micros) -> Held {
        let to = sent + self.ttl;
        if heard <= held.to {
            return Held { to: held.to.max(to), contact: heard, ..held };
        }
        self.believed(session, license, held);
        Held { from: heard, to, contact: heard, ..held }
    }

    fn believed(&mut self, session: Session, license: License, held: Held) {
        let Held { from, to, .. } = held;
        if from < to {
            self.beliefs.extend(held.slots(license).map(|slot| Belief { slot, session, from, to }));
        }
    }

    /// Records seats that the session no longer holds.
    fn part(&mut self, session: Session, license: License, held: Held, to: Micros, end: End) {
        self.believed(session, license, held);
        let Held { asked: from, known, .. } = held;
        let possible = |slot| Possible { slot: Some(slot), license, count: 1, from, known, to, end };
        self.possible.extend(held.slots(license).map(possible));
    }

    /// Records that the session was answered that there is no seat.
    pub fn refused(&mut self, session: Session, sent: Micros, heard: Micros) {
        let Some(open) = self.open.get_mut(&session) else { return };
        let Open { license, count, .. } = *open;
        // Whatever happened to its earlier requests, it has no seat now.
        open.asked = None;
        let held = open.seats.is_some_and(|held| heard < held.to);
        self.count.refused += u64::from(count);
        self.refusals.push(Refusal { license, count, sent, heard });
        if held {
            self.defect(format!("{session:?} was refused the seat that it held, at {heard}"));
        }
    }

    /// Records that the session was refused with its place in the queue: a seat may be kept for it for a while.
    pub fn queued(&mut self, session: Session, sent: Micros, heard: Micros) {
        self.refused(session, sent, heard);
        self.count.queued += 1;
        if let Some(open) = self.open.get_mut(&session) {
            open.asked = Some((sent, heard));
        }
    }

    /// Records that the session got no answer when it asked for seats or asked to keep them. `late` is whether the
    /// request may still be on its way.
    pub fn unanswered(&mut self, session: Session, sent: Micros, given_up: Micros, late: bool) {
        self.count.unanswered += 1;
        let Some(open) = self.open.get_mut(&session) else { return };
        match &mut open.seats {
            Some(held) => held.contact = held.contact.max(given_up),
            None => open.asked = Some((open.asked.map_or(sent, |(first, _)| first), given_up)),
        }
        if late {
            open.late.push((sent, given_up));
        }
    }

    /// Records that a heartbeat for all its seats was answered with success.
    pub fn kept(&mut self, session: Session, sent: Micros, heard: Micros) {
        let Some(mut open) = self.open.remove(&session) else { return };
        self.count.kept += u64::from(open.count);
        open.seats = open.seats.map(|held| self.prolonged(session, open.license, held, sent, heard));
        // A request that arrived late may have taken the seat again.
        if open.lost && open.late.is_empty() {
            self.defect(format!("{session:?} was told that its seat is lost, but at {heard} that it is kept"));
        }
        self.open.insert(session, open);
    }

    /// Records that a heartbeat was answered with the loss of the seats.
    pub fn lost(&mut self, session: Session, sent: Micros, heard: Micros) {
        let Some(open) = self.open.get_mut(&session) else { return };
        self.count.lost += u64::from(open.count);
        open.lost = true;
        let Some(held) = &mut open.seats else { return };
        let to = held.to;
        held.to = to.min(heard);
        if heard < to {
            let early = to - heard;
            self.defect(format!("{session:?} lost its seats {early} µs early (sent {sent}, heard {heard})"));
        }
    }

    /// Records that the session gives its seats back: from now on it does not believe it holds them.
    pub fn releases(&mut self, session: Session, sent: Micros) {
        if let Some(held) = self.open.get_mut(&session).and_then(|open| open.seats.as_mut()) {
            held.to = held.to.min(sent);
        }
    }

    /// Ends the session, which sends no further request. `released` is when the release of all its seats was answered.
    pub fn over(&mut self, session: Session, released: Option<Micros>) {
        let Some(Open { license, count, asked, seats, late, .. }) = self.open.remove(&session) else { return };
        let unknown = |(from, to), end| Possible { slot: None, license, count, from, known: to, to, end };
        self.possible.extend(late.into_iter().map(|request| unknown(request, End::Late)));
        self.possible.extend(asked.map(|request| unknown(request, End::Silence)));
        let Some(held) = seats else { return };
        match released {
            Some(at) => {
                self.count.released += u64::from(count);
                self.part(session, license, held, at, End::Released);
            }
            None => self.part(session, license, held, held.contact, End::Silence),
        }
    }

    /// Ends every session: present beliefs go on until their time is over.
    pub fn close(&mut self) {
        let mut open: Vec<Session> = self.open.keys().copied().collect();
        open.sort_unstable();
        open.into_iter().for_each(|session| self.over(session, None));
    }
}
