//! Connections of a server that anybody in the cluster, or on the machine, can reach: bounded in number, in all and for each
//! group of callers. A caller without the credential cannot crowd out one that has it, and no caller can crowd out all
//! others.

use futures::task::AtomicWaker;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::group::Group;
use super::patience::Patience;
use crate::machine::random_bytes;

/// One in this many places is kept free for newcomers, and a single address has four times as many without the
/// credential.
const FOR_NEWCOMERS: usize = 16;

/// The open connections. When there is no room, one of those that have not shown the credential is closed, of the
/// address that has most of them. Chance chooses it: if it were the oldest, a flood would end every other connection in
/// its handshake. When those that have shown the credential leave no room for newcomers, the oldest of the largest
/// group is closed.
#[derive(Clone)]
pub struct Guests {
    present: Arc<Mutex<Present>>,
    room: usize,
}

#[derive(Default)]
struct Present {
    /// The guests of each group, the oldest first. No group is empty.
    groups: HashMap<Group, BTreeMap<u64, Weak<Guest>>>,
    all: usize,
    /// How many of them have shown the credential.
    known: usize,
}

/// The other end of a connection.
pub struct Guest {
    number: u64,
    address: IpAddr,
    /// Whose credential it has shown first.
    known: OnceLock<Group>,
    sent_away: AtomicBool,
    /// The task that reads and writes.
    task: AtomicWaker,
    pub patience: Patience,
    all: Guests,
}

impl Guests {
    /// No connections yet, and room for `room` of them.
    pub fn with_room(room: usize) -> Self {
        Guests { present: Arc::default(), room }
    }

    /// Admits a connection from `address`. If there is no room for it, another one is closed.
    pub fn admit(&self, stream: TcpStream, address: IpAddr) -> Connection {
        Connection { stream, guest: self.enter(address), woken: None }
    }

    fn enter(&self, address: IpAddr) -> Arc<Guest> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let guest = Arc::new(Guest {
            number: COUNT.fetch_add(1, Relaxed),
            address,
            known: OnceLock::new(),
            sent_away: AtomicBool::new(false),
            task: AtomicWaker::new(),
            patience: Patience::default(),
            all: self.clone(),
        });
        let group = Group::at(address);
        let leaves = {
            let mut present = self.present();
            let from_there = present.groups.get(&group).map_or(0, BTreeMap::len);
            let leaves = match () {
                () if from_there >= self.newcomers() * 4 => present.any_of(&group),
                () if present.all >= self.room => present.largest(false).and_then(|group| present.any_of(&group)),
                () => None,
            };
            present.add(group, &guest);
            leaves
        };
        send_away(leaves);
        guest
    }

    /// Closes the connections that have been left as they are for too long. Call every `patience::LOOK`.
    pub fn look(&self) {
        // A guest that is dropped takes the lock.
        let all: Vec<Arc<Guest>> =
            self.present().groups.values().flat_map(|guests| guests.values().filter_map(Weak::upgrade)).collect();
        all.into_iter().filter(|guest| guest.patience.look()).for_each(|guest| send_away(Some(guest)));
    }

    fn newcomers(&self) -> usize {
        (self.room / FOR_NEWCOMERS).max(1)
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Not under the lock: a guest that is dropped takes it.
fn send_away(guest: Option<Arc<Guest>>) {
    if let Some(guest) = guest {
        guest.sent_away.store(true, Relaxed);
        guest.task.wake();
    }
}

impl Present {
    fn add(&mut self, group: Group, guest: &Arc<Guest>) {
        self.all += 1;
        self.known += usize::from(is_known(&group));
        self.groups.entry(group).or_default().insert(guest.number, Arc::downgrade(guest));
    }

    /// Removes a guest; `None` if it is not there.
    fn remove(&mut self, group: &Group, number: u64) -> Option<Weak<Guest>> {
        let guests = self.groups.get_mut(group)?;
        let guest = guests.remove(&number)?;
        if guests.is_empty() {
            self.groups.remove(group);
        }
        self.all -= 1;
        self.known -= usize::from(is_known(group));
        Some(guest)
    }

    fn oldest_of(&mut self, group: &Group) -> Option<Arc<Guest>> {
        let number = *self.groups.get(group)?.keys().next()?;
        self.remove(group, number)?.upgrade()
    }

    /// Removes a guest that chance chooses. Without randomness it is the oldest.
    fn any_of(&mut self, group: &Group) -> Option<Arc<Guest>> {
        let guests = self.groups.get(group)?;
        let chance = random_bytes().map_or(0, usize::from_le_bytes);
        let number = *guests.keys().nth(chance.checked_rem(guests.len())?)?;
        self.remove(group, number)?.upgrade()
    }

    /// The largest group of those that have shown the credential, or of those that have not.
    fn largest(&self, known: bool) -> Option<Group> {
        let groups = self.groups.iter().filter(|(group, _)| is_known(group) == known);
        groups.max_by_key(|(_, guests)| guests.len()).map(|(group, _)| group.clone())
    }
}

fn is_known(group: &Group) -> bool {
    !matches!(group, Group::Address(_))
}

impl Guest {
    /// The group of those who come from the same address.
    pub fn at(&self) -> Group {
        Group::at(self.address)
    }

    /// Notes that it has shown the credential of `group`. Only the first one counts: a replica that passes requests on
    /// shows those of many.
    pub fn becomes_known(self: &Arc<Self>, group: &Group) {
        if self.known.get().is_some() {
            return;
        }
        let leaves = {
            let mut present = self.all.present();
            // It may have been sent away meanwhile.
            if self.known.get().is_some() || present.remove(&self.at(), self.number).is_none() {
                return;
            }
            let _ = self.known.set(group.clone());
            present.add(group.clone(), self);
            match present.known > (self.all.room - self.all.newcomers()).max(1) {
                true => present.largest(true).and_then(|group| present.oldest_of(&group)),
                false => None,
            }
        };
        send_away(leaves);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let group = self.known.get().cloned().unwrap_or_else(|| self.at());
        self.all.present().remove(&group, self.number);
    }
}

/// A connection that breaks when its guest is sent away.
pub struct Connection {
    stream: TcpStream,
    pub guest: Arc<Guest>,
    /// The task that is woken when the guest is sent away.
    woken: Option<Waker>,
}

impl Connection {
    /// Fails if the guest was sent away, and has the task woken when it is. Writing checks too: a guest that reads no
    /// answers is never read from again.
    fn check_open(&mut self, context: &Context<'_>) -> std::io::Result<()> {
        // It nearly always is the same task, and registering costs more.
        if !self.woken.as_ref().is_some_and(|woken| woken.will_wake(context.waker())) {
            self.guest.task.register(context.waker());
            self.woken = Some(context.waker().clone());
        }
        match self.guest.sent_away.load(Relaxed) {
            true => Err(std::io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.check_open(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.check_open(context)?;
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.guest.patience.note_sent(written.is_ready());
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.check_open(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    /// The attack: requests one after the other, whose answers nobody reads. Such a connection was never sent away.
    #[tokio::test]
    async fn a_guest_that_reads_no_answers_makes_room_too() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let guests = Guests::with_room(1);
        let silent = TcpStream::connect(address).await.expect("it listens");
        let admitted = async || {
            let (stream, from) = listener.accept().await.expect("it comes");
            guests.admit(stream, from.ip())
        };
        let mut first = admitted().await;
        let writing = tokio::spawn(async move { while first.write_all(&[0; 65_536]).await.is_ok() {} });
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert!(!writing.is_finished(), "it waits for the other end to read");
        let _second = TcpStream::connect(address).await.expect("it listens");
        let _second_here = admitted().await;
        let ended = tokio::time::timeout(std::time::Duration::from_secs(5), writing).await;
        assert!(ended.is_ok(), "it was not sent away");
        drop(silent);
    }

    fn stays(guest: &Arc<Guest>) -> bool {
        !guest.sent_away.load(Relaxed)
    }

    fn address(n: u8) -> IpAddr {
        [10, 0, 0, n].into()
    }

    #[test]
    fn an_address_has_a_quarter_of_the_room_and_makes_room_for_others_first() {
        let guests = Guests::with_room(16);
        let crowd: Vec<_> = (0..8).map(|_| guests.enter(address(1))).collect();
        assert_eq!(crowd.iter().filter(|guest| stays(guest)).count(), 4);
        assert!(stays(&crowd[7]), "a newcomer is not turned away");
        let others: Vec<_> = (2..=9).flat_map(|n| [(); 2].map(|()| guests.enter(address(n)))).collect();
        assert_eq!(guests.present().all, 16);
        assert!(crowd.iter().filter(|guest| stays(guest)).count() <= 2, "the most crowded address makes room");
        drop((crowd, others));
        let present = guests.present();
        assert_eq!((present.all, present.known, present.groups.len()), (0, 0, 0));
    }

    /// The attack: a local user connects again and again and sends nothing. Another user's connection needs a moment for
    /// its handshake, and was always the oldest before it was over.
    #[test]
    fn a_flood_ends_any_connection_rather_than_the_one_in_its_handshake() {
        let survives = || {
            let guests = Guests::with_room(512);
            let mut flood: Vec<_> = (0..128).map(|_| guests.enter(address(1))).collect();
            let real = guests.enter(address(1));
            flood.extend((0..128).map(|_| guests.enter(address(1))));
            stays(&real)
        };
        let survived = (0..200).filter(|_| survives()).count();
        // 74 are expected: (127/128)^128 of them.
        assert!((40..110).contains(&survived), "{survived} of 200");
    }

    /// The attack: connections of one caller without any right, each of which has shown its token. They used to leave no
    /// room for anybody else.
    #[test]
    fn the_largest_group_makes_room_and_a_newcomer_finds_some() {
        let guests = Guests::with_room(64);
        let (victim, intruder) = (Group::of("victim"), Group::of("intruder"));
        let known = |n, group: &Group| {
            let guest = guests.enter(address(n));
            guest.becomes_known(group);
            guest
        };
        let held: Vec<_> = (0..5).map(|_| known(1, &victim)).collect();
        let crowd: Vec<_> = (0..200).map(|_| known(2, &intruder)).collect();
        assert_eq!(guests.present().known, 60);
        assert!(held.iter().all(stays));
        assert_eq!(crowd.iter().filter(|guest| stays(guest)).count(), 55);
        let silent: Vec<_> = (0..20).map(|_| guests.enter(address(3))).collect();
        assert_eq!(silent.iter().filter(|guest| stays(guest)).count(), 4);
        let late = known(1, &victim);
        assert!(stays(&late) && held.iter().all(stays));
        assert!(crowd.iter().filter(|guest| stays(guest)).count() <= 55, "strangers push out none of them");
        late.becomes_known(&intruder);
        crowd[0].becomes_known(&intruder);
        assert!(guests.present().all <= 64);
    }
}
