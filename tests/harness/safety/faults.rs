//! Faults of the replicas and of the control plane. Each fault is seen to have happened: a run in which one has no
//! effect fails.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use chrono::TimeDelta;
use nix::sys::signal::Signal;

use super::agent::Town;
use super::dice::Dice;
use super::ground::{Ground, Reached, SOON};
use super::relay::Held;
use super::replica::Replica;
use crate::harness::eventually::eventually;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// SIGTERM to the owner.
    Ended,
    /// SIGKILL to the owner, whatever it is doing.
    Killed,
    /// SIGKILL to the owner while it waits for the answer to a write that was carried out.
    KilledAfterCommit,
    /// SIGKILL to the owner while its write is held back, longer than clients wait. The write arrives afterwards.
    KilledBeforeCommit,
    /// SIGSTOP to the owner for twice the TTL.
    Stopped,
    /// SIGSTOP to the owner until another has taken over, and longer.
    StoppedAndReplaced,
    /// The owner is cut off from everything until it has given up, and longer.
    CutOff,
    /// The Lease is deleted, so that another replica takes it while the owner still has proof and believes to lead.
    Deposed,
    /// SIGKILL to the API server, which is restarted.
    NoApiServer,
    /// The clocks of all replicas jump by hours, forwards and back.
    ClocksSet,
}

impl Fault {
    pub const ALL: [Fault; 10] = [
        Fault::Ended,
        Fault::Killed,
        Fault::KilledAfterCommit,
        Fault::KilledBeforeCommit,
        Fault::Stopped,
        Fault::StoppedAndReplaced,
        Fault::CutOff,
        Fault::Deposed,
        Fault::NoApiServer,
        Fault::ClocksSet,
    ];
}

/// The most hours by which a clock jumps.
const HOURS: usize = 48;
/// The time between two breaks of a replica's connections, until it has read its new time.
const RECONNECTS: Duration = Duration::from_millis(500);
/// Longer than a client waits for an answer, so that it asks again while the write is held back.
const HELD_UP: Duration = Duration::from_millis(2500);

/// The replicas and the control plane that suffer the faults.
pub struct Field<'f> {
    pub ground: &'f Ground,
    pub replicas: &'f mut [Replica],
    pub town: &'f Town,
    pub dice: &'f mut Dice,
    /// How much longer than needed faults sometimes last: until a new owner's wait is over. `None` if they never do.
    pub waits: Option<Duration>,
}

impl Field<'_> {
    /// Waits until one replica grants seats and all others stand by, and returns its index. Restarts a replica that
    /// ends, as a kubelet does.
    pub async fn owner(&mut self) -> usize {
        eventually(2 * SOON, "one replica leads and all others stand by", async || {
            let mut seen = Vec::new();
            for replica in self.replicas.iter_mut() {
                if replica.ended().is_some() {
                    replica.start().await;
                }
                seen.push(replica.leads().await);
            }
            let leaders: Vec<usize> = (0..seen.len()).filter(|n| seen[*n] == Some(true)).collect();
            match leaders[..] {
                [owner] if seen.iter().all(Option::is_some) => Ok(owner),
                _ => Err(format!("{seen:?}")),
            }
        })
        .await
    }

    async fn reached(&self) -> Reached {
        eventually(SOON, "the ledger can be read", async || self.ground.reached().await.ok_or("no".to_owned())).await
    }

    /// Causes the fault, and returns once it has happened.
    pub async fn strike(&mut self, fault: Fault) {
        let owner = self.owner().await;
        let before = self.reached().await;
        match fault {
            Fault::Ended => {
                self.replicas[owner].signal(Signal::SIGTERM);
                let status = self.replicas[owner].end().await;
                assert_eq!(status.code(), Some(0), "it ends cleanly");
                self.is_followed_by_one(owner, before.epoch).await;
            }
            Fault::Killed => {
                self.kills(owner).await;
                self.is_followed_by_one(owner, before.epoch).await;
            }
            Fault::KilledAfterCommit => {
                self.holds_back_the_answer_to_a_write(owner).await;
                self.kills(owner).await;
                self.ground.taken_over_since(before.epoch).await;
            }
            Fault::KilledBeforeCommit => {
                let stopped = self.replicas[owner].upstream.stopped();
                self.replicas[owner].upstream.hold(Held { requests: true, answers: false });
                let before = self.still().await;
                tokio::time::sleep(HELD_UP).await;
                assert_eq!(self.reached().await, before, "the held write did not arrive");
                assert!(self.replicas[owner].upstream.stopped() > stopped, "no write was held back");
                self.kills(owner).await;
                self.ground.taken_over_since(before.epoch).await;
            }
            Fault::Stopped => {
                self.stops(owner).await;
                tokio::time::sleep(2 * self.town.ttl).await;
                assert!(self.replicas[owner].is_stopped());
            }
            Fault::StoppedAndReplaced => {
                self.stops(owner).await;
                self.ground.taken_over_since(before.epoch).await;
                self.lingers().await;
                assert!(self.replicas[owner].is_stopped());
                self.replicas[owner].signal(Signal::SIGCONT);
                let status = self.replicas[owner].end().await;
                assert_eq!(status.code(), Some(1), "it finds that it no longer leads, and ends");
            }
            Fault::CutOff => {
                self.replicas[owner].cut();
                self.ground.taken_over_since(before.epoch).await;
                let status = self.replicas[owner].end().await;
                assert_eq!(status.code(), Some(1), "it gives up, and ends");
                self.lingers().await;
            }
            Fault::Deposed => {
                self.ground.delete_lease().await;
                self.ground.taken_over_since(before.epoch).await;
                let status = self.replicas[owner].end().await;
                assert_eq!(status.code(), Some(1), "it finds that it no longer leads, and ends");
            }
            Fault::NoApiServer => self.kills_api_server().await,
            Fault::ClocksSet => self.sets_clocks().await,
        }
    }

    /// Undoes the fault, and returns once everything is well and a seat is granted.
    pub async fn mend(&mut self) {
        for replica in self.replicas.iter_mut() {
            replica.set_right();
        }
        self.owner().await;
        self.grants(1).await;
    }

    /// Waits until clients were granted `more` further seats.
    pub async fn grants(&self, more: u64) {
        let count = || self.town.history().count;
        let wanted = count().granted + more;
        // However slow the machine is: some are granted in each second.
        let at_most = SOON + Duration::from_millis(10 * more);
        eventually(at_most, &format!("{more} more seats are granted"), async || {
            let count = count();
            if count.granted >= wanted { Ok(()) } else { Err(format!("{count:?}")) }
        })
        .await;
    }

    /// Checks that one other replica takes over, and that none takes over from that one.
    async fn is_followed_by_one(&mut self, gone: usize, epoch: i64) {
        self.ground.taken_over_since(epoch).await;
        eventually(SOON, "one of the others leads", async || {
            let mut leaders = 0;
            for (number, replica) in self.replicas.iter_mut().enumerate().filter(|(number, _)| *number != gone) {
                assert_eq!(replica.ended(), None, "replica {number} lost the lead that it had just taken");
                leaders += usize::from(replica.leads().await == Some(true));
            }
            if leaders == 1 { Ok(()) } else { Err(format!("{leaders} lead")) }
        })
        .await;
    }

    async fn kills(&mut self, replica: usize) {
        let status = self.replicas[replica].kill().await;
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "{status:?}");
    }

    /// Holds answers back until one of them is that to a new write. If the held answer is that to an earlier write,
    /// nothing more is written; if the write's answer has passed before, nothing is held back. Both times it tries
    /// again.
    async fn holds_back_the_answer_to_a_write(&mut self, owner: usize) {
        let upstream = &self.replicas[owner].upstream;
        eventually(SOON, "a write is carried out whose answer is held back", async || {
            let (before, stopped) = (self.reached().await, upstream.stopped());
            upstream.hold(Held { answers: true, requests: false });
            let held = self.still().await;
            if held.sequence > before.sequence && upstream.stopped() > stopped {
                return Ok(());
            }
            upstream.hold(Held::NOTHING);
            self.grants(1).await;
            Err(format!("{before:?}, {held:?}"))
        })
        .await;
    }

    async fn stops(&mut self, replica: usize) {
        let replica = &self.replicas[replica];
        replica.signal(Signal::SIGSTOP);
        let stopped = async || if replica.is_stopped() { Ok(()) } else { Err("it runs".to_owned()) };
        eventually(SOON, "the kernel stops it", stopped).await;
    }

    /// Returns how far the ledger has come once nothing more is written.
    async fn still(&self) -> Reached {
        let mut last = self.reached().await;
        eventually(SOON, "nothing more is written", async || {
            let now = self.reached().await;
            let before = std::mem::replace(&mut last, now);
            if before == now { Ok(now) } else { Err(format!("{now:?}")) }
        })
        .await
    }

    async fn lingers(&mut self) {
        if let Some(wait) = self.waits.filter(|_| self.dice.one_in(2)) {
            tokio::time::sleep(wait).await;
        }
    }

    async fn kills_api_server(&self) {
        let killed = self.ground.api_server_pid();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(killed).expect("a pid"));
        nix::sys::signal::kill(pid, Signal::SIGKILL).expect("the API server runs");
        eventually(SOON, "another API server runs", async || {
            let pid = self.ground.api_server_pid();
            if pid != killed { Ok(()) } else { Err(format!("{pid}")) }
        })
        .await;
        assert_eq!(self.ground.reached().await, None, "for a moment no API server answers");
        self.reached().await;
    }

    async fn sets_clocks(&mut self) {
        for sign in [1, -1] {
            for replica in self.replicas.iter_mut() {
                let hours = 1 + i64::try_from(self.dice.below(HOURS)).expect("it is small");
                let ahead = TimeDelta::hours(sign * hours);
                replica.set_clock(ahead);
                replica.reconnects().await;
                let what = format!("{} is {ahead} ahead", replica.name);
                eventually(SOON, &what, async || match replica.clock() {
                    Some(seen) if (seen - ahead).abs() < TimeDelta::minutes(2) => Ok(()),
                    seen => {
                        // Not so often that the replica never gets to log its time.
                        tokio::time::sleep(RECONNECTS).await;
                        replica.reconnects().await;
                        Err(format!("{seen:?}"))
                    }
                })
                .await;
            }
            self.grants(200).await;
        }
        // Some clocks stay wrong.
        for replica in self.replicas.iter() {
            if self.dice.one_in(2) {
                replica.set_clock(TimeDelta::zero());
            }
        }
    }
}
