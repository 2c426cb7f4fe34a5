//! The steps that can happen, and how a trace of them reads.

use std::fmt;

use crate::state::{FREE, Records, State};

/// One step; owners and clients are named by number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// How far the owners' clocks advance while the clients' advance by one.
    Tick([u8; 2]),
    /// The clock that proves advances by one, the clock that waits by `DRIFT`, in both owners.
    WorstTick,
    Asks(usize),
    Releases(usize),
    Receives(usize),
    Reads(usize),
    TakesLease(usize),
    Confirms(usize),
    Renews(usize),
    RenewalAcknowledged(usize),
    TakesLeaseBack(usize),
    Heartbeat(usize, usize),
    Loses(usize, usize),
    Writes(usize, Records),
    CarriedOut(usize),
    Acknowledged(usize),
    Crashes(usize),
    OrphanCarriedOut,
    GivesUp(usize),
    Skips(usize),
}

impl Step {
    /// Whether a session is wrongly told that its seat is lost: it still relies on the seat, or the store still has the
    /// seat, so that the next owner would keep it. It must never happen. `after` is the state after this step.
    pub fn is_lost_wrongly(self, after: &State) -> bool {
        let Self::Loses(_, c) = self else { return false };
        after.clients[c].slot != 0 || after.replay().iter().any(|holder| usize::from(*holder) == c + 1)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Tick([first, second]) => {
                write!(f, "time passes: 1 for the clients, {first} for owner 0, {second} for owner 1")
            }
            Self::WorstTick => write!(f, "time passes"),
            Self::Asks(c) => write!(f, "client {c} asks for a seat, or for its seat again"),
            Self::Releases(c) => write!(f, "client {c} ends its session and releases"),
            Self::Receives(c) => write!(f, "client {c} receives its answer"),
            Self::Reads(o) => write!(f, "owner {o} reads the ring"),
            Self::TakesLease(o) => write!(f, "owner {o} takes the Lease"),
            Self::Confirms(o) => write!(f, "owner {o} finds the Lease unchanged after its seal"),
            Self::Renews(o) => write!(f, "owner {o} renews the Lease"),
            Self::RenewalAcknowledged(o) => write!(f, "owner {o} receives the reply to its renewal"),
            Self::TakesLeaseBack(o) => write!(f, "owner {o} takes the Lease back"),
            Self::Heartbeat(o, c) => write!(f, "owner {o} answers client {c} from memory"),
            Self::Loses(o, c) => write!(f, "owner {o} tells client {c} that it has lost its seat"),
            Self::Writes(o, records) => {
                write!(f, "owner {o} sends an entry:")?;
                for (slot, record) in records.into_iter().enumerate().filter(|(_, record)| *record != 0) {
                    match record - 1 {
                        FREE => write!(f, " slot {slot} is free")?,
                        holder => write!(f, " slot {slot} is client {}'s", holder - 1)?,
                    }
                }
                Ok(())
            }
            Self::CarriedOut(o) => write!(f, "the store carries out what owner {o} sent"),
            Self::Acknowledged(o) => write!(f, "owner {o} learns that its write is durable"),
            Self::Crashes(o) => write!(f, "owner {o} crashes, or learns that it is fenced"),
            Self::OrphanCarriedOut => write!(f, "the store carries out a write whose sender no longer waits"),
            Self::GivesUp(o) => write!(f, "owner {o} gives up on its write"),
            Self::Skips(o) => write!(f, "owner {o} sends the same entry to the next object"),
        }
    }
}

/// Returns a line for each step, with the clients' beliefs if they have changed.
pub fn readable(trace: &[(Step, State)]) -> String {
    let mut text = String::new();
    let mut before = [0, 0];
    for (number, (step, state)) in trace.iter().enumerate() {
        text += &format!("{:>4}. {step}", number + 1);
        for (c, before) in before.iter_mut().enumerate() {
            let slot = state.clients[c].slot;
            if slot != *before {
                let what = ["none", "slot 0", "slot 1", "two slots"][usize::from(slot)];
                text += &format!(" (client {c} believes to hold {what})");
            }
            *before = slot;
        }
        text += "\n";
    }
    text
}
